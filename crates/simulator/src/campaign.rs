//! What many seeds did together: how far they went, what they passed through, and whether they were wild enough to count.

use crate::seed::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Fewer seeds than this say nothing about shares.
const ENOUGH: usize = 1_000;

/// Fewer seeds than this may miss the rarest moments.
const ENOUGH_FOR_PROBES: usize = 20_000;

/// The least share of seeds, in percent, in which something must happen.
const LEAST: [(&str, u64); 3] =
    [("with a view change", 50), ("with a Byzantine member", 40), ("with a crash inside a view change", 30)];

/// Blocks that half of the seeds must reach.
const LEAST_MEDIAN: u64 = 100;

/// The sum of all reports.
#[derive(Debug, Default)]
pub struct Total {
    heights: Vec<u64>,
    counts: BTreeMap<&'static str, u64>,
    lies: BTreeMap<u16, u64>,
    probes: BTreeMap<&'static str, u64>,
    states: BTreeSet<u64>,
    /// Distinct states after so many seeds.
    growth: Vec<(u64, usize)>,
}

impl Total {
    /// One seed that passed.
    pub fn add(&mut self, report: Report) {
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

    fn percent(&self, count: u64) -> f64 {
        100.0 * count as f64 / self.heights.len().max(1) as f64
    }

    /// Blocks that this share of the seeds, in percent, stays at or below.
    fn height_at(&self, share: usize) -> u64 {
        let mut heights = self.heights.clone();
        heights.sort_unstable();
        heights.get(heights.len() * share / 100).copied().unwrap_or(0)
    }

    /// Everything, for people.
    pub fn text(&self, seconds: f64, jobs: usize) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(words);
            text.push('\n');
        };
        let seeds = self.heights.len();
        let rate = seeds as f64 / seconds;
        line(format_args!("{seeds} seeds passed in {seconds:.0} s with {jobs} jobs: {rate:.1} a second"));
        let [median, low, high] = [50, 10, 90].map(|share| self.height_at(share));
        line(format_args!("blocks a seed: median {median}, of ten seeds {low} to {high}"));
        for (low, high) in [(0, 10), (10, 50), (50, 100), (100, 200), (200, 400), (400, 800), (800, u64::MAX)]
        {
            let count = self.heights.iter().filter(|height| (low..high).contains(*height)).count();
            let bar = "#".repeat(60 * count / seeds.max(1));
            line(format_args!("{}", format!("  {low:>4} blocks or more {count:>7} {bar}").trim_end()));
        }
        for (name, count) in &self.counts {
            if name.starts_with("with ") {
                line(format_args!("{count} {name} ({:.1} %)", self.percent(*count)));
            } else {
                line(format_args!("{count} {name}"));
            }
        }
        let lies: Vec<String> = self.lies.iter().map(|(way, count)| format!("{way}: {count}")).collect();
        line(format_args!("lies told, by number of the way: {}", lies.join(", ")));
        let states = self.states.len();
        let hours = seconds * jobs as f64 / 3_600.0;
        line(format_args!(
            "distinct abstract states {states}: {:.0} an hour of one core",
            states as f64 / hours
        ));
        let growth: Vec<String> =
            self.growth.iter().map(|(seeds, states)| format!("{seeds}: {states}")).collect();
        line(format_args!("distinct states after so many seeds {}", growth.join(", ")));
        for name in quorate_types::probes::ALL.iter().filter(|_| cfg!(feature = "probes")) {
            line(format_args!("{:>10} times {name}", self.probes.get(name).copied().unwrap_or(0)));
        }
        text
    }

    /// What keeps these seeds from counting as a campaign: too few blocks, too little trouble, moments never reached.
    pub fn shortfalls(&self) -> Vec<String> {
        if self.heights.len() < ENOUGH {
            return Vec::new();
        }
        let mut missing = Vec::new();
        if self.height_at(50) < LEAST_MEDIAN {
            missing.push(format!("half of the seeds end below {LEAST_MEDIAN} blocks"));
        }
        for (name, least) in LEAST {
            let share = self.percent(self.counts.get(name).copied().unwrap_or(0));
            if share < least as f64 {
                missing.push(format!("only {share:.1} % of the seeds are {name}; {least} % must be"));
            }
        }
        if cfg!(feature = "probes") && self.heights.len() >= ENOUGH_FOR_PROBES {
            let never = quorate_types::probes::ALL.iter().filter(|name| !self.probes.contains_key(*name));
            missing.extend(never.map(|name| format!("never reached: {name}")));
        }
        missing
    }
}

/// Puts a text into a file, between the lines `<!-- begin SECTION -->` and `<!-- end SECTION -->`.
///
/// # Errors
/// If the file cannot be read or written, or has no such lines.
pub fn publish(path: &Path, section: &str, text: &str) -> io::Result<()> {
    let before = std::fs::read_to_string(path)?;
    let (begin, end) = (format!("<!-- begin {section} -->\n"), format!("<!-- end {section} -->"));
    let missing = || io::Error::other(format!("no lines {begin:?} and {end:?}"));
    let start = before.find(&begin).ok_or_else(missing)? + begin.len();
    let stop = before[start..].find(&end).ok_or_else(missing)? + start;
    std::fs::write(path, format!("{}{text}{}", &before[..start], &before[stop..]))
}

#[cfg(test)]
mod tests;
