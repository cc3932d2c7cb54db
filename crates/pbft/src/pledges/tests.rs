use super::*;
use crate::outbox::{Released, release};
use crate::testing::{TestKey, TestLog, key};

fn pledges() -> Pledges<TestKey> {
    Pledges::new(key(1), ReplicaId::new(1), LedgerId([7; 32]), Epoch::ZERO)
}

fn prepare(view: u64, seq: u64, digest: u8) -> Statement {
    Statement::Prepare { view: View::new(view), seq: Seq::new(seq), digest: Digest([digest; 32]) }
}

fn attest(seq: u64, header: u8) -> Statement {
    Statement::Attest { seq: Seq::new(seq), header: Digest([header; 32]) }
}

fn view_change(view: u64) -> Statement {
    let digest = Digest::ZERO;
    Statement::ViewChange { view: View::new(view), base: Seq::ZERO, base_proof: digest, prepared: digest }
}

#[test]
fn d2_the_same_statement_is_the_same_bytes_and_recorded_once() {
    let (mut pledges, mut out, mut log) = (pledges(), Outbox::new(), TestLog::default());
    let first = pledges.pledge(prepare(0, 1, 1), &mut out);
    let again = pledges.pledge(prepare(0, 1, 1), &mut out);
    assert_eq!(first, again);
    assert_eq!(release(&mut log, vec![out]), Ok(Released::default()));
    assert_eq!(log.unsynced, [Record::Vote(first)]);
    assert!(pledges.holds(&prepare(0, 1, 1)) && !pledges.holds(&prepare(0, 1, 2)));
}

#[test]
#[should_panic(expected = "one Prepare per view")]
fn n4_a_second_digest_in_one_view_is_a_bug() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.pledge(prepare(0, 1, 1), &mut out);
    pledges.pledge(prepare(0, 1, 2), &mut out);
}

#[test]
fn n9_a_later_view_may_vote_again_on_the_slot() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.pledge(prepare(0, 1, 1), &mut out);
    pledges.leave_for(View::new(1));
    pledges.pledge(view_change(1), &mut out);
    pledges.open(View::new(1));
    let later = pledges.pledge(prepare(1, 1, 2), &mut out);
    assert_eq!(pledges.vote(Seq::new(1), StatementKind::Prepare), Some(&later));
}

#[test]
#[should_panic(expected = "N9: executed another")]
fn n9_an_executed_slot_is_bound_to_its_digest() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.bind_executed(Seq::new(1), Digest([1; 32]));
    pledges.pledge(prepare(0, 1, 2), &mut out);
}

#[test]
#[should_panic(expected = "N10: vote in view 0")]
fn n10_no_vote_in_a_view_that_was_left() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.leave_for(View::new(1));
    pledges.pledge(prepare(0, 1, 1), &mut out);
}

#[test]
#[should_panic(expected = "N10: vote in view 1")]
fn n10_no_vote_between_view_change_and_new_view() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.leave_for(View::new(1));
    pledges.pledge(prepare(1, 1, 1), &mut out);
}

#[test]
#[should_panic(expected = "V2: one VIEW-CHANGE for view 1")]
fn v2_one_view_change_for_each_view() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.leave_for(View::new(1));
    pledges.pledge(view_change(1), &mut out);
    let base = Seq::new(4);
    let other =
        Statement::ViewChange { view: View::new(1), base, base_proof: Digest::ZERO, prepared: Digest::ZERO };
    pledges.pledge(other, &mut out);
}

#[test]
#[should_panic(expected = "one Attest at")]
fn m8_one_attest_for_each_block() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    pledges.pledge(attest(1, 1), &mut out);
    pledges.pledge(attest(1, 2), &mut out);
}

#[test]
#[should_panic(expected = "one Prepare per view")]
fn d2_what_the_log_restores_still_binds() {
    let (mut before, mut out) = (pledges(), Outbox::new());
    let said = before.pledge(prepare(0, 1, 1), &mut out);
    let mut after = pledges();
    after.restore(&said);
    assert!(after.holds(&said.statement));
    after.pledge(prepare(0, 1, 2), &mut out);
}

#[test]
fn k3_truncation_keeps_votes_above_and_attests_that_others_may_lack() {
    let (mut pledges, mut out) = (pledges(), Outbox::new());
    for seq in 1..=4 {
        pledges.pledge(prepare(0, seq, 1), &mut out);
        pledges.pledge(attest(seq, 1), &mut out);
    }
    pledges.truncate(Seq::new(2), Seq::new(2));
    let kept = |kind| (1..=4).filter(|seq| pledges.vote(Seq::new(*seq), kind).is_some()).collect::<Vec<_>>();
    assert_eq!(kept(StatementKind::Prepare), [3, 4]);
    assert_eq!(kept(StatementKind::Attest), [2, 3, 4]);
    assert_eq!(pledges.votes_above(Seq::new(3)).count(), 1, "ATTEST needs no record");
}
