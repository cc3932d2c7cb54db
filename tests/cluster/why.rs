//! `quorate why` of testnets to which something was done.

use crate::harness::{Net, Place, all_equal, copy, until};
use serde_json::Value;
use std::process::{Child, Stdio};

/// The exit code and the document.
fn why(net: &Net<'_>) -> (i32, Value) {
    let output = net.run(&["-o", "json", "-q", "why"]);
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Waits until these replicas are found in these phases, and nothing else; returns the document.
fn until_found(net: &Net<'_>, expected: &[(&str, &str)]) -> (i32, Value) {
    until(&format!("{expected:?} is found"), || found(&why(net).1) == expected);
    why(net)
}

fn found(document: &Value) -> Vec<(&str, &str)> {
    let findings = document["findings"].as_array().map_or(&[][..], Vec::as_slice);
    findings
        .iter()
        .map(|one| (one["replica"].as_str().unwrap_or(""), one["phase"].as_str().unwrap()))
        .collect()
}

/// A put that waits until it is killed.
struct Waiting(Child);

impl Waiting {
    fn put(net: &Net<'_>) -> Self {
        let mut command = net.command(&["--timeout", "10m", "kv", "put", "waits", "1"]);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn what_is_down_is_named_and_what_it_holds_up() {
    let place = Place::new(37);
    let net = place.testnet(&[]);
    net.json(&["kv", "put", "a", "b"]);
    until("all have executed it", || all_equal(&net));
    let (exit, document) = why(&net);
    assert_eq!((exit, document["commits"].as_str()), (0, Some("idle")), "{document}");

    net.succeed(&["testnet", "kill", "2"]);
    let (exit, document) = until_found(&net, &[("node2", "down")]);
    assert_eq!((exit, document["present"].as_u64()), (10, Some(3)), "{document}");
    assert!(document["findings"][0]["action"].as_str().unwrap().contains("quorate testnet start 2"));

    net.succeed(&["testnet", "kill", "3"]);
    let put = Waiting::put(&net);
    // Whether the view still stands or two suspect its primary in vain, both are named, and what waits.
    let blocked = || {
        let (exit, document) = why(&net);
        let found = found(&document);
        exit == 7
            && document["commits"] == "blocked"
            && found[..2] == [("node2", "down"), ("node3", "down")]
            && found[2..]
                .iter()
                .any(|(_, phase)| ["pre-prepare", "prepare", "commit", "view-change"].contains(phase))
    };
    until("both are named, and what waits for them", blocked);
    let log = net.dir().join("node0/node.log");
    let stalled = |line: &str| line.contains("stalled") && line.contains("node2, node3 none");
    until("its log says whom it waits for", || std::fs::read_to_string(&log).unwrap().lines().any(stalled));
    net.succeed(&["testnet", "start", "3"]);
    until_found(&net, &[("node2", "down")]);
    drop(put);
}

#[test]
fn a_frozen_replica_and_one_that_may_not_vote_yet_are_named() {
    let place = Place::new(38);
    let net = place.testnet(&[]);
    net.json(&["kv", "put", "a", "b"]);
    net.succeed(&["testnet", "pause", "1"]);
    until_found(&net, &[("node1", "down")]);
    net.succeed(&["testnet", "kill", "2"]);
    net.succeed(&["testnet", "kill", "3"]);
    net.succeed(&["testnet", "start", "3"]);
    // It hears one of the two that it needs.
    until_found(&net, &[("node1", "down"), ("node2", "down"), ("node3", "starting")]);
    let (_, document) = why(&net);
    let cause = document["findings"][2]["cause"].as_str().unwrap();
    assert!(cause.contains("node0 did, node1 and node2 did not"), "{cause}");
    net.succeed(&["testnet", "resume", "1"]);
    net.succeed(&["testnet", "start", "2"]);
    until_found(&net, &[]);
}

/// Links that fail one after the other, and at last two things at once.
#[test]
fn links_that_fail_are_named() {
    let place = Place::new(48);
    let net = place.testnet_with_links();
    net.json(&["kv", "put", "a", "b"]);
    until_found(&net, &[]);
    // All run; one is in nobody's reach.
    net.succeed(&["testnet", "partition", "3|0,1,2"]);
    let (exit, document) = until_found(&net, &[("node3", "isolated")]);
    assert_eq!((exit, document["present"].as_u64()), (10, Some(4)), "{document}");
    net.succeed(&["testnet", "heal"]);
    until_found(&net, &[]);
    // Two that do not hear each other, and one that does not hear another: commits flow.
    net.succeed(&["testnet", "partition", "1|2"]);
    let (_, document) = until_found(&net, &[("node1", "link")]);
    assert!(document["findings"][0]["cause"].as_str().unwrap().contains("node1 and node2"), "{document}");
    net.json(&["kv", "put", "a", "c"]);
    net.succeed(&["testnet", "heal"]);
    net.succeed(&["testnet", "partition", "3>0"]);
    until_found(&net, &[("node0", "link")]);
    // A frozen one beside it.
    net.succeed(&["testnet", "pause", "2"]);
    until_found(&net, &[("node2", "down"), ("node0", "link")]);
    net.succeed(&["testnet", "resume", "2"]);
    net.succeed(&["testnet", "heal"]);
    until_found(&net, &[]);
    // Two halves: nothing commits, and every link between them is named, and whose votes are missing.
    net.succeed(&["testnet", "partition", "0,1|2,3"]);
    let put = Waiting::put(&net);
    let blocked = || {
        let (exit, document) = why(&net);
        let found = found(&document);
        let links = found.iter().filter(|(_, phase)| *phase == "link").count();
        exit == 7 && document["commits"] == "blocked" && links == 4 && found.len() > 4
    };
    until("both halves are told", blocked);
    net.succeed(&["testnet", "heal"]);
    until_found(&net, &[]);
    drop(put);
}

/// One thing that is done to a testnet: what, how, who is then found in which phase, a word that the cause has and one that the action has,
/// and how it is undone.
struct Fault {
    what: &'static str,
    done: fn(&Net<'_>),
    found: &'static [(&'static str, &'static str)],
    cause: &'static str,
    action: &'static str,
    undone: fn(&Net<'_>),
}

fn do_nothing(_: &Net<'_>) {}

/// Replaces node3's configuration by one with this line, and starts it again.
fn configured(net: &Net<'_>, line: &str) {
    let config = net.dir().join("node3/quorate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(net.dir().join("node3/whole.toml"), &text).unwrap();
    net.succeed(&["testnet", "kill", "3"]);
    std::fs::write(&config, format!("{text}{line}\n")).unwrap();
    let _ = net.run(&["testnet", "start", "3"]);
}

fn configured_as_before(net: &Net<'_>) {
    std::fs::rename(net.dir().join("node3/whole.toml"), net.dir().join("node3/quorate.toml")).unwrap();
    net.succeed(&["testnet", "start", "3"]);
}

/// Renames a file of node3 while it is down, or back.
fn renamed(net: &Net<'_>, from: &str, to: &str) {
    let data = net.dir().join("node3");
    std::fs::rename(data.join(from), data.join(to)).unwrap();
    let _ = net.run(&["testnet", "start", "3"]);
}

const FAULTS: [Fault; 12] = [
    Fault {
        what: "a backup is killed",
        done: |net| net.succeed(&["testnet", "kill", "2"]),
        found: &[("node2", "down")],
        cause: "SIGKILL",
        action: "testnet start 2",
        undone: |net| net.succeed(&["testnet", "start", "2"]),
    },
    Fault {
        what: "a replica is frozen",
        done: |net| net.succeed(&["testnet", "pause", "1"]),
        found: &[("node1", "down")],
        cause: "paused",
        action: "testnet resume 1",
        undone: |net| net.succeed(&["testnet", "resume", "1"]),
    },
    Fault {
        what: "a replica is cut off from all others",
        done: |net| net.succeed(&["testnet", "partition", "3|0,1,2"]),
        found: &[("node3", "isolated")],
        cause: "node3",
        action: "node3",
        undone: |net| net.succeed(&["testnet", "heal"]),
    },
    Fault {
        what: "two replicas do not hear each other",
        done: |net| net.succeed(&["testnet", "partition", "1|2"]),
        found: &[("node1", "link")],
        cause: "node1 and node2",
        action: "node2",
        undone: |net| net.succeed(&["testnet", "heal"]),
    },
    Fault {
        what: "a link carries in one direction only",
        done: |net| net.succeed(&["testnet", "partition", "3>0"]),
        found: &[("node0", "link")],
        cause: "node3",
        action: "node3",
        undone: |net| net.succeed(&["testnet", "heal"]),
    },
    Fault {
        what: "two at once: one is killed, and two others do not hear each other",
        done: |net| {
            net.succeed(&["testnet", "partition", "0|1"]);
            net.succeed(&["testnet", "kill", "3"]);
        },
        found: &[("node3", "down"), ("node0", "link")],
        cause: "SIGKILL",
        action: "testnet start 3",
        undone: |net| {
            net.succeed(&["testnet", "heal"]);
            net.succeed(&["testnet", "start", "3"]);
        },
    },
    Fault {
        what: "the disk of a replica's log fails",
        done: |net| {
            configured(net, "fail-log-sync-after = 3");
            until("it fails", || {
                net.json(&["kv", "put", "a", "c"]);
                net.json(&["testnet", "status"])["nodes"][3]["state"] == "down"
            });
        },
        found: &[("node3", "down")],
        cause: "disk_failed",
        action: "testnet start 3",
        undone: configured_as_before,
    },
    Fault {
        what: "a configuration has an unknown key",
        done: |net| configured(net, "no-such-key = 1"),
        found: &[("node3", "down")],
        cause: "no-such-key",
        action: "testnet start 3",
        undone: configured_as_before,
    },
    Fault {
        what: "the data directory is gone",
        done: |net| {
            net.succeed(&["testnet", "kill", "3"]);
            renamed(net, "data", "away");
        },
        found: &[("node3", "down")],
        cause: "not initialised",
        action: "testnet start 3",
        undone: |net| renamed(net, "away", "data"),
    },
    Fault {
        what: "the log is gone from the data directory",
        done: |net| {
            net.succeed(&["testnet", "kill", "3"]);
            renamed(net, "data/wal", "wal");
        },
        found: &[("node3", "down")],
        cause: "wal or blocks is missing",
        action: "testnet start 3",
        undone: |net| renamed(net, "wal", "data/wal"),
    },
    Fault {
        what: "a key of the replica is gone",
        done: |net| {
            net.succeed(&["testnet", "kill", "3"]);
            renamed(net, "vote.pem", "vote.away");
        },
        found: &[("node3", "down")],
        cause: "vote.pem",
        action: "testnet start 3",
        undone: |net| renamed(net, "vote.away", "vote.pem"),
    },
    Fault {
        what: "a replica has a new disk",
        done: |net| {
            net.succeed(&["testnet", "kill", "3"]);
            std::fs::remove_dir_all(net.dir().join("node3/data")).unwrap();
            net.json(&["node", "recover", "--dir", "node3"]);
            net.succeed(&["testnet", "start", "3"]);
        },
        found: &[("node3", "learner")],
        cause: "the members name",
        action: "node recover",
        undone: do_nothing,
    },
];

/// Each is named, with its cause and what to do, and no longer once it is undone.
#[test]
fn twelve_faults_are_named() {
    let place = Place::new(58);
    let net = place.testnet_with_links();
    net.json(&["kv", "put", "a", "b"]);
    for fault in FAULTS {
        until_found(&net, &[]);
        (fault.done)(&net);
        let named = || found(&why(&net).1) == fault.found;
        until(&format!("{}: {:?} is found", fault.what, fault.found), named);
        let (exit, document) = why(&net);
        let first = &document["findings"][0];
        assert_eq!(exit, 10, "{}: {document}", fault.what);
        let says = |field: &str, word: &str| first[field].as_str().unwrap().contains(word);
        assert!(says("cause", fault.cause), "{}: {document}", fault.what);
        assert!(says("action", fault.action), "{}: {document}", fault.what);
        (fault.undone)(&net);
    }
}

/// An old copy of its data: it would contradict what it said since, and does not vote.
#[test]
fn a_replica_that_forgot_its_votes_is_named() {
    let place = Place::new(39);
    let net = place.testnet(&[]);
    let operations = r#"{"operations": [{"put": {"key": "a", "value": "1"}}]}"#;
    std::fs::write(net.dir().join("operations.json"), operations).unwrap();
    let signed = net.json(&["tx", "submit", "--file", "operations.json", "--dry-run"]);
    let hex = signed["hex"].as_str().unwrap();
    net.json(&["tx", "submit", "--hex", hex]);
    until("all have executed it", || all_equal(&net));
    let status = net.json(&["status"]);
    let endpoint = status["nodes"][1]["api"].as_str().unwrap();
    net.succeed(&["testnet", "kill", "1"]);
    let (data, old) = (net.dir().join("node1/data"), net.dir().join("old"));
    copy(&data, &old);
    net.succeed(&["testnet", "start", "1"]);
    until("it votes again", || net.run(&["-q", "status"]).status.success());
    // Without another one nothing commits but by its votes.
    net.succeed(&["testnet", "kill", "2"]);
    for number in 0..3 {
        net.json(&["kv", "put", "a", &number.to_string()]);
    }
    net.succeed(&["testnet", "start", "2"]);
    until("all have executed it", || all_equal(&net));
    net.succeed(&["testnet", "kill", "1"]);
    copy(&old, &data);
    net.succeed(&["testnet", "start", "1"]);
    let (exit, document) = until_found(&net, &[("node1", "learner")]);
    assert_eq!(exit, 10, "{document}");
    // It takes no transactions, and still tells what became of one.
    let again = ["-e", endpoint, "--genesis", "genesis.toml", "tx", "submit", "--hex", hex];
    assert_eq!(net.json(&again)["txid"], signed["txid"]);
}
