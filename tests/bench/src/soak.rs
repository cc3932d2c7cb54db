//! Long load at a rate: what grows, and whether a view changes without a fault (V11).

use crate::net::Net;
use crate::processes::{Spinner, disk_mib, resident_mib};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const MEMBERS: usize = 4;
/// Looks at memory and disk in one run, about.
const LOOKS: u32 = 120;

/// One look at all members: seconds since the start, resident memory and disk of each in MiB.
struct Look {
    at: f64,
    resident: Vec<f64>,
    disk: Vec<f64>,
}

/// Loads a testnet for so long.
///
/// # Errors
/// If a command fails, a view changed, or two ledgers differ in the end.
pub(crate) fn run(program: &Path, duration: Duration, rate: u32, busy: bool) -> Result<String, String> {
    let net = Net::new(program, u16::try_from(MEMBERS).expect("few"))?;
    net.run(&["testnet", "up", ".", "--detach"])?;
    let pids: Vec<u32> = net.pids()?.into_iter().flatten().collect();
    if pids.len() != MEMBERS {
        return Err("not all members run".to_owned());
    }
    let (seconds, rate) = (format!("{}s", duration.as_secs()), rate.to_string());
    let load = ["tx", "bench", "--floor", "-c", "64", "--keys", "16", "--rate", &rate, "-d", &seconds];
    let spinner = busy.then(Spinner::start);
    let (report, looks) = thread::scope(|scope| -> Result<_, String> {
        let load = scope.spawn(|| net.run(&load));
        let (start, mut looks) = (Instant::now(), Vec::new());
        while !load.is_finished() {
            looks.push(look(&net, &pids, start)?);
            thread::park_timeout(duration / LOOKS);
        }
        let report = load.join().unwrap_or_else(|_| Err("the load ended".to_owned()))?;
        Ok((report, looks))
    })?;
    drop(spinner);
    let view = net.view()?;
    let members: Vec<usize> = (0..MEMBERS).collect();
    net.wait_until("all stand at one block", Duration::from_secs(60), |net| net.stands_equal(&members))?;
    net.judge(&members)?;
    if view > 0 {
        return Err(format!("the view changed without a fault: it is {view}"));
    }
    Ok(text(&report, &looks, busy))
}

fn look(net: &Net<'_>, pids: &[u32], start: Instant) -> Result<Look, String> {
    let resident = pids.iter().map(|pid| resident_mib(*pid)).collect::<Result<_, _>>()?;
    let disk =
        (0..pids.len()).map(|member| disk_mib(&net.place.path().join(format!("node{member}")))).collect();
    Ok(Look { at: start.elapsed().as_secs_f64(), resident, disk })
}

/// MiB in an hour, by least squares over the second half of the looks: the first half fills what is bounded.
fn slope(looks: &[Look], of: impl Fn(&Look) -> f64) -> f64 {
    let half = &looks[looks.len() / 2..];
    let count = half.len() as f64;
    let mean_at = half.iter().map(|look| look.at).sum::<f64>() / count;
    let mean = half.iter().map(&of).sum::<f64>() / count;
    let together: f64 = half.iter().map(|look| (look.at - mean_at) * (of(look) - mean)).sum();
    let apart: f64 = half.iter().map(|look| (look.at - mean_at).powi(2)).sum();
    3_600.0 * together / apart
}

fn text(report: &Value, looks: &[Look], busy: bool) -> String {
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let mut text = format!(
        "{:.0} seconds at {:.0} transactions a second{}, no view change; p50 {:.1} ms, p99 {:.1} ms, most {:.0} ms; {:.3} CPU-seconds of all replicas per 1,000.\n\n\
         | member | resident after a quarter, half, all, MiB | growth in the second half, MiB/h | disk, MiB | disk per 1,000 transactions, KiB |\n|---|---|---|---|---|\n",
        number("/seconds"),
        number("/throughput"),
        if busy { " with one core busy with something else" } else { "" },
        number("/latency_ms/p50"),
        number("/latency_ms/p99"),
        number("/latency_ms/max"),
        number("/replica_cpu_seconds_per_1000_txs"),
    );
    let Some(last) = looks.last() else { return text };
    let thousands = number("/committed") / 1_000.0;
    for member in 0..last.resident.len() {
        let resident = |part: usize| looks[(looks.len() * part / 4).saturating_sub(1)].resident[member];
        let _ = writeln!(
            text,
            "| {member} | {:.0}, {:.0}, {:.0} | {:+.1} | {:.0} | {:.0} |",
            resident(1),
            resident(2),
            resident(4),
            slope(looks, |look| look.resident[member]),
            last.disk[member],
            1_024.0 * (last.disk[member] - looks[0].disk[member]) / thousands,
        );
    }
    text
}
