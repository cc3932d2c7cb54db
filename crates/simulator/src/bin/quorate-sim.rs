//! Runs seeds of the simulator on all cores, replays one with what happened in it, and makes a failing one smaller.

#[path = "quorate-sim/twins.rs"]
mod twins;

use quorate_simulator::draw::Draw;
use quorate_simulator::{Failure, Report, run_draw, run_seed, shrink, story};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "quorate-sim [--from SEED] [--count N] [--jobs N]   run seeds; --jobs 0, the default, is one for each core
quorate-sim --seed SEED                             run one seed and print its report
quorate-sim --trace SEED                            print what happens in it, line by line
quorate-sim --shrink SEED                           make a failing seed as small as it can be and still fail
quorate-sim --twins N [--from I]                    run scenarios I to I + N with members that run twice
quorate-sim --twins-trace I                         print what happens in one of them
With the feature `mutants`: --mutant m11 runs with that mistake; --mutants N tells how many seeds, of at most N, notice each
mistake, in five starts. With the feature `probes` a run of 1,000 seeds or more fails
if some rare moment never came.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Run,
    Trace,
    Shrink,
    Twins,
    TwinsTrace,
    Mutants,
}

struct Options {
    from: u64,
    count: u64,
    jobs: usize,
    mutant: &'static str,
    task: Task,
}

fn options() -> Result<Options, String> {
    let mut options = Options { from: 0, count: 200, jobs: 0, mutant: "", task: Task::Run };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--help" {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        if name == "--mutant" && cfg!(feature = "mutants") {
            options.mutant = value.leak();
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{value:?} is no number"))?;
        let one = |task| Options { from: number, count: 1, jobs: 1, mutant: options.mutant, task };
        match name.as_str() {
            "--from" => options.from = number,
            "--count" => options.count = number,
            "--jobs" => options.jobs = usize::try_from(number).unwrap_or(0),
            "--seed" => options = one(Task::Run),
            "--trace" => options = one(Task::Trace),
            "--shrink" => options = one(Task::Shrink),
            "--twins" => (options.count, options.task) = (number, Task::Twins),
            "--twins-trace" => options = one(Task::TwinsTrace),
            "--mutants" if cfg!(feature = "mutants") => {
                (options.count, options.task) = (number, Task::Mutants);
            }
            _ => return Err(format!("unknown option {name}\n{USAGE}")),
        }
    }
    if options.jobs == 0 {
        options.jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    }
    Ok(options)
}

fn activate(_mutant: &'static str) {
    #[cfg(feature = "mutants")]
    quorate_types::mutants::activate(_mutant);
}

/// What all seeds did together.
#[derive(Default)]
struct Total {
    heights: Vec<u64>,
    counts: BTreeMap<&'static str, u64>,
    lies: BTreeMap<u16, u64>,
    probes: BTreeMap<&'static str, u64>,
    states: BTreeSet<u64>,
    /// Distinct states after so many seeds.
    growth: Vec<(u64, usize)>,
}

impl Total {
    fn add(&mut self, report: Report) {
        self.heights.push(report.height);
        for (name, count) in [
            ("with a view change", u64::from(report.view_changes > 0)),
            ("with a Byzantine member", u64::from(report.liars > 0)),
            ("with disks that betray a member", u64::from(report.betrayed > 0)),
            ("with more liars than may fail", u64::from(report.beyond_budget)),
            ("with a crash", u64::from(report.crashes > 0)),
            ("with a crash inside a view change", u64::from(report.crashes_in_view_changes > 0)),
            ("with a transfer", u64::from(report.catch_ups > 0)),
            ("outcomes", report.answered),
            ("events", report.events),
            ("seconds of virtual time", report.virtual_time / 1_000_000),
        ] {
            *self.counts.entry(name).or_default() += count;
        }
        for (way, count) in report.lies {
            *self.lies.entry(way).or_default() += count;
        }
        for (name, count) in report.probes {
            *self.probes.entry(name).or_default() += count;
        }
        self.states.extend(report.states);
        let seeds = self.heights.len() as u64;
        if seeds.is_power_of_two() {
            self.growth.push((seeds, self.states.len()));
        }
    }

    fn print(&mut self, seconds: f64, jobs: usize) {
        self.heights.sort_unstable();
        let seeds = self.heights.len();
        let at = |share: usize| self.heights.get(seeds * share / 100).copied().unwrap_or(0);
        println!(
            "{seeds} seeds passed in {seconds:.0} s with {jobs} jobs: {:.1} a second",
            seeds as f64 / seconds
        );
        println!("blocks a seed: median {}, of ten seeds {} to {}", at(50), at(10), at(90));
        for (low, high) in [(0, 10), (10, 50), (50, 100), (100, 200), (200, 400), (400, 800), (800, u64::MAX)]
        {
            let count = self.heights.iter().filter(|height| (low..high).contains(*height)).count();
            let bar = "#".repeat(60 * count / seeds.max(1));
            println!("  {low:>4} blocks or more {count:>7} {bar}");
        }
        for (name, count) in &self.counts {
            let share = if name.starts_with("with ") {
                format!(" ({:.1} %)", 100.0 * *count as f64 / seeds.max(1) as f64)
            } else {
                String::new()
            };
            println!("{count} {name}{share}");
        }
        let lies: Vec<String> = self.lies.iter().map(|(way, count)| format!("{way}: {count}")).collect();
        println!("lies told, by number of the way: {}", lies.join(", "));
        let growth: Vec<String> =
            self.growth.iter().map(|(seeds, states)| format!("{seeds}: {states}")).collect();
        println!("distinct abstract states {}; after so many seeds {}", self.states.len(), growth.join(", "));
        for name in quorate_types::probes::ALL.iter().filter(|_| cfg!(feature = "probes")) {
            println!("{:>10} times {name}", self.probes.get(name).copied().unwrap_or(0));
        }
    }

    fn never_hit(&self) -> Vec<&'static str> {
        let enough = cfg!(feature = "probes") && self.heights.len() >= 1_000;
        let missing = quorate_types::probes::ALL.iter().filter(|name| !self.probes.contains_key(*name));
        missing.filter(|_| enough).copied().collect()
    }
}

/// What a seed led to: a report, a property that failed, or a panic.
enum Ended {
    Passed(Box<Report>),
    Failed(Box<Failure>),
    Panicked,
}

fn run(seed: u64) -> Ended {
    match catch_unwind(|| run_seed(seed)) {
        Ok(Ok(report)) => Ended::Passed(Box::new(report)),
        Ok(Err(failure)) => Ended::Failed(failure),
        Err(_) => Ended::Panicked,
    }
}

fn run_all(options: &Options) -> ExitCode {
    let next = AtomicU64::new(options.from);
    let end = options.from + options.count;
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                activate(options.mutant);
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let why = match run(seed) {
                        Ended::Passed(report) => {
                            if options.count == 1 {
                                println!("{:#?}", Report { states: BTreeSet::new(), ..(*report).clone() });
                            }
                            total.lock().expect("nobody panics with it").add(*report);
                            continue;
                        }
                        Ended::Failed(failure) => {
                            format!("{}: {}", failure.violation.property, failure.violation.what)
                        }
                        Ended::Panicked => "a panic, told above".to_owned(),
                    };
                    failed.store(true, Ordering::Relaxed);
                    eprintln!("seed {seed} fails: {why}\nreplay: quorate-sim --seed {seed}; see --trace and --shrink");
                }
            });
        }
    });
    let mut total = total.into_inner().expect("nobody panics with it");
    if failed.into_inner() {
        return ExitCode::FAILURE;
    }
    total.print(start.elapsed().as_secs_f64(), options.jobs);
    let missing = total.never_hit();
    if !missing.is_empty() {
        eprintln!("never reached: {}", missing.join("; "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The property that fails under a configuration; a panic is one too.
fn failing(seed: u64, draw: &Draw) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run_draw(seed, draw))) {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure.violation.property.to_owned()),
        Err(_) => Some("a panic".to_owned()),
    }
}

/// Prints, for each mistake, which property notices it and after how many seeds: the table of docs/assurance.md.
#[cfg(feature = "mutants")]
fn judge_mutants(options: &Options) -> ExitCode {
    use quorate_simulator::mutants::{Kill, MUTANTS, seeds_to_kill};
    const STARTS: u64 = 5;
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
                    let (at, start) = (usize::try_from(job / STARTS).unwrap_or(usize::MAX), job % STARTS);
                    let Some((name, _)) = wanted.get(at) else { return };
                    let kill = seeds_to_kill(name, options.from + start * 1_000_000, options.count);
                    kills.lock().expect("nobody panics with it").insert((at, start), kill);
                }
            });
        }
    });
    let kills = kills.into_inner().expect("nobody panics with it");
    let mut survivors = 0;
    println!(
        "| mutant | mistake | property that fails first | seeds, five starts | median |\n|---|---|---|---|---|"
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
        println!("| {name} | {what} | {properties} | {} | {} |", listed.join(", "), text(median));
    }
    if survivors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    match options.task {
        Task::Run => run_all(&options),
        Task::Trace => {
            activate(options.mutant);
            story(options.from, &mut |line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Task::Twins => {
            let mutant = options.mutant;
            twins::run_all(options.from, options.count, options.jobs, &|| activate(mutant))
        }
        Task::TwinsTrace => {
            activate(options.mutant);
            twins::trace(options.from)
        }
        #[cfg(feature = "mutants")]
        Task::Mutants => judge_mutants(&options),
        #[cfg(not(feature = "mutants"))]
        Task::Mutants => ExitCode::from(2),
        Task::Shrink => {
            activate(options.mutant);
            let draw = Draw::of(options.from);
            let Some(property) = failing(options.from, &draw) else {
                println!("seed {} passes", options.from);
                return ExitCode::SUCCESS;
            };
            let fails = |draw: &Draw| failing(options.from, draw).as_deref() == Some(&property);
            let (small, tries) = shrink(&draw, fails);
            println!("{property} still fails after {tries} tries with\n{small:#?}");
            ExitCode::FAILURE
        }
    }
}
