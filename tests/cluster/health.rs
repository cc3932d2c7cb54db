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
