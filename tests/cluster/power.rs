//! Disks that lose what was not synced when power is cut, that are full, or that fail: the replicas' own system calls, below all of our code.

use crate::disk_shim::DiskShim;
use crate::endurance::{judge, kill_all};
use crate::harness::{Net, Place, until};
use crate::load::Load;
use std::time::Duration;

const CLIENTS: usize = 32;

fn all_dead(net: &Net<'_>) -> bool {
    let status = net.json(&["testnet", "status"]);
    status["nodes"].as_array().unwrap().iter().all(|node| node["ended"] == "killed by SIGKILL")
}

/// All replicas lose power at once, again and again, and with it all that they had not synced, or a part of it.
#[test]
fn d1_power_cuts_that_take_what_was_not_synced_lose_nothing_acknowledged() {
    let mut place = Place::new(60);
    let disks = DiskShim::preload(&mut place);
    let net = place.testnet(&["--checkpoint-every", "16"]);
    let load = Load::start(&net, CLIENTS);
    let mut lost = 0;
    // Any sequence will do: which writes reach the disk is not the replicas' to choose.
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..10 {
        load.progress(2 * CLIENTS as u64);
        kill_all(&net);
        until("all four are dead", || all_dead(&net));
        lost += disks.cut_power(|| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            round % 2 == 1 && random.is_multiple_of(2)
        });
        for node in ["0", "1", "2", "3"] {
            net.succeed(&["testnet", "start", node]);
        }
    }
    assert!(lost > 100, "only {lost} writes were lost: the test tests nothing");
    load.progress(CLIENTS as u64);
    judge(&net, load);
}

/// The disk of node2 is full, or its syncs fail, for one kind of its files: it ends and says why, the others go on, and once there is room it
/// is a member as before.
#[test]
fn d3_a_full_or_failing_disk_ends_a_replica_until_it_is_mended() {
    let mut place = Place::new(61);
    let disks = DiskShim::preload(&mut place);
    let net = place.testnet(&["--checkpoint-every", "16"]);
    let load = Load::start(&net, 4);
    for (fault, path) in [
        ("full", "node2/data/blocks/"),
        ("full", "node2/data/state.redb"),
        ("full", "node2/data/wal/"),
        ("eio", "node2/data/wal/"),
        ("eio", "node2/data/blocks/"),
        ("eio", "node2/data/state.redb"),
    ] {
        load.progress(50);
        disks.strike(fault, path);
        if (fault, path) == ("full", "node2/data/wal/") {
            // Its files have their whole length from the start: only the next one needs room.
            net.succeed(&["testnet", "kill", "2"]);
            net.run(&["testnet", "start", "2"]);
        }
        until(&format!("{path} is noticed to be {fault}"), || {
            net.json(&["testnet", "status"])["nodes"][2]["ended"] == "exit 74"
        });
        let log = std::fs::read_to_string(net.dir().join("node2/node.log")).unwrap();
        // While it runs this is the last that it says; when it starts, the error with its code is.
        let last = log
            .trim_end()
            .lines()
            .rev()
            .take(3)
            .any(|line| line.contains("disk_failed") || line.contains("Q0202"));
        assert!(last, "{fault} {path}: {log}");
        let pause = load.progress(50);
        assert!(pause < Duration::from_secs(20), "{fault} {path}: the others took {pause:?}");
        // As long as nothing is mended it does not come back, and loses nothing by trying.
        net.run(&["testnet", "start", "2"]);
        until("it ends again", || net.json(&["testnet", "status"])["nodes"][2]["ended"] == "exit 74");
        disks.mend(fault);
        net.succeed(&["testnet", "start", "2"]);
        until("it votes again", || net.run(&["-q", "status"]).status.success());
    }
    judge(&net, load);
}
