//! How fast `quorate verify` reads a ledger that a testnet made.

use crate::net::{Load, Net};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const LOAD: Load = Load { clients: 256, size: 128, keys: 16, appends: None };

/// Makes a ledger, and verifies one member's copy `runs` times in each way.
///
/// # Errors
/// If a command fails, or a ledger is not valid.
pub(crate) fn run(program: &Path, duration: Duration, runs: usize) -> Result<String, String> {
    let net = Net::new(program, 4)?;
    net.run(&["testnet", "up", ".", "--detach"])?;
    net.measure(&LOAD, duration)?;
    net.judge(&[0, 1, 2, 3])?;
    let mut text = String::from(
        "| how | blocks | transactions | transactions/s | transactions for a second of one core |\n|---|---|---|---|---|\n",
    );
    let cases = [
        ("one thread", &["-j", "1"][..]),
        ("one thread and replay", &["-j", "1", "--replay"]),
        ("a thread for each core", &[]),
    ];
    for (name, options) in cases {
        let (mut rates, mut per_core) = (Vec::new(), Vec::new());
        let mut last = Value::Null;
        for _ in 0..runs {
            last = net.verify(0, options)?;
            let number = |name: &str| last[name].as_f64().ok_or_else(|| format!("no {name} in {last}"));
            rates.push(number("transactions")? / number("seconds")?);
            per_core.push(number("transactions")? / number("cpu_seconds")?);
        }
        let (blocks, transactions) = (&last["blocks"], &last["transactions"]);
        let (rates, per_core) = (spread(rates), spread(per_core));
        let _ = writeln!(text, "| {name} | {blocks} | {transactions} | {rates} | {per_core} |");
    }
    Ok(text)
}

/// The median, and the least and the most.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    format!("{:.0} [{:.0}, {:.0}]", at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}
