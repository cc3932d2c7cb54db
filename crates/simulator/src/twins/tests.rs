use super::shuffle::shuffled;
use super::{Space, Variant, Walk};
use std::collections::BTreeSet;

#[test]
fn the_order_visits_every_number_once() {
    for size in [1, 2, 3, 41, 1_000, 1_025] {
        let visited: BTreeSet<u128> = (0..size).map(|place| shuffled(place, size)).collect();
        assert_eq!(visited.len() as u128, size);
        assert!(visited.last() < Some(&size));
    }
    // Beyond what can be counted: distinct, and spread over the whole size.
    let size = 1 << 110;
    let visited: BTreeSet<u128> = (0..1_000).map(|place| shuffled(place, size)).collect();
    assert_eq!(visited.len(), 1_000);
    assert!(
        visited.iter().any(|number| *number > size / 2) && visited.iter().any(|number| *number < size / 2)
    );
}

#[test]
fn no_place_of_the_walk_repeats_a_scenario() {
    let walk = Walk::default();
    let scenarios: Vec<String> = (0..2_000).map(|place| format!("{:?}", walk.scenario(place))).collect();
    assert_eq!(scenarios.iter().collect::<BTreeSet<_>>().len(), scenarios.len());
    let of_seven = scenarios.iter().filter(|scenario| scenario.contains("members: 7")).count();
    assert_eq!(of_seven, 250);
}

#[test]
fn variants_are_all_drawn() {
    let walk = Walk::default();
    let drawn: Vec<Variant> = (0..200).map(|place| walk.scenario(place).variant).collect();
    let count = |wanted: fn(&Variant) -> bool| drawn.iter().filter(|variant| wanted(variant)).count();
    assert!(count(|variant| *variant == Variant::Plain) > 10);
    assert!(count(|variant| *variant == Variant::TwinRestarts) > 10);
    assert!(count(|variant| *variant == Variant::TwinForgets) > 10);
    assert!(count(|variant| matches!(variant, Variant::MemberRestarts(_))) > 10);
}

#[test]
fn the_sizes_are_those_of_burnside() {
    // 41 partitions of five processes, 15 of which stay as they are when two copies are swapped: 14 have them in one part, and one
    // has both alone. A script has nine.
    let (all, kept) = (41u128.pow(9), 15u128.pow(9));
    let (whole, halved) = (all, all.midpoint(kept));
    // Four members to twin; two variants name a copy, four do not.
    assert_eq!(Space::new(4).size(), 4 * (2 * whole + 4 * halved));
}
