//! `quorate health`: what scripts rely on.

use crate::harness::{Place, all_equal, until};

#[test]
fn health_tells_what_a_replica_and_what_the_ledger_can_do() {
    let place = Place::new(47);
    let net = place.testnet(&[]);
    until("all stand alike", || all_equal(&net));
    let document = net.json(&["health", "--deep"]);
    assert!(document["commit"]["signatures"].as_u64() >= Some(3), "{document}");
    assert_eq!(document["commit"]["members"], 4);
    assert_eq!(document["agreement"]["replicas"], document["agreement"]["of"], "{document}");
    assert!(document["agreement"]["height"].as_u64() >= Some(1), "{document}");
    let endpoint = document["nodes"][2]["api"].as_str().unwrap().to_owned();

    // One replica, as its orchestrator asks.
    assert_eq!(net.json(&["-e", &endpoint, "--genesis", "genesis.toml", "health"])["healthy"], true);
    net.succeed(&["testnet", "pause", "2"]);
    let asked = net.run(&["-q", "-e", &endpoint, "--genesis", "genesis.toml", "--timeout", "2s", "health"]);
    assert!(!asked.status.success(), "a frozen replica is not healthy");
    let document = net.json(&["health", "--deep"]);
    assert_eq!(document["agreement"]["of"], 3, "{document}");

    // The others are up, and nothing commits.
    net.succeed(&["testnet", "kill", "3"]);
    let deep = net.run(&["-q", "--timeout", "3s", "health", "--deep"]);
    assert!(!deep.status.success());
    assert!(String::from_utf8_lossy(&deep.stderr).contains("did not commit"));
    net.succeed(&["testnet", "resume", "2"]);
    until("it commits again", || net.run(&["-q", "health", "--deep"]).status.success());
}

/// The data directory of node1 takes more than its operator wants: told everywhere, and nothing else comes of it.
#[test]
fn a_disk_that_fills_up_is_told() {
    let place = Place::new(62);
    let net = place.testnet(&[]);
    let config = net.dir().join("node1/quorate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    net.succeed(&["testnet", "kill", "1"]);
    std::fs::write(&config, format!("{text}\n[storage]\nmax-disk-mib = 1\n")).unwrap();
    net.succeed(&["testnet", "start", "1"]);
    let alarms = || {
        let (all_vote, status) = net.status();
        let of = |node: usize| status["nodes"][node]["alarms"].as_array().map_or(0, Vec::len);
        (all_vote, of(0), of(1))
    };
    until("it is told, and nobody else is", || alarms() == (true, 0, 1));
    let why = net.run(&["-o", "json", "-q", "why"]);
    let why: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap();
    let found = &why["findings"][0];
    assert_eq!((found["replica"].as_str(), found["phase"].as_str()), (Some("node1"), Some("disk")), "{why}");
    assert!(found["cause"].as_str().unwrap().contains("max-disk-mib"), "{why}");
    let log = std::fs::read_to_string(net.dir().join("node1/node.log")).unwrap();
    assert_eq!(log.matches("disk_alarm").count(), 1, "it is said once: {log}");
    net.json(&["kv", "put", "a", "b"]);
}
