//! Every command's help, documents against their schemas, exit codes.

use crate::harness::Place;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) fn check(place: &Place, document: &Value) {
    let name = document["schema"].as_str().unwrap();
    let schema: Value = serde_json::from_str(&place.succeed(&["schema", name])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {errors:?}\n{document:#}");
}

/// Every command that does something, as `--help` lists them; each must explain itself.
fn commands(place: &Place) -> BTreeSet<String> {
    let mut waiting = vec![Vec::<String>::new()];
    let mut leaves = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = place.succeed(&arguments);
        assert!(help.contains("Usage:"), "{path:?}");
        let Some(listed) = help.split("Commands:").nth(1) else {
            leaves.insert(path.join(" "));
            continue;
        };
        for line in listed.lines().skip(1).take_while(|line| line.starts_with("  ")) {
            let name = line.split_whitespace().next().unwrap_or_default();
            if !line.starts_with("   ") && name != "help" && !name.is_empty() {
                waiting.push([path.clone(), vec![name.to_owned()]].concat());
            }
        }
    }
    leaves
}

/// Runs every command that `--help` lists against a live testnet; a new command fails this test until it is run here.
#[test]
fn every_command_runs_against_a_live_testnet() {
    let place = Place::new(25);
    let net = place.testnet_with_links();
    let mut run = BTreeSet::from(["testnet new".to_owned(), "testnet up".to_owned()]);
    let operations = r#"{"operations": [{"put": {"key": "a", "value": "1"}}]}"#;
    std::fs::write(net.dir().join("operations.json"), operations).unwrap();
    let put = net.json(&["kv", "put", "a", "1", "--receipt", "receipt.json"]);
    let txid = put["txid"].as_str().unwrap();
    run.insert("kv put".to_owned());
    for (command, arguments) in [
        ("dev", "--port 0 --address 127.77.26.1 -- true"),
        ("tx submit", "--file operations.json"),
        ("tx status", txid),
        ("tx show", txid),
        ("tx cancel", "77 0"),
        ("tx bench", "-c 2 -d 300ms --warmup 100ms"),
        ("kv get", "a"),
        ("kv cas", "a 2 --expect 1"),
        ("kv list", ""),
        ("kv delete", "a"),
        ("topic append", "log entry"),
        ("topic read", "log"),
        ("topic list", ""),
        ("block show", "1"),
        ("block list", ""),
        ("receipt verify", "receipt.json"),
        ("receipt show", "receipt.json"),
        ("verify compare", "node0 node1"),
        ("key new", "--out new.pem"),
        ("key new", "--role replica --name eve --out eve"),
        ("key show", "new.pem"),
        (
            "genesis new",
            "--name solo --member eve/member.toml@127.0.0.1:1 --allow-crash-only --out solo.toml",
        ),
        ("genesis show", ""),
        ("genesis hash", "genesis.toml"),
        ("genesis check", "genesis.toml"),
        ("node status", "--dir node0"),
        ("member list", ""),
        ("status", ""),
        ("health", "--deep"),
        ("why", ""),
        ("explain", "Q0412"),
        ("schema", ""),
        ("completions", "bash"),
        ("man", ""),
        ("version", ""),
        ("testnet status", ""),
        ("testnet logs", "0 -l 1"),
        ("testnet net", "1 --to 0 --delay 5ms --jitter 5ms --loss 1% --duplicate 1% --rate 1000000"),
        ("testnet partition", "0>3 --for 100ms"),
        ("testnet heal", ""),
        ("testnet chaos", "--for 1s --load 20 --seed 1"),
        ("testnet pause", "1"),
        ("testnet resume", "1"),
        ("testnet restart", "1"),
        ("testnet kill", "1"),
        ("testnet start", "1"),
        ("testnet down", ""),
    ] {
        let words: Vec<&str> = command.split(' ').chain(arguments.split_whitespace()).collect();
        let output = net.run(&words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        run.insert(command.to_owned());
    }
    // Members that are set up and run by hand have a test of their own: by_hand.rs.
    // Recordings too: recording.rs.
    run.extend(["node init", "node run", "debug replay", "debug show"].map(str::to_owned));
    // And changes of the members: members.rs.
    let changes = [
        "member add",
        "member approve",
        "member ready",
        "member remove",
        "member rotate",
        "member withdraw",
        "node recover",
    ];
    run.extend(changes.map(str::to_owned));
    // And backups: backup.rs.
    run.extend(["backup create", "backup restore", "backup verify"].map(str::to_owned));
    assert_eq!(run, commands(&place), "every command is run, and no other");
}

#[test]
fn documents_match_their_schemas() {
    let place = Place::new(31);
    let net = place.testnet_with_links();
    let receipt = net.dir().join("receipt.json");
    let receipt = receipt.to_str().unwrap();
    let put = net.json(&["kv", "put", "a", "1", "--receipt", receipt]);
    let txid = put["txid"].as_str().unwrap().to_owned();
    check(&place, &put);
    for arguments in [
        vec!["kv", "get", "a"],
        vec!["kv", "get", "a", "--consistency", "local"],
        vec!["kv", "cas", "a", "2", "--expect", "1"],
        vec!["kv", "put", "b", "1", "--if-absent"],
        vec!["kv", "list"],
        vec!["kv", "delete", "b"],
        vec!["topic", "append", "log", "entry"],
        vec!["topic", "read", "log"],
        vec!["topic", "list"],
        vec!["block", "show"],
        vec!["block", "list"],
        vec!["tx", "status", &txid],
        vec!["tx", "show", &txid],
        vec!["tx", "cancel", "77", "0"],
        vec!["tx", "bench", "-c", "4", "-d", "1s", "--warmup", "100ms", "--floor"],
        vec!["receipt", "verify", receipt],
        vec!["receipt", "show", receipt],
        vec!["verify", "node0"],
        vec!["verify", "compare", "node0", "node1"],
        vec!["genesis", "show"],
        vec!["genesis", "hash"],
        vec!["genesis", "check", "genesis.toml"],
        vec!["key", "show", "keys/client.pem"],
        vec!["member", "list"],
        vec!["testnet", "status"],
        vec!["status"],
        vec!["health"],
        vec!["health", "--deep"],
        vec!["why"],
        vec!["explain", "Q0412"],
        vec!["explain", "list"],
        vec!["schema"],
        vec!["version"],
        // Last: what it did to the links is told of for a while.
        vec!["testnet", "chaos", "--for", "1s", "--load", "20"],
    ] {
        check(&place, &net.json(&arguments));
    }
}

#[test]
fn what_the_ledger_refuses_has_its_own_code() {
    let place = Place::new(32);
    let net = place.testnet(&[]);
    let fail = |arguments: &[&str], exit: i32, code: &str| {
        let output = net.run(&[&["-o", "json", "-q"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["code"], code, "{text}");
        check(&place, &error);
    };
    net.json(&["kv", "put", "a", "1"]);
    fail(&["kv", "cas", "a", "2", "--expect", "9"], 4, "Q0412");
    fail(&["kv", "put", "a", "2", "--if-absent"], 4, "Q0413");
    fail(&["kv", "get", "missing"], 3, "Q0506");
    fail(&["kv", "put", "a", "1", "--valid-for", "100h"], 5, "Q0406");
    net.run(&["key", "new", "--out", "stranger.pem"]);
    fail(&["--key", "stranger.pem", "kv", "put", "a", "1"], 8, "Q0402");
    let big = "x".repeat(100_000);
    let file = format!(
        "{{\"operations\":[{}]}}",
        vec![format!("{{\"put\":{{\"key\":\"k\",\"value\":\"{big}\"}}}}"); 3].join(",")
    );
    std::fs::write(net.dir().join("big.json"), file).unwrap();
    fail(&["tx", "submit", "--file", "big.json"], 5, "Q0404");
    let dry = net.json(&["tx", "submit", "--dry-run", "--file", "small.json"].map(|argument| {
        std::fs::write(net.dir().join("small.json"), r#"{"operations":[{"get":{"key":"a"}}]}"#).unwrap();
        argument
    }));
    let mut hex = dry["hex"].as_str().unwrap().to_owned();
    let last = if hex.ends_with('0') { "1" } else { "0" };
    hex.replace_range(hex.len() - 1.., last);
    fail(&["tx", "submit", "--hex", &hex], 5, "Q0401");
}

#[test]
fn a_receipt_with_any_damage_is_refused() {
    let place = Place::new(33);
    let net = place.testnet(&[]);
    let path = net.dir().join("receipt.json");
    net.json(&["kv", "put", "a", "1", "--receipt", path.to_str().unwrap()]);
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 25) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let refused = net.run(&["receipt", "verify", path.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(6), "byte {at}");
    }
}

#[test]
fn bad_input_says_what_why_and_how_to_mend_it() {
    let place = Place::new(24);
    let error = place.fail(&["kv", "get", "a"], 1);
    assert_eq!(error["code"], "Q0104");
    let error = place.fail(&["testnet", "status", "nowhere"], 9);
    assert_eq!(error["code"], "Q0507");
    let error = place.fail(&["testnet", "new", "three", "-n", "3", "--base-port", "0"], 1);
    assert!(error["why"].as_str().unwrap().contains("allow-crash-only"), "{error}");
    place.succeed(&["testnet", "new", "three", "-n", "3", "--base-port", "0", "--allow-crash-only"]);
    let error = place.fail(&["testnet", "new", "three"], 9);
    assert_eq!(error["code"], "Q0802");
    let error = place.fail(&["explain", "Q9999"], 3);
    assert_eq!(error["code"], "Q0506");
}
