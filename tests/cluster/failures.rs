//! Kills, pauses and lost power, judged by receipts.

use crate::harness::{Net, Place, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

/// Puts a numbered key, receipt kept, and returns its height.
fn put(net: &Net<'_>, number: usize) -> u64 {
    let receipt = net.dir().join(format!("receipt{number}.json"));
    let key = format!("key{number}");
    let done = net.json(&["kv", "put", &key, "value", "--receipt", receipt.to_str().unwrap()]);
    done["height"].as_u64().unwrap()
}

/// Everything acknowledged so far is there, once, and its receipt verifies with the genesis alone.
fn judge(net: &Net<'_>, acknowledged: usize) {
    for number in 0..acknowledged {
        let receipt = net.dir().join(format!("receipt{number}.json"));
        let verified = net.json(&["receipt", "verify", receipt.to_str().unwrap()]);
        assert_eq!(verified["valid"], Value::Bool(true));
        let found = net.json(&["kv", "get", &format!("key{number}")]);
        assert_eq!(found["value"], "value");
    }
    let newest = net.json(&["block", "show"])["height"].as_u64().unwrap();
    let blocks = net.json(&["block", "list", "--from", "1", "--limit", &newest.to_string()]);
    let mut seen = BTreeSet::new();
    for block in blocks["blocks"].as_array().unwrap() {
        for transaction in block["transactions"].as_array().unwrap() {
            if transaction["result"] == "committed" {
                assert!(seen.insert(transaction["txid"].as_str().unwrap().to_owned()), "executed twice");
            }
        }
    }
}

#[test]
fn killed_primaries_are_replaced_and_come_back() {
    let place = Place::new(10);
    let net = place.testnet(&[]);
    for round in 0..3 {
        put(&net, 2 * round);
        let primary = net.primary().to_string();
        net.json(&["kv", "put", "warm", "up"]);
        net.succeed(&["testnet", "kill", &primary]);
        put(&net, 2 * round + 1);
        net.succeed(&["testnet", "start", &primary]);
        until("the restarted replica votes again", || net.run(&["-q", "status"]).status.success());
    }
    judge(&net, 6);
}

#[test]
fn nothing_acknowledged_is_lost_when_all_lose_power() {
    let place = Place::new(11);
    let net = place.testnet(&["--checkpoint-every", "4"]);
    let mut height = 0;
    for round in 0..4 {
        for step in 0..3 {
            let higher = put(&net, 3 * round + step);
            assert!(higher > height, "the ledger goes on where it was");
            height = higher;
        }
        for node in ["0", "1", "2", "3"] {
            net.succeed(&["testnet", "kill", node]);
        }
        for node in ["0", "1", "2", "3"] {
            net.succeed(&["testnet", "start", node]);
        }
        until("all vote again", || net.run(&["-q", "status"]).status.success());
    }
    judge(&net, 12);
}

#[test]
fn seven_members_with_two_killed_commit_and_with_three_do_not() {
    let place = Place::new(20);
    let net = place.testnet(&["-n", "7"]);
    put(&net, 0);
    // The primary is one of them.
    for node in ["0", "4"] {
        net.succeed(&["testnet", "kill", node]);
    }
    put(&net, 1);
    net.succeed(&["testnet", "kill", "6"]);
    let unknown = net.run(&["--timeout", "3s", "kv", "put", "a", "b"]);
    assert_eq!(unknown.status.code(), Some(75), "{}", String::from_utf8_lossy(&unknown.stderr));
    net.succeed(&["testnet", "start", "4"]);
    put(&net, 2);
    judge(&net, 3);
}

#[test]
fn five_members_with_two_stopped_commit_nothing() {
    let place = Place::new(13);
    let net = place.testnet(&["-n", "5"]);
    put(&net, 0);
    for node in ["3", "4"] {
        net.succeed(&["testnet", "kill", node]);
    }
    let unknown = net.run(&["--timeout", "3s", "kv", "put", "a", "b"]);
    assert_eq!(unknown.status.code(), Some(75), "{}", String::from_utf8_lossy(&unknown.stderr));
    assert_eq!(net.run(&["-q", "status"]).status.code(), Some(7));
    net.succeed(&["testnet", "start", "3"]);
    net.json(&["kv", "put", "a", "b"]);
}

#[test]
fn a_replica_whose_log_does_not_sync_stops_with_74() {
    let place = Place::new(14);
    let net = place.testnet(&[]);
    let config = net.dir().join("node2/quorate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    net.succeed(&["testnet", "kill", "2"]);
    std::fs::write(&config, format!("{text}fail-log-sync-after = 5\n")).unwrap();
    net.succeed(&["testnet", "start", "2"]);
    until("its log fails", || {
        put(&net, 0);
        net.json(&["testnet", "status"])["nodes"][2]["ended"] == "exit 74"
    });
    let status = net.json(&["testnet", "status"]);
    let since = Duration::from_millis(status["nodes"][2]["since_ms"].as_u64().unwrap());
    let ended = jiff::Timestamp::try_from(SystemTime::now() - since).unwrap();
    let log = std::fs::read_to_string(net.dir().join("node2/node.log")).unwrap();
    let line = log.lines().find(|line| line.contains("disk_failed")).expect("the log says why");
    let failed: jiff::Timestamp = line.split_whitespace().next().unwrap().parse().unwrap();
    let took = ended.duration_since(failed);
    assert!(took.abs() < jiff::SignedDuration::from_secs(1), "it ended {took} after its disk failed");
    // Nothing follows the failure in its log: not a turn of the core, not a message.
    assert!(log.trim_end().lines().last().unwrap().contains("disk_failed"), "{log}");
    put(&net, 1);
    std::fs::write(&config, text).unwrap();
    net.succeed(&["testnet", "start", "2"]);
    until("it votes again", || net.run(&["-q", "status"]).status.success());
}

/// With node3 dead every quorum needs node2, a backup: what it says waits for its sync. One sync may cover both its PREPARE
/// and its COMMIT, if both had to wait for the end of an earlier one.
#[test]
fn commits_wait_for_the_syncs_on_their_path() {
    const SLOW: Duration = Duration::from_millis(200);
    let place = Place::new(19);
    let net = place.testnet(&[]);
    let config = net.dir().join("node2/quorate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    net.succeed(&["testnet", "kill", "2"]);
    std::fs::write(&config, format!("{text}slow-log-sync-ms = {}\n", SLOW.as_millis())).unwrap();
    net.succeed(&["testnet", "start", "2"]);
    until("it votes again", || net.run(&["-q", "status"]).status.success());
    net.succeed(&["testnet", "kill", "3"]);
    assert_ne!(net.primary(), 2, "node2 is a backup");
    for number in 0..5 {
        let start = Instant::now();
        put(&net, number);
        assert!(start.elapsed() >= SLOW, "put {number} took {:?}", start.elapsed());
    }
    assert_ne!(net.primary(), 2, "node2 was a backup all along");
}

/// K4: a bit flips in the memory of node2, where a key's value stands. The transaction that compares that value has another result there.
#[test]
fn a_replica_whose_memory_failed_is_alone_and_comes_back() {
    let place = Place::new(59);
    let net = place.testnet(&[]);
    net.json(&["kv", "put", "flag", "up"]);
    let config = net.dir().join("node2/quorate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    net.succeed(&["testnet", "kill", "2"]);
    std::fs::write(&config, format!("{text}corrupt-key = \"flag\"\n")).unwrap();
    net.succeed(&["testnet", "start", "2"]);
    until("it votes again", || net.run(&["-q", "status"]).status.success());
    let state = || net.status().1["nodes"][2]["state"].clone();
    net.json(&["kv", "put", "other", "1"]);
    net.json(&["kv", "cas", "flag", "down", "--expect", "up"]);
    until("it has found out", || state() == "halted");
    // Nothing is read from it, and the others go on.
    let status = net.status().1;
    let api = status["nodes"][2]["api"].as_str().unwrap().to_owned();
    let read = net.run(&[
        "--endpoint",
        &api,
        "--genesis",
        "genesis.toml",
        "kv",
        "get",
        "flag",
        "--consistency",
        "local",
    ]);
    assert_eq!(read.status.code(), Some(7), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(String::from_utf8_lossy(&read.stderr).contains("contradicts a certificate"));
    assert_eq!(net.json(&["kv", "get", "flag"])["value"], "down");
    put(&net, 1);
    let why = net.run(&["-o", "json", "-q", "why"]);
    let why: Value = serde_json::from_slice(&why.stdout).unwrap();
    let finding = &why["findings"][0];
    assert_eq!((finding["replica"].as_str(), finding["phase"].as_str()), (Some("node2"), Some("halted")));

    net.succeed(&["testnet", "kill", "2"]);
    let compared = net.run(&["-o", "json", "-q", "verify", "compare", "node2", "node0"]);
    assert_eq!(compared.status.code(), Some(6));
    let compared: Value = serde_json::from_slice(&compared.stderr).unwrap();
    let first = compared["why"].as_str().unwrap();
    assert!(first.contains("result of transaction 0") && first.contains("(key flag)"), "{compared}");

    std::fs::write(&config, text).unwrap();
    net.succeed(&["testnet", "start", "2"]);
    until("it votes again", || net.run(&["-q", "status"]).status.success());
    let log = std::fs::read_to_string(net.dir().join("node2/node.log")).unwrap();
    assert!(log.contains("blocks_disputed"), "{log}");
    net.succeed(&["testnet", "kill", "3"]);
    put(&net, 2);
    assert_eq!(net.json(&["kv", "get", "flag"])["value"], "down");
    for node in [0, 1] {
        let said = std::fs::read_to_string(net.dir().join(format!("node{node}/node.log"))).unwrap();
        assert!(!said.contains("evidence_found"), "it never contradicted itself: {said}");
    }
}

#[test]
fn a_deleted_data_directory_is_refused() {
    let place = Place::new(15);
    let net = place.testnet(&[]);
    net.succeed(&["testnet", "kill", "1"]);
    std::fs::remove_dir_all(net.dir().join("node1/data")).unwrap();
    let refused = net.run(&["-o", "json", "node", "run", "--dir", "node1"]);
    assert_eq!(refused.status.code(), Some(9));
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(error["code"], "Q0801");
    assert!(!net.dir().join("node1/data").exists(), "run makes no store");
}
