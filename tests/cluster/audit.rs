//! `quorate verify` of what replicas stored, while they run and afterwards.

use crate::harness::{Net, Place, all_equal, until};
use serde_json::Value;
use std::path::PathBuf;

fn verified(net: &Net<'_>, node: &str, options: &[&str]) -> Value {
    let document = net.json(&[&["verify", node], options].concat());
    assert_eq!(document["valid"], true, "{document}");
    assert_eq!(document["signers"].as_array().map(Vec::len), Some(4), "{document}");
    document
}

/// The block files of a replica that is down, the state file moved away so that they alone are judged.
fn blocks_of(net: &Net<'_>, node: &str) -> PathBuf {
    net.dir().join(node).join("data/blocks/0000000000000001.blk")
}

fn refused(net: &Net<'_>, node: &str) -> String {
    let output = net.run(&["-o", "json", "-q", "verify", node]);
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stdout));
    let document: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(document["code"], "Q0603");
    document["why"].as_str().unwrap().to_owned()
}

#[test]
fn a_stored_ledger_is_verified_with_nothing_but_the_genesis() {
    let place = Place::new(34);
    let net = place.testnet(&[]);
    net.json(&["tx", "bench", "-c", "16", "-d", "3s", "--warmup", "100ms"]);
    until("all executed the same", || all_equal(&net));
    let running = verified(&net, "node0", &[]);
    assert_eq!(running["state"], "a running node has the file open");
    assert!(running["transactions"].as_u64() > Some(100), "{running}");
    place.succeed(&["testnet", "down", "net"]);
    let heads: Vec<Value> = (0..4)
        .map(|node| {
            let document = verified(&net, &format!("node{node}"), &["--replay"]);
            assert!(document["state"].as_str().unwrap().starts_with("that after block "), "{document}");
            assert_eq!(document["replayed"], true);
            document["transactions"].clone()
        })
        .collect();
    assert!(heads.iter().all(|transactions| transactions == &heads[0]), "{heads:?}");

    // One byte in the midst of a file.
    let file = blocks_of(&net, "node1");
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let why = refused(&net, "node1");
    assert!(why.contains("is damaged at byte") && why.contains("blocks up to"), "{why}");
    // Its second half is gone: the state is of a block that is missing.
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let why = refused(&net, "node1");
    assert!(why.contains("and the blocks end at"), "{why}");
    std::fs::write(&file, &whole).unwrap();
    verified(&net, "node1", &[]);

    // Against the genesis of others.
    place.succeed(&["testnet", "new", "other", "--base-port", "0"]);
    let other = place.path("other/genesis.toml");
    let output = net.run(&["-o", "json", "-q", "--genesis", other.to_str().unwrap(), "verify", "node1"]);
    assert_eq!(output.status.code(), Some(6));
}

#[test]
fn where_two_ledgers_part_is_named() {
    let place = Place::new(36);
    let net = place.testnet(&[]);
    net.json(&["tx", "bench", "-c", "16", "-d", "3s", "--warmup", "100ms"]);
    until("all executed the same", || all_equal(&net));
    place.succeed(&["testnet", "down", "net"]);
    let same = net.json(&["verify", "compare", "node0", "node1"]);
    assert_eq!(same["equal"], true, "{same}");
    assert!(same["state"].as_str().unwrap().starts_with("equal after block "), "{same}");
}

/// The only replica of a ledger lives twice, from the same genesis: both lives are signed.
#[test]
fn a_ledger_that_was_signed_twice_is_named_as_such() {
    let place = Place::new(40);
    let net = place.testnet(&["-n", "1", "--allow-crash-only"]);
    net.json(&["kv", "put", "a", "first"]);
    place.succeed(&["testnet", "down", "net"]);
    let (data, first) = (net.dir().join("node0/data"), net.dir().join("first"));
    std::fs::rename(&data, &first).unwrap();
    place.succeed(&["node", "init", "--dir", "net/node0"]);
    net.up();
    net.json(&["kv", "put", "a", "second"]);
    place.succeed(&["testnet", "down", "net"]);
    verify_alone(&net, "first");
    verify_alone(&net, "node0");
    let output = net.run(&["-o", "json", "-q", "verify", "compare", "first", "node0"]);
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stdout));
    let document: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(document["what"], "first and node0 differ from block 1 on");
    let why = document["why"].as_str().unwrap();
    assert!(why.contains("transaction 0") && why.matches("signed by node0").count() == 2, "{why}");
    assert!(document["fix"][0].as_str().unwrap().starts_with("both are signed"), "{document}");
}

fn verify_alone(net: &Net<'_>, node: &str) {
    let document = net.json(&["verify", node]);
    assert_eq!((document["valid"].as_bool(), document["signers"][0].as_str()), (Some(true), Some("node0")));
}

#[test]
fn what_is_no_ledger_is_refused() {
    let place = Place::new(35);
    place.succeed(&["testnet", "new", "net", "--base-port", "0"]);
    std::fs::create_dir(place.path("net/empty")).unwrap();
    let failed = place.fail(&["--genesis", "net/genesis.toml", "verify", "net/empty"], 1);
    assert!(failed["what"].as_str().unwrap().contains("holds no ledger"), "{failed}");
    place.fail(&["--genesis", "net/genesis.toml", "verify", "net/nowhere"], 1);
    let fresh = place.succeed(&["-o", "json", "--genesis", "net/genesis.toml", "verify", "net/node0"]);
    let document: Value = serde_json::from_str(&fresh).unwrap();
    assert_eq!((document["blocks"].as_u64(), document["state"].as_str()), (Some(0), Some("none is stored")));
}
