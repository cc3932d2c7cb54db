use super::{Effect, Log, Outbox, Report, release};
use crate::testing::{TestLog, signed};
use quorate_types::{Digest, Record, Seq, Statement, View};

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
