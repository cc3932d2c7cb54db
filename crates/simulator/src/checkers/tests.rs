//! Each oracle flags its violation, injected by hand, and nothing before it.

use super::*;
use crate::cluster::{Cluster, Network, Setup};
use crate::promised::Promised;
use crate::replica::{EPOCH_MS, Node, vote_key};
use quorate_crypto::{HashedBatch, Signer};
use quorate_engine::Outcome;
use quorate_ledger::{Machine, built_in_applications};
use quorate_types::{
    BaseProof, Batch, CertificateKind, Digest, Epoch, Governance, LedgerTime, MemberSet, Monotonic, Now,
    Operation, Operations, PreparedCertificate, Statement, View, ViewChange, Wall,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

const ONE: ReplicaId = ReplicaId::new(1);
const TWO: ReplicaId = ReplicaId::new(2);

fn cluster() -> Cluster {
    Cluster::new(&Setup::of(4), Network::Manual(VecDeque::new()), 1)
}

fn checkers(cluster: &Cluster) -> Checkers {
    Checkers::new(cluster.members(), &cluster.genesis.parameters)
}

/// The names of what was flagged.
fn flagged(checkers: &Checkers) -> Vec<&'static str> {
    checkers.violations.iter().map(|violation| violation.property).collect()
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn vote(cluster: &Cluster, from: ReplicaId, statement: Statement) -> Message {
    Message::Vote(cluster.signed_by(from, statement))
}

fn prepare(view: u64, seq: u64, byte: u8) -> Statement {
    Statement::Prepare { view: View::new(view), seq: Seq::new(seq), digest: digest(byte) }
}

fn commit(view: u64, seq: u64, byte: u8) -> Statement {
    Statement::Commit { view: View::new(view), seq: Seq::new(seq), digest: digest(byte) }
}

/// What was prepared in view 0, without signatures.
fn entry(cluster: &Cluster, seq: u64) -> PreparedCertificate {
    PreparedCertificate {
        epoch: cluster.members().epoch(),
        view: View::ZERO,
        seq: Seq::new(seq),
        digest: digest(1),
        proposal: quorate_types::Signature([0; 64]),
        prepares: Vec::new(),
    }
}

/// A message of a member, without what its log promises.
fn sent(checkers: &mut Checkers, from: ReplicaId, message: &Message) {
    let checked = checkers.auditors.entry(Epoch::ZERO).or_default().sent(from, message);
    checkers.note(checked);
    let checked = checkers.new_views.entry(Epoch::ZERO).or_default().sent(from, message, 3);
    checkers.note(checked);
}

fn view_change(cluster: &Cluster, from: ReplicaId, to: u64, prepared: Vec<PreparedCertificate>) -> Message {
    let base_proof = BaseProof::Genesis;
    let statement = Statement::ViewChange {
        view: View::new(to),
        base: Seq::ZERO,
        base_proof: quorate_crypto::base_proof_digest(&base_proof),
        prepared: quorate_crypto::prepared_set_digest(&prepared),
    };
    let statement = cluster.signed_by(from, statement);
    Message::ViewChange(Arc::new(ViewChange { statement, base_proof, prepared }))
}

fn machine(cluster: &Cluster) -> Machine {
    Machine::genesis(&cluster.genesis, built_in_applications()).unwrap()
}

fn put(cluster: &Cluster, number: u64, value: &[u8]) -> SignedTransaction {
    let put = Operation::Put { key: b"key".to_vec(), value: value.to_vec() };
    cluster.transaction(0, (1, number), 60_000, &Operations(vec![put]))
}

fn execute(machine: &mut Machine, transactions: Vec<SignedTransaction>) -> Arc<ExecutedBlock> {
    let batch = Batch { time: LedgerTime(EPOCH_MS + 1_000), transactions };
    let seq = machine.height().next();
    machine.execute(seq, Some(Arc::new(HashedBatch::new(Arc::new(batch)))))
}

/// A member executes a block before the checkers.
fn executes(
    checkers: &mut Checkers,
    member: ReplicaId,
    machine: &mut Machine,
    transactions: Vec<SignedTransaction>,
) {
    let block = execute(machine, transactions);
    checkers.executed(member, &block, &machine.state());
}

#[test]
fn s1_another_block_at_the_same_height() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    let (one, other) = (put(&cluster, 0, b"a"), put(&cluster, 1, b"b"));
    checkers.submitted(&one);
    checkers.submitted(&other);
    executes(&mut checkers, ONE, &mut machine(&cluster), vec![one]);
    assert_eq!(flagged(&checkers), [""; 0]);
    executes(&mut checkers, TWO, &mut machine(&cluster), vec![other]);
    assert_eq!(flagged(&checkers), ["S1 agreement"]);
}

#[test]
fn s2_a_gap_and_a_wrong_turn() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    let mut machine = machine(&cluster);
    execute(&mut machine, Vec::new());
    executes(&mut checkers, ONE, &mut machine, Vec::new());
    checkers.out_of_order(TWO, Seq::new(3), Seq::new(1));
    assert_eq!(flagged(&checkers), ["S2 order", "S2 order"]);
}

#[test]
fn s3_what_nobody_sent() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    executes(&mut checkers, ONE, &mut machine(&cluster), vec![put(&cluster, 0, b"a")]);
    assert_eq!(flagged(&checkers), ["S3 validity"]);
}

#[test]
fn s4_two_outcomes_of_one_number() {
    let cluster = cluster();
    let mut once = ExactlyOnce::default();
    let (one, other) = (put(&cluster, 0, b"a"), put(&cluster, 0, b"b"));
    let submitted = [&one, &other].map(|signed| transaction_id(&signed.transaction)).into();
    let first = execute(&mut machine(&cluster), vec![one]);
    let second = execute(&mut machine(&cluster), vec![other]);
    assert!(once.block(&first, &submitted).is_ok());
    assert_eq!(once.block(&second, &submitted).unwrap_err().property, "S4 exactly once");
}

fn certificate(block: &ExecutedBlock, cluster: &Cluster, signers: u16) -> BlockCertificate {
    let statement = Statement::Attest { seq: block.header.height, header: block.header_hash };
    let signatures = ReplicaId::all(signers)
        .map(|member| (member, cluster.signed_by(member, statement.clone()).signature))
        .collect();
    BlockCertificate {
        epoch: cluster.members().epoch(),
        height: block.header.height,
        header: block.header_hash,
        kind: CertificateKind::Attest,
        signatures,
    }
}

#[test]
fn s5_a_certificate_of_too_few() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    let block = execute(&mut machine(&cluster), Vec::new());
    checkers.certified(&certificate(&block, &cluster, 3));
    assert_eq!(flagged(&checkers), [""; 0]);
    let mut twice = certificate(&block, &cluster, 2);
    twice.signatures.push(twice.signatures[0]);
    checkers.certified(&twice);
    assert_eq!(flagged(&checkers).len(), 1);
}

#[test]
fn s14_an_answer_that_the_ledger_does_not_have() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    let transaction = put(&cluster, 0, b"a");
    let block = execute(&mut machine(&cluster), vec![transaction.clone()]);
    let outcome = Outcome {
        id: transaction_id(&transaction.transaction),
        index: 0,
        block: block.sealed.clone(),
        links: Vec::new(),
        certificate: certificate(&block, &cluster, 3),
    };
    checkers.answered(&transaction, &Answer::Outcome(outcome.clone()));
    assert_eq!(flagged(&checkers), ["S14 outcome"]);
    let of_another = Outcome { links: vec![block.header.clone()], ..outcome };
    checkers.answered(&transaction, &Answer::Outcome(of_another));
    assert_eq!(flagged(&checkers), ["S14 outcome"; 2], "its header does not follow itself");
}

#[test]
fn s6_two_votes_for_one_slot() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    for byte in [1, 1, 2] {
        assert_eq!(flagged(&checkers), [""; 0]);
        sent(&mut checkers, ONE, &vote(&cluster, ONE, prepare(0, 1, byte)));
    }
    assert_eq!(flagged(&checkers), ["S6 one vote"]);
}

#[test]
fn s7_a_vote_in_a_view_that_was_left() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    sent(&mut checkers, ONE, &view_change(&cluster, ONE, 2, Vec::new()));
    sent(&mut checkers, ONE, &vote(&cluster, ONE, prepare(2, 1, 1)));
    assert_eq!(flagged(&checkers), [""; 0]);
    sent(&mut checkers, ONE, &vote(&cluster, ONE, prepare(1, 1, 1)));
    assert_eq!(flagged(&checkers), ["S7 left view"]);
}

#[test]
fn s8_two_digests_committed_to_in_one_view_and_a_commit_forgotten() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    sent(&mut checkers, ONE, &vote(&cluster, ONE, commit(0, 1, 1)));
    sent(&mut checkers, TWO, &vote(&cluster, TWO, commit(0, 1, 2)));
    assert_eq!(flagged(&checkers), ["S8 one prepared digest"]);
    sent(&mut checkers, ONE, &view_change(&cluster, ONE, 1, Vec::new()));
    assert_eq!(flagged(&checkers)[1..], ["S8 a VIEW-CHANGE has what was prepared"]);
}

fn new_view(cluster: &Cluster, view: u64, proposals: Vec<Digest>) -> NewView {
    let statement =
        Statement::NewView { view: View::new(view), chosen: Vec::new(), min: Seq::ZERO, proposals };
    NewView { statement: cluster.signed_by(ONE, statement), proposals: Vec::new(), view_changes: Vec::new() }
}

#[test]
fn s9_a_new_view_without_a_committed_slot() {
    let cluster = cluster();
    for commits_first in [true, false] {
        let mut checkers = checkers(&cluster);
        checkers.accepted(ONE, &new_view(&cluster, 1, vec![digest(1)]));
        if !commits_first {
            checkers.accepted(ONE, &new_view(&cluster, 2, vec![digest(2)]));
        }
        for member in ReplicaId::all(3) {
            assert_eq!(flagged(&checkers), [""; 0]);
            sent(&mut checkers, member, &vote(&cluster, member, commit(0, 1, 1)));
        }
        if commits_first {
            assert_eq!(flagged(&checkers), [""; 0]);
            checkers.accepted(ONE, &new_view(&cluster, 2, Vec::new()));
        }
        assert_eq!(flagged(&checkers), ["S9 committed slots stay"]);
    }
}

#[test]
fn s10_what_falls_back() {
    let mut cluster = cluster();
    cluster.start(ONE);
    let status = cluster.status(ONE).unwrap();
    let mut checkers = checkers(&cluster);
    let ahead = ReplicaStatus { view: View::new(3), ..status };
    checkers.seen(1, &ahead, []);
    checkers.seen(2, &status, []);
    assert_eq!(flagged(&checkers), [""; 0], "a restart may forget what was not durable");
    checkers.seen(3, &ahead, []);
    checkers.seen(3, &status, []);
    assert_eq!(flagged(&checkers), ["S10 monotone"]);
}

#[test]
fn s11_a_state_that_the_model_does_not_reach() {
    let cluster = cluster();
    let parameters = &cluster.genesis.parameters;
    let mut machine = machine(&cluster);
    let (mut reference, mut behind) = (Reference::default(), Reference::default());
    let first = execute(&mut machine, vec![put(&cluster, 0, b"a")]);
    for model in [&mut reference, &mut behind] {
        assert!(model.block(&first, &machine.state(), parameters).is_ok());
    }
    let second = execute(&mut machine, vec![put(&cluster, 1, b"b")]);
    assert!(reference.block(&second, &machine.state(), parameters).is_ok());
    // Without the first block the second one's put would not have found the key.
    let missed = Reference::default().block(&second, &machine.state(), parameters);
    assert_eq!(missed.unwrap_err().property, "S11 reference ledger");
    // A block that does not change the state leaves it as it was in the model too.
    let third = execute(&mut machine, Vec::new());
    let unchanged = behind.block(&third, &machine.state(), parameters);
    assert_eq!(unchanged.unwrap_err().property, "S11 reference ledger");
}

#[test]
fn g4_a_member_that_keeps_a_key_that_it_replaced() {
    let mut cluster = cluster();
    let before = MemberSet::of_genesis(&cluster.genesis);
    cluster.start(ONE);
    let Governance::Propose { change, .. } = cluster.rotate(ONE) else { panic!("a change") };
    let joiner = change.add.clone().expect("somebody joins");
    let mut after = before.clone();
    let seat = &mut after.seats[ONE.index()].member;
    (seat.vote, seat.transport) = (joiner.vote, joiner.transport);
    assert!(reference::follows(&change, &before, &after));
    after.seats[ONE.index()].member.vote = before.seats[ONE.index()].member.vote;
    assert!(!reference::follows(&change, &before, &after), "the old key");
    assert!(!reference::follows(&change, &before, &before), "nothing changed");
    let others = MemberSet { seats: before.seats[1..].to_vec(), ..before.clone() };
    assert!(!reference::follows(&change, &before, &others), "another left");
}

#[test]
fn s19_a_fork_without_culprits() {
    let cluster = cluster();
    let fork = |convicted: &[ReplicaId]| {
        let mut checkers = checkers(&cluster);
        checkers.expect_too_many_faults();
        for member in convicted {
            checkers.lied(*member, &vote(&cluster, *member, prepare(0, 1, 1)));
            checkers.lied(*member, &vote(&cluster, *member, prepare(0, 1, 2)));
        }
        executes(&mut checkers, ONE, &mut machine(&cluster), vec![put(&cluster, 0, b"a")]);
        executes(&mut checkers, TWO, &mut machine(&cluster), vec![put(&cluster, 1, b"b")]);
        checkers
    };
    assert_eq!(flagged(&fork(&[])), ["S19 culprits"]);
    assert_eq!(flagged(&fork(&[ReplicaId::new(0)])), ["S19 culprits"]);
    assert_eq!(flagged(&fork(&[ReplicaId::new(0), ReplicaId::new(3)])), [""; 0]);
}

#[test]
fn d_what_is_sent_before_it_is_durable() {
    let cluster = cluster();
    let said = cluster.signed_by(ONE, prepare(0, 1, 1));
    let message = Message::Vote(said.clone());
    assert!(durability::holds(ONE, &message, &[Record::Vote(said)]).is_ok());
    let other = cluster.signed_by(ONE, prepare(0, 2, 1));
    assert!(durability::holds(ONE, &message, &[Record::Vote(other)]).is_err());

    // A COMMIT leaves together with the log's move to a view in which the slot was prepared again.
    let message = vote(&cluster, ONE, commit(0, 1, 1));
    for (view, fine) in [(0, false), (1, true)] {
        let again = PreparedCertificate { view: View::new(view), ..entry(&cluster, 1) };
        assert_eq!(durability::holds(ONE, &message, &[Record::Prepared(again)]).is_ok(), fine, "view {view}");
    }

    // A NEW-VIEW leaves, to whoever lacks it, together with the log's move to a higher view.
    let opened =
        Statement::NewView { view: View::new(1), chosen: Vec::new(), min: Seq::ZERO, proposals: Vec::new() };
    let statement = cluster.signed_by(ONE, opened);
    let new_view = NewView { statement, proposals: Vec::new(), view_changes: Vec::new() };
    let message = Message::NewView(Arc::new(new_view));
    for (view, fine) in [(1, false), (2, true)] {
        let (base, stable) = (BaseProof::Genesis, BaseProof::Genesis);
        let anchor = Record::Anchor { epoch: Epoch::ZERO, view: View::new(view), active: true, base, stable };
        assert_eq!(durability::holds(ONE, &message, &[anchor]).is_ok(), fine, "view {view}");
    }
}

#[test]
fn d_a_restart_that_would_contradict_what_was_sent() {
    let cluster = cluster();
    let now = Now { monotonic: Monotonic(0), wall: Wall(EPOCH_MS) };
    let mut node = Node::new(ONE);
    assert!(node.start(&cluster.genesis, *cluster.members().ledger(), ONE, now).is_ok());
    let host = node.process.as_ref().map(|process| &process.host);
    let message = vote(&cluster, ONE, prepare(0, 1, 1));
    assert!(durability::stands_by(ONE, &message, host).is_err(), "an empty log stands by nothing");
    assert_eq!(vote_key(ONE).public_key(), cluster.members().get(ONE).unwrap().vote);
}

#[test]
fn d4_a_log_that_lost_a_record() {
    let cluster = cluster();
    let record = |seq| Record::Vote(cluster.signed_by(ONE, prepare(0, seq, 1)));
    let kept = [record(1), record(2)];
    let promised = || {
        let mut promised = Promised::default();
        promised.found(&kept).unwrap();
        promised
    };
    assert!(promised().found(&[record(1), record(2), record(3)]).is_ok(), "more may have reached the disk");
    assert!(promised().found(&[record(1)]).is_err());
    assert!(promised().found(&[record(1), record(3)]).is_err());
    let mut checkers = checkers(&cluster);
    checkers.lost_records(ONE, Lost::Promised("one".to_owned()));
    assert_eq!(flagged(&checkers), ["D4 the log keeps what was synced"]);
}

#[test]
fn m1_a_collection_beyond_its_bound() {
    let mut cluster = cluster();
    cluster.start(ONE);
    let status = cluster.status(ONE).unwrap();
    assert!(memory::within(&status, [("slots", 3, 3)]).is_ok());
    assert_eq!(memory::within(&status, [("slots", 4, 3)]).unwrap_err().property, "M1 memory");
}

#[test]
fn l_what_waits_too_long_and_who_lags() {
    let bound = progress::bound(cluster().members().quorums(), &Parameters::default(), 1_000);
    assert_eq!(bound, Duration::from_secs(3 * 8 + 20));
    let property = |waiting, converged| {
        progress::within(bound, waiting, converged, "").map_err(|violation| violation.property)
    };
    assert_eq!(property(0, true), Ok(()));
    assert_eq!(property(1, true), Err("L1 progress"));
    assert_eq!(property(0, false), Err("L2 catching up"));
}

#[test]
fn l3_a_view_change_for_nothing() {
    assert!(progress::calm(true, 5).is_ok());
    assert!(progress::calm(false, 0).is_ok());
    assert_eq!(progress::calm(false, 1).unwrap_err().property, "L3 no needless view change");
}

#[test]
fn whoever_lies_is_not_held_to_what_it_says() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    checkers.faulty.insert(ONE);
    for byte in [1, 2] {
        checkers.sent(ONE, &vote(&cluster, ONE, prepare(0, 1, byte)), &[]);
    }
    assert_eq!(flagged(&checkers), [""; 0]);
    assert_eq!(checkers.culprits().len(), 1);
}

#[test]
fn s18_a_signature_that_holds_in_one_domain_only() {
    let cluster = cluster();
    for statement in [
        prepare(0, 1, 1),
        commit(0, 1, 1),
        Statement::Attest { seq: Seq::new(1), header: digest(1) },
        Statement::Checkpoint { seq: Seq::new(4), header: digest(1) },
    ] {
        let message = vote(&cluster, ONE, statement);
        assert!(domains::separate(cluster.members(), &message).is_ok());
    }
    // The ledger that stands for "another" is the own one here: its signatures hold there too.
    let own = Cluster::new(&Setup::of(4), Network::Manual(VecDeque::new()), 1);
    let mut genesis = own.genesis.clone();
    genesis.name = "other".to_owned();
    let other = genesis.members_of_epoch_0(quorate_types::LedgerId([9; 32])).unwrap();
    let message = vote(&cluster, ONE, prepare(0, 1, 1));
    assert_eq!(domains::separate(&other, &message).unwrap_err().property, "S18 one domain");
}

#[test]
fn m4_bytes_that_are_read_and_written_otherwise() {
    let cluster = cluster();
    let message = vote(&cluster, ONE, prepare(0, 1, 1));
    let mut bytes = quorate_codec::encode_message(&message);
    assert!(encoding::canonical(ONE, &bytes, &message).is_ok());
    bytes.push(0);
    assert_eq!(encoding::canonical(ONE, &bytes, &message).unwrap_err().property, "M4 canonical encoding");
}

#[test]
fn m5_repair_beyond_its_budget() {
    let cluster = cluster();
    let body = |length: usize| {
        let transactions = vec![put(&cluster, 0, &vec![0; length])];
        Message::Body(Arc::new(Batch { time: LedgerTime(EPOCH_MS), transactions }))
    };
    let bodies: Vec<Message> = (0..8).map(|_| body(4_000)).collect();
    // One STATUS may spend the budget and what the last slot needs.
    assert!(repairs::within(ONE, 8_000, bodies[..4].iter()).is_ok());
    let beyond = repairs::within(ONE, 8_000, bodies.iter()).unwrap_err();
    assert_eq!(beyond.property, "M5 repair within its budget");
}

#[test]
fn s16_who_was_shown_that_it_forgot() {
    let mut cluster = cluster();
    cluster.start(ONE);
    let status = cluster.status(ONE).unwrap();
    let mut checkers = checkers(&cluster);
    let said = |seq| vote(&cluster, ONE, prepare(0, seq, 1));
    let reply = |view| {
        let vote = Some(cluster.signed_by(ONE, prepare(view, 1, 1)));
        quorate_types::HelloReply { nonce: [0; 32], view: None, vote, commits: Vec::new() }
    };
    checkers.told((ONE, 1), &status, &reply(0));
    checkers.remembers((ONE, 1), &said(1));
    checkers.told((ONE, 1), &status, &reply(3));
    checkers.remembers((ONE, 2), &said(1));
    assert_eq!(flagged(&checkers), [""; 0], "another start");
    checkers.remembers((ONE, 1), &said(1));
    assert_eq!(flagged(&checkers), ["S16 who forgot is silent"]);
}

#[test]
fn v3_a_new_view_that_builds_on_entries_beyond_the_window() {
    let cluster = cluster();
    let window = cluster.genesis.parameters.window;
    let entry = |seq| entry(&cluster, seq);
    for (entries, fine) in [(vec![1, window], true), (vec![window + 1], false), (vec![2, 2], false)] {
        let mut checkers = checkers(&cluster);
        let Message::ViewChange(named) =
            view_change(&cluster, TWO, 1, entries.into_iter().map(entry).collect())
        else {
            panic!("a VIEW-CHANGE")
        };
        checkers.accepted(ONE, &NewView { view_changes: vec![named], ..new_view(&cluster, 1, Vec::new()) });
        assert_eq!(checkers.violations.is_empty(), fine);
    }
}

#[test]
fn d4_a_damaged_log_that_is_cut_short() {
    let cluster = cluster();
    let record = |seq| Record::Vote(cluster.signed_by(ONE, prepare(0, seq, 1)));
    let mut promised = Promised::default();
    promised.found(&[record(1), record(2)]).unwrap();
    promised.damage(1);
    assert!(promised.clone().found(&[record(1), record(2)]).is_ok());
    assert!(promised.clone().found(&[record(1)]).is_err());
    promised.replacing = Some(vec![record(3)]);
    assert!(promised.clone().found(&[record(3)]).is_ok(), "the compacted log is whole");
    promised.replacing = Some(vec![record(3), record(4)]);
    assert!(promised.clone().found(&[record(3)]).is_err(), "it is not, and the old one has more");
    promised.damage(1);
    assert!(
        promised.clone().found(&[record(1)]).is_ok(),
        "the flush that claims the second may be spoilt as well"
    );
    assert!(promised.found(&[record(2)]).is_err(), "nobody wrote this one first");
}

#[test]
fn v7_a_new_view_without_a_body() {
    let cluster = cluster();
    let message = Message::NewView(Arc::new(new_view(&cluster, 1, vec![digest(1)])));
    let batch = Arc::new(Batch { time: LedgerTime(EPOCH_MS), transactions: Vec::new() });
    let held = HashedBatch::new(batch.clone()).digest();
    let named = Message::NewView(Arc::new(new_view(&cluster, 1, vec![held])));
    assert!(durability::holds_body(ONE, &named, &[Record::Body(batch.clone())], Seq::MAX).is_ok());
    assert!(durability::holds_body(ONE, &message, &[Record::Body(batch)], Seq::MAX).is_err());
    assert!(durability::holds_body(ONE, &message, &[], Seq::ZERO).is_ok(), "the slot is void");
    assert!(durability::holds_body(ONE, &message, &[], Seq::new(1)).is_err());
}

#[test]
fn n9_a_correct_member_that_stops_for_ever() {
    let cluster = cluster();
    let mut checkers = checkers(&cluster);
    checkers.reported(ONE, &Report::CaughtUp { at: Seq::new(1) });
    assert_eq!(flagged(&checkers), [""; 0]);
    checkers.reported(ONE, &Report::Contradiction { seq: Seq::new(1) });
    assert_eq!(flagged(&checkers), ["N9 no correct member stops for ever"]);
}
