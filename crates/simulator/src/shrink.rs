//! Makes a failing configuration smaller: one class of faults after another is switched off, members made honest, the run cut
//! shorter, for as long as the same property fails. The randomness of the seed stays.

use crate::draw::Draw;
use crate::link::LinkFaults;

type Change = fn(&mut Draw);

/// Every way to make a configuration simpler.
const CHANGES: &[Change] = &[
    |draw| draw.steps /= 2,
    |draw| draw.steps -= draw.steps / 10,
    |draw| draw.liars.clear(),
    |draw| drop(draw.liars.pop()),
    |draw| draw.liars.iter_mut().filter(|(_, ways)| ways.len() > 1).for_each(|(_, ways)| ways.truncate(1)),
    |draw| draw.betrayed.clear(),
    |draw| draw.dead.clear(),
    |draw| draw.crashes = 0,
    |draw| draw.hunts = 0,
    |draw| draw.partitions = 0,
    |draw| draw.clogs = 0,
    |draw| draw.pauses = 0,
    |draw| draw.clock_jumps = 0,
    |draw| draw.clock_rates.fill(1_000),
    |draw| draw.syncs.fill(300),
    |draw| draw.executions.fill(0),
    |draw| draw.changes = 0,
    |draw| draw.sync_failures = 0,
    |draw| draw.full_disks = 0,
    |draw| draw.retain_blocks.fill(None),
    |draw| draw.healed_delay = 1_000,
    |draw| draw.faults = LinkFaults::healthy(1_000),
    |draw| draw.faults.loss = 0,
    |draw| draw.faults.duplicates = 0,
    |draw| draw.faults.stragglers = 0,
    |draw| draw.faults.replays = 0,
    |draw| draw.faults.capacity = None,
    |draw| draw.faults.jitter = 500,
    |draw| draw.workload.rivals = 0,
    |draw| draw.workload.copies = 0,
    |draw| draw.workload.nonsense = 0,
    |draw| draw.workload.value_bytes = 0,
    |draw| draw.workload.clients = 1,
    |draw| draw.workload.under_way = 1,
];

/// The smallest configuration found that still fails, and how many were tried.
pub fn shrink(draw: &Draw, fails: impl Fn(&Draw) -> bool) -> (Draw, usize) {
    let mut smallest = draw.clone();
    let mut tries = 0;
    loop {
        let before = format!("{smallest:?}");
        for change in CHANGES {
            let mut candidate = smallest.clone();
            change(&mut candidate);
            if format!("{candidate:?}") == format!("{smallest:?}") {
                continue;
            }
            tries += 1;
            if fails(&candidate) {
                smallest = candidate;
            }
        }
        if format!("{smallest:?}") == before {
            return (smallest, tries);
        }
    }
}
