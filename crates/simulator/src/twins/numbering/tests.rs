use super::{Group, Space, swapped};
use crate::partitions::Partition;
use crate::twins::Variant;
use std::collections::BTreeSet;

/// A script as its class: the least of what swaps of copies make of it.
fn class(script: &[Partition], group: &Group, members: usize, twins: usize) -> Vec<Partition> {
    let images = group
        .iter()
        .map(|swaps| script.iter().map(|partition| swapped(partition, *swaps, members, twins)).collect());
    images.min().unwrap()
}

#[test]
fn every_class_of_scripts_has_one_number() {
    // Short scripts can be counted out: two partitions of five processes, with one pair of copies.
    let space = Space::new(4);
    let partitions = Partition::all(5, 3);
    let group: Group = [0, 1].into();
    let every =
        partitions.iter().flat_map(|one| partitions.iter().map(move |other| [one.clone(), other.clone()]));
    let classes: BTreeSet<_> = every.map(|script| class(&script, &group, 4, 1)).collect();
    assert_eq!(space.counts[&(2, group)], classes.len() as u128);
}

#[test]
fn classes_under_two_pairs_are_counted_too() {
    let space = Space::new(7);
    let partitions = Partition::all(9, 3);
    let group: Group = [0, 1, 2, 3].into();
    let classes: BTreeSet<_> =
        partitions.iter().map(|one| class(std::slice::from_ref(one), &group, 7, 2)).collect();
    assert_eq!(space.counts[&(1, group.clone())], classes.len() as u128);
    // Burnside: the mean over the swaps of how many scripts each leaves alone.
    let alone =
        |swaps: u8| partitions.iter().filter(|one| swapped(one, swaps, 7, 2) == **one).count() as u128;
    let kept: u128 = group.iter().map(|swaps| alone(*swaps).pow(9)).sum();
    assert_eq!(space.counts[&(9, group)], kept / 4);
}

#[test]
fn neighbouring_numbers_are_different_scenarios_up_to_swaps() {
    for (members, twins) in [(4, 1), (7, 2)] {
        let space = Space::new(members);
        let stride = space.size() / 997;
        let mut seen = BTreeSet::new();
        for number in (0..997).flat_map(|at| [at * stride, at * stride + 1]) {
            let scenario = space.scenario(number);
            assert_eq!(scenario.twinned.len(), twins);
            assert!(scenario.views.iter().all(|phases| phases.len() == 3) && scenario.views.len() == 3);
            // Members in their place again, copies in the order that the class has.
            let group: Group = match scenario.variant {
                Variant::TwinRestarts | Variant::TwinForgets => {
                    (0..1u8 << twins).filter(|swaps| swaps & 1 == 0).collect()
                }
                _ => (0..1u8 << twins).collect(),
            };
            let images = group.iter().map(|swaps| {
                let swap = |partition: &Partition| {
                    let chosen = (0..twins).filter(|twin| (swaps >> twin) & 1 == 1);
                    chosen.fold(partition.clone(), |partition, twin| {
                        partition.swapped(scenario.twinned[twin].index(), usize::from(members) + twin)
                    })
                };
                scenario.views.iter().flatten().map(swap).collect::<Vec<_>>()
            });
            let class = images.min();
            assert!(
                seen.insert(format!("{:?} {:?} {class:?}", scenario.twinned, scenario.variant)),
                "{number} of {members} members repeats a scenario"
            );
        }
    }
}
