//! Explores rows of the table and prints what came of it: `quorate-model all`, or names of rows.

use quorate_model::{Outcome, Row, check, rows};
use std::process::{Command, ExitCode};
use std::time::Duration;

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let seconds =
        option(&mut names, "--seconds").map_or(480, |text| text.parse().expect("a number of seconds"));
    // It is named until the process ends.
    let mutant: &'static str = option(&mut names, "--mutant").unwrap_or_default().leak();
    let all = names.iter().any(|name| name == "all");
    let chosen: Vec<Row> =
        rows().into_iter().filter(|row| all || names.iter().any(|name| name == row.name)).collect();
    match chosen.as_slice() {
        [] => {
            eprintln!("usage: quorate-model [--seconds N] [--mutant NAME] all | ROW…; the rows are:");
            for row in rows() {
                eprintln!("  {}", row.name);
            }
            ExitCode::from(2)
        }
        [row] => {
            let outcome = check(row, mutant, Duration::from_secs(seconds));
            print(row, &outcome);
            ExitCode::from(u8::from(!outcome.discoveries.is_empty()))
        }
        several => each_alone(several, seconds, mutant),
    }
}

fn option(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.drain(place..(place + 2).min(arguments.len())).nth(1)
}

/// A process for each row, so that the peak of memory is its own.
fn each_alone(rows: &[Row], seconds: u64, mutant: &str) -> ExitCode {
    let mut failed = false;
    let program = std::env::current_exe().expect("this program has a path");
    for row in rows {
        let mut command = Command::new(&program);
        command.arg(row.name).args(["--seconds", &seconds.to_string()]);
        if !mutant.is_empty() {
            command.args(["--mutant", mutant]);
        }
        failed |= !command.status().expect("this program runs again").success();
    }
    ExitCode::from(u8::from(failed))
}

fn print(row: &Row, outcome: &Outcome) {
    println!(
        "{} | {} | {} | {} | {:.1?} | {} | {} | {}{} | {}",
        row.name,
        outcome.generated,
        outcome.unique,
        outcome.depth,
        outcome.took,
        peak_memory(),
        outcome.figures.local_states,
        outcome.figures.longest_silence,
        if outcome.figures.capped { ", capped" } else { "" },
        if outcome.complete { "complete" } else { "NOT complete" },
    );
    for (property, way) in &outcome.discoveries {
        println!("  {property} does not hold:");
        for line in way {
            println!("    {line}");
        }
    }
}

/// As Linux tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "?".to_owned(), |peak| peak.trim().to_owned())
}
