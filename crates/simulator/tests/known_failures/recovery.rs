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
