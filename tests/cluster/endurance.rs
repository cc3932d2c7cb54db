//! Kills and lost power under 32 clients, judged from the stopped replicas' directories and the clients' receipts.

use crate::harness::{Net, Place, all_equal, until};
use crate::ledgers;
use crate::load::Load;
use std::time::{Duration, Instant};

const CLIENTS: usize = 32;
const PAUSE: Duration = Duration::from_secs(5);

/// SIGKILL to every replica within microseconds.
pub(crate) fn kill_all(net: &Net<'_>) {
    let status = net.json(&["testnet", "status"]);
    let pid_of = |node: &serde_json::Value| {
        let log = || std::fs::read_to_string(net.dir().join(node["name"].as_str().unwrap()).join("node.log"));
        node["pid"].as_u64().unwrap_or_else(|| panic!("it ended by itself: {node}\n{}", log().unwrap()))
    };
    let pids: Vec<u64> = status["nodes"].as_array().unwrap().iter().map(pid_of).collect();
    for pid in &pids {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(*pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

/// Ends the load, waits until all stand at the same block, stops the replicas and reads what they leave.
pub(crate) fn judge(net: &Net<'_>, load: Load) {
    let receipts = load.stop();
    until("all stand at the same block", || all_equal(net));
    assert!(net.place.run(&["testnet", "down", "net"]).status.success());
    let blocks = ledgers::judge(&net.dir(), 4, &receipts).unwrap();
    println!("{} acknowledged transactions in {blocks} blocks", receipts.len());
}

#[test]
fn ten_killed_primaries_lose_nothing_acknowledged() {
    let place = Place::new(16);
    let net = place.testnet(&[]);
    let load = Load::start(&net, CLIENTS);
    for round in 0..10 {
        load.progress(2 * CLIENTS as u64);
        let primary = net.primary().to_string();
        net.succeed(&["testnet", "kill", &primary]);
        let pause = load.progress(2 * CLIENTS as u64);
        println!("round {round}: {} transactions after {} ms", 2 * CLIENTS, pause.as_millis());
        net.succeed(&["testnet", "start", &primary]);
        until("the restarted replica votes again", || net.run(&["-q", "status"]).status.success());
    }
    judge(&net, load);
}

/// What was written and not synced is still there afterwards; in `power.rs` it is not.
#[test]
fn twenty_power_losses_of_all_lose_nothing_acknowledged() {
    let place = Place::new(17);
    let net = place.testnet(&["--checkpoint-every", "16"]);
    let load = Load::start(&net, CLIENTS);
    for _ in 0..20 {
        load.progress(2 * CLIENTS as u64);
        kill_all(&net);
        until("all four are dead", || {
            let status = net.json(&["testnet", "status"]);
            status["nodes"].as_array().unwrap().iter().all(|node| node["ended"] == "killed by SIGKILL")
        });
        for node in ["0", "1", "2", "3"] {
            net.succeed(&["testnet", "start", node]);
        }
    }
    load.progress(CLIENTS as u64);
    judge(&net, load);
}

#[test]
fn commits_resume_while_the_primary_is_paused_for_five_seconds() {
    let place = Place::new(12);
    let net = place.testnet(&[]);
    let load = Load::start(&net, CLIENTS);
    load.progress(CLIENTS as u64);
    let primary = net.primary();
    let start = Instant::now();
    net.succeed(&["testnet", "pause", &primary.to_string()]);
    let pause = load.progress(4 * CLIENTS as u64);
    let status = net.json(&["testnet", "status"]);
    assert_eq!(status["nodes"][primary]["state"], "paused", "it was paused all along");
    assert!(start.elapsed() < PAUSE, "{} transactions took {pause:?}", 4 * CLIENTS);
    std::thread::sleep(PAUSE.saturating_sub(start.elapsed()));
    net.succeed(&["testnet", "resume", &primary.to_string()]);
    load.progress(CLIENTS as u64);
    judge(&net, load);
}
