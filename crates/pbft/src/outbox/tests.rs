use super::{Effect, Log, Outbox, Report, release};
use crate::testing::{TestLog, signed};
use quorate_types::{Digest, Message, Record, Seq, Statement, View};

fn vote(seq: u64) -> Record {
    Record::Vote(signed(1, Statement::Prepare { view: View::ZERO, seq: Seq::new(seq), digest: Digest::ZERO }))
}

fn report(seq: u64) -> Report {
    Report::CheckpointStable { seq: Seq::new(seq) }
}

#[test]
fn k3_what_a_turn_records_after_a_compaction_is_kept() {
    let mut log = TestLog::default();
    let mut out = Outbox::new();
    out.record(vote(1));
    out.compact(vec![vote(2)]);
    out.record(vote(3));
    let _ = release(&mut log, vec![out]);
    assert_eq!(log.durable, [vote(2), vote(3)]);
}

#[test]
fn d1_effects_come_in_order_and_only_when_every_record_is_durable() {
    let mut log = TestLog::default();
    let (mut first, mut second) = (Outbox::new(), Outbox::new());
    first.report(report(1));
    second.record(vote(1));
    second.report(report(2));
    let Ok(released) = release(&mut log, vec![first, second]);
    assert_eq!(released.effects, [Effect::Report(report(1)), Effect::Report(report(2))]);
    assert_eq!((log.durable.len(), log.unsynced.len()), (1, 0));
}

/// A log whose sync fails.
struct Failing;

impl Log for Failing {
    type Error = ();

    fn append(&mut self, _: &Record) -> Result<(), ()> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), ()> {
        Err(())
    }

    fn compact(&mut self, _: &[Record]) -> Result<(), ()> {
        Err(())
    }
}

#[test]
fn d3_a_failed_sync_gives_no_effect_up() {
    let mut out = Outbox::new();
    out.record(vote(1));
    out.report(report(1));
    assert_eq!(release(&mut Failing, vec![out]), Err(()));
}

fn reservation(view: u64, up_to: u64) -> quorate_types::Reservation {
    quorate_types::Reservation {
        epoch: quorate_types::Epoch::ZERO,
        view: View::new(view),
        up_to: Seq::new(up_to),
    }
}

fn prepared_in_time(seq: u64) -> Outbox {
    let mut out = Outbox::new();
    let Record::Vote(said) = vote(seq) else { unreachable!("a vote is a vote") };
    out.record_in_time(Record::Vote(said.clone()));
    out.broadcast_early(Message::Vote(said));
    out
}

#[test]
fn d7_what_a_reservation_covers_leaves_at_once_and_needs_no_sync() {
    let mut log = TestLog::default();
    let mut out = prepared_in_time(3);
    assert_eq!(out.leave_early(Some(reservation(0, 3))).len(), 1);
    assert!(!out.needs_sync());
    let Ok(released) = release(&mut log, vec![out]);
    assert_eq!((released.effects.len(), log.durable.len(), log.unsynced.len()), (0, 0, 1));
    // Whatever is recorded next takes it along.
    let mut out = Outbox::new();
    out.record(vote(4));
    let Ok(_) = release(&mut log, vec![out]);
    assert_eq!(log.durable, [vote(3), vote(4)]);
}

#[test]
fn d7_what_no_durable_reservation_covers_waits_for_its_sync() {
    for held in [None, Some(reservation(0, 2)), Some(reservation(1, 9))] {
        let mut log = TestLog::default();
        let mut out = prepared_in_time(3);
        assert_eq!(out.leave_early(held), []);
        assert!(out.needs_sync());
        let Ok(released) = release(&mut log, vec![out]);
        assert_eq!((released.effects.len(), log.durable.len()), (1, 1), "{held:?}");
    }
}

#[test]
fn d7_a_reservation_is_told_once_it_is_durable() {
    let mut log = TestLog::default();
    let mut out = Outbox::new();
    out.record(Record::Reserved(reservation(0, 8)));
    let Ok(released) = release(&mut log, vec![out]);
    assert_eq!(released.reserved, Some(reservation(0, 8)));
    let mut out = Outbox::new();
    out.compact(vec![Record::Reserved(reservation(1, 8))]);
    let Ok(released) = release(&mut log, vec![out]);
    assert_eq!(released.reserved, Some(reservation(1, 8)));
}
