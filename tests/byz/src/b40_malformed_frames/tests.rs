use super::{malleated, worse};
use quorate_codec::{Caps, decode_message, encode_message};
use quorate_crypto::{Cache, Ed25519Signer, Ed25519Verifier, Signer, verify_one};
use quorate_types::{
    CommitCertificate, Digest, Epoch, LedgerId, Member, Members, Message, Notice, Parameters, ReplicaId, Seq,
    SignedStatement, Statement, Status, View,
};

fn key(number: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[number; 32])
}

fn members() -> Members {
    let member = |number: u8| Member {
        name: format!("node{number}"),
        vote: key(number).public_key(),
        transport: key(number + 100).public_key(),
        store: None,
    };
    Members::new(LedgerId([7; 32]), Epoch::ZERO, 1, (0..4).map(member).collect()).unwrap()
}

fn commit(members: &Members, number: u8) -> SignedStatement {
    let statement = Statement::Commit { view: View::ZERO, seq: Seq::new(1), digest: Digest([3; 32]) };
    let signature = key(number).sign(&statement.signed_bytes(members.ledger(), Epoch::ZERO));
    SignedStatement { epoch: Epoch::ZERO, signer: ReplicaId::new(u16::from(number)), statement, signature }
}

fn messages(members: &Members) -> Vec<Message> {
    let vote = commit(members, 1);
    let commits = (0..3).map(|number| (ReplicaId::new(u16::from(number)), commit(members, number).signature));
    let certificate = CommitCertificate {
        epoch: Epoch::ZERO,
        view: View::ZERO,
        seq: Seq::new(1),
        digest: Digest([3; 32]),
        commits: commits.collect(),
    };
    let status = Status {
        epoch: Epoch::ZERO,
        view: View::ZERO,
        active: true,
        suspicion: None,
        base: Seq::ZERO,
        stable: Seq::ZERO,
        executed: Seq::ZERO,
        certified: Seq::ZERO,
        view_changes: 0,
        slots: Vec::new(),
        checkpoints: 0,
        attests: 0,
    };
    vec![
        Message::Vote(vote),
        Message::CommitCertificate(certificate),
        Message::Notice(Notice::Status(status)),
    ]
}

/// What arrives is read and verified as a node does it.
fn is_accepted(members: &Members, frame: &[u8]) -> bool {
    let caps = Caps::new(members, &Parameters::default());
    let Ok(message) = decode_message(frame, &caps) else { return false };
    verify_one(members, &Ed25519Verifier, &Cache::new(64), message).is_ok()
}

#[test]
fn the_honest_frame_is_accepted_and_no_worse_one_is() {
    let members = members();
    for message in messages(&members) {
        let honest = encode_message(&message);
        assert!(is_accepted(&members, &honest), "{message:?}");
        let worse = worse(&message, &honest);
        assert!(worse.len() > 4, "ways of its own: {message:?}");
        for frame in worse {
            assert!(!is_accepted(&members, &frame), "{message:?} as {frame:02x?}");
        }
    }
}

/// A scalar plus the order is the same scalar: only its encoding may be refused.
#[test]
fn a_malleated_signature_differs_in_its_scalar_alone() {
    let signature = commit(&members(), 1).signature;
    let other = malleated(&signature);
    assert_eq!(signature.0[..32], other.0[..32]);
    assert_ne!(signature.0[32..], other.0[32..]);
}
