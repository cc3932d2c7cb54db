//! T1 to T3: whoever was away for so long that nobody has the blocks any more fetches a state.

use crate::world::{World, id, small};
use quorate_pbft::Report;
use quorate_simulator::cluster::DiskFault;
use quorate_types::{Message, Seq};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Three members go on without the fourth, and keep few blocks.
fn gone_for_long() -> World {
    let mut world = World::new(4, small(), 7);
    for member in 0..4 {
        world.cluster.set_retain_blocks(id(member), 4);
    }
    world.until("all run", Duration::from_secs(5), |world| world.present().len() == 4);
    world.cluster.crash(id(3));
    world.lost.insert(id(3));
    for request in 0..150 {
        world.submit(id(request % 3));
        world.run(Duration::from_millis(20));
    }
    world.until("the others forget old blocks", Duration::from_secs(60), |world| {
        (0..3).all(|member| world.cluster.first_block(id(member)) > Some(Seq::new(20)))
    });
    world
}

fn installed(world: &World) -> usize {
    let of_it = |(member, report): &&(quorate_types::ReplicaId, Report)| {
        *member == id(3) && matches!(report, Report::StateInstalled { .. })
    };
    world.cluster.reports.iter().filter(of_it).count()
}

fn comes_back(world: &mut World) {
    world.cluster.start(id(3));
    world.lost.clear();
    world.until("it has caught up", Duration::from_secs(60), |world| {
        world.cluster.status(id(3)).is_some_and(|status| status.executed >= world.status(0).executed)
    });
}

#[test]
fn t1_who_was_away_for_long_goes_on_from_a_fetched_state() {
    let mut world = gone_for_long();
    comes_back(&mut world);
    assert_eq!(installed(&world), 1);
    assert!(world.cluster.first_block(id(3)) > Some(Seq::new(20)), "it never had the blocks");
    // It votes again: without it and another one there would be no quorum.
    world.cluster.crash(id(1));
    world.lost = BTreeSet::from([id(1)]);
    let answered = world.answered;
    world.submit(id(3));
    world.until("a transaction commits", Duration::from_secs(60), |world| world.answered > answered);
    assert!(world.cluster.checkers.violations.is_empty(), "{:?}", world.cluster.checkers.violations);
}

/// It is killed again and again while it fetches.
#[test]
fn t2_a_transfer_survives_kills() {
    let mut world = gone_for_long();
    for kill in 0..5 {
        world.cluster.start(id(3));
        world.run(Duration::from_millis(60 + 70 * kill));
        world.cluster.crash(id(3));
    }
    comes_back(&mut world);
    assert!(world.cluster.checkers.violations.is_empty(), "{:?}", world.cluster.checkers.violations);
}

/// A fresh member, for which nobody has the first blocks any more, among sources one of which lies in every kind of chunk; it is
/// killed five times on the way. What was here before a kill is not fetched again.
#[test]
fn t2_a_fresh_member_fetches_each_part_once_whatever_one_source_says() {
    let (needed, fetched) = fresh_member();
    assert!(
        needed > 100 && (fetched - needed) * 20 < needed,
        "{fetched} parts were fetched, {needed} needed"
    );
}

/// How many parts a fresh member needs, and how many it fetches of those who do not lie.
pub(crate) fn fresh_member() -> (usize, usize) {
    let mut world = World::new(4, small(), 11);
    for member in 0..4 {
        world.cluster.set_retain_blocks(id(member), 4);
    }
    world.until("all run", Duration::from_secs(5), |world| world.present().len() == 4);
    world.cluster.crash(id(3));
    world.lost.insert(id(3));
    world.cluster.damage(id(3), DiskFault::Lost);
    world.cluster.checkers.faulty.remove(&id(3));
    for key in 0..200_u16 {
        let value = vec![key.to_be_bytes()[1]; 50_000];
        world.submit_put(id(key % 3), format!("large{key}").into_bytes(), value);
        world.run(Duration::from_millis(20));
    }
    world.until("the others forget old blocks", Duration::from_secs(60), |world| {
        (0..3).all(|member| world.cluster.first_block(id(member)) > Some(Seq::new(20)))
    });
    world.cluster.corrupt(id(0), &[30]);

    let mut parts = BTreeMap::<(Seq, u32), usize>::new();
    let mut kills = 0;
    world.cluster.start(id(3));
    for _ in 0..60_000 {
        while let Some(flight) = world.take() {
            if flight.to == id(3)
                && flight.from != id(0)
                && !world.cluster.is_lost(&flight)
                && let Message::StateLeaves(part) = flight.message()
            {
                *parts.entry((part.height, part.index)).or_default() += 1;
            }
            world.cluster.deliver(&flight);
            let here = world.cluster.transfer(id(3)).map_or(0, |(_, held, _)| held);
            if kills < 5 && here > 18 * (kills + 1) {
                kills += 1;
                world.cluster.kill(id(3));
                // What was under way to it is lost, as when its connections break.
                world.step();
                world.cluster.start(id(3));
                let kept = world.cluster.transfer(id(3)).map_or(0, |(_, held, _)| held);
                assert_eq!(kept, here, "what was here at kill {kills} is here");
            }
        }
        world.pass();
        if world.cluster.status(id(3)).is_some_and(|status| status.executed >= world.status(1).executed) {
            break;
        }
    }
    assert_eq!((kills, installed(&world)), (5, 1));
    assert!(world.cluster.lies()[&30] > 0, "a source lied");
    assert!(world.cluster.checkers.violations.is_empty(), "{:?}", world.cluster.checkers.violations);
    (parts.len(), parts.values().sum())
}

/// One of the three sources answers nothing that is asked of a state.
#[test]
fn t2_a_source_that_gives_no_state_holds_nothing_up() {
    let mut world = gone_for_long();
    world.cluster.start(id(3));
    world.lost.clear();
    let mut keep = |flight: &quorate_simulator::cluster::InFlight| {
        flight.from != id(0) || !matches!(flight.message(), Message::StateParts(_) | Message::StateLeaves(_))
    };
    for _ in 0..6_000 {
        world.step_with(&mut keep);
        let caught_up =
            world.cluster.status(id(3)).is_some_and(|status| status.executed >= world.status(0).executed);
        if caught_up {
            break;
        }
    }
    assert_eq!(installed(&world), 1);
    assert!(world.cluster.checkers.violations.is_empty(), "{:?}", world.cluster.checkers.violations);
}
