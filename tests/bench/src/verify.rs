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
        "| how | blocks | transactions | transactions/s, median | least | most |\n|---|---|---|---|---|---|\n",
    );
    let cases = [
        ("one thread", &["-j", "1"][..]),
        ("one thread and replay", &["-j", "1", "--replay"]),
        ("a thread for each core", &[]),
    ];
    for (name, options) in cases {
        let mut rates = Vec::new();
        let mut last = Value::Null;
        for _ in 0..runs {
            last = net.verify(0, options)?;
            let number = |name: &str| last[name].as_f64().ok_or_else(|| format!("no {name} in {last}"));
            rates.push(number("transactions")? / number("seconds")?);
        }
        rates.sort_by(f64::total_cmp);
        let at = |place: usize| rates.get(place).copied().unwrap_or(f64::NAN);
        let (median, least, most) = (at(runs / 2), at(0), at(runs.saturating_sub(1)));
        let (blocks, transactions) = (&last["blocks"], &last["transactions"]);
        let _ =
            writeln!(text, "| {name} | {blocks} | {transactions} | {median:.0} | {least:.0} | {most:.0} |");
    }
    Ok(text)
}
