use crate::testing::{Cluster, id, members, parameters, signed, transaction};
use crate::verdict::{Ignored, Verdict};
use crate::{Input, Installed};
use quorate_crypto::Signer;
use quorate_types::{
    BaseProof, BlockCertificate, CertificateKind, Digest, Epoch, HelloReply, LedgerTime, Message, Notice,
    Outlook, Record, ReplicaId, Seq, SignedStatement, Statement, StatementKind, View,
};
use std::collections::VecDeque;
use std::time::Duration;

/// The last slot of the epoch in these tests: the first checkpoint.
const LAST: Seq = Seq::new(4);

/// Four members who decide slots one after the other; the third changes the members.
fn changing() -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.change = Some((Seq::new(3), LAST));
    cluster
}

/// Requests, each decided in a slot of its own.
fn order(cluster: &mut Cluster, numbers: std::ops::Range<u64>) {
    for number in numbers {
        cluster.request(0, transaction(1, number));
        cluster.deliver_all();
    }
}

fn highest_decided(cluster: &Cluster, member: u16) -> u64 {
    let replica = cluster.nodes[usize::from(member)].replica.as_ref().expect("it runs");
    let decided = replica.slots.iter().filter(|(_, slot)| slot.decided.is_some());
    decided.map(|(seq, _)| seq.get()).max().unwrap_or(0)
}

#[test]
fn g2_nothing_above_the_last_slot_is_executed_or_voted_on() {
    let mut cluster = changing();
    order(&mut cluster, 0..8);
    for member in 0..4 {
        assert_eq!(cluster.executed(member), LAST.get());
        assert_eq!(cluster.nodes[usize::from(member)].closed, [LAST], "each knows that the epoch is over");
    }
    assert!(cluster.status(0).custody > 0, "F1: what was not ordered stays in custody");
    let above = cluster.sent.iter().filter(|said| said.statement.seq().is_some_and(|seq| seq > LAST)).count();
    assert_eq!(above, 0);
    cluster.assert_safe();
}

#[test]
fn g2_slots_decided_before_the_change_was_known_are_void() {
    let mut cluster = changing();
    cluster.held = Some(VecDeque::new());
    order(&mut cluster, 0..8);
    assert!(highest_decided(&cluster, 2) > LAST.get(), "they decided slots of which they could not know");
    let handed = |cluster: &Cluster| {
        let held = cluster.held.as_ref().expect("held");
        held.iter().filter(|(member, _, _)| *member == 2).map(|(_, seq, _)| *seq).max()
    };
    assert_eq!(
        handed(&cluster),
        Some(LAST),
        "nothing above the checkpoint is handed over before it is executed"
    );
    for _ in 0..8 {
        cluster.execute_next();
        cluster.deliver_all();
    }
    for member in 0..4 {
        assert_eq!(cluster.executed(member), LAST.get());
        assert!(highest_decided(&cluster, member) <= LAST.get(), "void slots are forgotten");
        assert_eq!(cluster.nodes[usize::from(member)].closed, [LAST]);
    }
    // V2: who does not know of the end must not see two decisions of one slot, so VIEW-CHANGEs go on telling what was prepared.
    let prepared = |cluster: &Cluster| {
        let replica = cluster.nodes[2].replica.as_ref().expect("it runs");
        replica.slots.range(LAST.next()..).filter(|(_, slot)| slot.prepared.is_some()).count()
    };
    assert!(prepared(&cluster) > 0);
    cluster.crash(2);
    cluster.start(2);
    assert!(prepared(&cluster) > 0, "also after a restart");
    let attested = cluster.sent.iter().filter(|said| said.statement.kind() == StatementKind::Attest);
    assert!(attested.clone().count() > 0);
    assert!(attested.filter_map(|said| said.statement.seq()).all(|seq| seq <= LAST));
}

#[test]
fn g2_execution_goes_on_at_once_where_no_epoch_ends() {
    let mut cluster = Cluster::new(4);
    order(&mut cluster, 0..10);
    for member in 0..4 {
        assert_eq!(cluster.executed(member), 10);
        assert!(cluster.nodes[usize::from(member)].closed.is_empty());
    }
}

#[test]
fn g2_a_restart_at_the_end_of_an_epoch_says_again_that_it_is_over() {
    let mut cluster = changing();
    order(&mut cluster, 0..8);
    cluster.crash(2);
    cluster.nodes[2].closed.clear();
    cluster.start(2);
    assert_eq!(cluster.nodes[2].closed, [LAST]);
}

#[test]
fn g2_a_restart_before_the_end_of_an_epoch_knows_where_it_ends() {
    let mut cluster = changing();
    order(&mut cluster, 0..3);
    cluster.crash(2);
    cluster.start(2);
    cluster.deliver_all();
    cluster.run_until(Duration::from_secs(5), |cluster| cluster.status(2).hello_missing == 0);
    order(&mut cluster, 3..8);
    cluster.run_until(Duration::from_secs(20), |cluster| !cluster.nodes[2].closed.is_empty());
    assert_eq!((cluster.executed(2), cluster.nodes[2].closed.first()), (LAST.get(), Some(&LAST)));
}

/// The members of an epoch that begins after the first checkpoint, just started.
fn later() -> Cluster {
    let first = members(4);
    let seats = first.iter().map(|(_, member)| member.clone()).collect();
    let members = quorate_types::Members::new(*first.ledger(), Epoch::new(1), 1, seats).expect("legal");
    Cluster::of(members.opened_after(LAST), parameters())
}

#[test]
fn g2_an_epoch_begins_after_the_last_block_of_the_one_before() {
    let mut cluster = later();
    cluster.deliver_all();
    for member in 0..4 {
        let status = cluster.status(member);
        assert_eq!((status.epoch, status.view, status.active), (Epoch::new(1), View::ZERO, true));
        assert_eq!((status.base, status.stable, status.executed), (LAST, LAST, LAST));
        assert_eq!(status.primary, id(1), "N1: the primary of view 0 is another one");
        assert_eq!(status.hello_missing, 0);
    }
    order(&mut cluster, 0..6);
    for member in 0..4 {
        assert_eq!(cluster.executed(member), LAST.get() + 6);
        assert_eq!(cluster.status(member).view, View::ZERO, "V11: nobody abdicates from what has just begun");
    }
    let epochs: Vec<Epoch> = cluster.sent.iter().map(|said| said.epoch).collect();
    assert!(epochs.iter().all(|epoch| *epoch == Epoch::new(1)));
    // Without a checkpoint of its own yet: a base that everyone knows proves itself.
    cluster.crash(1);
    cluster.request(2, transaction(2, 0));
    let moved = cluster.run_until(Duration::from_secs(20), |cluster| cluster.executed(0) == LAST.get() + 7);
    assert!(moved, "V: a view change within the first window of an epoch");
}

#[test]
fn g2_who_is_in_an_older_epoch_is_sent_its_end() {
    let mut cluster = later();
    cluster.deliver_all();
    let old = Cluster::new(4);
    let status = old.nodes[3].replica.as_ref().expect("it runs").own_status();
    let verdict = cluster.hand(3, 0, Message::Notice(Notice::Status(status.clone())));
    assert_eq!(verdict, Verdict::Accepted);
    assert_eq!(cluster.nodes[0].handovers, [(id(3), Epoch::ZERO)]);
    let _ = cluster.hand(3, 0, Message::Notice(Notice::Status(status)));
    assert_eq!(cluster.nodes[0].handovers.len(), 1, "R1: not again at once");
}

#[test]
fn g2_who_hears_of_a_later_epoch_asks_there_for_blocks() {
    let mut cluster = Cluster::new(4);
    let mut later = later();
    later.deliver_all();
    let status = later.nodes[3].replica.as_ref().expect("it runs").own_status();
    cluster.queue.clear();
    let verdict = cluster.hand(3, 0, Message::Notice(Notice::Status(status)));
    assert_eq!(verdict, Verdict::Ignored(Ignored::OtherEpoch));
    let asked = cluster.queue.iter().any(|(from, to, message)| {
        let fetch = matches!(message, Message::Notice(Notice::Fetch(quorate_types::Fetch::Blocks { .. })));
        fetch && *from == id(0) && *to == id(3)
    });
    assert!(asked, "{:?}", cluster.queue);
}

fn reply(cluster: &Cluster, said: SignedStatement) -> Message {
    let nonce = cluster.nodes[2].replica.as_ref().expect("it runs").greeting.hello().nonce;
    let reply = HelloReply { nonce, view: Some(said), vote: None, commits: Vec::new() };
    Message::Notice(Notice::HelloReply(Box::new(reply)))
}

#[test]
fn d6_what_was_said_in_a_former_epoch_proves_nothing() {
    let mut cluster = later();
    cluster.queue.clear();
    let statement =
        Statement::NewView { view: View::new(7), min: Seq::ZERO, chosen: Vec::new(), proposals: Vec::new() };
    let bytes = statement.signed_bytes(cluster.members.ledger(), Epoch::ZERO);
    let signature = crate::testing::key(2).sign(&bytes);
    let old = SignedStatement { epoch: Epoch::ZERO, signer: id(2), statement, signature };
    let replica = cluster.nodes[2].replica.as_mut().expect("it runs");
    let Message::Notice(Notice::HelloReply(said)) = reply_to(replica.greeting.hello().nonce, old) else {
        unreachable!("made so")
    };
    let mut out = crate::Outbox::new();
    let verdict = replica.on_hello_reply(cluster.now, id(0), &said, &mut out);
    assert_eq!(verdict, Verdict::Accepted);
    assert!(!replica.learner, "view 7 of epoch 0 says nothing about view 0 of epoch 1");
}

fn reply_to(nonce: [u8; 32], said: SignedStatement) -> Message {
    let reply = HelloReply { nonce, view: Some(said), vote: None, commits: Vec::new() };
    Message::Notice(Notice::HelloReply(Box::new(reply)))
}

#[test]
fn d6_a_statement_of_a_later_epoch_is_amnesia() {
    let mut cluster = Cluster::cold(4, parameters());
    cluster.queue.clear();
    let later = SignedStatement {
        epoch: Epoch::new(1),
        ..signed(
            2,
            Statement::Prepare { view: View::ZERO, seq: Seq::new(5), digest: quorate_types::Digest::ZERO },
        )
    };
    let Message::Notice(Notice::HelloReply(said)) = reply(&cluster, later) else { unreachable!("made so") };
    let replica = cluster.nodes[2].replica.as_mut().expect("it runs");
    let _ = replica.on_hello_reply(cluster.now, id(0), &said, &mut crate::Outbox::new());
    assert!(replica.learner);
}

#[test]
fn l2_a_member_with_another_store_follows_without_a_word() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    cluster.nodes[3].log = crate::testing::TestLog::default();
    cluster.nodes[3].may_vote = false;
    cluster.start(3);
    let before = cluster.sent.len();
    order(&mut cluster, 0..6);
    cluster.run_until(Duration::from_secs(10), |cluster| cluster.executed(3) == 6);
    assert_eq!(cluster.executed(3), 6, "it follows");
    assert_eq!(cluster.status(3).phase, crate::Phase::Learner);
    let own = cluster.sent[before..].iter().filter(|said| said.signer == ReplicaId::new(3)).count();
    assert_eq!(own, 0, "and says nothing that binds it");
}

/// Seed 7000211: the certificate of a state with which an epoch begins is of keys of the epoch before, and the log is read with those
/// of this one.
#[test]
fn t3_a_state_with_which_an_epoch_begins_is_stable_by_its_opening() {
    let hash = Digest([5; 32]);
    let first = later();
    let before = BlockCertificate {
        epoch: Epoch::ZERO,
        height: LAST,
        header: hash,
        kind: CertificateKind::Checkpoint,
        signatures: Vec::new(),
    };
    let known = first.members.clone().opened_with(before.clone());
    let mut cluster = Cluster::of(known, parameters());
    let opening = cluster.members.opening();
    let anchor = |stable| Record::Anchor {
        epoch: Epoch::new(1),
        view: View::ZERO,
        active: true,
        base: opening.clone(),
        stable,
    };
    cluster.crash(3);
    cluster.nodes[3].log.durable = vec![anchor(BaseProof::Genesis)];
    cluster.nodes[3].blank = true;
    cluster.start(3);
    assert_eq!((cluster.executed(3), cluster.status(3).base), (0, LAST));
    assert_eq!(cluster.input(3, Input::StateFetched { seq: LAST }), Verdict::Accepted);
    let outlook = Outlook { obligation: None, closes: Some(LAST) };
    let state = |header_hash| Installed {
        seq: LAST,
        header_hash,
        time: LedgerTime(0),
        outlook,
        certificate: before.clone(),
    };
    assert_eq!(cluster.input(3, Input::Installed(Box::new(state(hash)))), Verdict::Accepted);
    assert_eq!((cluster.executed(3), cluster.status(3).stable), (LAST.get(), LAST));
    assert_eq!(
        cluster.nodes[3].log.durable,
        [anchor(opening.clone())],
        "nothing in it is of the epoch before"
    );
    assert!(cluster.nodes[3].closed.is_empty(), "it is not this epoch that ended there");
    // K4: a state of another block is not what the epoch goes on with.
    cluster.nodes[3].log.durable = vec![anchor(BaseProof::Genesis)];
    cluster.start(3);
    let _ = cluster.input(3, Input::StateFetched { seq: LAST });
    let _ = cluster.input(3, Input::Installed(Box::new(state(Digest([6; 32])))));
    assert_eq!((cluster.status(3).phase, cluster.executed(3)), (crate::Phase::Halted, 0));
}

/// Seed 90312: a restart between the end of an epoch and its state being stored.
#[test]
fn t1_the_state_with_which_an_epoch_begins_is_stored() {
    let mut cluster = later();
    assert_eq!(cluster.nodes[0].stored, [LAST], "at its start");
    order(&mut cluster, 0..8);
    let last = cluster.status(0).stable;
    assert!(last > LAST);
    cluster.crash(0);
    cluster.nodes[0].stored.clear();
    cluster.start(0);
    assert!(cluster.nodes[0].stored.is_empty(), "there is a later one");
    // Who has not executed that far has nothing to store.
    cluster.crash(3);
    let (base, stable) = (cluster.members.opening(), BaseProof::Genesis);
    let anchor = Record::Anchor { epoch: Epoch::new(1), view: View::ZERO, active: true, base, stable };
    (cluster.nodes[3].blank, cluster.nodes[3].log.durable) = (true, vec![anchor]);
    cluster.nodes[3].blocks.clear();
    cluster.nodes[3].stored.clear();
    cluster.start(3);
    assert!(cluster.nodes[3].stored.is_empty());
}
