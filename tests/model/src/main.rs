//! Explores rows of the table: `quorate-model all`, or names of rows.

use quorate_model::{Outcome, Row, check, rows};
use std::time::Duration;

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let mut most = Duration::from_secs(8 * 60);
    if let Some(place) = names.iter().position(|name| name == "--seconds") {
        let seconds = names.get(place + 1).and_then(|seconds| seconds.parse().ok());
        most = Duration::from_secs(seconds.expect("--seconds takes a number"));
        names.drain(place..=place + 1);
    }
    let mut mutant = "";
    if let Some(place) = names.iter().position(|name| name == "--mutant") {
        // It is named until the process ends.
        mutant = names.get(place + 1).cloned().expect("--mutant takes a name").leak();
        names.drain(place..=place + 1);
    }
    let all = names.iter().any(|name| name == "all");
    let chosen: Vec<Row> =
        rows().into_iter().filter(|row| all || names.iter().any(|name| name == row.name)).collect();
    if chosen.is_empty() {
        eprintln!("usage: quorate-model [--seconds N] [--mutant NAME] all | ROW…; the rows are:");
        for row in rows() {
            eprintln!("  {}", row.name);
        }
        std::process::exit(2);
    }
    let mut failed = false;
    for row in chosen {
        let outcome = check(&row, mutant, most);
        failed |= !outcome.discoveries.is_empty();
        print(&row, &outcome);
    }
    std::process::exit(i32::from(failed));
}

fn print(row: &Row, outcome: &Outcome) {
    println!(
        "{}: {} generated, {} unique, depth {}, {:.1?}, {:?}, {}",
        row.name,
        outcome.generated,
        outcome.unique,
        outcome.depth,
        outcome.took,
        outcome.figures,
        if outcome.complete { "complete" } else { "NOT complete" },
    );
    for (property, way) in &outcome.discoveries {
        println!("  {property} does not hold:");
        for line in way {
            println!("    {line}");
        }
    }
}
