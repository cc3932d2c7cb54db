//! What the network does to messages.

use crate::random::Random;
use quorate_types::ReplicaId;
use std::collections::{BTreeMap, BTreeSet};

/// Rates of the network's faults. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFaults {
    pub min_delay: u64,
    /// Added to the least delay: up to so much, uniformly.
    pub jitter: u64,
    /// Lost, of a thousand.
    pub loss: u64,
    /// Delivered twice, of a thousand.
    pub duplicates: u64,
    /// Delayed by up to two seconds more, of a thousand.
    pub stragglers: u64,
    /// After so many of a thousand messages an old one arrives again, from any time of the run.
    pub replays: u64,
    /// How many messages a directed link holds; what does not fit is lost.
    pub capacity: Option<u64>,
    /// Directed links that deliver nothing.
    pub cut: BTreeSet<(ReplicaId, ReplicaId)>,
    /// Members whose NEW-VIEWs reach nobody.
    pub no_new_views_of: BTreeSet<ReplicaId>,
    /// Directed links that deliver nothing before a moment.
    pub clogged: BTreeMap<(ReplicaId, ReplicaId), u64>,
}

impl LinkFaults {
    /// A network that delivers everything after about so many microseconds, in varying order.
    pub fn healthy(delay: u64) -> Self {
        Self { min_delay: delay / 2, jitter: delay, ..Self::default() }
    }

    /// After how long each copy of a message arrives; empty if it is lost.
    pub(crate) fn deliveries(
        &self,
        (from, to): (ReplicaId, ReplicaId),
        now: u64,
        random: &mut Random,
    ) -> Vec<u64> {
        if self.cut.contains(&(from, to)) || random.permille(self.loss) {
            return Vec::new();
        }
        let copies = if random.permille(self.duplicates) { 2 } else { 1 };
        let clogged = self.clogged.get(&(from, to)).map_or(0, |until| until.saturating_sub(now));
        (0..copies)
            .map(|_| {
                let straggles = if random.permille(self.stragglers) { random.below(2_000_000) } else { 0 };
                clogged + self.min_delay + random.below(self.jitter + 1) + straggles
            })
            .collect()
    }

    /// Cuts every link between two groups.
    pub fn split(&mut self, one: &[ReplicaId], other: &[ReplicaId]) {
        for a in one {
            for b in other {
                self.cut.insert((*a, *b));
                self.cut.insert((*b, *a));
            }
        }
    }
}
