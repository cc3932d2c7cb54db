//! L1, L2, L3: with a quorum that works and talks, everything that waits is answered and everyone is at the same height
//! within the bound of V6; and nobody leaves a view in which nothing goes wrong.

use super::Violation;
use quorate_types::{Parameters, Quorums};
use std::time::Duration;

/// V6: at most `n − q` faulty primaries in a row, each for at most the longest timeout by the slowest clock, and time for
/// clients to come round to a gateway that lives.
pub(crate) fn bound(quorums: Quorums, parameters: &Parameters, slowest_clock: u64) -> Duration {
    let rounds = u64::from(quorums.members()) - quorums.strong() as u64 + 2;
    let timeouts = rounds * parameters.view_timeout_max_ms * 1_000 / slowest_clock.max(1);
    Duration::from_millis(timeouts) + Duration::from_secs(20)
}

/// What so many transactions need, one after another, where messages take about so many microseconds.
pub(crate) fn time_for(waiting: usize, delay: u64) -> Duration {
    Duration::from_micros(10 * delay * (waiting as u64 + 10))
}

/// What is left when the bound has passed.
pub(crate) fn within(
    bound: Duration,
    waiting: usize,
    converged: bool,
    position: &str,
) -> Result<(), Violation> {
    let (property, what) = match (waiting, converged) {
        (0, true) => return Ok(()),
        (0, false) => ("L2 catching up", format!("members lag after {bound:?}: {position}")),
        _ => ("L1 progress", format!("{waiting} transactions wait after {bound:?}: {position}")),
    };
    Err(Violation { property, what })
}

/// A run without faults has no view change.
pub(crate) fn calm(faults: bool, view_changes: u64) -> Result<(), Violation> {
    if faults || view_changes == 0 {
        return Ok(());
    }
    let what = format!("{view_changes} view changes though nothing went wrong");
    Err(Violation { property: "L3 no needless view change", what })
}
