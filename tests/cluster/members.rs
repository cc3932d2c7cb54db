//! Changes of the members, by commands, under load: no client notices more than a pause.

use crate::by_hand::{Nodes, free_port};
use crate::commands::check;
use crate::harness::{Place, until};
use crate::load::Load;
use quorate_proof::{Receipt, TrustRoot, genesis_file};
use serde_json::{Value, json};
use std::process::Stdio;

/// The operator's key, as a user names it.
const OPERATOR: [&str; 2] = ["--key", "keys/operator.pem"];

/// A command of an operator, again until no other change is in its way.
fn change(net: &crate::harness::Net<'_>, arguments: &[&str]) -> Value {
    change_at(net, &[], arguments)
}

/// [`change`], where these options tell of the gateways.
fn change_at(net: &crate::harness::Net<'_>, gateways: &[&str], arguments: &[&str]) -> Value {
    let done = std::cell::RefCell::new(Value::Null);
    until("the change is executed", || {
        let output = net.run(&[&["-o", "json", "--timeout", "60s"], gateways, arguments].concat());
        let last = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            *done.borrow_mut() = serde_json::from_slice(&output.stdout).unwrap();
            return true;
        }
        assert!(
            last.contains("another change takes effect") || last.contains("too old"),
            "{arguments:?}: {last}"
        );
        false
    });
    done.into_inner()
}

fn epoch(net: &crate::harness::Net<'_>) -> u64 {
    net.json(&["member", "list"])["epoch"].as_u64().unwrap()
}

/// Every replica votes in this epoch.
fn all_in(net: &crate::harness::Net<'_>, epoch: u64) {
    until(&format!("every replica votes in epoch {epoch}"), || {
        let (well, status) = net.status();
        let replicas = status["nodes"].as_array().cloned().unwrap_or_default();
        well && replicas.iter().all(|replica| replica["epoch"] == epoch && replica["state"] == "normal")
    });
}

#[test]
fn all_keys_rotate_under_load_and_receipts_verify_with_the_genesis() {
    let place = Place::new(49);
    let net = place.testnet(&[]);
    let before = net.json(&["member", "list"]);
    assert_eq!((before["epoch"].as_u64(), before["members"].as_array().unwrap().len()), (Some(0), 4));
    let first = net.place.path("first.json");
    net.succeed(&["kv", "put", "before", "1", "--receipt", first.to_str().unwrap()]);
    let load = Load::start(&net, 8);
    load.progress(50);
    for node in 0..4_u64 {
        let dir = format!("node{node}");
        let told = change(&net, &[&["member", "rotate", "--dir", &dir], &OPERATOR[..]].concat());
        assert_eq!(told["change"], format!("node{node} gets other keys"), "{told}");
        until("the next epoch", || epoch(&net) == node + 1);
        all_in(&net, node + 1);
        load.progress(50);
    }
    let after = net.json(&["member", "list"]);
    for (old, new) in before["members"].as_array().unwrap().iter().zip(after["members"].as_array().unwrap()) {
        assert_eq!(old["name"], new["name"]);
        assert_ne!(old["vote"], new["vote"]);
        assert_ne!(old["transport"], new["transport"]);
        assert!(new["store"].is_string(), "its store is named now");
    }
    for node in 0..4 {
        let left: Vec<_> = ["vote.next.pem", "transport.next.pem"]
            .iter()
            .filter(|name| net.dir().join(format!("node{node}/{name}")).exists())
            .collect();
        assert!(left.is_empty(), "G4: the keys of before are erased, the next ones in use: {left:?}");
    }
    let receipts = load.stop();
    let genesis = std::fs::read_to_string(net.dir().join("genesis.toml")).unwrap();
    let trust = TrustRoot::from_genesis(genesis_file::parse(&genesis).unwrap()).unwrap();
    let epochs: std::collections::BTreeSet<u64> =
        receipts.iter().map(|receipt: &Receipt| receipt.certificate.epoch.get()).collect();
    assert_eq!(epochs.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4], "load went on in every epoch");
    for receipt in &receipts {
        receipt.verify(&trust).expect("it tells what leads from the genesis to its members");
    }
    // The command, offline, of the first epoch and of the last.
    let last = net.place.path("last.json");
    net.succeed(&["kv", "put", "after", "1", "--receipt", last.to_str().unwrap()]);
    for file in [&first, &last] {
        net.succeed(&["receipt", "verify", file.to_str().unwrap()]);
    }
    // A restart finds its new keys, and the stored ledger leads through all epochs.
    net.succeed(&["testnet", "down"]);
    for node in 0..4 {
        let dir = format!("node{node}");
        let verified = net.json(&["verify", &dir, "--replay"]);
        assert_eq!(verified["valid"], true, "{verified}");
    }
    net.up();
    all_in(&net, 4);
    net.succeed(&["kv", "get", "after"]);
}

#[test]
fn a_replica_whose_disk_was_lost_votes_again_with_another_store() {
    let place = Place::new(50);
    let net = place.testnet(&[]);
    let load = Load::start(&net, 4);
    load.progress(200);
    net.succeed(&["testnet", "kill", "2"]);
    let data = net.dir().join("node2/data");
    std::fs::remove_dir_all(&data).unwrap();
    let made = net.json(&["node", "recover", "--dir", "node2"]);
    assert_eq!(made["step"], "store", "{made}");
    net.succeed(&["testnet", "start", "2"]);
    let state = |node: usize| net.status().1["nodes"][node]["state"].as_str().unwrap_or_default().to_owned();
    until("it follows", || {
        let status = net.status().1;
        let executed = |node: usize| status["nodes"][node]["executed"].as_u64().unwrap_or(0);
        executed(2) > 0 && executed(2) + 20 > executed(0)
    });
    assert_eq!(state(2), "learner", "it follows without a word");
    load.progress(100);
    let told = change(&net, &[&["node", "recover", "--dir", "node2"], &OPERATOR[..]].concat());
    assert_eq!(told["step"], "named", "{told}");
    all_in(&net, 1);
    // From here on it is needed.
    net.succeed(&["testnet", "kill", "3"]);
    load.progress(100);
    net.succeed(&["testnet", "start", "3"]);
    all_in(&net, 1);
    load.stop();
    let again = net.json(&[&["node", "recover", "--dir", "node2"], &OPERATOR[..]].concat());
    assert_eq!(again["step"], "named", "asked again it says that it is done: {again}");
}

#[test]
fn a_change_that_the_members_cannot_bear_is_refused_with_the_reason() {
    let place = Place::new(51);
    let net = place.testnet(&[]);
    let refused = |arguments: &[&str]| {
        let output = net.run(&[&["-o", "json", "-q"], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        serde_json::from_slice::<Value>(&output.stderr).unwrap()
    };
    let too_few = refused(&[&["member", "remove", "node0"], &OPERATOR[..]].concat());
    assert_eq!(too_few["code"], "Q0701", "{too_few}");
    assert!(too_few["why"].as_str().unwrap().contains("cannot tolerate"), "{too_few}");
    let nobody = refused(&[&["member", "remove", "nobody"], &OPERATOR[..]].concat());
    assert!(nobody["why"].as_str().unwrap().contains("no member of that name"), "{nobody}");
    let client = refused(&["member", "remove", "node0", "--key", "keys/client.pem"]);
    assert!(client["why"].as_str().unwrap().contains("no operator"), "{client}");
    let unknown = refused(&[&["member", "approve", &"0".repeat(64)], &OPERATOR[..]].concat());
    assert_eq!(unknown["code"], "Q0701", "{unknown}");
    assert_eq!(epoch(&net), 0);
}

#[test]
fn a_member_leaves_once_most_operators_agree() {
    let place = Place::new(52);
    let net = place.testnet(&["-n", "5", "--operators", "3"]);
    let by = |operator: &str, arguments: &[&str]| {
        change(&net, &[arguments, &["--key", &format!("keys/{operator}.pem")]].concat())
    };
    let idea = by("operator", &["member", "remove", "node3"]);
    check(&place, &idea);
    let withdrawn = idea["proposal"].as_str().unwrap();
    let listed = net.json(&["member", "list"]);
    assert_eq!((&listed["approvals_needed"], &listed["proposals"][0]["approvals"]), (&json!(2), &json!(1)));
    check(&place, &by("operator", &["member", "withdraw", withdrawn]));
    assert_eq!(net.json(&["member", "list"])["proposals"], json!([]));
    let load = Load::start(&net, 4);
    let proposed = by("operator2", &["member", "remove", "node1"]);
    assert!(proposed["effective_from"].is_null(), "one of two: {proposed}");
    assert_eq!(proposed["arithmetic"], "4 members -> tolerates f=1 faulty; commits need 3 signatures");
    load.progress(50);
    assert_eq!(epoch(&net), 0);
    let approved = by("operator3", &["member", "approve", proposed["proposal"].as_str().unwrap()]);
    check(&place, &approved);
    assert!(approved["effective_from"].is_number(), "{approved}");
    until("the next epoch", || epoch(&net) == 1);
    load.progress(100);
    let members = net.json(&["member", "list"])["members"].as_array().cloned().unwrap();
    let names: Vec<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert_eq!(names, ["node0", "node2", "node3", "node4"]);
    // The one that left says so and is not needed; any one of the others may now be missing.
    until("who left has stopped", || {
        let log = std::fs::read_to_string(net.dir().join("node1/node.log")).unwrap_or_default();
        log.contains("belongs to no member")
    });
    net.succeed(&["testnet", "kill", "4"]);
    load.progress(50);
    load.stop();
}

/// It knows none of the keys that its peers have now, nor they any reason to wait for it.
#[test]
fn a_replica_that_was_down_while_the_others_changed_their_keys_comes_back() {
    let place = Place::new(53);
    let net = place.testnet(&[]);
    let load = Load::start(&net, 4);
    load.progress(50);
    net.succeed(&["testnet", "kill", "3"]);
    for node in 0..3_u64 {
        let dir = format!("node{node}");
        change(&net, &[&["member", "rotate", "--dir", &dir], &OPERATOR[..]].concat());
        until("the next epoch", || epoch(&net) == node + 1);
        load.progress(50);
    }
    net.succeed(&["testnet", "start", "3"]);
    all_in(&net, 3);
    // And one that lost its disk after it changed its own.
    net.succeed(&["testnet", "kill", "1"]);
    std::fs::remove_dir_all(net.dir().join("node1/data")).unwrap();
    net.json(&["node", "recover", "--dir", "node1"]);
    net.succeed(&["testnet", "start", "1"]);
    until("it follows", || {
        let status = net.status().1;
        let executed = |node: usize| status["nodes"][node]["executed"].as_u64().unwrap_or(0);
        executed(1) > 0 && executed(1) + 20 > executed(0)
    });
    let told = change(&net, &[&["node", "recover", "--dir", "node1"], &OPERATOR[..]].concat());
    assert_eq!(told["step"], "named", "{told}");
    all_in(&net, 4);
    // From here on both are needed.
    net.succeed(&["testnet", "kill", "0"]);
    load.progress(50);
    load.stop();
}

/// With one replica down all along, each of the others is replaced by a new one, the new ones change their keys, and at last the one
/// that is down is replaced: no client fails, and what they were told verifies with the genesis.
#[test]
fn every_replica_is_replaced_and_every_key_changed_while_one_is_down() {
    const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
    let place = Place::new(63);
    let net = place.testnet(&[]);
    let host = |index: usize| format!("127.77.63.{}", 5 + index);
    let text = std::fs::read_to_string(net.dir().join("testnet.toml")).unwrap();
    let testnet: toml::Table = text.parse().unwrap();
    let apis =
        testnet["node"].as_array().unwrap().iter().map(|node| node["api"].as_str().unwrap().to_owned());
    let mut gateways: Vec<String> = apis.collect();
    let mut nodes = Nodes(Vec::new());
    net.succeed(&["testnet", "kill", "3"]);
    // Each waits from the start, so that clients can be told of all.
    for (index, name) in NAMES.iter().enumerate() {
        gateways.push(newcomer(&net, &mut nodes, name, &host(index)));
    }
    let all = gateways.join(",");
    let known = ["-e", &all, "--genesis", "genesis.toml"];
    let in_epoch = |wanted: u64| {
        until(&format!("epoch {wanted}"), || {
            let output = net.run(&[&["-o", "json", "-q"], &known[..], &["member", "list"]].concat());
            let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            list["epoch"] == wanted
        });
    };
    let load = Load::start_at(&net, 4, gateways.clone());
    load.progress(50);
    let mut epoch = 0;
    let mut replace = |index: usize| {
        let (name, old) = (NAMES[index], format!("node{index}"));
        let arguments = ["member", "add", "--dir", name, "--peer", &gateways[4 + index], "--replace", &old];
        let told = change_at(&net, &known, &[&arguments[..], &OPERATOR[..]].concat());
        assert_eq!(told["change"], format!("{name} takes the place of {old}"));
        epoch += 1;
        in_epoch(epoch);
        until("it votes", || votes(&net, &gateways[4 + index]));
        load.progress(50);
    };
    for index in 0..3 {
        replace(index);
        until("the one that it replaced has ended", || {
            net.json(&["testnet", "status"])["nodes"][index]["ended"].is_string()
        });
    }
    replace(3);
    // Now all members are new ones. One of them is down while the others change their keys.
    let last = nodes.0.last_mut().unwrap();
    last.kill().unwrap();
    last.wait().unwrap();
    for name in &NAMES[..3] {
        let told = change_at(&net, &known, &[&["member", "rotate", "--dir", name], &OPERATOR[..]].concat());
        assert_eq!(told["change"], format!("{name} gets other keys"));
        epoch += 1;
        in_epoch(epoch);
        load.progress(50);
    }
    let receipts = load.stop();
    let trust = crate::judge::trust(&net.dir());
    let epochs: std::collections::BTreeSet<u64> = receipts
        .iter()
        .map(|receipt| receipt.verify(&trust).map(|_| receipt.certificate.epoch.get()).unwrap())
        .collect();
    assert_eq!(
        epochs.into_iter().collect::<Vec<_>>(),
        (0..=7).collect::<Vec<_>>(),
        "load went on in every epoch"
    );
}

/// Keys, configuration and an empty store of a node that is to be a member, and the node itself, which waits until it is one.
fn newcomer(net: &crate::harness::Net<'_>, nodes: &mut Nodes, name: &str, host: &str) -> String {
    net.succeed(&["key", "new", "--role", "replica", "--name", name, "--out", name]);
    let address = format!("{host}:{}", free_port(host));
    let config = format!(
        "[node]\ngenesis = \"../genesis.toml\"\n\n[api]\nlisten = \"{address}\"\n\n[peer]\nlisten = \"{address}\"\n"
    );
    std::fs::write(net.dir().join(name).join("quorate.toml"), config).unwrap();
    net.succeed(&["node", "init", "--dir", name, "--join"]);
    let log = std::fs::File::create(net.dir().join(name).join("log")).unwrap();
    let child =
        net.command(&["node", "run", "--dir", name]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
    nodes.0.push(child);
    until("it waits", || {
        let log = std::fs::read_to_string(net.dir().join(name).join("log")).unwrap_or_default();
        log.contains("waiting_to_join")
    });
    address
}

fn votes(net: &crate::harness::Net<'_>, address: &str) -> bool {
    let output = net.run(&["-o", "json", "-q", "-e", address, "--genesis", "genesis.toml", "status"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    status["nodes"][0]["state"] == "normal"
}

#[test]
fn members_join_and_take_the_place_of_others() {
    let place = Place::new(54);
    let net = place.testnet(&["--operators", "3"]);
    let mut nodes = Nodes(Vec::new());
    let load = Load::start(&net, 4);
    load.progress(100);
    let eve = newcomer(&net, &mut nodes, "eve", "127.77.54.5");
    let proposed =
        change(&net, &[&["member", "add", "--dir", "eve", "--peer", &eve], &OPERATOR[..]].concat());
    check(&place, &proposed);
    assert_eq!(proposed["arithmetic"], "5 members -> tolerates f=1 faulty; commits need 4 signatures");
    let ready = || {
        let said = net.json(&["member", "ready", "--dir", "eve"]);
        check(&place, &said);
        said["ready"].as_str().unwrap().to_owned()
    };
    let id = proposed["proposal"].as_str().unwrap();
    let without = net.run(&["member", "approve", id, "--key", "keys/operator2.pem"]);
    assert!(!without.status.success(), "nobody says that eve follows");
    let said = ready();
    change(&net, &["member", "approve", id, "--ready", &said, "--key", "keys/operator2.pem"]);
    until("the next epoch", || epoch(&net) == 1);
    until("eve votes", || votes(&net, &eve));
    load.progress(50);
    let frank = newcomer(&net, &mut nodes, "frank", "127.77.54.6");
    let arguments = ["member", "add", "--dir", "frank", "--peer", &frank, "--replace", "node3"];
    let proposed = change(&net, &[&arguments[..], &OPERATOR[..]].concat());
    assert_eq!(proposed["change"], "frank takes the place of node3");
    let said = net.json(&["member", "ready", "--dir", "frank"])["ready"].as_str().unwrap().to_owned();
    let id = proposed["proposal"].as_str().unwrap();
    change(&net, &["member", "approve", id, "--ready", &said, "--key", "keys/operator3.pem"]);
    until("the epoch after", || epoch(&net) == 2);
    until("frank votes", || votes(&net, &frank));
    // Four of five are needed: both newcomers among them.
    net.succeed(&["testnet", "kill", "0"]);
    load.progress(50);
    let receipts = load.stop();
    assert!(receipts.iter().any(|receipt| receipt.certificate.epoch.get() == 2));
}
