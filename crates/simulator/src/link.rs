//! What the network does to messages.

use crate::random::Random;
use quorate_types::ReplicaId;
use std::collections::BTreeSet;

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
    /// Directed links that deliver nothing.
    pub cut: BTreeSet<(ReplicaId, ReplicaId)>,
}

impl LinkFaults {
    /// A network that delivers everything soon, in varying order.
    pub fn healthy() -> Self {
        Self { min_delay: 200, jitter: 800, ..Self::default() }
    }

    /// After how long each copy of a message arrives; empty if it is lost.
    pub(crate) fn deliveries(&self, from: ReplicaId, to: ReplicaId, random: &mut Random) -> Vec<u64> {
        if self.cut.contains(&(from, to)) || random.permille(self.loss) {
            return Vec::new();
        }
        let copies = if random.permille(self.duplicates) { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let straggles = if random.permille(self.stragglers) { random.below(2_000_000) } else { 0 };
                self.min_delay + random.below(self.jitter + 1) + straggles
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
