//! How many seeds it takes to notice each deliberate mistake. A mistake is noticed when a named property fails in a seed that the
//! unmodified code passes; a panic is not enough.

use crate::{Options, tell};
use quorate_simulator::mutants::MUTANTS;
use quorate_simulator::run_seed;
use quorate_types::mutants::activate;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Prints, for each mistake, which property notices it and after how many seeds: the table of docs/assurance.md.
pub(crate) fn judge(options: &Options) -> ExitCode {
    // Panics of mistaken replicas are no kills and not worth a report.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted: Vec<_> =
        MUTANTS.iter().filter(|(name, _)| options.mutant.is_empty() || *name == options.mutant).collect();
    let next = AtomicU64::new(0);
    let kills: Mutex<BTreeMap<(usize, u64), Kill>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let (at, start) =
                        (usize::try_from(job / options.starts).unwrap_or(usize::MAX), job % options.starts);
                    let Some((name, _)) = wanted.get(at) else { return };
                    let kill = seeds_to_kill(name, options.from + start * 1_000_000, options.count);
                    kills.lock().expect("nobody panics with it").insert((at, start), kill);
                }
            });
        }
    });
    let kills = kills.into_inner().expect("nobody panics with it");
    let mut survivors = 0;
    let mut table = String::from(
        "| mutant | mistake | property that fails first | seeds, by start | median |\n|---|---|---|---|---|\n",
    );
    for (at, (name, what)) in wanted.iter().enumerate() {
        let starts: Vec<Kill> = kills.range((at, 0)..(at + 1, 0)).map(|(_, kill)| *kill).collect();
        let mut seeds: Vec<u64> =
            starts.iter().map(|kill| kill.map_or(u64::MAX, |(seeds, _)| seeds)).collect();
        let text = |seeds: u64| if seeds == u64::MAX { "none".to_owned() } else { seeds.to_string() };
        let listed: Vec<String> = seeds.iter().map(|seeds| text(*seeds)).collect();
        seeds.sort_unstable();
        let properties: BTreeSet<&str> = starts.iter().flatten().map(|(_, property)| *property).collect();
        let properties = properties.into_iter().collect::<Vec<_>>().join("; ");
        let median = seeds[seeds.len() / 2];
        survivors += u64::from(median == u64::MAX);
        let listed = listed.join(", ");
        let row = format!("| {name} | {what} | {properties} | {listed} | {} |\n", text(median));
        table.push_str(&row);
    }
    print!("{table}");
    let published = tell(options, "mutants", &table);
    if survivors > 0 { ExitCode::FAILURE } else { published }
}

/// How a start went: after how many seeds which property failed; `None` if none did.
type Kill = Option<(u64, &'static str)>;

/// Runs seeds with a mistake, from this one on, until one notices it.
fn seeds_to_kill(name: &'static str, from: u64, most: u64) -> Kill {
    for count in 1..=most {
        let seed = from + count - 1;
        activate(name);
        let failed = catch_unwind(|| run_seed(seed));
        activate("");
        let Ok(Err(failure)) = failed else { continue };
        if catch_unwind(|| run_seed(seed).is_ok()).unwrap_or(false) {
            return Some((count, failure.violation.property));
        }
    }
    None
}
