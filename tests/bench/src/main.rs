//! Measures the standard set in one go: testnets of real processes on this machine, the floor in the same run, each case some
//! times in turn with the others, and in the end every ledger executed again and every receipt verified.

mod attack;
mod functions;
mod hot;
#[path = "../../cluster/judge.rs"]
mod judge;
mod net;
mod plot;
mod standard;
mod table;

use clap::Parser;
use quorate_simulator::campaign::publish;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Measure the standard set.
#[derive(Debug, Parser)]
struct Options {
    /// How often each case is measured
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds of each measurement, after one of warm-up
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only cases whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// The program to measure; by default the one beside this one
    #[arg(long)]
    quorate: Option<PathBuf>,
    /// Measure the hot functions by themselves instead, without a testnet
    #[arg(long)]
    functions: bool,
    /// Measure what one liar, or one client that floods, leaves of the throughput; needs `quorate-byz` beside `quorate`
    #[arg(long, conflicts_with_all = ["functions", "svg"])]
    attack: bool,
    /// Put the table into this file, between the lines `<!-- begin standard -->` and `<!-- end standard -->` (`attack` in their
    /// place with --attack)
    #[arg(long)]
    into: Option<PathBuf>,
    /// Draw the figures into this file
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    if options.functions {
        functions::print();
        return Ok(());
    }
    let beside = || std::env::current_exe().ok().map(|own| own.with_file_name("quorate"));
    let program = options.quorate.clone().or_else(beside).filter(|path| path.is_file());
    let program = program
        .ok_or("no quorate beside this program: build it in the same profile, or name one with --quorate")?;
    let duration = Duration::from_secs(options.seconds);
    if options.attack {
        return under_attack(options, &program, duration);
    }
    let cases: Vec<_> = standard::cases()
        .into_iter()
        .filter(|case| options.only.as_ref().is_none_or(|part| case.name.contains(part)))
        .collect();
    let mut samples = vec![Vec::new(); cases.len()];
    for run in 1..=options.runs {
        // In turn: what else the machine does falls on all of them.
        for (case, samples) in cases.iter().zip(&mut samples) {
            let sample =
                net::measure(&program, case, duration).map_err(|why| format!("{}: {why}", case.name))?;
            eprintln!("{run}/{} {:<28} {sample}", options.runs, case.name);
            samples.push(sample);
        }
    }
    let text = table::text(&cases, &samples);
    print!("{text}");
    if let Some(path) = &options.into {
        publish(path, "standard", &text).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, plot::svg(&cases, &samples))
            .map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

/// Each attack in turn, after a run without one.
fn under_attack(options: &Options, program: &Path, duration: Duration) -> Result<(), String> {
    let wanted = |attack: &attack::Attack| {
        attack.name == attack::ATTACKS[0].name
            || options.only.as_ref().is_none_or(|part| attack.name.contains(part))
    };
    let attacks: Vec<_> = attack::ATTACKS.iter().copied().filter(wanted).collect();
    let load = net::Load { clients: 64, size: 128, keys: 16, appends: None };
    let mut rounds = Vec::new();
    for run in 1..=options.runs {
        let mut round = Vec::new();
        for attack in &attacks {
            let attacked = attack::measure(program, attack, &load, duration)
                .map_err(|why| format!("{}: {why}", attack.name))?;
            eprintln!("{run}/{} {:<48} {attacked}", options.runs, attack.name);
            round.push(attacked);
        }
        rounds.push(round);
    }
    let text = attack::text(&attacks, &rounds);
    print!("{text}");
    match &options.into {
        Some(path) => publish(path, "attack", &text).map_err(|why| format!("{}: {why}", path.display())),
        None => Ok(()),
    }
}
