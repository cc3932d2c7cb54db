//! D7: what leaves before it is durable, and what a restart makes of it.

use crate::testing::{Cluster, id, signed, transaction};
use crate::{Phase, Verdict};
use quorate_types::{Message, Record, Seq, SignedStatement, Statement, StatementKind, View};
use std::sync::Arc;
use std::time::Duration;

/// How many statements of a kind a member has said, to whomever and however often.
fn said_by(cluster: &Cluster, member: u16, kind: StatementKind) -> usize {
    let said = cluster.sent.iter().filter(|signed| signed.signer == id(member));
    let places = said.filter(|signed| signed.statement.kind() == kind);
    places
        .map(|signed| (signed.statement.view(), signed.statement.seq()))
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

/// A PREPARE leaves before it is durable, is lost in a crash, and is not said again, nor anything else in its slot (D7).
#[test]
fn d7_a_lost_prepare_is_never_contradicted() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    cluster.deliver_if(|_, to, message| to == id(1) && matches!(message, Message::Proposal(_)));
    assert_eq!(said_by(&cluster, 1, StatementKind::Prepare), 1);
    assert!(!cluster.nodes[1].log.unsynced.is_empty(), "it left before its record was synced");
    cluster.crash(1);
    cluster.start(1);
    cluster.deliver_if(|_, _, message| matches!(message, Message::Notice(_)));
    assert_eq!(cluster.status(1).phase, Phase::Normal, "a vote that was reserved is not forgotten");
    assert_eq!(cluster.status(1).suspicion, Some(quorate_types::Suspicion::Abstention));
    // A primary that lies proposes something else there.
    let batch = quorate_types::Batch { time: quorate_types::LedgerTime(1), transactions: Vec::new() };
    let digest = quorate_crypto::HashedBatch::new(Arc::new(batch.clone())).digest();
    let statement = Statement::PrePrepare { view: View::ZERO, seq: Seq::new(1), digest };
    let pre_prepare = signed(0, statement);
    let proposal = quorate_types::Proposal { pre_prepare, batch: Arc::new(batch) };
    assert_eq!(cluster.hand(0, 1, Message::Proposal(proposal)), Verdict::Accepted);
    assert_eq!(said_by(&cluster, 1, StatementKind::Prepare), 1, "it abstains");
    cluster.assert_safe();
}

/// Everyone else goes on, and the one that abstains follows: it may COMMIT what others PREPAREd.
#[test]
fn d7_one_who_abstains_holds_up_nobody() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    cluster.start(3);
    cluster.deliver_all();
    for number in 0..20 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_all();
    }
    assert!((0..4).all(|member| cluster.executed(member) == 20 && cluster.status(member).view == View::ZERO));
    let prepares = said_by(&cluster, 3, StatementKind::Prepare);
    assert_eq!(prepares, 12, "the reservation of the earlier run reached to slot 8");
    assert_eq!(cluster.status(3).suspicion, None, "it abstains no more");
    cluster.assert_safe();
}

/// With two that abstain the view has too few that PREPARE: it is left at once, before any request could wait for a timer.
#[test]
fn d7_two_who_abstain_leave_the_view() {
    let mut cluster = Cluster::new(4);
    for member in [2, 3] {
        cluster.crash(member);
        cluster.start(member);
        cluster.deliver_all();
    }
    assert!(
        (0..4).all(|member| cluster.status(member).view == View::new(1) && cluster.status(member).active)
    );
    cluster.request(3, transaction(1, 0));
    cluster.deliver_all();
    assert!((0..4).all(|member| cluster.executed(member) == 1));
    cluster.assert_safe();
}

/// Its log knows nothing of what it proposed: all the same it proposes nothing more in that view (D7, V1).
#[test]
fn d7_a_restarted_primary_abdicates_though_its_proposal_was_lost() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    assert_eq!(said_by(&cluster, 0, StatementKind::PrePrepare), 1);
    cluster.crash(0);
    cluster.start(0);
    cluster.deliver_all();
    assert!((0..4).all(|member| cluster.status(member).view == View::new(1)));
    cluster.request(0, transaction(2, 0));
    let done = cluster.run_until(Duration::from_secs(2), |cluster| cluster.executed(0) >= 1);
    assert!(done, "{:?}", cluster.status(0));
    cluster.assert_safe();
}

/// A reservation speaks of PREPAREs; a COMMIT that the log lacks shows that the log is older than the votes (D6).
#[test]
fn d7_a_lost_commit_is_amnesia() {
    let mut cluster = Cluster::new(4);
    let reserved = cluster.nodes[3].log.durable.clone();
    cluster.request(0, transaction(1, 0));
    cluster.deliver_all();
    assert_eq!(said_by(&cluster, 3, StatementKind::Commit), 1);
    cluster.crash(3);
    cluster.nodes[3].log.durable = reserved;
    cluster.nodes[3].blocks.clear();
    cluster.nodes[3].certificates.clear();
    cluster.start(3);
    cluster.deliver_all();
    assert_eq!(cluster.status(3).phase, Phase::Learner);
}

/// COMMITs need not be made in order: one that is missing below another that is there tells it too (D6).
#[test]
fn d7_a_lost_commit_below_another_is_amnesia() {
    let mut cluster = Cluster::new(4);
    for number in 0..2 {
        cluster.request(0, transaction(1, number));
        cluster.deliver_if(|_, _, message| matches!(message, Message::Proposal(_)));
    }
    let votes = |cluster: &Cluster, seq: u64, kind| -> Vec<SignedStatement> {
        let of_slot = |signed: &&SignedStatement| {
            signed.statement.kind() == kind && signed.statement.seq() == Some(Seq::new(seq))
        };
        cluster.sent.iter().filter(of_slot).cloned().collect()
    };
    for seq in [2, 1] {
        for prepare in votes(&cluster, seq, StatementKind::Prepare) {
            let _ = cluster.hand(prepare.signer.get(), 3, Message::Vote(prepare));
        }
    }
    let lost = votes(&cluster, 1, StatementKind::Commit);
    assert_eq!((said_by(&cluster, 3, StatementKind::Commit), lost.is_empty()), (2, false));
    cluster.deliver_if(|from, _, _| from == id(3));
    cluster.crash(3);
    let place =
        cluster.nodes[3].log.durable.iter().position(|record| *record == Record::Vote(lost[0].clone()));
    cluster.nodes[3].log.durable.truncate(place.expect("it was durable before it was sent"));
    cluster.start(3);
    cluster.deliver_if(|_, _, message| matches!(message, Message::Notice(_)));
    assert_eq!(cluster.status(3).phase, Phase::Learner);
}
