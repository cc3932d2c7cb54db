//! A replica that was away until nobody had the blocks any more.

use crate::harness::{Net, Place, all_equal, until};
use serde_json::Value;

/// Every replica keeps few blocks, in small files.
fn with_few_blocks(net: &Net<'_>) {
    net.place.succeed(&["testnet", "down", "net"]);
    for node in 0..4 {
        let config = net.dir().join(format!("node{node}/quorate.toml"));
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}\n[storage]\nretain-blocks = 10\nblock-file-mib = 1\n"))
            .unwrap();
    }
    net.up();
}

fn first_file(net: &Net<'_>, node: usize) -> String {
    let files = std::fs::read_dir(net.dir().join(format!("node{node}/data/blocks"))).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".blk")).min().unwrap()
}

#[test]
fn t1_a_replica_comes_back_though_all_have_pruned_what_it_lacks() {
    let place = Place::new(42);
    let net = place.testnet(&[]);
    with_few_blocks(&net);
    net.json(&["kv", "put", "early", "1"]);
    until("all have executed it", || all_equal(&net));
    net.succeed(&["testnet", "kill", "3"]);
    let pruned = || (0..3).all(|node| *first_file(&net, node) > *"0000000000000002.blk");
    until("the others have pruned", || {
        net.json(&["tx", "bench", "-c", "64", "-d", "2s", "--warmup", "100ms"]);
        pruned()
    });
    net.succeed(&["testnet", "start", "3"]);
    until("it stands where the others do", || all_equal(&net));
    let log = std::fs::read_to_string(net.dir().join("node3/node.log")).unwrap();
    assert!(log.contains("state_installed"), "{log}");
    // It votes: with another one down its vote is needed.
    net.succeed(&["testnet", "kill", "1"]);
    net.json(&["kv", "put", "late", "2"]);
    let read = net.json(&["kv", "get", "early"]);
    assert_eq!(read["value"], "1");
    net.succeed(&["testnet", "start", "1"]);
    until("all four vote", || all_equal(&net));
    place.succeed(&["testnet", "down", "net"]);
    for node in 0..4 {
        let document: Value = net.json(&["verify", &format!("node{node}")]);
        assert!(document["pruned"].as_u64() > Some(0), "{document}");
    }
    assert_eq!(net.json(&["verify", "compare", "node0", "node3"])["equal"], true);
    let failed = net.run(&["-o", "json", "-q", "verify", "node3", "--replay"]);
    assert_eq!(failed.status.code(), Some(1), "what was pruned cannot be replayed");
}
