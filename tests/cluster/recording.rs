//! What a node records of itself replays in another process, byte for byte.

use crate::harness::{Net, Place};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What replicas recorded if QUORATE_NODE__RECORD is this directory of the place, in the order of their starts.
pub(crate) fn recordings(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.path("recordings")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Where each frame begins: a length of four bytes, then so many.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 4) {
        starts.push(at);
        at += 4 + u32::from_be_bytes(head.try_into().unwrap()) as usize;
    }
    starts
}

#[test]
fn what_replicas_recorded_under_load_with_a_kill_replays_byte_for_byte() {
    let place = Place::new(31);
    place.succeed(&["testnet", "new", "net", "--base-port", "0", "--address", "127.77.31.1"]);
    let up = place
        .command(&["testnet", "up", "net", "--detach"])
        .env("QUORATE_NODE__RECORD", place.path("recordings"))
        .output()
        .unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let net = Net { place: &place };
    let mut load =
        net.command(&["tx", "bench", "-c", "16", "-d", "4s", "--warmup", "100ms"]).spawn().unwrap();
    crate::harness::until("blocks are executed", || {
        net.status().1["nodes"][0]["executed"].as_u64() > Some(20)
    });
    let primary = net.primary().to_string();
    net.succeed(&["testnet", "kill", &primary]);
    net.succeed(&["kv", "put", "after", "the kill"]);
    net.succeed(&["testnet", "start", &primary]);
    load.wait().unwrap();
    net.succeed(&["testnet", "down"]);

    let recorded = recordings(&place);
    assert_eq!(recorded.len(), 5, "four starts and a restart");
    let mut executed = Vec::new();
    for path in &recorded {
        let replayed = net.json(&["debug", "replay", &path.to_string_lossy()]);
        assert!(replayed["inputs"].as_u64() > Some(100), "{replayed}");
        assert!(replayed["signatures"].as_u64() > Some(10), "{replayed}");
        executed.push(replayed["executed"].as_u64().unwrap());
        let shown = net.json(&["debug", "show", &path.to_string_lossy()]);
        let inputs = shown["inputs"].as_array().unwrap();
        assert_eq!(inputs.len() as u64, replayed["inputs"].as_u64().unwrap());
        let signed = |from: &[Value]| from.iter().filter_map(|input| input["signed"].as_u64()).sum::<u64>();
        assert!(Some(signed(inputs)) <= replayed["signatures"].as_u64(), "the start may sign too");
        assert!(inputs.iter().all(|input| input["what"] != ""), "{shown}");
        let others = inputs.iter().filter_map(|input| input["statement"]["signer"].as_u64());
        assert!(others.collect::<BTreeSet<_>>().len() >= 2, "statements of the others came");
    }
    assert!(executed.iter().max() > Some(&20), "{executed:?}");

    // A recording from which an input is missing, or in which one was changed, is told from a whole one.
    let bytes = std::fs::read(&recorded[0]).unwrap();
    let starts = frames(&bytes);
    // The start and its outcome, then pairs of an input and its outcome; the last frame of all may be cut.
    let refused = |name: &str, damaged: &[u8]| {
        let path = place.path(name);
        std::fs::write(&path, damaged).unwrap();
        let refused = place.fail(&["debug", "replay", &path.to_string_lossy()], 6);
        assert_eq!(refused["code"], "Q0604", "{name}: {refused}");
    };
    let next = starts[104];
    let mut outcome = bytes.clone();
    outcome[next - 1] ^= 1;
    refused("outcome", &outcome);
    // Whatever kind of input is missing; some change nothing, a PING that was answered for instance, but not twenty in a row.
    for from in (42..122).step_by(4) {
        let without = [&bytes[..starts[from]], &bytes[starts[from + 40]..]].concat();
        refused("without", &without);
    }
    let path = place.path("cut");
    std::fs::write(&path, &bytes[..next - 3]).unwrap();
    let replayed = net.json(&["debug", "replay", &path.to_string_lossy()]);
    assert!(replayed["cut_bytes"].as_u64() > Some(0), "{replayed}");
    place.fail(&["debug", "replay", "no-such-file"], 1);
    place.fail(&["debug", "show", "no-such-file"], 1);
    // Of any member but the one whose recording it is.
    let other = (replayed["member"].as_u64().unwrap() + 1) % 4;
    let of_one = net.json(&["debug", "show", &path.to_string_lossy(), "--from", &other.to_string()]);
    let of_one = of_one["inputs"].as_array().unwrap();
    assert!(!of_one.is_empty() && of_one.iter().all(|input| input["from"] == other), "{of_one:?}");
}
