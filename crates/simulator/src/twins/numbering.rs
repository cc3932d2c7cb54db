//! Numbers the whole space of scenarios for a size of cluster: every one that differs from all others by more than which of two
//! copies is called the first.
//!
//! A script is a sequence of partitions; a group of swaps acts on all of it at once. It is numbered position by position: at
//! each, one partition stands for all that the group makes of it, and what of the group leaves that one alone acts on the rest.

use super::{PHASES, Scenario, Twinned, Variant};
use crate::partitions::Partition;
use quorate_types::{Quorums, ReplicaId};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Scripted views of a scenario: with more, the space of seven members has more scenarios than numbers fit in 128 bits.
pub(crate) const VIEWS: usize = 3;
const LENGTH: usize = VIEWS * PHASES;
/// Parts that a partition has at most.
const PARTS: u8 = 3;

/// Swaps, closed under composition: bit `i` swaps the two copies of the `i`-th twinned member.
type Group = BTreeSet<u8>;

/// Of the partitions that a group makes of each other one, by what of the group leaves it alone.
type Orbits = BTreeMap<Group, Vec<Partition>>;

/// Every scenario for so many members, `f` of them twinned.
#[derive(Debug)]
pub struct Space {
    members: u16,
    orbits: BTreeMap<Group, Orbits>,
    /// How many scripts of a length there are under a group.
    counts: BTreeMap<(usize, Group), u128>,
    /// Everything but the script, with the group that then acts on it.
    settings: Vec<(Twinned, Variant, Group)>,
}

impl Space {
    /// The space of clusters of so many members.
    ///
    /// # Panics
    /// If a cluster cannot have so many.
    pub fn new(members: u16) -> Self {
        let twins = Quorums::new(members).expect("a size that a cluster can have").weak() - 1;
        let partitions = Partition::all(usize::from(members) + twins, PARTS);
        let all: Group = (0..1 << twins).collect();
        let mut orbits = BTreeMap::new();
        let mut open = vec![all.clone(), unswapped_first(&all)];
        while let Some(group) = open.pop() {
            let Entry::Vacant(entry) = orbits.entry(group) else { continue };
            let found = orbits_of(entry.key(), &partitions, usize::from(members), twins);
            open.extend(found.keys().cloned());
            entry.insert(found);
        }
        let counts = count(&orbits);
        Self { members, orbits, counts, settings: settings(members, twins, &all) }
    }

    /// How many scenarios there are.
    pub fn size(&self) -> u128 {
        self.settings.iter().map(|(_, _, group)| self.counts[&(LENGTH, group.clone())]).sum()
    }

    /// The scenario with a number below [`Self::size`].
    ///
    /// # Panics
    /// With any other number.
    pub fn scenario(&self, number: u128) -> Scenario {
        let mut rest = number;
        for (twinned, variant, group) in &self.settings {
            let scripts = self.counts[&(LENGTH, group.clone())];
            if rest < scripts {
                let script = self.script(rest, group);
                let script: Vec<Partition> =
                    script.into_iter().map(|partition| placed(partition, twinned)).collect();
                let views = script.chunks(PHASES).map(<[Partition]>::to_vec).collect();
                return Scenario {
                    members: self.members,
                    twinned: twinned.clone(),
                    variant: *variant,
                    views,
                };
            }
            rest -= scripts;
        }
        panic!("there are only {} scenarios", self.size());
    }

    fn script(&self, mut number: u128, group: &Group) -> Vec<Partition> {
        let mut group = group;
        let mut script = Vec::new();
        while script.len() < LENGTH {
            let after = LENGTH - script.len() - 1;
            for (stabiliser, partitions) in &self.orbits[group] {
                let rests = self.counts[&(after, stabiliser.clone())];
                let here = rests * partitions.len() as u128;
                if number < here {
                    script.push(partitions[usize::try_from(number / rests).unwrap_or(0)].clone());
                    (number, group) = (number % rests, stabiliser);
                    break;
                }
                number -= here;
            }
        }
        script
    }
}

/// What of a group leaves the first twinned member's copies where they are.
fn unswapped_first(group: &Group) -> Group {
    group.iter().copied().filter(|swaps| swaps & 1 == 0).collect()
}

fn swapped(partition: &Partition, swaps: u8, members: usize, twins: usize) -> Partition {
    let chosen = (0..twins).filter(|twin| (swaps >> twin) & 1 == 1);
    chosen.fold(partition.clone(), |partition, twin| partition.swapped(twin, members + twin))
}

/// Partitions are numbered as if the first members were twinned; this puts those who are in their place. From the last one
/// down: a place that was filled is not touched again, since the members are in order.
fn placed(partition: Partition, twinned: &[ReplicaId]) -> Partition {
    let places = twinned.iter().enumerate().rev();
    places.fold(partition, |partition, (at, member)| partition.swapped(at, member.index()))
}

/// The orbits of a group.
fn orbits_of(group: &Group, partitions: &[Partition], members: usize, twins: usize) -> Orbits {
    let mut orbits = Orbits::new();
    for partition in partitions {
        let images: Vec<(u8, Partition)> =
            group.iter().map(|swaps| (*swaps, swapped(partition, *swaps, members, twins))).collect();
        if images.iter().all(|(_, image)| image >= partition) {
            let stays = images.iter().filter(|(_, image)| image == partition).map(|(swaps, _)| *swaps);
            orbits.entry(stays.collect()).or_default().push(partition.clone());
        }
    }
    orbits
}

/// For each length and group: the sum, over what a script can begin with, of how it can go on.
fn count(orbits: &BTreeMap<Group, Orbits>) -> BTreeMap<(usize, Group), u128> {
    let mut counts: BTreeMap<(usize, Group), u128> =
        orbits.keys().map(|group| ((0, group.clone()), 1)).collect();
    for length in 1..=LENGTH {
        for (group, orbits) in orbits {
            let ways = orbits
                .iter()
                .map(|(stabiliser, partitions)| {
                    partitions.len() as u128 * counts[&(length - 1, stabiliser.clone())]
                })
                .sum();
            counts.insert((length, group.clone()), ways);
        }
    }
    counts
}

/// Who is twinned, and what happens besides. Where something happens to the second copy of the first twinned member, its two
/// copies are not alike.
fn settings(members: u16, twins: usize, all: &Group) -> Vec<(Twinned, Variant, Group)> {
    let mut settings = Vec::new();
    for twinned in choices(members, twins) {
        for variant in [Variant::TwinRestarts, Variant::TwinForgets] {
            settings.push((twinned.clone(), variant, unswapped_first(all)));
        }
        settings.push((twinned.clone(), Variant::Plain, all.clone()));
        for correct in ReplicaId::all(members).filter(|member| !twinned.contains(member)) {
            settings.push((twinned.clone(), Variant::MemberRestarts(correct), all.clone()));
        }
    }
    settings
}

/// Every choice of so many members.
fn choices(members: u16, count: usize) -> Vec<Twinned> {
    let mut found: Vec<Twinned> = vec![Vec::new()];
    for _ in 0..count {
        found = found
            .iter()
            .flat_map(|chosen| {
                let above = chosen.last().map_or(0, |last| last.get() + 1);
                (above..members).map(move |next| {
                    let mut longer = chosen.clone();
                    longer.push(ReplicaId::new(next));
                    longer
                })
            })
            .collect();
    }
    found
}

#[cfg(test)]
mod tests;
