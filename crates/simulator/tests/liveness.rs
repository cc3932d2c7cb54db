//! The healing phase of a seed can fail: what takes NEW-VIEWs away for good is noticed, and what takes only some is not held
//! against anybody.

use quorate_simulator::draw::Draw;
use quorate_simulator::run_draw;
use quorate_types::ReplicaId;

fn members(ids: &[u16]) -> Vec<ReplicaId> {
    ids.iter().copied().map(ReplicaId::new).collect()
}

/// Runs without faults, in which the first primary dies when it ends and something still waits, so that a view change is needed.
fn without_the_first_primary() -> impl Iterator<Item = (u64, Draw)> {
    let quiet = |seed: &u64| {
        let draw = Draw::of(*seed);
        draw.calm && draw.n == 4
    };
    let drawn = (0..10_000).filter(quiet).map(|seed| {
        let draw = Draw { calm: false, dead: members(&[0]), keeps_on: true, ..Draw::of(seed) };
        (seed, draw)
    });
    // With nobody else in the way the next primary takes over.
    let needs_one = |(seed, draw): &(u64, Draw)| {
        let report = run_draw(*seed, draw).unwrap_or_else(|failure| panic!("{:?}", failure.violation));
        report.view_changes > 0
    };
    drawn.filter(needs_one).take(3)
}

#[test]
fn with_nobody_in_the_way_the_next_primary_takes_over() {
    assert_eq!(without_the_first_primary().count(), 3);
}

/// The dead one's successor is heard by nobody when it opens its view: timers pass on to the one after it (V6).
#[test]
fn new_views_of_one_primary_may_be_lost() {
    for (seed, draw) in without_the_first_primary() {
        let draw = Draw { no_new_views_of: members(&[1]), ..draw };
        let report = run_draw(seed, &draw).unwrap_or_else(|failure| panic!("{:?}", failure.violation));
        assert!(report.view_changes > 0, "seed {seed} needed none");
    }
}

/// Whoever is primary, its NEW-VIEW reaches nobody: no timer helps.
#[test]
fn new_views_of_every_primary_may_not_be_lost() {
    for (seed, draw) in without_the_first_primary() {
        let draw = Draw { no_new_views_of: members(&[1, 2, 3]), ..draw };
        let failure = run_draw(seed, &draw).expect_err("nobody can open a view");
        assert_eq!(failure.violation.property, "L1 progress", "{}", failure.violation.what);
    }
}
