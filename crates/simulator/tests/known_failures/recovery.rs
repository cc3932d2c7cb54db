//! Restarts at every step, and disks that are gone.

use crate::world::{World, id, small};
use quorate_pbft::Phase;
use quorate_simulator::cluster::{CrashPoint, DiskFault, Told};
use quorate_types::{Message, ReplicaId};
use std::time::Duration;

/// How a member ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Now,
    At(CrashPoint),
}

const ENDS: [End; 4] = [
    End::Now,
    End::At(CrashPoint::BeforeSync),
    End::At(CrashPoint::AfterEffects(0)),
    End::At(CrashPoint::AfterEffects(1)),
];

/// Two requests, in two slots that are under way together; the primary of view 0 has left before them if the values are to be
/// proposed a second time. Gateways are 2 and 3.
fn two_under_way(again: bool) -> World {
    let mut world = World::new(4, small(), 3);
    world.submit(id(2));
    world.submit(id(3));
    world.no_new_traffic();
    if again {
        // Prepared everywhere, committed nowhere, then the primary restarts and abdicates.
        world.deliver(&mut |in_flight| {
            !matches!(in_flight.message(), Message::Vote(vote)
                if vote.statement.kind() == quorate_types::StatementKind::Commit)
        });
        assert!(
            world.present().iter().all(|status| status.prepared.get() == 2 && status.executed.get() == 0)
        );
        world.restart(id(0));
    }
    world
}

/// Delivers so many messages. Returns whether there were as many.
fn deliver_some(world: &mut World, count: usize) -> bool {
    for _ in 0..count {
        let Some(message) = world.take() else { return false };
        world.cluster.deliver(&message);
    }
    true
}

/// The victims end after so many deliveries and start again. Without a request from anyone, what a gateway that lived on held,
/// or what was prepared, is executed; then clients ask for the rest.
fn restart_after(again: bool, count: usize, victims: &[ReplicaId], end: End) -> bool {
    let mut world = two_under_way(again);
    let reached = deliver_some(&mut world, count);
    for victim in victims {
        match end {
            End::Now => world.cluster.crash(*victim),
            End::At(point) => world.cluster.crash_at(*victim, point),
        }
    }
    // A planned end comes with the next turn that the disk has to do with, if there is one.
    deliver_some(&mut world, 6);
    world.cluster.cancel_crashes();
    for victim in victims {
        world.restart(*victim);
    }
    let gateways_live = victims.iter().all(|victim| victim.get() < 2);
    let what = format!("again {again}, {count} delivered, {victims:?} end {end:?}");
    world.until(&what, Duration::from_secs(10), |world| {
        world.agreed()
            && (!gateways_live || world.unanswered() == 0)
            && (!again || world.cluster.checkers.height() >= 2)
    });
    world.ask_everyone_again();
    world.until(&what, Duration::from_secs(10), |world| world.unanswered() == 0 && world.agreed());
    reached
}

fn restart_at_every_step(again: bool, victims: &[ReplicaId]) {
    let mut steps = 0;
    while ENDS.map(|end| restart_after(again, steps, victims, end)).contains(&true) {
        steps += 1;
    }
    assert!(steps > 40, "only {steps} steps were there to restart at");
}

#[test]
fn d2_each_member_restarts_at_every_step_with_two_values_under_way() {
    for victim in 0..4 {
        restart_at_every_step(false, &[id(victim)]);
    }
}

#[test]
fn d2_all_members_restart_at_every_step_with_two_values_under_way() {
    let all: Vec<ReplicaId> = ReplicaId::all(4).collect();
    restart_at_every_step(false, &all);
}

#[test]
fn d2_members_restart_at_every_step_with_two_values_proposed_again() {
    let all: Vec<ReplicaId> = ReplicaId::all(4).collect();
    for victims in [&all[0..1], &all[1..2], &all[2..3], &all[..]] {
        restart_at_every_step(true, victims);
    }
}

/// L1: a member whose disks are gone and whose operator starts over follows, says nothing, and the others go on.
#[test]
fn l1_a_wiped_member_follows_and_votes_no_more() {
    for wiped in [id(0), id(3)] {
        let mut world = World::new(4, small(), 5);
        for _ in 0..60 {
            world.load(4);
            world.step();
        }
        world.cluster.crash(wiped);
        world.cluster.damage(wiped, DiskFault::Lost);
        world.cluster.story = Some(Vec::new());
        world.cluster.start(wiped);
        for _ in 0..300 {
            world.load(4);
            world.step();
        }
        world.until("answers", Duration::from_secs(20), |world| world.unanswered() == 0);
        let height = world.cluster.checkers.height();
        let caught_up = |world: &World| world.status(wiped.get()).executed.get() == height;
        world.until("it follows", Duration::from_secs(20), caught_up);
        assert_eq!(world.status(wiped.get()).phase, Phase::Learner);
        assert!(height > 50, "{height}");
        let story = world.cluster.story.take().unwrap_or_default();
        let said = story.iter().find(|told| match told {
            Told::Sent { from, message, .. } => *from == wiped && is_its_own(wiped, message),
            _ => false,
        });
        assert!(said.is_none(), "{said:?}");
    }
}

/// Whether a message says something in the name of this member.
fn is_its_own(member: ReplicaId, message: &Message) -> bool {
    match message {
        Message::Vote(signed) => signed.signer == member,
        Message::Proposal(proposal) => proposal.pre_prepare.signer == member,
        Message::ViewChange(view_change) => view_change.statement.signer == member,
        Message::NewView(new_view) => new_view.statement.signer == member,
        _ => false,
    }
}

/// Where a key's value stands a bit of member 3's memory flips: what it executes from there on differs from what the others execute.
fn failing_memory() -> World {
    let mut world = World::new(4, small(), 11);
    world.submit_put(id(0), b"flag".to_vec(), b"up".to_vec());
    world
        .until("the key is there", Duration::from_secs(5), |world| world.unanswered() == 0 && world.agreed());
    world.cluster.checkers.faulty.insert(id(3));
    assert!(world.cluster.corrupt_memory(id(3)));
    for _ in 0..400 {
        if world.cluster.status(id(3)).is_some_and(|status| status.phase == Phase::Halted) {
            break;
        }
        world.load(6);
        world.step();
    }
    assert_eq!(world.status(3).phase, Phase::Halted, "it stops voting");
    world
}

/// K4: it alone is quarantined, the others go on, and it never says what contradicts its word: neither then, nor after its next start,
/// when it executes again what nobody certified, sets aside what it had, and is needed for every quorum.
#[test]
fn k4_a_member_whose_memory_failed_is_alone_and_comes_back() {
    let mut world = failing_memory();
    world.lost.insert(id(3));
    let (at, wrong) = (world.status(0).executed, world.status(3).executed);
    for _ in 0..100 {
        world.load(6);
        world.step();
    }
    assert!(world.status(0).executed > at.plus(10), "the others go on");
    assert_eq!(world.status(3).executed, wrong, "it executes nothing more (seed 23613)");
    // Its memory is good again, and its word is held against it as against anybody, with what it said before.
    world.cluster.crash(id(3));
    world.cluster.checkers.faulty.remove(&id(3));
    world.cluster.start(id(3));
    let disputed = world.cluster.disputed(id(3)).expect("what it had is set aside");
    assert!(disputed.from <= disputed.to && disputed.to == wrong, "{disputed:?}, {wrong}");
    world.lost.remove(&id(3));
    world.until("it is with the others", Duration::from_secs(20), World::agreed);
    world.cut.insert(id(1));
    let at = world.status(3).executed;
    for _ in 0..400 {
        world.load(6);
        world.step();
    }
    assert!(world.status(3).executed > at.plus(20), "it is needed, and votes");
    assert!(world.cluster.checkers.culprits().is_empty());
    world.restart(id(3));
    assert_eq!(world.cluster.disputed(id(3)), Some(disputed), "that stays known");
}
