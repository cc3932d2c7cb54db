//! The bytes of frames and records as they are now: a change of them is a change of format. The list is `golden.txt`; with
//! QUORATE_REWRITE=1 it is written anew.

use super::*;
use quorate_types::{
    CommitCertificate, Fetch, Hello, HelloReply, Reservation, SlotStatus, StateLeaves, StatePart, StateParts,
    Status, Suspicion,
};
use sha2::{Digest as _, Sha256};
use std::fmt::Write;

fn vote() -> SignedStatement {
    signed(Statement::Commit { view: View::new(1), seq: Seq::new(2), digest: Digest([3; 32]) })
}

fn small_batch() -> Arc<Batch> {
    let transaction = SignedTransaction {
        transaction: Transaction {
            ledger: LedgerId([1; 32]),
            sender: PublicKey([2; 32]),
            session: SessionId::new(3),
            number: Number::new(4),
            valid_until: LedgerTime(5),
            app: "kv".to_owned(),
            payload: vec![6, 7],
        },
        signature: Signature([8; 64]),
    };
    Arc::new(Batch { time: LedgerTime(9), transactions: vec![transaction] })
}

fn prepared() -> PreparedCertificate {
    PreparedCertificate {
        epoch: Epoch::ZERO,
        view: View::new(1),
        seq: Seq::new(2),
        digest: Digest([3; 32]),
        proposal: Signature([4; 64]),
        prepares: pairs(2),
    }
}

fn committed() -> CommitCertificate {
    CommitCertificate {
        epoch: Epoch::ZERO,
        view: View::new(1),
        seq: Seq::new(2),
        digest: Digest([3; 32]),
        commits: pairs(3),
    }
}

fn view_change() -> Arc<ViewChange> {
    let (base, digest) = (Seq::ZERO, Digest([5; 32]));
    Arc::new(ViewChange {
        statement: signed(Statement::ViewChange {
            view: View::new(2),
            base,
            base_proof: digest,
            prepared: digest,
        }),
        base_proof: BaseProof::Genesis,
        prepared: vec![prepared()],
    })
}

fn new_view() -> Arc<NewView> {
    let digest = Digest([5; 32]);
    Arc::new(NewView {
        statement: signed(Statement::NewView {
            view: View::new(2),
            chosen: vec![(ReplicaId::new(1), digest)],
            min: Seq::ZERO,
            proposals: vec![digest],
        }),
        proposals: vec![Signature([6; 64])],
        view_changes: vec![view_change()],
    })
}

fn block(batch: Option<Arc<Batch>>, links: usize) -> Arc<CertifiedBlock> {
    let certificate = block_certificate(3);
    Arc::new(CertifiedBlock {
        block: Block { header: header(), batch },
        links: vec![header(); links],
        certificate,
    })
}

fn status() -> Status {
    Status {
        epoch: Epoch::ZERO,
        view: View::new(1),
        active: true,
        suspicion: Some(Suspicion::Silence),
        base: Seq::new(2),
        stable: Seq::new(3),
        executed: Seq::new(4),
        certified: Seq::new(5),
        view_changes: 6,
        slots: vec![SlotStatus {
            seq: Seq::new(7),
            proposal: true,
            committed: false,
            wants_body: Some(Digest([8; 32])),
            prepares: 9,
            commits: 10,
        }],
        checkpoints: 11,
        attests: 12,
    }
}

fn state_parts() -> StateParts {
    let one = StatePart::One { key_hash: Digest([4; 32]), value_hash: Digest([5; 32]) };
    let parts = vec![StatePart::Empty, one, StatePart::Many(Digest([6; 32])), StatePart::Empty];
    StateParts { header: header(), certificate: block_certificate(3), parts }
}

fn state_leaves() -> StateLeaves {
    StateLeaves { height: Seq::new(1), index: 2, leaves: vec![(b"key".to_vec(), b"value".to_vec())] }
}

fn messages() -> Vec<(&'static str, Message)> {
    let digest = Digest([1; 32]);
    let proposal = Proposal { pre_prepare: vote(), batch: small_batch() };
    let notices = [
        ("status", Notice::Status(status())),
        ("ping", Notice::Ping { number: 1 }),
        ("pong", Notice::Pong { number: 1 }),
        ("fetch-body", Notice::Fetch(Fetch::Body { seq: Seq::new(1), digest })),
        ("fetch-view-change", Notice::Fetch(Fetch::ViewChange { sender: ReplicaId::new(1), digest })),
        ("fetch-blocks", Notice::Fetch(Fetch::Blocks { from: Seq::new(1) })),
        ("fetch-state-parts", Notice::Fetch(Fetch::StateParts { above: Seq::new(1) })),
        ("fetch-state-leaves", Notice::Fetch(Fetch::StateLeaves { height: Seq::new(1), index: 2 })),
        ("pruned", Notice::Pruned { first: Seq::new(1) }),
        ("hello", Notice::Hello(Hello { nonce: [1; 32] })),
        (
            "hello-reply",
            Notice::HelloReply(Box::new(HelloReply {
                nonce: [1; 32],
                view: None,
                vote: Some(vote()),
                commits: vec![vote()],
            })),
        ),
    ];
    let mut messages = vec![
        ("proposal", Message::Proposal(proposal)),
        ("vote", Message::Vote(vote())),
        ("view-change", Message::ViewChange(view_change())),
        ("new-view", Message::NewView(new_view())),
        ("commit-certificate", Message::CommitCertificate(committed())),
        ("block-certificate", Message::BlockCertificate(block_certificate(3))),
        ("body", Message::Body(small_batch())),
        ("block", Message::Block(block(Some(small_batch()), 0))),
        ("null-block-with-a-link", Message::Block(block(None, 1))),
        ("forward", Message::Forward(small_batch().transactions.clone())),
        ("evidence", Message::Evidence(Box::new((vote(), vote())))),
        ("state-parts", Message::StateParts(Box::new(state_parts()))),
        ("state-leaves", Message::StateLeaves(Box::new(state_leaves()))),
    ];
    messages.extend(notices.map(|(name, notice)| (name, Message::Notice(notice))));
    messages
}

fn records() -> Vec<(&'static str, Record)> {
    let checkpoint = BaseProof::Checkpoint(block_certificate(3));
    let anchor = Record::Anchor {
        epoch: Epoch::ZERO,
        view: View::new(1),
        active: true,
        base: checkpoint,
        stable: BaseProof::Genesis,
    };
    vec![
        ("record-anchor", anchor),
        ("record-proposal", Record::Proposal(Proposal { pre_prepare: vote(), batch: small_batch() })),
        ("record-body", Record::Body(small_batch())),
        ("record-vote", Record::Vote(vote())),
        ("record-prepared", Record::Prepared(prepared())),
        ("record-committed", Record::Committed(committed())),
        ("record-block", Record::Block(block(Some(small_batch()), 0))),
        ("record-view-change", Record::ViewChange(view_change())),
        ("record-new-view", Record::NewView(new_view())),
        ("record-base", Record::Base(block_certificate(3))),
        ("record-stable", Record::Stable(block_certificate(3))),
        (
            "record-reserved",
            Record::Reserved(Reservation { epoch: Epoch::ZERO, view: View::new(3), up_to: Seq::new(256) }),
        ),
    ]
}

/// Name, length, and the bytes or, of long ones, their hash.
fn line(name: &str, bytes: &[u8]) -> String {
    let shown = match bytes.len() {
        0..=1024 => hex::encode(bytes),
        _ => format!("sha256:{}", hex::encode(Sha256::digest(bytes))),
    };
    format!("{name} {} {shown}\n", bytes.len())
}

#[test]
fn frames_and_records_are_what_they_were() {
    let mut text = String::new();
    let caps = Caps::new(&members(4), &Parameters::default());
    for (name, message) in messages() {
        let bytes = encode_message(&message);
        assert_eq!(decode_message(&bytes, &caps).as_ref(), Ok(&message), "{name}");
        text += &line(name, &bytes);
    }
    for (name, record) in records() {
        let bytes = encode_record(&record);
        assert_eq!(decode_record(&bytes).as_ref(), Ok(&record), "{name}");
        text += &line(name, &bytes);
    }
    for n in [4, 7, 31, 100] {
        for (name, message) in largest_messages(&members(n), &Parameters::default()) {
            write!(text, "largest-n{n}-{}", line(name, &encode_message(&message))).unwrap();
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/golden.txt");
    if std::env::var_os("QUORATE_REWRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    for (was, is) in kept.lines().zip(text.lines()) {
        assert!(was == is, "the format of {} changed", is.split(' ').next().unwrap());
    }
    assert_eq!(kept.lines().count(), text.lines().count());
}
