use super::{SlotStep, SlotWait, ViewChangeWait, WaitTimer, Waits};
use crate::testing::{Cluster, id, parameters, transaction};
use quorate_types::{Message, ReplicaId, Seq, StatementKind, Suspicion, View};
use std::time::Duration;

fn slot(seq: u64, step: SlotStep, by: &[u16]) -> Option<SlotWait> {
    Some(SlotWait { seq: Seq::new(seq), step, by: by.iter().map(|member| id(*member)).collect() })
}

fn kind(message: &Message) -> Option<StatementKind> {
    match message {
        Message::Vote(signed) => Some(signed.statement.kind()),
        _ => None,
    }
}

#[test]
fn who_has_executed_everything_waits_for_nothing() {
    let mut cluster = Cluster::new(4);
    let idle = Waits { quorum: 3, ..Waits::default() };
    assert_eq!(cluster.waits(1), idle);
    cluster.request(1, transaction(1, 0));
    cluster.deliver_all();
    assert_eq!(cluster.waits(1), idle);
}

#[test]
fn a_slot_waits_for_its_proposal_then_for_votes() {
    let mut cluster = Cluster::new(4);
    cluster.request(1, transaction(1, 0));
    cluster.advance(Duration::from_millis(7));
    let waits = cluster.waits(1);
    assert_eq!((waits.requests, waits.oldest), (1, Some(Duration::from_millis(7))));
    assert_eq!(waits.slot, slot(1, SlotStep::Proposal, &[]));
    let request = waits.timers.iter().find(|(timer, _)| *timer == WaitTimer::Request);
    assert_eq!(request.map(|(_, left)| *left), Some(parameters().view_timeout() - Duration::from_millis(7)));
    // Nobody hears member 3, and member 1 hears nobody else's votes.
    cluster.deliver_if(|from, to, message| kind(message).is_none() || (from != id(3) && to != id(1)));
    assert_eq!(cluster.waits(1).slot, slot(1, SlotStep::Prepares, &[1]));
    assert_eq!(cluster.waits(2).slot, slot(1, SlotStep::Commits, &[0, 2]));
}

#[test]
fn an_executed_block_waits_for_its_certificate() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    cluster.deliver_if(|_, to, message| {
        to != id(1)
            || !(matches!(message, Message::BlockCertificate(_))
                || kind(message) == Some(StatementKind::Attest))
    });
    let waits = cluster.waits(1);
    assert_eq!((waits.slot, waits.certificate), (None, Some((Seq::new(1), vec![id(1)]))));
}

#[test]
fn a_view_waits_for_view_changes_and_then_for_its_primary() {
    let mut cluster = Cluster::new(4);
    cluster.crash(0);
    cluster.request(1, transaction(1, 0));
    cluster.deliver_all();
    cluster.advance(Duration::from_millis(400));
    cluster.deliver_all();
    cluster.advance(parameters().view_timeout());
    assert_eq!(cluster.waits(1).suspicions, [(id(1), Suspicion::RequestTimeout)]);
    cluster.deliver_if(|from, _, message| {
        let lost = from == id(3) && matches!(message, Message::ViewChange(_));
        !lost && !matches!(message, Message::NewView(_))
    });
    let expected = |by: &[u16], opened| {
        Some(ViewChangeWait {
            view: View::new(1),
            primary: id(1),
            by: by.iter().map(|member| id(*member)).collect(),
            opened,
        })
    };
    assert_eq!(cluster.waits(2).view_change, expected(&[1, 2], false));
    assert!(cluster.waits(2).slot.is_none_or(|slot| slot.step == SlotStep::Proposal));
    assert_eq!(cluster.waits(3).view_change, expected(&[1, 2, 3], false));
}

#[test]
fn a_start_waits_for_hellos() {
    let mut cluster = Cluster::cold(4, parameters());
    assert_eq!(cluster.waits(0).hello, Some(Vec::<ReplicaId>::new()));
    cluster.deliver_if(|from, to, _| [from, to].iter().all(|member| member.get() < 2));
    assert_eq!(cluster.waits(0).hello, Some(vec![id(1)]));
    let mut cluster = Cluster::cold(4, parameters());
    cluster.deliver_all();
    assert_eq!(cluster.waits(0).hello, None);
}

#[test]
fn a_full_window_waits_for_a_checkpoint() {
    let mut cluster = Cluster::new(4);
    let window = parameters().window;
    for number in 0..window {
        cluster.request(1, transaction(1, number));
        cluster
            .deliver_if(|from, _, message| kind(message) != Some(StatementKind::Checkpoint) || from == id(3));
    }
    let waits = cluster.waits(1);
    let (seq, by) = waits.checkpoint.expect("it is full");
    assert_eq!((seq, by), (Seq::new(window), vec![id(1), id(3)]));
}
