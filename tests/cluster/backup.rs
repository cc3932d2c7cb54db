//! Backups: made while a node runs, audited, and a replica made again from one.

use crate::commands::check;
use crate::harness::{Place, all_equal, until};
use crate::load::Load;
use std::path::Path;

/// What is done to a file.
type Damage = fn(&Path);

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

fn halve(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_backup_grows_under_load_and_a_replica_is_made_from_it() {
    let place = Place::new(55);
    let net = place.testnet(&[]);
    let put = net.json(&["kv", "put", "first", "1"]);
    let load = Load::start(&net, 4);
    load.progress(400);
    let created = net.json(&["backup", "create", "copy", "--dir", "node1"]);
    check(&place, &created);
    load.progress(400);
    let added = net.json(&["backup", "create", "copy", "--dir", "node1"]);
    let height = |made: &serde_json::Value| made["height"].as_u64().unwrap();
    assert!(height(&added) > height(&created), "{added}");
    assert_eq!(added["had"], created["height"], "what was there is not copied again");
    let verified = net.json(&["backup", "verify", "copy", "--replay"]);
    assert_eq!(
        (verified["valid"].as_bool(), verified["blocks"].as_u64()),
        (Some(true), Some(height(&added)))
    );
    assert_eq!(verified["state"], format!("that after block {}", height(&added)));
    // The disk of another replica is lost, and made again from that.
    net.succeed(&["testnet", "kill", "2"]);
    let there = net.run(&["backup", "restore", "copy", "--dir", "node2"]);
    assert!(!there.status.success(), "nothing is overwritten");
    std::fs::remove_dir_all(net.dir().join("node2/data")).unwrap();
    let restored = net.json(&["backup", "restore", "copy", "--dir", "node2"]);
    check(&place, &restored);
    assert_eq!(restored["height"], added["height"]);
    net.succeed(&["testnet", "start", "2"]);
    let replica = |node: usize| net.status().1["nodes"][node].clone();
    until("it follows", || {
        let executed = |node: usize| replica(node)["executed"].as_u64().unwrap_or(0);
        executed(2) > height(&added) && executed(2) + 20 > executed(0)
    });
    assert_eq!(replica(2)["state"], "learner", "it does not know what it said before");
    // It has the ledger from block 1 on, and finds old transactions.
    let own = net.json(&["node", "status", "--dir", "node2"])["nodes"][0]["api"].as_str().unwrap().to_owned();
    let alone = ["-e", own.trim_start_matches("http://"), "--genesis", "genesis.toml"];
    let told = net.json(&[&alone[..], &["tx", "status", put["txid"].as_str().unwrap()]].concat());
    assert_eq!((&told["outcome"], &told["height"]), (&put["outcome"], &put["height"]));
    load.progress(50);
    until("the members name it", || {
        let arguments =
            ["--timeout", "60s", "node", "recover", "--dir", "node2", "--key", "keys/operator.pem"];
        net.run(&arguments).status.success()
    });
    until("it votes", || replica(2)["state"] == "normal" && replica(2)["epoch"] == 1);
    // From here on it is needed.
    net.succeed(&["testnet", "kill", "3"]);
    load.progress(100);
    net.succeed(&["testnet", "start", "3"]);
    load.stop();
    until("all stand at the same block", || all_equal(&net));
    net.succeed(&["testnet", "down"]);
    let verified = net.json(&["verify", "node2", "--replay"]);
    assert_eq!(
        (verified["valid"].as_bool(), verified["pruned"].as_u64()),
        (Some(true), Some(0)),
        "{verified}"
    );
}

#[test]
fn a_backup_of_a_stopped_node_and_what_is_refused() {
    let place = Place::new(56);
    let net = place.testnet(&[]);
    let load = Load::start(&net, 4);
    load.progress(400);
    load.stop();
    net.succeed(&["testnet", "down"]);
    net.succeed(&["backup", "create", "copy", "--dir", "node0"]);
    net.succeed(&["backup", "verify", "copy"]);
    let refused = |arguments: &[&str]| {
        let output = net.run(&[&["-o", "json", "-q"], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stderr).unwrap()
    };
    std::fs::remove_dir_all(net.dir().join("node1/data")).unwrap();
    // Whatever is damaged, nothing is made of it.
    let damages: [(&str, Damage); 3] = [
        ("blocks/0000000000000001.blk", flip),
        ("blocks/0000000000000001.blk", halve),
        ("state.redb", halve),
    ];
    for (file, damage) in damages {
        let path = net.dir().join("copy").join(file);
        let whole = std::fs::read(&path).unwrap();
        damage(&path);
        let failure = refused(&["backup", "restore", "copy", "--dir", "node1"]);
        assert_eq!(failure["code"], "Q0603", "{file}: {failure}");
        assert!(!net.dir().join("node1/data").exists(), "{file}");
        std::fs::write(&path, whole).unwrap();
    }
    net.succeed(&["backup", "restore", "copy", "--dir", "node1"]);
    let again = refused(&["backup", "restore", "copy", "--dir", "node1"]);
    assert!(again["what"].as_str().unwrap().contains("exists already"), "{again}");
    // One that was never at a checkpoint has nothing to give.
    let empty = place.path("empty");
    std::fs::create_dir_all(empty.join("blocks")).unwrap();
    let failure = refused(&["backup", "verify", empty.to_str().unwrap()]);
    assert!(failure["what"].as_str().unwrap().contains("no state"), "{failure}");
    net.up();
}
