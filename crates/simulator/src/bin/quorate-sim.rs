//! Runs seeds of the simulator: `quorate-sim [--from SEED] [--count N] [--seed SEED]`. Built with the feature `mutants` it also
//! takes `--mutant m11`, to see which seed notices that mistake.

use quorate_simulator::run_seed;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for.
struct Options {
    from: u64,
    count: u64,
}

fn options() -> Result<Options, String> {
    let mut options = Options { from: 0, count: 200 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        #[cfg(feature = "mutants")]
        if name == "--mutant" {
            quorate_types::mutants::activate(value.leak());
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{value:?} is no number"))?;
        match name.as_str() {
            "--from" => options.from = number,
            "--count" => options.count = number,
            "--seed" => options = Options { from: number, count: 1 },
            _ => {
                return Err(format!(
                    "unknown option {name}: quorate-sim [--from SEED] [--count N] [--seed SEED]"
                ));
            }
        }
    }
    Ok(options)
}

/// The seed under way, for the report of a panic.
static NOW_RUNNING: AtomicU64 = AtomicU64::new(0);

/// A panic is a failing seed too: it is named before the usual report.
fn name_the_seed_of_a_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let seed = NOW_RUNNING.load(Ordering::Relaxed);
        eprintln!("seed {seed} panics\nreplay: quorate-sim --seed {seed}");
        report(panic);
    }));
}

fn main() -> ExitCode {
    name_the_seed_of_a_panic();
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    let mut heights = Vec::new();
    let mut lies: BTreeMap<u16, u64> = BTreeMap::new();
    let mut lied = 0;
    let (mut view_changes, mut crashes, mut catch_ups, mut answered, mut events) = (0, 0, 0, 0, 0);
    for seed in options.from..options.from + options.count {
        NOW_RUNNING.store(seed, Ordering::Relaxed);
        match run_seed(seed) {
            Ok(report) => {
                if options.count == 1 {
                    println!("{report:#?}");
                }
                heights.push(report.height);
                lied += u64::from(!report.lies.is_empty());
                for (way, count) in &report.lies {
                    *lies.entry(*way).or_default() += count;
                }
                view_changes += u64::from(report.view_changes > 0);
                crashes += u64::from(report.crashes > 0);
                catch_ups += u64::from(report.catch_ups > 0);
                answered += report.answered;
                events += report.events;
            }
            Err(failure) => {
                eprintln!("seed {seed} fails: {}: {}", failure.violation.property, failure.violation.what);
                eprintln!("replay: quorate-sim --seed {seed}");
                return ExitCode::FAILURE;
            }
        }
    }
    heights.sort_unstable();
    let median = heights.get(heights.len() / 2).copied().unwrap_or(0);
    println!(
        "{} seeds passed: median {median} blocks, {view_changes} with a view change, {crashes} with a crash, \
         {catch_ups} with a catch-up, {lied} with a liar, {answered} outcomes, {events} events",
        heights.len()
    );
    let lies: Vec<String> = lies.iter().map(|(way, count)| format!("{way}: {count}")).collect();
    println!("lies told, by number of the way: {}", lies.join(", "));
    ExitCode::SUCCESS
}
