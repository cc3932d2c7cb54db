//! Partitions of a few processes into parts.

use quorate_types::ReplicaId;
use std::fmt;

/// A partition of the processes 0, 1, 2, …: for each the number of its part, numbered as they first appear, so that parts have
/// no order and equal partitions are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition(Vec<u8>);

impl Partition {
    /// The partition in which processes with the same label are together.
    pub fn labelled(labels: &[u8]) -> Self {
        let mut seen: Vec<u8> = Vec::new();
        let mut parts = Vec::with_capacity(labels.len());
        for label in labels {
            let part = seen.iter().position(|other| other == label).unwrap_or_else(|| {
                seen.push(*label);
                seen.len() - 1
            });
            parts.push(u8::try_from(part).unwrap_or(u8::MAX));
        }
        Self(parts)
    }

    /// Every partition of so many processes into at most so many parts, in order.
    pub(crate) fn all(processes: usize, most: u8) -> Vec<Self> {
        let mut found = vec![Vec::new()];
        for _ in 0..processes {
            let mut longer = Vec::new();
            for parts in found {
                let next = parts.iter().max().map_or(0, |highest: &u8| highest + 1);
                for part in 0..=next.min(most - 1) {
                    let mut parts = parts.clone();
                    parts.push(part);
                    longer.push(parts);
                }
            }
            found = longer;
        }
        found.into_iter().map(Self).collect()
    }

    /// The partition with two processes in each other's place.
    pub(crate) fn swapped(&self, one: usize, other: usize) -> Self {
        let mut labels = self.0.clone();
        labels.swap(one, other);
        Self::labelled(&labels)
    }

    /// Whether two processes are in one part.
    pub(crate) fn joins(&self, one: ReplicaId, other: ReplicaId) -> bool {
        self.0.get(one.index()) == self.0.get(other.index())
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().max().map_or(0, |highest| highest + 1);
        for part in 0..parts {
            let inside: Vec<String> = (0..)
                .zip(&self.0)
                .filter(|(_, of)| **of == part)
                .map(|(at, _): (u16, _)| at.to_string())
                .collect();
            write!(f, "{{{}}}", inside.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
