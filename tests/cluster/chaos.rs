//! Links that fail, and everything at once.

use crate::harness::{Net, Place, all_equal, until};
use serde_json::Value;

fn links(net: &Net<'_>) -> Vec<Value> {
    net.json(&["testnet", "status"])["links"].as_array().unwrap().clone()
}

fn lost(net: &Net<'_>, from: u64, to: u64) -> u64 {
    let of_link = |link: &&Value| link["from"] == from && link["to"] == to;
    links(net).iter().find(of_link).unwrap()["lost"].as_u64().unwrap()
}

fn commits(net: &Net<'_>, timeout: &str) -> bool {
    net.run(&["-q", "--timeout", timeout, "kv", "put", "a", "1"]).status.success()
}

/// Two and two: neither half commits. Three and one: the three do, and the one catches up when the network heals.
#[test]
fn a_partition_stops_what_has_no_quorum_and_nothing_else() {
    let place = Place::new(43);
    let net = place.testnet_with_links();
    assert_eq!(links(&net).len(), 12);
    net.succeed(&["testnet", "partition", "0,1|2,3"]);
    until("packets are lost", || lost(&net, 0, 2) > 0 && lost(&net, 3, 1) > 0);
    assert!(!commits(&net, "3s"), "no half has a quorum");
    net.succeed(&["testnet", "partition", "0,1,2|3"]);
    assert_eq!(links(&net).iter().filter(|link| link["cut"] == true).count(), 10, "what was cut stays cut");
    net.succeed(&["testnet", "heal"]);
    until("it commits", || commits(&net, "20s"));
    net.succeed(&["testnet", "partition", "0,1,2|3"]);
    assert!(commits(&net, "30s"), "three are a quorum");
    net.succeed(&["testnet", "heal"]);
    until("all have executed it", || all_equal(&net));
}

/// Packets of one direction alone are held up: a round trip takes that much longer.
#[test]
fn a_slow_link_shows_in_round_trips() {
    let place = Place::new(44);
    let net = place.testnet_with_links();
    net.succeed(&["testnet", "net", "3", "--delay", "80ms", "--jitter", "20ms"]);
    let round_trip = || {
        let status = net.json(&["status"]);
        let peers = status["nodes"][0]["peers"].as_array().unwrap().clone();
        peers.iter().find(|peer| peer["name"] == "node3").and_then(|peer| peer["rtt_us"].as_u64())
    };
    until("it takes its time", || round_trip() > Some(60_000));
    net.succeed(&["testnet", "heal"]);
    until("it is as fast as the others", || round_trip().is_some_and(|micros| micros < 40_000));
}

#[test]
fn chaos_leaves_one_ledger_and_loses_nothing() {
    let place = Place::new(45);
    let net = place.testnet_with_links();
    let document = net.json(&["testnet", "chaos", "--for", "15s", "--load", "40", "--seed", "11"]);
    assert!(document["acknowledged"].as_u64() > Some(100), "{document}");
    assert_eq!(document["checks"].as_array().unwrap().len(), 4, "{document}");
    let events = document["events"].as_array().unwrap();
    assert!(events.len() >= 3 && events.iter().any(|event| event["had_effect"] == true), "{document}");
}

#[test]
fn plain_links_cannot_be_made_worse() {
    let place = Place::new(46);
    let net = place.testnet(&[]);
    for arguments in [&["testnet", "net", "0"][..], &["testnet", "heal"], &["testnet", "chaos"]] {
        let failed = net.run(arguments);
        assert!(!failed.status.success());
        let text = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(text.contains("--links"), "{text}");
    }
    let failed = net.run(&["testnet", "partition", "0,9|1"]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("there is no replica 9"));
}
