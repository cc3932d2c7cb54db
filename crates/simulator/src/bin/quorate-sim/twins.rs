//! `--twins` and `--twins-trace`: members that run twice.

use crate::say;
use quorate_simulator::twins::{Report, Walk, run, story};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What all scenarios did together.
#[derive(Default)]
struct Total {
    scenarios: u64,
    conflict: u64,
    convicted: u64,
    view_change: u64,
    ended: u64,
    amnesia: u64,
    blocks: u64,
    conflicts: u64,
    view_changes: u64,
    virtual_time: u64,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.scenarios += 1;
        self.conflict += u64::from(report.conflicts > 0);
        self.convicted += u64::from(report.convicted > 0);
        self.view_change += u64::from(report.view_changes > 0);
        self.ended += u64::from(report.script_ended);
        self.amnesia += u64::from(report.amnesiacs > 0);
        self.blocks += report.height;
        self.conflicts += report.conflicts as u64;
        self.view_changes += report.view_changes as u64;
        self.virtual_time += report.virtual_time;
    }

    fn print(&self, walk: &Walk, seconds: f64) {
        let (small, large) = walk.sizes();
        let rate = self.scenarios as f64 / seconds;
        say(&format!("{} scenarios passed in {seconds:.0} s: {rate:.1} a second\n", self.scenarios));
        say(&format!(
            "of {small} with four members and one twin, and {large} with seven and two; none twice\n"
        ));
        for (count, what) in [
            (self.conflict, "with a conflict: correct members got statements that contradict each other"),
            (self.convicted, "with a twinned member that its statements convict"),
            (self.view_change, "with a view change"),
            (self.ended, "in which every scripted view was left before the time was over"),
            (self.amnesia, "in which a copy learnt of votes that its log does not have"),
        ] {
            say(&format!("{count} {what} ({:.1} %)\n", 100.0 * count as f64 / self.scenarios.max(1) as f64));
        }
        say(&format!("{} conflicts, {} entries into a view\n", self.conflicts, self.view_changes));
        say(&format!("{} blocks agreed\n", self.blocks));
        say(&format!("{} seconds of virtual time\n", self.virtual_time / 1_000_000));
    }
}

/// Runs the scenarios at these places of the walk.
#[expect(clippy::disallowed_types, reason = "how long scenarios take is measured outside of them")]
pub(crate) fn run_all(from: u64, count: u64, jobs: usize, prepare: &(dyn Fn() + Sync)) -> ExitCode {
    let walk = Walk::default();
    let (next, end) = (AtomicU64::new(from), from.saturating_add(count));
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                prepare();
                while !failed.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= end {
                        return;
                    }
                    let scenario = walk.scenario(place);
                    let why = match catch_unwind(|| run(&scenario, place)) {
                        Ok(Ok(report)) => {
                            total.lock().expect("nobody panics with it").add(&report);
                            continue;
                        }
                        Ok(Err(failure)) => {
                            format!("{}: {}", failure.violation.property, failure.violation.what)
                        }
                        Err(_) => "a panic, told above".to_owned(),
                    };
                    failed.store(true, Ordering::Relaxed);
                    eprintln!("Twins scenario {place} fails: {why}\n{scenario}replay: quorate-sim --twins-trace {place}");
                }
            });
        }
    });
    if failed.into_inner() {
        return ExitCode::FAILURE;
    }
    total.into_inner().expect("nobody panics with it").print(&walk, start.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// Prints what happens in one scenario, line by line.
pub(crate) fn trace(place: u64) -> ExitCode {
    say(&format!("Twins scenario {place}\n"));
    story(&Walk::default().scenario(place), place, &mut |line| say(&format!("{line}\n")));
    ExitCode::SUCCESS
}
