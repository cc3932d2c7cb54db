//! Changes of the members under load (G, L2): whoever is there goes on, whoever was away follows, and nobody says anything twice.

use crate::world::{World, id, small};
use quorate_pbft::Phase;
use quorate_simulator::Random;
use quorate_types::{Epoch, ReplicaId};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn loaded(seed: u64) -> World {
    let mut world = World::new(4, small(), seed);
    world.load(6);
    world
}

/// Keeps load up until something is so.
fn busy_until(world: &mut World, what: &str, done: impl Fn(&World) -> bool) {
    for _ in 0..SOON.as_millis() / 10 {
        if done(world) {
            return;
        }
        world.load(6);
        world.step();
    }
    let position: Vec<_> = world.members().map(|member| world.cluster.status(member)).collect();
    panic!("not so: {what}; {position:#?}");
}

fn everyone_in(world: &World, epoch: u64) -> bool {
    world.present().iter().all(|status| status.epoch == Epoch::new(epoch) && status.phase == Phase::Normal)
}

/// A member's keys are replaced by new ones, and everyone goes on in the next epoch.
fn rotate(world: &mut World, member: u16, epoch: u64) {
    let asked = world.cluster.rotate(id(member));
    let gateway = world.present()[0].me;
    let number = world.petition(gateway, &asked);
    busy_until(world, "the change is answered", |world| !world.waits_for(number));
    busy_until(world, "the next epoch", |world| everyone_in(world, epoch));
}

#[test]
fn g1_all_keys_rotate_under_load_one_after_the_other() {
    let mut world = loaded(1);
    world.run(Duration::from_millis(200));
    for (member, epoch) in (0..4).zip(1..) {
        let before = world.answered;
        rotate(&mut world, member, epoch);
        busy_until(&mut world, "clients are answered", |world| world.answered > before + 10);
    }
    world.until("all are answered", SOON, |world| world.unanswered() == 0 && world.agreed());
}

/// F1: slots beyond the end are decided before anybody knows that the epoch ends.
#[test]
fn f1_execution_is_behind_when_an_epoch_ends() {
    execution_is_behind_when_an_epoch_ends();
}

pub(crate) fn execution_is_behind_when_an_epoch_ends() {
    let mut world = loaded(7);
    for member in 0..4 {
        world.cluster.set_execution_micros_of(id(member), 15_000);
    }
    world.run(Duration::from_millis(200));
    rotate(&mut world, 1, 1);
    rotate(&mut world, 2, 2);
    world.until("all are answered", SOON, |world| world.unanswered() == 0 && world.agreed());
}

#[test]
fn g2_who_was_away_for_two_epochs_follows() {
    let mut world = loaded(2);
    world.run(Duration::from_millis(200));
    world.cut.insert(id(3));
    rotate(&mut world, 0, 1);
    rotate(&mut world, 1, 2);
    let at = world.status(0).executed;
    busy_until(&mut world, "the others go on", |world| world.status(0).executed > at.plus(20));
    assert_eq!(world.cluster.epoch(id(3)), Some(Epoch::ZERO));
    world.cut.clear();
    busy_until(&mut world, "it follows", |world| everyone_in(world, 2));
    world.until("all are answered", SOON, |world| world.unanswered() == 0 && world.agreed());
}

#[test]
fn g2_who_was_down_while_an_epoch_ended_follows() {
    let mut world = loaded(3);
    world.run(Duration::from_millis(200));
    world.cluster.crash(id(2));
    rotate(&mut world, 0, 1);
    world.cluster.start(id(2));
    busy_until(&mut world, "it follows", |world| everyone_in(world, 1));
    // From here on it is needed.
    world.cluster.crash(id(3));
    let before = world.answered;
    busy_until(&mut world, "it votes", |world| world.answered > before + 10);
}

/// Found by seed 300165 of a harder drawing: it knows of the next epoch before it has executed the end of the one before, and restarts.
#[test]
fn m1_who_begins_an_epoch_ahead_of_its_blocks_does_not_take_all_of_them_into_memory() {
    let mut world = loaded(5);
    busy_until(&mut world, "many blocks", |world| world.status(3).executed.get() > 200);
    world.cut.insert(id(3));
    rotate(&mut world, 0, 1);
    world.cluster.follow(id(3), id(0));
    world.restart(id(3));
    // The world looks at the sizes of all collections at every step.
    world.step();
    let status = world.status(3);
    assert!(status.epoch == Epoch::new(1) && status.executed < status.base, "{status:?}");
    world.cut.clear();
    busy_until(&mut world, "it follows", |world| everyone_in(world, 1));
}

#[test]
fn d1_power_cuts_around_the_end_of_an_epoch() {
    for seed in 0..30 {
        let mut world = loaded(100 + seed);
        world.shuffled = seed % 2 == 0;
        let mut random = Random::new(seed);
        world.run(Duration::from_millis(100));
        let asked = world.cluster.rotate(id(1));
        world.petition(id(0), &asked);
        for _ in 0..12 {
            for _ in 0..random.below(8) {
                world.load(6);
                world.step();
            }
            // One member, or all of them at once.
            let all = random.below(4) == 0;
            let one = ReplicaId::new(u16::try_from(random.below(4)).expect("four"));
            let struck: Vec<ReplicaId> = world.members().filter(|member| all || *member == one).collect();
            struck.iter().for_each(|member| world.cluster.crash(*member));
            struck.iter().for_each(|member| world.cluster.start(*member));
        }
        busy_until(&mut world, "the next epoch", |world| everyone_in(world, 1));
        world.until("all are answered", SOON, |world| world.unanswered() == 0 && world.agreed());
    }
}

/// F8, F11: its votes of before are lost, so that it says nothing until an epoch names its new store.
#[test]
fn l2_a_member_that_lost_its_disks_votes_again_in_the_next_epoch() {
    let mut world = loaded(4);
    busy_until(&mut world, "blocks", |world| world.status(0).executed.get() > 10);
    world.cluster.crash(id(2));
    world.cluster.replace_store(id(2));
    world.cluster.start(id(2));
    busy_until(&mut world, "it follows", |world| {
        world.status(2).executed.plus(2) >= world.status(0).executed && world.status(2).executed.get() > 10
    });
    assert_eq!(world.status(2).phase, Phase::Learner, "it follows without a word");
    let asked = world.cluster.recover(id(2));
    let number = world.petition(id(0), &asked);
    busy_until(&mut world, "the change is answered", |world| !world.waits_for(number));
    busy_until(&mut world, "the next epoch", |world| everyone_in(world, 1));
    // From here on it is needed.
    world.cluster.crash(id(3));
    let before = world.answered;
    busy_until(&mut world, "it votes", |world| world.answered > before + 10);
    // It loses its disks once more: what it was allowed in this epoch counts for the store that it lost.
    world.cluster.start(id(3));
    world.cluster.crash(id(2));
    world.cluster.replace_store(id(2));
    world.cluster.start(id(2));
    world.run(Duration::from_secs(3));
    assert_eq!(world.status(2).phase, Phase::Learner);
    let asked = world.cluster.recover(id(2));
    world.petition(id(0), &asked);
    busy_until(&mut world, "the epoch after", |world| everyone_in(world, 2));
    world.until("all are answered", SOON, |world| world.unanswered() == 0 && world.agreed());
}

/// Nobody has the blocks of its epoch any more, nor need anybody know the keys that certified them.
#[test]
fn t1_who_was_away_too_long_goes_on_in_the_latest_epoch_from_a_state() {
    for lost in [false, true] {
        let mut world = World::new(4, small(), 5);
        for member in 0..4 {
            world.cluster.set_retain_blocks(id(member), 0);
        }
        world.load(6);
        world.run(Duration::from_millis(200));
        world.cluster.crash(id(3));
        rotate(&mut world, 0, 1);
        rotate(&mut world, 1, 2);
        let at = world.status(0).executed;
        busy_until(&mut world, "the others go on", |world| world.status(0).executed > at.plus(400));
        let first = world.cluster.first_block(id(0)).expect("it runs");
        assert!(first > at, "the blocks of epochs before are gone: {first} is the first");
        if lost {
            world.cluster.replace_store(id(3));
        }
        world.cluster.start(id(3));
        world.cluster.follow(id(3), id(0));
        assert_eq!(world.cluster.epoch(id(3)), Some(Epoch::new(2)));
        busy_until(&mut world, "it follows", |world| {
            world.status(3).executed.plus(4) >= world.status(0).executed
        });
        if lost {
            assert_eq!(world.status(3).phase, Phase::Learner);
            // READY is old after two checkpoints, which are short here: nobody else asks for anything meanwhile.
            world.until("all are answered", SOON, |world| world.unanswered() == 0);
            let close = |world: &World| world.status(3).executed.plus(2) >= world.status(0).executed;
            world.until("it is there", SOON, close);
            let asked = world.cluster.recover(id(3));
            let number = world.petition(id(0), &asked);
            world.until("the change is answered", SOON, |world| !world.waits_for(number));
            busy_until(&mut world, "the epoch after", |world| everyone_in(world, 3));
        }
        // From here on it is needed.
        world.cluster.crash(id(2));
        let before = world.answered;
        busy_until(&mut world, "it votes", |world| world.answered > before + 10);
    }
}

/// The others stand still meanwhile: the only state that there is, is that with which the epoch began.
#[test]
fn g2_the_state_with_which_an_epoch_began_needs_no_certificate_of_it() {
    let mut world = World::new(4, small(), 6);
    for member in 0..4 {
        world.cluster.set_retain_blocks(id(member), 0);
    }
    world.load(6);
    world.run(Duration::from_millis(200));
    world.cluster.crash(id(3));
    rotate(&mut world, 0, 1);
    world.until("all are answered", SOON, |world| world.unanswered() == 0);
    world.cluster.start(id(3));
    world.cluster.follow(id(3), id(0));
    world.until("it follows", SOON, |world| world.agreed());
    // From here on it is needed.
    world.cluster.crash(id(2));
    let before = world.answered;
    busy_until(&mut world, "it votes", |world| world.answered > before + 10);
}
