use crate::testing::{Cluster, id, parameters, signed, transaction};
use crate::{Phase, Verdict};
use quorate_types::{BaseProof, Digest, Message, NewView, Record, Seq, Statement, StatementKind, View};
use std::sync::Arc;
use std::time::Duration;

mod reservations;

#[test]
fn n1_to_n9_one_request_is_executed_and_certified_by_all() {
    for n in [1, 2, 3, 4, 5, 6, 7] {
        let mut cluster = Cluster::new(n);
        cluster.request(n - 1, transaction(1, 0));
        cluster.deliver_all();
        for member in 0..n {
            assert_eq!(cluster.executed(member), 1, "n={n} member {member}");
            assert_eq!(cluster.status(member).certified.get(), 1, "n={n} member {member}");
            assert_eq!(cluster.status(member).custody, 0);
        }
        cluster.assert_safe();
    }
}

#[test]
fn k1_to_k3_checkpoints_become_stable_and_the_log_is_cut() {
    let mut cluster = Cluster::new(4);
    for number in 0..40 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_all();
    }
    for member in 0..4 {
        let status = cluster.status(member);
        assert_eq!((status.executed.get(), status.stable.get(), status.base.get()), (40, 40, 40));
        assert!(cluster.nodes[usize::from(member)].log.durable.len() < 20);
    }
    cluster.assert_safe();
}

#[test]
fn v1_to_v8_a_dead_primary_is_replaced() {
    let mut cluster = Cluster::new(4);
    cluster.request(1, transaction(1, 0));
    cluster.deliver_all();
    cluster.crash(0);
    cluster.request(1, transaction(1, 1));
    let done = cluster.run_until(Duration::from_secs(5), |cluster| {
        (1..4).all(|member| cluster.executed(member) == 2 && cluster.status(member).certified.get() == 2)
    });
    assert!(done, "{:?}", cluster.status(1));
    assert_eq!(cluster.status(1).view.get(), 1);
    cluster.start(0);
    cluster.request(2, transaction(1, 2));
    let done = cluster
        .run_until(Duration::from_secs(5), |cluster| (0..4).all(|member| cluster.executed(member) == 3));
    assert!(done, "{:?}", cluster.status(0));
    cluster.assert_safe();
}

#[test]
fn a_power_cut_of_all_loses_nothing() {
    let mut cluster = Cluster::new(4);
    for number in 0..6 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_all();
    }
    for member in 0..4 {
        cluster.crash(member);
    }
    for member in 0..4 {
        // Blocks are written behind: the last ones may be gone, the log has them.
        cluster.nodes[usize::from(member)].blocks.truncate(4);
        cluster.nodes[usize::from(member)].certificates.clear();
        cluster.start(member);
    }
    let done = cluster.run_until(Duration::from_secs(20), |cluster| {
        (0..4).all(|member| cluster.executed(member) == 6 && cluster.status(member).certified.get() == 6)
    });
    assert!(done, "{:?} {:?}", cluster.status(0), cluster.status(1));
    cluster.assert_safe();
}

/// Two members prepared and committed to a request, a third has nothing of it, and the primary is gone for good. If a client had
/// its answer before the power cut, nobody submits the request again, and what comes after it may not be admitted before it.
#[test]
fn v10_what_was_prepared_before_a_power_cut_is_executed_though_nobody_asks_again() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    cluster.deliver_if(|_, to, message| to != id(3) && !matches!(message, Message::Forward(_)));
    for member in 0..4 {
        cluster.crash(member);
        cluster.nodes[usize::from(member)].blocks.clear();
        cluster.nodes[usize::from(member)].certificates.clear();
    }
    for member in 1..4 {
        cluster.start(member);
    }
    let done = cluster
        .run_until(Duration::from_secs(20), |cluster| (1..4).all(|member| cluster.executed(member) == 1));
    assert!(done, "{:?}", cluster.status(1));
    cluster.assert_safe();
}

#[test]
fn v7_the_body_that_a_new_primary_fetched_is_in_its_log_before_the_new_view() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    cluster.deliver_if(|_, to, message| {
        to != id(1) && !matches!(message, Message::Vote(own) if own.statement.kind() == StatementKind::Commit)
    });
    cluster.crash(0);
    let done = cluster.run_until(Duration::from_secs(20), |cluster| {
        (1..4).all(|member| cluster.executed(member) == 1 && cluster.status(member).view == View::new(1))
    });
    assert!(done, "{:?}", cluster.status(1));
    let records = &cluster.nodes[1].log.durable;
    let first =
        |wanted: fn(&quorate_types::Record) -> bool| records.iter().position(wanted).expect("recorded");
    let body = first(|record| matches!(record, quorate_types::Record::Body(_)));
    let new_view = first(|record| matches!(record, quorate_types::Record::NewView(_)));
    assert!(body < new_view, "a crash that keeps the first few records keeps the body");
}

#[test]
fn t1_a_replica_beyond_the_window_catches_up_by_blocks() {
    let mut cluster = Cluster::new(4);
    for number in 0..60 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_if(|_, to, _| to != id(3));
    }
    assert_eq!(cluster.executed(3), 0);
    let done = cluster.run_until(Duration::from_secs(10), |cluster| {
        cluster.executed(3) == 60 && cluster.status(3).stable.get() == 60
    });
    assert!(done, "{:?}", cluster.status(3));
    cluster.assert_safe();
}

/// A small generator for schedules; the seed is the test case.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Random order, loss, duplication, crashes and restarts; then everything heals and all must execute everything.
fn run_schedule(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
    let n = 4 + u16::try_from(random.below(4)).expect("small");
    let mut cluster = Cluster::cold(n, parameters());
    let loss = random.below(25);
    let mut number = 0;
    for _ in 0..600 {
        match random.below(100) {
            0..70 if !cluster.queue.is_empty() => {
                let index = usize::try_from(random.below(cluster.queue.len().min(20) as u64)).expect("small");
                if random.below(100) < loss {
                    cluster.queue.remove(index);
                } else {
                    if random.below(100) < 5 {
                        let again = cluster.queue[index].clone();
                        cluster.queue.push_back(again);
                    }
                    cluster.deliver_at(index);
                }
            }
            70..80 if number < 30 => {
                let member = u16::try_from(random.below(u64::from(n))).expect("small");
                cluster.request(member, transaction(1, number));
                number += 1;
            }
            80..82 => {
                let member = u16::try_from(random.below(u64::from(n))).expect("small");
                let down = cluster.nodes.iter().filter(|node| node.replica.is_none()).count();
                if cluster.nodes[usize::from(member)].replica.is_none() {
                    cluster.start(member);
                } else if down < usize::from((n - 1) / 3) {
                    cluster.crash(member);
                }
            }
            _ => cluster.advance(Duration::from_millis(random.below(120))),
        }
        if cluster.queue.len() > 3_000 {
            cluster.queue.truncate(1_500);
        }
    }
    for member in 0..n {
        if cluster.nodes[usize::from(member)].replica.is_none() {
            cluster.start(member);
        }
    }
    cluster.assert_safe();
    let last = transaction(2, 0);
    cluster.request(0, last.clone());
    let executed = |cluster: &Cluster, member: u16| {
        let blocks = &cluster.nodes[usize::from(member)].blocks;
        blocks
            .iter()
            .filter_map(|block| block.2.as_ref())
            .any(|batch| batch.batch().transactions.contains(&last))
    };
    let done =
        cluster.run_until(Duration::from_secs(60), |cluster| (0..n).all(|member| executed(cluster, member)));
    if !done {
        for member in 0..n {
            eprintln!("{member}: {:?}", cluster.status(member));
        }
        panic!("seed {seed}: no progress after healing");
    }
    cluster.assert_safe();
}

#[test]
fn random_schedules_are_safe_and_heal() {
    for seed in 0..150 {
        run_schedule(seed);
    }
}

#[test]
fn v11_a_loaded_fault_free_run_changes_no_view() {
    let mut cluster = Cluster::new(4);
    for number in 0..50 {
        cluster.request(u16::try_from(number % 4).expect("small"), transaction(1, number));
        cluster.deliver_all();
        cluster.advance(Duration::from_millis(30));
    }
    assert!((0..4).all(|member| cluster.status(member).view.get() == 0 && cluster.executed(member) == 50));
}

#[test]
fn n1_the_primary_sends_no_prepare() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    cluster.deliver_all();
    let own = cluster.sent.iter().filter(|signed| signed.signer == id(0));
    assert!(own.clone().any(|signed| signed.statement.kind() == StatementKind::PrePrepare));
    assert!(own.clone().all(|signed| signed.statement.kind() != StatementKind::Prepare));
}

#[test]
fn n4_votes_that_come_before_their_proposal_count() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    let late: Vec<_> = cluster.queue.iter().filter(|(_, to, _)| *to == id(3)).cloned().collect();
    cluster.queue.retain(|(_, to, _)| *to != id(3));
    cluster.deliver_all();
    for (from, to, message) in late {
        assert!(matches!(message, Message::Proposal(_)));
        let _ = cluster.hand(from.get(), to.get(), message);
    }
    cluster.deliver_all();
    assert_eq!(cluster.executed(3), 1);
}

/// A NEW-VIEW that names VIEW-CHANGEs which nobody here has, by the primary of its view.
fn unfounded_new_view(view: u64) -> Message {
    let statement = signed(
        u16::try_from(view % 4).unwrap(),
        Statement::NewView {
            view: View::new(view),
            chosen: (0..3).map(|sender| (id(sender), Digest([9; 32]))).collect(),
            min: Seq::ZERO,
            proposals: Vec::new(),
        },
    );
    Message::NewView(Arc::new(NewView { statement, proposals: Vec::new(), view_changes: Vec::new() }))
}

#[test]
fn v8_a_new_view_of_a_far_view_does_not_push_out_the_one_that_waits() {
    let mut cluster = Cluster::new(4);
    let waiting = |cluster: &Cluster| {
        let pending = &cluster.nodes[3].replica.as_ref().unwrap().view_changes.pending;
        pending.as_ref().map(|new_view| new_view.view().get())
    };
    let _ = cluster.hand(1, 3, unfounded_new_view(5));
    assert_eq!(waiting(&cluster), Some(5));
    let _ = cluster.hand(1, 3, unfounded_new_view(1));
    assert_eq!(waiting(&cluster), Some(1));
    let _ = cluster.hand(1, 3, unfounded_new_view(9));
    assert_eq!(waiting(&cluster), Some(1));
}

/// Member 3 holds a proposal of view 0, and learns that the others decided the null batch there in view 1: it was cut off from
/// their view change. Nobody is faulty.
fn decided_without_member_3(cluster: &mut Cluster) -> (Message, [Message; 2]) {
    cluster.request(0, transaction(1, 0));
    let to_3 = |_, to, message: &Message| to == id(3) && matches!(message, Message::Proposal(_));
    cluster.deliver_if(to_3);
    let own =
        cluster.sent.iter().find(|own| own.signer == id(3)).expect("member 3 prepared").statement.clone();
    let digest = quorate_crypto::null_batch_digest();
    let (view, seq) = (View::new(1), Seq::new(1));
    let commits = (0..3)
        .map(|member| (id(member), signed(member, Statement::Commit { view, seq, digest }).signature))
        .collect();
    let epoch = quorate_types::Epoch::ZERO;
    let decision = quorate_types::CommitCertificate { epoch, view, seq, digest, commits };
    let late = [1, 2].map(|member| Message::Vote(signed(member, own.clone())));
    (Message::CommitCertificate(decision), late)
}

#[test]
fn n9_late_prepares_of_an_earlier_view_are_no_contradiction() {
    let mut cluster = Cluster::new(4);
    let (decision, late) = decided_without_member_3(&mut cluster);
    assert_eq!(cluster.hand(0, 3, decision), Verdict::Accepted);
    assert_eq!(cluster.executed(3), 1);
    for (from, vote) in (1..).zip(late) {
        let _ = cluster.hand(from, 3, vote);
    }
    assert_eq!(cluster.status(3).phase, Phase::Normal, "a correct member does not halt");
    cluster.assert_safe();
}

#[test]
fn n9_what_was_prepared_before_the_greeting_is_not_committed_after_another_was_executed() {
    let mut cluster = Cluster::new(4);
    let (decision, late) = decided_without_member_3(&mut cluster);
    cluster.crash(3);
    cluster.start(3);
    for (from, vote) in (1..).zip(late) {
        let _ = cluster.hand(from, 3, vote);
    }
    let _ = cluster.hand(0, 3, decision);
    assert_eq!((cluster.executed(3), cluster.status(3).phase), (1, Phase::Starting));
    cluster.deliver_if(|_, _, message| matches!(message, Message::Notice(_)));
    assert_eq!(cluster.status(3).phase, Phase::Normal);
    cluster.assert_safe();
}

/// A lying primary makes two of the NEW-VIEW of view 1, from VIEW-CHANGEs of different members: one fault, and no more.
#[test]
fn n9_another_new_view_of_the_view_of_a_decision_stops_nobody() {
    let mut cluster = Cluster::new(4);
    let (decision, _) = decided_without_member_3(&mut cluster);
    assert_eq!(cluster.hand(0, 3, decision), Verdict::Accepted);
    let (epoch, view, seq) = (quorate_types::Epoch::ZERO, View::ZERO, Seq::new(1));
    let own = cluster.sent.iter().find(|own| own.signer == id(3)).expect("member 3 prepared");
    let Statement::Prepare { digest, .. } = own.statement else { panic!("a PREPARE") };
    let by = |member: u16, statement| signed(member, statement).signature;
    let prepared = quorate_types::PreparedCertificate {
        epoch,
        view,
        seq,
        digest,
        proposal: by(0, Statement::PrePrepare { view, seq, digest }),
        prepares: [2, 3]
            .map(|member| (id(member), by(member, Statement::Prepare { view, seq, digest })))
            .into(),
    };
    let base_proof = quorate_types::BaseProof::Genesis;
    let view_changes: Vec<_> = [(0, Vec::new()), (1, Vec::new()), (2, vec![prepared])]
        .into_iter()
        .map(|(member, prepared)| {
            let statement = Statement::ViewChange {
                view: View::new(1),
                base: Seq::ZERO,
                base_proof: quorate_crypto::base_proof_digest(&base_proof),
                prepared: quorate_crypto::prepared_set_digest(&prepared),
            };
            let statement = signed(member, statement);
            Arc::new(quorate_types::ViewChange { statement, base_proof: base_proof.clone(), prepared })
        })
        .collect();
    let ledger = *crate::testing::members(4).ledger();
    let named = |own: &Arc<quorate_types::ViewChange>| {
        (own.statement.signer, quorate_crypto::view_change_digest(own, &ledger))
    };
    let statement = Statement::NewView {
        view: View::new(1),
        chosen: view_changes.iter().map(named).collect(),
        min: Seq::ZERO,
        proposals: vec![digest],
    };
    let proposals = vec![by(1, Statement::PrePrepare { view: View::new(1), seq, digest })];
    let new_view = NewView { statement: signed(1, statement), proposals, view_changes };
    let verdict = cluster.hand(1, 3, Message::NewView(Arc::new(new_view)));
    assert_eq!(verdict, Verdict::Ignored(crate::Ignored::Stale));
    assert_eq!(cluster.status(3).phase, Phase::Normal, "a correct member does not halt");
    assert_eq!(cluster.status(3).view, View::ZERO);
}

/// Whether member 3 suspects the primary when its proposal arrives so many milliseconds late.
fn suspects_who_is_late_by(millis: u64) -> bool {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    cluster.now.wall = quorate_types::Wall(cluster.now.wall.0 + millis);
    cluster.deliver_if(|_, to, message| to == id(3) && matches!(message, Message::Proposal(_)));
    assert!(cluster.sent.iter().any(|own| own.signer == id(3)), "member 3 prepares all the same");
    cluster.status(3).suspicion.is_some()
}

#[test]
fn n2_a_proposal_may_be_as_late_as_a_view_is_given() {
    let parameters = parameters();
    let allowed = 2 * parameters.max_clock_skew_ms + parameters.view_timeout_ms;
    assert!(!suspects_who_is_late_by(2 * parameters.max_clock_skew_ms + 1));
    assert!(!suspects_who_is_late_by(allowed));
    assert!(suspects_who_is_late_by(allowed + 1));
}

/// ATTEST or certificate of this block.
fn attests(message: &Message, height: u64) -> bool {
    match message {
        Message::Vote(signed) => {
            signed.statement.kind() == StatementKind::Attest
                && signed.statement.seq() == Some(Seq::new(height))
        }
        Message::BlockCertificate(certificate) => certificate.height.get() == height,
        Message::Block(block) => block.block.header.height.get() == height,
        _ => false,
    }
}

#[test]
fn m8_a_certificate_of_a_checkpoint_certifies_its_block() {
    let mut cluster = Cluster::new(4);
    let checkpoint_4 = |message: &Message| {
        matches!(message, Message::Vote(signed)
            if signed.statement.kind() == StatementKind::Checkpoint && signed.statement.seq() == Some(Seq::new(4)))
    };
    for number in 0..8 {
        cluster.request(1, transaction(1, number));
        // Member 3 goes from genesis to the checkpoint at 8; the others prove the one at 4.
        cluster.deliver_if(|_, to, message| !(attests(message, 4) || to == id(3) && checkpoint_4(message)));
    }
    assert_eq!((cluster.status(3).stable.get(), cluster.status(3).certified.get()), (8, 3));
    for member in 0..3 {
        assert_eq!(cluster.status(member).certified.get(), 8, "the checkpoint's certificate is the block's");
        cluster.crash(member);
        cluster.start(member);
    }
    let done = cluster.run_until(Duration::from_secs(5), |cluster| cluster.status(3).certified.get() == 8);
    assert!(done, "{:?}", cluster.status(3));
    cluster.assert_safe();
}

#[test]
fn m8_a_block_whose_certificate_never_comes_does_not_hold_up_the_rest() {
    let mut cluster = Cluster::new(4);
    let far = quorate_types::limits::RECENT_BLOCKS as u64;
    for number in 0..far + 40 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_if(|_, to, message| !(to == id(3) && attests(message, 2)));
    }
    assert_eq!(cluster.executed(3), far + 40);
    assert_eq!(cluster.status(3).certified.get(), far + 40);
    let sizes: Vec<_> = cluster.nodes[3].replica.as_ref().expect("running").sizes().collect();
    assert!(sizes.iter().all(|size| size.1 <= size.2), "{sizes:?}");
    cluster.assert_safe();
}

/// Seed 98324: up to 512 blocks below what is certified and up to 512 above were kept at once.
#[test]
fn m8_while_a_certificate_is_missing_no_more_than_the_recent_ones_are_kept() {
    let mut cluster = Cluster::new(4);
    let far = quorate_types::limits::RECENT_BLOCKS as u64;
    // No checkpoint, which has another certificate as well.
    let missing = far - 21;
    for number in 0..missing + far - 40 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_if(|_, to, message| !(to == id(3) && attests(message, missing)));
    }
    assert_eq!(cluster.status(3).certified.get(), missing - 1, "it is still waited for");
    let replica = cluster.nodes[3].replica.as_ref().expect("running");
    let sizes: Vec<_> = replica.sizes().collect();
    assert!(sizes.iter().all(|size| size.1 <= size.2), "{sizes:?}");
    let oldest = replica.attestations.certificates.keys().next().expect("some are kept");
    assert!(oldest.get() <= missing, "what peers may lack is kept: {oldest}");
    cluster.assert_safe();
}

/// Own CHECKPOINTs stand in the log before what proved them: after a restart they must not pass for unproven ones (K2, R1).
#[test]
fn k2_a_restart_forgets_checkpoints_that_were_proven() {
    let mut cluster = Cluster::new(4);
    for number in 0..4 {
        cluster.request(0, transaction(1, number));
        cluster.deliver_all();
    }
    // The log as it is between the proof and the stable state, which cuts it.
    let checkpoint = signed(3, Statement::Checkpoint { seq: Seq::new(4), header: Digest([9; 32]) });
    let log = &mut cluster.nodes[3].log.durable;
    let Record::Anchor { epoch, view, active, base: BaseProof::Checkpoint(proof), .. } = log[0].clone()
    else {
        panic!("slot 4 is stable: {log:?}")
    };
    let (base, stable) = (BaseProof::Genesis, BaseProof::Genesis);
    let uncut =
        [Record::Anchor { epoch, view, active, base, stable }, Record::Vote(checkpoint), Record::Base(proof)];
    log.splice(..1, uncut);
    cluster.crash(3);
    cluster.start(3);
    let replica = cluster.nodes[3].replica.as_ref().expect("it runs");
    assert_eq!((replica.status().base, replica.checkpoints.tallies.len()), (Seq::new(4), 0));
}

/// A small question has a large answer: whoever asks without end is given so much and no more (R1).
#[test]
fn r1_answers_to_fetches_are_bounded() {
    let mut cluster = Cluster::new(4);
    cluster.request(0, transaction(1, 0));
    let (seq, digest) = cluster
        .sent
        .iter()
        .find_map(|signed| match signed.statement {
            Statement::PrePrepare { seq, digest, .. } => Some((seq, digest)),
            _ => None,
        })
        .expect("a proposal was made");
    cluster.queue.clear();
    let fetch = || Message::Notice(quorate_types::Notice::Fetch(quorate_types::Fetch::Body { seq, digest }));
    let budget = crate::Tuning::default().repair_bytes;
    let mut given = 0;
    for _ in 0..1_000_000 {
        if cluster.hand(3, 0, fetch()) == Verdict::Ignored(crate::Ignored::OverBudget) {
            break;
        }
        let (_, _, answer) = cluster.queue.pop_front().expect("an answer");
        let Message::Body(batch) = answer else { panic!("{answer:?}") };
        given += batch.size();
    }
    assert!((budget..budget + 10_000).contains(&given), "{given} of {budget}");
    assert_eq!(cluster.hand(2, 0, fetch()), Verdict::Accepted, "others have budgets of their own");
    cluster.advance(Duration::from_millis(100));
    assert_eq!(cluster.hand(3, 0, fetch()), Verdict::Accepted, "later more is given");
}

/// The first three members have filled the window, and member 3 has nothing of it; the primary keeps its CHECKPOINTs to itself, so that
/// none is proven elsewhere.
fn window_filled_without_one() -> Cluster {
    let mut cluster = Cluster::new(4);
    let checkpoint = |message: &Message| matches!(message, Message::Vote(signed) if signed.statement.kind() == StatementKind::Checkpoint);
    for number in 0..8 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_if(|from, to, message| to != id(3) && !(from == id(0) && checkpoint(message)));
    }
    cluster
}

/// What a quorum executed while the window filled up, none of it below a proven checkpoint. Then the primary dies for good, and the
/// others restart: of the decisions they have the prepared certificates alone, and the member that they need knows of no proposal.
#[test]
fn r1_what_was_executed_reaches_a_member_whose_primary_is_dead() {
    let mut cluster = window_filled_without_one();
    assert_eq!((cluster.executed(1), cluster.executed(3), cluster.status(1).stable.get()), (8, 0, 0));
    cluster.crash(0);
    for member in [1, 2] {
        cluster.crash(member);
        cluster.start(member);
    }
    let done = cluster.run_until(Duration::from_secs(30), |cluster| cluster.status(3).stable.get() == 8);
    assert!(done, "{:?}", cluster.status(3));
    cluster.request(1, transaction(1, 8));
    let done = cluster.run_until(Duration::from_secs(30), |cluster| cluster.executed(3) > 8);
    assert!(done, "{:?}", cluster.status(3));
    cluster.assert_safe();
}

/// As above, but the primary lies: the fourth member holds another proposal of the first slot, so that no vote for the right one counts
/// there. Nothing but a NEW-VIEW tells it, and those who have executed everything must suspect for one.
#[test]
fn v10_a_window_that_waits_for_ever_ends_the_view() {
    let mut cluster = window_filled_without_one();
    let other = quorate_crypto::HashedBatch::of(quorate_types::LedgerTime(0), Vec::new());
    let statement = Statement::PrePrepare { view: View::ZERO, seq: Seq::new(1), digest: other.digest() };
    let lie = quorate_types::Proposal { pre_prepare: signed(0, statement), batch: other.batch().clone() };
    let _ = cluster.hand(0, 3, Message::Proposal(lie));
    cluster.crash(0);
    for member in [1, 2] {
        cluster.crash(member);
        cluster.start(member);
    }
    cluster.run_until(Duration::from_secs(1), |_| false);
    cluster.request(1, transaction(1, 8));
    let done = cluster.run_until(Duration::from_secs(120), |cluster| cluster.executed(3) > 8);
    assert!(done, "{:?} {:?}", cluster.status(1), cluster.status(3));
    cluster.assert_safe();
}
