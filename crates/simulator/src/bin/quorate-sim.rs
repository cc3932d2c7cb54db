//! Runs seeds of the simulator on all cores, replays one with what happened in it, and makes a failing one smaller.

#[path = "quorate-sim/twins.rs"]
mod twins;

#[cfg(feature = "mutants")]
#[path = "quorate-sim/mutants.rs"]
mod mutants;

use quorate_simulator::campaign::{Campaign, Total, publish};
use quorate_simulator::draw::Draw;
use quorate_simulator::{Failure, Report, run_draw, run_seed, shrink, story};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
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
--campaign FILE runs --count more seeds of a campaign whose sum FILE keeps, in parts of 1,000: it can be interrupted and goes on,
on the same code only.
With the feature `mutants`: --mutant m11 runs with that mistake; --mutants N tells how many seeds, of at most N, notice each
mistake, in --starts starts, five if nothing else is said. A run of 1,000 seeds or more fails if its seeds were too tame; one
of 20,000 or more, with the feature `probes`, if some rare moment never came. --into FILE puts what --count or --mutants print into a
file, between the lines `<!-- begin campaign -->` or `<!-- begin mutants -->` and the matching end.";

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
    starts: u64,
    mutant: &'static str,
    into: Option<PathBuf>,
    campaign: Option<PathBuf>,
    task: Task,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        from: 0,
        count: 200,
        jobs: 0,
        starts: 5,
        mutant: "",
        into: None,
        campaign: None,
        task: Task::Run,
    };
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
        if name == "--into" {
            options.into = Some(PathBuf::from(value));
            continue;
        }
        if name == "--campaign" {
            options.campaign = Some(PathBuf::from(value));
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{value:?} is no number"))?;
        let mutant = options.mutant;
        let one = |task| Options {
            from: number,
            count: 1,
            jobs: 1,
            starts: 1,
            mutant,
            into: None,
            campaign: None,
            task,
        };
        match name.as_str() {
            "--from" => options.from = number,
            "--count" => options.count = number,
            "--jobs" => options.jobs = usize::try_from(number).unwrap_or(0),
            "--starts" => options.starts = number.max(1),
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

/// Runs seeds on all cores; whether all passed.
#[expect(clippy::disallowed_types, reason = "how long seeds take is measured outside of them")]
fn run_seeds(seeds: std::ops::Range<u64>, options: &Options, total: &mut Total) -> bool {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let start = std::time::Instant::now();
    let sum = Mutex::new(&mut *total);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                activate(options.mutant);
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let why = match run(seed) {
                        Ended::Passed(report) => {
                            if options.count == 1 {
                                let report = Report { states: BTreeSet::new(), ..(*report).clone() };
                                say(&format!("{report:#?}\n"));
                            }
                            sum.lock().expect("nobody panics with it").add(*report);
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
    total.took(start.elapsed(), options.jobs);
    !failed.into_inner()
}

fn run_all(options: &Options) -> ExitCode {
    let mut total = Total::default();
    if !run_seeds(options.from..options.from + options.count, options, &mut total) {
        return ExitCode::FAILURE;
    }
    judge(options, &total, &total.text())
}

/// Seeds in parts, each kept when it has passed: an interruption costs one part at most.
fn run_campaign(options: &Options, path: &Path) -> io::Result<ExitCode> {
    const PART: u64 = 1_000;
    let mut campaign = Campaign::open(path, options.from)?;
    let end = campaign.next() + options.count;
    while campaign.next() < end {
        let part = campaign.next()..end.min(campaign.next() + PART);
        if !run_seeds(part, options, &mut campaign.total) {
            return Ok(ExitCode::FAILURE);
        }
        campaign.keep(path)?;
    }
    Ok(judge(options, &campaign.total, &campaign.text()))
}

/// Tells what seeds did, and whether they were wild enough to count.
fn judge(options: &Options, total: &Total, text: &str) -> ExitCode {
    say(text);
    let missing = total.shortfalls();
    for what in &missing {
        eprintln!("{what}");
    }
    let published = tell(options, "campaign", &format!("```text\n{text}```\n"));
    if missing.is_empty() { published } else { ExitCode::FAILURE }
}

/// Prints; whoever has heard enough and closed the pipe ends the program.
fn say(text: &str) {
    if io::stdout().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}

/// Puts a result where the options say.
fn tell(options: &Options, section: &str, text: &str) -> ExitCode {
    let Some(path) = &options.into else { return ExitCode::SUCCESS };
    match publish(path, section, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {}: {why}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// The property that fails under a configuration; a panic is one too.
fn failing(seed: u64, draw: &Draw) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run_draw(seed, draw))) {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure.violation.property.to_owned()),
        Err(_) => Some("a panic".to_owned()),
    }
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
        Task::Run => match &options.campaign {
            None => run_all(&options),
            Some(path) => run_campaign(&options, path).unwrap_or_else(|why| {
                eprintln!("error: {}: {why}", path.display());
                ExitCode::FAILURE
            }),
        },
        Task::Trace => {
            activate(options.mutant);
            story(options.from, &mut |line| say(&format!("{line}\n")));
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
        Task::Mutants => mutants::judge(&options),
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
