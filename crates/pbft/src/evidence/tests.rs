use super::contradict;
use crate::testing::{Cluster, id, signed};
use crate::{Evidence, Report, Verdict};
use quorate_types::{Digest, Message, Seq, Statement, View};
use std::time::Duration;

fn prepare(view: u64, seq: u64, digest: u8) -> Statement {
    Statement::Prepare { view: View::new(view), seq: Seq::new(seq), digest: Digest([digest; 32]) }
}

#[test]
fn n4_a_second_contradicting_vote_is_evidence() {
    let mut cluster = Cluster::new(4);
    let _ = cluster.hand(2, 1, Message::Vote(signed(2, prepare(0, 1, 1))));
    let verdict = cluster.hand(2, 1, Message::Vote(signed(2, prepare(0, 1, 2))));
    let Verdict::Condemned(evidence) = verdict else { panic!("{verdict:?}") };
    assert_eq!(evidence.culprit(), id(2));
    let reports = cluster.nodes[1].reports.iter();
    assert_eq!(reports.filter(|report| matches!(report, Report::EvidenceFound(_))).count(), 1);
}

#[test]
fn v1_proof_that_the_primary_lies_moves_everyone_to_the_next_view() {
    let mut cluster = Cluster::new(4);
    let offer =
        |digest| Statement::PrePrepare { view: View::ZERO, seq: Seq::new(1), digest: Digest([digest; 32]) };
    let pair = Box::new((signed(0, offer(1)), signed(0, offer(2))));
    let verdict = cluster.hand(3, 1, Message::Evidence(pair));
    assert!(matches!(verdict, Verdict::Condemned(Evidence::Contradiction(_))), "{verdict:?}");
    let moved = cluster.run_until(Duration::from_secs(3), |cluster| {
        (1..4).all(|member| cluster.status(member).view == View::new(1) && cluster.status(member).active)
    });
    assert!(moved, "one that was convinced convinces the others: {:?}", cluster.status(2));
}

#[test]
fn statements_of_other_views_slots_and_signers_do_not_contradict() {
    let first = signed(2, prepare(0, 1, 1));
    for other in
        [signed(2, prepare(1, 1, 2)), signed(2, prepare(0, 2, 2)), signed(3, prepare(0, 1, 2)), first.clone()]
    {
        assert!(!contradict(&first, &other), "{other:?}");
    }
    let commit = Statement::Commit { view: View::ZERO, seq: Seq::new(1), digest: Digest([2; 32]) };
    assert!(!contradict(&first, &signed(2, commit)), "a COMMIT may follow any PREPARE");
}

#[test]
fn pairs_that_prove_nothing_are_ignored() {
    let mut cluster = Cluster::new(4);
    let same = signed(2, prepare(0, 1, 1));
    let verdict = cluster.hand(3, 1, Message::Evidence(Box::new((same.clone(), same))));
    assert!(matches!(verdict, Verdict::Ignored(_)), "{verdict:?}");
}
