//! Medians and spreads, as a table in Markdown.

use crate::net::Sample;
use crate::standard::Case;
use std::fmt::Write as _;

/// The median, the least and the most.
pub(crate) fn spread(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}

fn cell(samples: &[Sample], digits: usize, of: impl Fn(&Sample) -> f64) -> String {
    let (median, least, most) = spread(samples, of);
    format!("{median:.digits$} [{least:.digits$}, {most:.digits$}]")
}

/// One row for each case.
pub(crate) fn text(cases: &[Case], samples: &[Vec<Sample>]) -> String {
    let mut text = String::from(
        "| case | tx/s | p50, ms | p99, ms | CPU-s of all replicas per 1,000 | times the floor | transactions in a block | syncs/s of the disk |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (case, samples) in cases.iter().zip(samples) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            case.name,
            cell(samples, 0, |sample| sample.throughput),
            cell(samples, 1, |sample| sample.p50),
            cell(samples, 1, |sample| sample.p99),
            cell(samples, 3, |sample| sample.cpu),
            cell(samples, 1, |sample| sample.cpu / sample.floor),
            cell(samples, 0, |sample| sample.per_block),
            cell(samples, 0, |sample| sample.syncs),
        );
    }
    text
}
