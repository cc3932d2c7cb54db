//! What many seeds did together: how far they went, what they passed through, and whether they were wild enough to count.

mod distinct;

use crate::seed::Report;
use distinct::Distinct;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The code that seeds run on, told by its sources.
pub const CODE: &str = env!("QUORATE_CODE");

/// Fewer seeds than this say nothing about shares.
const ENOUGH: u64 = 1_000;

/// Fewer seeds than this may miss the rarest moments.
const ENOUGH_FOR_PROBES: u64 = 20_000;

/// The least share of seeds, in percent, in which something must happen.
const LEAST: [(&str, u64); 3] =
    [("with a view change", 50), ("with a Byzantine member", 40), ("with a crash inside a view change", 30)];

/// Blocks that half of the seeds must reach.
const LEAST_MEDIAN: u64 = 100;

/// The sum of all reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// How many seeds reached each height.
    heights: BTreeMap<u64, u64>,
    counts: BTreeMap<String, u64>,
    lies: BTreeMap<u16, u64>,
    probes: BTreeMap<String, u64>,
    states: Distinct,
    /// About how many distinct states after so many seeds.
    growth: Vec<(u64, u64)>,
    /// How long it took, in milliseconds, and on how many cores.
    millis: u64,
    jobs: usize,
}

impl Total {
    /// Seeds that passed.
    pub fn seeds(&self) -> u64 {
        self.heights.values().sum()
    }

    /// So much time went by.
    pub fn took(&mut self, time: std::time::Duration, jobs: usize) {
        self.millis += u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.jobs = jobs;
    }

    /// One seed that passed.
    pub fn add(&mut self, report: Report) {
        *self.heights.entry(report.height).or_default() += 1;
        for (name, count) in [
            ("with a view change", u64::from(report.view_changes > 0)),
            ("with a Byzantine member", u64::from(report.liars > 0)),
            ("with disks that betray a member", u64::from(report.betrayed > 0)),
            ("with more liars than may fail", u64::from(report.beyond_budget)),
            ("with a crash", u64::from(report.crashes > 0)),
            ("with a crash inside a view change", u64::from(report.crashes_in_view_changes > 0)),
            ("with a change of members", u64::from(report.epoch > 0)),
            ("changes of members", report.epoch),
            ("with a transfer", u64::from(report.catch_ups > 0)),
            ("outcomes", report.answered),
            ("events", report.events),
            ("seconds of virtual time", report.virtual_time / 1_000_000),
        ] {
            *self.counts.entry(name.to_owned()).or_default() += count;
        }
        for (way, count) in report.lies {
            *self.lies.entry(way).or_default() += count;
        }
        for (name, count) in report.probes {
            *self.probes.entry(name.to_owned()).or_default() += count;
        }
        for state in report.states {
            self.states.add(state);
        }
        let seeds = self.seeds();
        if seeds.is_power_of_two() {
            self.growth.push((seeds, self.states.about()));
        }
    }

    fn percent(&self, count: u64) -> f64 {
        100.0 * count as f64 / self.seeds().max(1) as f64
    }

    /// Blocks that this share of the seeds, in percent, stays at or below.
    fn height_at(&self, share: u64) -> u64 {
        let place = self.seeds() * share / 100;
        let mut below = 0;
        let reached = self.heights.iter().find(|(_, count)| {
            below += **count;
            below > place
        });
        reached.map_or(0, |(height, _)| *height)
    }

    /// Everything, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(words);
            text.push('\n');
        };
        let (seeds, jobs, seconds) = (self.seeds(), self.jobs, self.millis as f64 / 1_000.0);
        let rate = seeds as f64 / seconds;
        line(format_args!("{seeds} seeds passed in {seconds:.0} s with {jobs} jobs: {rate:.1} a second"));
        let [median, low, high] = [50, 10, 90].map(|share| self.height_at(share));
        line(format_args!("blocks a seed: median {median}, of ten seeds {low} to {high}"));
        for (low, high) in [(0, 10), (10, 50), (50, 100), (100, 200), (200, 400), (400, 800), (800, u64::MAX)]
        {
            let count: u64 = self.heights.range(low..high).map(|(_, count)| count).sum();
            let bar = "#".repeat(usize::try_from(60 * count / seeds.max(1)).unwrap_or(0));
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
        let states = self.states.about();
        let hours = seconds * jobs as f64 / 3_600.0;
        line(format_args!(
            "distinct abstract states about {states}: {:.0} an hour of one core",
            states as f64 / hours
        ));
        let growth: Vec<String> =
            self.growth.iter().map(|(seeds, states)| format!("{seeds}: {states}")).collect();
        line(format_args!("about so many after so many seeds {}", growth.join(", ")));
        for name in quorate_types::probes::ALL.iter().filter(|_| cfg!(feature = "probes")) {
            line(format_args!("{:>10} times {name}", self.probes.get(*name).copied().unwrap_or(0)));
        }
        text
    }

    /// What keeps these seeds from counting as a campaign: too few blocks, too little trouble, moments never reached.
    pub fn shortfalls(&self) -> Vec<String> {
        if self.seeds() < ENOUGH {
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
        if cfg!(feature = "probes") && self.seeds() >= ENOUGH_FOR_PROBES {
            let never = quorate_types::probes::ALL.iter().filter(|name| !self.probes.contains_key(**name));
            missing.extend(never.map(|name| format!("never reached: {name}")));
        }
        missing
    }
}

/// A campaign that is run in parts: the sum of what passed so far, kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// The code that all its seeds ran on.
    code: String,
    /// The first seed.
    from: u64,
    pub total: Total,
}

impl Campaign {
    /// One that begins.
    pub fn begin(from: u64) -> Self {
        Self { code: CODE.to_owned(), from, total: Total::default() }
    }

    /// Where it goes on.
    pub fn next(&self) -> u64 {
        self.from + self.total.seeds()
    }

    /// What a file holds, or a new one if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or tells of seeds that ran on other code.
    pub fn open(path: &Path, from: u64) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Self::begin(from)),
            text => text?,
        };
        let campaign: Self = serde_json::from_str(&text)?;
        if campaign.code != CODE {
            let what =
                format!("its seeds ran on code {}, not on {CODE}; remove it to begin anew", campaign.code);
            return Err(io::Error::other(what));
        }
        Ok(campaign)
    }

    /// Keeps it, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_string(self)? + "\n")?;
        std::fs::rename(new, path)
    }

    /// Everything, for people.
    pub fn text(&self) -> String {
        format!("code {}, seeds {} to {}\n{}", self.code, self.from, self.next() - 1, self.total.text())
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
