use super::*;
use proptest::prelude::*;
use quorate_types::limits;
use quorate_types::{
    BaseProof, Batch, Block, BlockCertificate, CertificateKind, CertifiedBlock, Digest, Epoch, Header,
    LedgerId, LedgerTime, Member, Members, NewView, Notice, Number, Parameters, PreparedCertificate,
    Proposal, PublicKey, ReplicaId, Seq, SessionId, Signature, SignedStatement, SignedTransaction, Statement,
    Transaction, View, ViewChange,
};
use std::sync::Arc;

fn members(n: u16) -> Members {
    let member = |id: u16| Member {
        name: format!("node{id}"),
        vote: PublicKey([1; 32]),
        transport: PublicKey([2; 32]),
        store: None,
    };
    Members::new(LedgerId([0; 32]), Epoch::ZERO, (n - 1) / 3, (0..n).map(member).collect()).expect("legal")
}

fn signed(statement: Statement) -> SignedStatement {
    SignedStatement { epoch: Epoch::MAX, signer: ReplicaId::new(0), statement, signature: Signature([7; 64]) }
}

fn pairs(count: usize) -> Vec<(ReplicaId, Signature)> {
    (0..u16::try_from(count).expect("small")).map(|id| (ReplicaId::new(id), Signature([9; 64]))).collect()
}

fn largest_view_change(members: &Members, parameters: &Parameters) -> ViewChange {
    let strong = members.quorums().strong();
    let digest = Digest([3; 32]);
    let prepared = (1..=parameters.window)
        .map(|seq| PreparedCertificate {
            epoch: Epoch::MAX,
            view: View::MAX,
            seq: Seq::new(seq),
            digest,
            proposal: Signature([1; 64]),
            prepares: pairs(strong - 1),
        })
        .collect();
    let base = Seq::new(128);
    ViewChange {
        statement: signed(Statement::ViewChange {
            view: View::MAX,
            base,
            base_proof: digest,
            prepared: digest,
        }),
        base_proof: BaseProof::Checkpoint(BlockCertificate {
            epoch: Epoch::MAX,
            height: base,
            header: digest,
            kind: CertificateKind::Checkpoint,
            signatures: pairs(strong),
        }),
        prepared,
    }
}

/// The largest legal messages of a ledger with these members.
fn largest_messages(members: &Members, parameters: &Parameters) -> Vec<(&'static str, Message)> {
    let view_change = Arc::new(largest_view_change(members, parameters));
    let strong = members.quorums().strong();
    let digest = Digest([4; 32]);
    let slots = usize::try_from(parameters.window).expect("small");
    let chosen = (0..u16::try_from(strong).expect("small")).map(|id| (ReplicaId::new(id), digest)).collect();
    let statement =
        signed(Statement::NewView { view: View::MAX, chosen, min: Seq::MAX, proposals: vec![digest; slots] });
    let view_changes = vec![view_change.clone(); strong];
    let new_view = NewView { statement, proposals: vec![Signature([5; 64]); slots], view_changes };
    let proposal = largest_proposal(parameters);
    let block = CertifiedBlock {
        block: Block { header: header(), batch: Some(proposal.batch.clone()) },
        links: vec![header(); limits::LINK_WINDOWS as usize * slots],
        certificate: block_certificate(strong),
    };
    vec![
        ("view-change", Message::ViewChange(view_change)),
        ("new-view", Message::NewView(Arc::new(new_view))),
        ("proposal", Message::Proposal(proposal)),
        ("block", Message::Block(Arc::new(block))),
    ]
}

fn header() -> Header {
    Header {
        ledger: LedgerId([1; 32]),
        epoch: Epoch::new(2),
        height: Seq::new(3),
        parent: Digest([4; 32]),
        time: LedgerTime(5),
        batch_digest: Digest([6; 32]),
        transactions_root: Digest([7; 32]),
        results_root: Digest([8; 32]),
        state_root: Digest([9; 32]),
        members_hash: Digest([10; 32]),
        transaction_count: 11,
    }
}

fn block_certificate(signatures: usize) -> BlockCertificate {
    BlockCertificate {
        epoch: Epoch::new(2),
        height: Seq::new(3),
        header: Digest([12; 32]),
        kind: CertificateKind::Attest,
        signatures: pairs(signatures),
    }
}

/// M4: the largest legal VIEW-CHANGE, NEW-VIEW, batch and block pass the caps.
#[test]
fn m4_the_largest_legal_messages_round_trip() {
    let parameters = Parameters::default();
    for n in [4, 7, 31, 100] {
        let members = members(n);
        let caps = Caps::new(&members, &parameters);
        for (_, message) in largest_messages(&members, &parameters) {
            let bytes = encode_message(&message);
            assert!(bytes.len() <= caps.frame, "n={n}: {} > {}", bytes.len(), caps.frame);
            assert_eq!(decode_message(&bytes, &caps).as_ref(), Ok(&message), "n={n}");
        }
    }
}

fn largest_proposal(parameters: &Parameters) -> Proposal {
    let count = parameters.block_max_transactions;
    let size = parameters.block_max_bytes / count;
    let transaction = SignedTransaction {
        transaction: Transaction {
            ledger: LedgerId([1; 32]),
            sender: PublicKey([2; 32]),
            session: SessionId::MAX,
            number: Number::MAX,
            valid_until: LedgerTime(u64::MAX),
            app: "a".repeat(32),
            payload: vec![8; size as usize - Transaction::FIXED_BYTES - 32 - 64],
        },
        signature: Signature([6; 64]),
    };
    let batch = Batch { time: LedgerTime(u64::MAX), transactions: vec![transaction; count as usize] };
    assert!(batch.size() <= parameters.block_max_bytes as usize);
    let statement = Statement::PrePrepare { view: View::MAX, seq: Seq::MAX, digest: Digest([1; 32]) };
    Proposal { pre_prepare: signed(statement), batch: Arc::new(batch) }
}

#[test]
fn m4_trailing_bytes_long_frames_and_long_lists_are_refused() {
    let caps = Caps::new(&members(4), &Parameters::default());
    let message = Message::Notice(Notice::Ping { number: 3 });
    let mut bytes = encode_message(&message);
    bytes.push(0);
    assert_eq!(decode_message(&bytes, &caps), Err(DecodeError::Trailing(1)));
    assert!(matches!(decode_message(&vec![0; caps.frame + 1], &caps), Err(DecodeError::TooLong(..))));
    let many = BlockCertificate {
        epoch: Epoch::ZERO,
        height: Seq::ZERO,
        header: Digest::ZERO,
        kind: CertificateKind::Attest,
        signatures: pairs(4),
    };
    let bytes = encode_message(&Message::BlockCertificate(many));
    assert_eq!(decode_message(&bytes, &caps), Err(DecodeError::ListTooLong));
}

/// E4: a length that lies is refused before it is allocated.
#[test]
fn a_lying_length_allocates_nothing() {
    let caps = Caps::new(&members(4), &Parameters::default());
    let mut bytes = encode_message(&Message::Forward(Vec::new()));
    let at = bytes.len() - 8;
    bytes[at..].copy_from_slice(&u64::MAX.to_be_bytes());
    assert!(matches!(decode_message(&bytes, &caps), Err(DecodeError::Malformed(_))));
    bytes[at..].copy_from_slice(&1_000_000u64.to_be_bytes());
    assert!(matches!(decode_message(&bytes, &caps), Err(DecodeError::Malformed(_))));
}

proptest! {
    #[test]
    fn decoding_is_total_and_canonical(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let caps = Caps::new(&members(4), &Parameters::default());
        if let Ok(message) = decode_message(&bytes, &caps) {
            prop_assert_eq!(encode_message(&message), bytes.clone());
        }
        if let Ok(record) = decode_record(&bytes) {
            prop_assert_eq!(encode_record(&record), bytes);
        }
    }
}

mod golden;
