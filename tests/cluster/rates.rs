//! What `/metrics` says of an idle and of a busy testnet.

use crate::harness::{Net, Place, all_equal, until};
use crate::load::Load;
use crate::scrape;
use std::path::Path;
use std::time::Duration;

fn total(net: &Net<'_>, name: &str) -> f64 {
    scrape::total(&net.dir(), name, "")
}

/// The mean of a histogram over what came after `before` (its sum and count then).
fn mean_since(net: &Net<'_>, name: &str, before: (f64, f64)) -> f64 {
    let (sum, count) = sums(net, name);
    (sum - before.0) / (count - before.1)
}

fn sums(net: &Net<'_>, name: &str) -> (f64, f64) {
    (total(net, &format!("{name}_sum")), total(net, &format!("{name}_count")))
}

#[test]
fn sixty_idle_seconds_make_no_block() {
    let place = Place::new(21);
    let net = place.testnet(&[]);
    net.json(&["kv", "put", "a", "b"]);
    until("all have executed it", || all_equal(&net));
    let before = total(&net, "quorate_blocks_total");
    let cpu = total(&net, "quorate_process_cpu_seconds");
    std::thread::sleep(Duration::from_secs(60));
    assert_eq!(total(&net, "quorate_blocks_total"), before);
    println!("{:.2} CPU-seconds of four replicas", total(&net, "quorate_process_cpu_seconds") - cpu);
    net.json(&["kv", "put", "a", "c"]);
    assert!(total(&net, "quorate_blocks_total") > before);
}

#[test]
fn what_one_replica_sends_another_receives() {
    let place = Place::new(41);
    let net = place.testnet(&[]);
    net.json(&["kv", "put", "a", "b"]);
    until("all have executed it", || all_equal(&net));
    let of =
        |name: &str, direction: &str| scrape::total(&net.dir(), name, &format!("direction=\"{direction}\""));
    for (name, least) in [("quorate_peer_messages_total", 50.0), ("quorate_peer_bytes_total", 5_000.0)] {
        let received = of(name, "received");
        let sent = of(name, "sent");
        assert!(received >= least && received <= sent, "{name}: {received} received of {sent}");
        until("what was sent is received", || of(name, "received") >= sent);
    }
    assert_eq!(total(&net, "quorate_peer_unsent_messages_total"), 0.0);
}

#[test]
fn batches_grow_under_256_clients() {
    let place = Place::new(22);
    let net = place.testnet(&[]);
    let load = Load::start(&net, 256);
    load.progress(1_000);
    let names = ["quorate_block_txs", "quorate_crypto_verify_batch_size"];
    // Others on the machine take processor time from the load; of three windows one must show it.
    let windows: Vec<(f64, f64)> = (0..3)
        .map(|_| {
            let before = names.map(|name| sums(&net, name));
            load.progress(5_000);
            (mean_since(&net, names[0], before[0]), mean_since(&net, names[1], before[1]))
        })
        .collect();
    load.stop();
    for (blocks, verified) in &windows {
        println!("{blocks:.1} transactions in a block, {verified:.1} signatures in a call of the verifier");
    }
    assert!(windows.iter().any(|(blocks, verified)| *blocks > 20.0 && *verified > 8.0), "{windows:?}");
}

#[test]
fn alerts_name_metrics_that_exist() {
    let place = Place::new(27);
    let net = place.testnet(&[]);
    let metrics = scrape::scrapes(&net.dir()).next().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/alerts.yml");
    let alerts = std::fs::read_to_string(path).unwrap();
    let mut checked = 0;
    for expression in alerts.lines().filter(|line| line.trim_start().starts_with("expr:")) {
        let words = expression.split(|character: char| !(character.is_alphanumeric() || character == '_'));
        for name in words.filter(|word| word.starts_with("quorate_")) {
            let family = name.trim_end_matches("_total").trim_end_matches("_bucket");
            assert!(metrics.contains(&format!("# TYPE {family} ")), "{name} is in no /metrics");
            checked += 1;
        }
        for label in ["state=\"", "file=\""] {
            let Some(value) = expression.split(label).nth(1).and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            assert!(metrics.contains(&format!("{label}{value}\"")), "{label}{value}\" is in no /metrics");
        }
    }
    assert!(checked >= 8, "only {checked} metrics were found in the alerts");
}
