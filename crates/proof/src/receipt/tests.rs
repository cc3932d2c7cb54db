use super::*;
use crate::genesis_file::tests::example;
use quorate_crypto::{Ed25519Signer, MerkleTree, Signer, header_hash};
use quorate_types::{
    CertificateKind, Digest, Epoch, Number, Operation, Operations, SessionId, Signature, Statement,
    Transaction, VoidReason,
};

pub(crate) fn trust() -> TrustRoot {
    TrustRoot::from_genesis(example(4)).expect("good")
}

pub(crate) fn member(id: u16) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[u8::try_from(id).expect("small") + 1; 32])
}

fn sign(trust: &TrustRoot, id: u16, statement: &Statement) -> (ReplicaId, Signature) {
    (ReplicaId::new(id), member(id).sign(&statement.signed_bytes(&trust.ledger(), Epoch::ZERO)))
}

fn signed_transaction(trust: &TrustRoot) -> SignedTransaction {
    let client = Ed25519Signer::from_seed(&[201; 32]);
    let put = Operation::Put { key: b"hello".to_vec(), value: b"world".to_vec() };
    let transaction = Transaction {
        ledger: trust.ledger(),
        sender: client.public_key(),
        session: SessionId::new(1),
        number: Number::ZERO,
        valid_until: LedgerTime(9),
        app: "kv".to_owned(),
        payload: Operations(vec![put]).to_payload(),
    };
    let signature = client.sign(&transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

pub(crate) fn receipt_with(trust: &TrustRoot, result: TransactionResult) -> Receipt {
    let transaction = signed_transaction(trust);
    let id = transaction_id(&transaction.transaction);
    let leaf = [&id.0[..], &transaction.signature.0[..]].concat();
    let transactions = MerkleTree::new([leaf, b"another".to_vec(), b"third".to_vec()]);
    let results = MerkleTree::new([result.leaf_bytes(&id), b"x".to_vec(), b"y".to_vec()]);
    let header = Header {
        ledger: trust.ledger(),
        epoch: Epoch::ZERO,
        height: Seq::new(7),
        parent: Digest([1; 32]),
        time: LedgerTime(5),
        batch_digest: Digest([2; 32]),
        transactions_root: transactions.root(),
        results_root: results.root(),
        state_root: Digest([3; 32]),
        members_hash: quorate_crypto::members_hash(trust.members()),
        transaction_count: 3,
    };
    Receipt {
        transaction,
        transaction_path: transactions.path(0).expect("in range"),
        result,
        result_path: results.path(0).expect("in range"),
        certificate: certificate_of(trust, &header),
        header,
        links: Vec::new(),
        handovers: Vec::new(),
    }
}

pub(crate) fn certificate_of(trust: &TrustRoot, header: &Header) -> BlockCertificate {
    let hash = header_hash(header);
    let statement = Statement::Attest { seq: header.height, header: hash };
    BlockCertificate {
        epoch: Epoch::ZERO,
        height: header.height,
        header: hash,
        kind: CertificateKind::Attest,
        signatures: (0..3).map(|id| sign(trust, id, &statement)).collect(),
    }
}

/// A receipt whose block is proven by the certificate of the second block above it.
fn receipt_by_links(trust: &TrustRoot) -> Receipt {
    let mut receipt = receipt(trust);
    let mut last = receipt.header.clone();
    for _ in 0..2 {
        last = Header { height: last.height.next(), parent: header_hash(&last), ..last };
        receipt.links.push(last.clone());
    }
    receipt.certificate = certificate_of(trust, &last);
    receipt
}

#[test]
fn m8_headers_lead_from_a_block_to_a_later_certificate() {
    let trust = trust();
    let receipt = receipt_by_links(&trust);
    assert_eq!(receipt.verify(&trust).expect("verifies").height, Seq::new(7));
    assert_eq!(Receipt::from_json(&receipt.to_json()).expect("reads back"), receipt);
    let broken = |change: &dyn Fn(&mut Receipt)| {
        let mut other = receipt.clone();
        change(&mut other);
        other.verify(&trust).unwrap_err()
    };
    let chain = ReceiptError::BrokenChain;
    assert_eq!(broken(&|receipt| receipt.links[0].parent.0[3] ^= 1), chain);
    assert_eq!(broken(&|receipt| receipt.links[0].time = LedgerTime(6)), chain);
    assert_eq!(broken(&|receipt| receipt.links[1].height = Seq::new(10)), chain);
    assert_eq!(
        broken(&|receipt| receipt.links[1].members_hash = Digest([9; 32])),
        ReceiptError::OtherMembers
    );
    assert_eq!(broken(&|receipt| receipt.links = receipt.links[1..].to_vec()), chain);
    assert_eq!(broken(&|receipt| receipt.links.truncate(1)), ReceiptError::OtherHeader);
    let most = usize::try_from(trust.genesis().parameters.most_links()).unwrap();
    assert_eq!(broken(&|receipt| receipt.links.resize(most + 1, receipt.links[0].clone())), chain);
}

fn receipt(trust: &TrustRoot) -> Receipt {
    receipt_with(trust, TransactionResult::Committed { output: vec![1] })
}

#[test]
fn c4_a_receipt_verifies_against_the_genesis_alone() {
    let trust = trust();
    let verified = receipt(&trust).verify(&trust).expect("verifies");
    assert_eq!((verified.height.get(), verified.index, verified.signers.len()), (7, 0, 3));
    let text = receipt(&trust).to_json();
    assert_eq!(Receipt::from_json(&text).expect("reads back"), receipt(&trust));
}

#[test]
fn every_byte_of_a_receipt_file_is_bound() {
    let trust = trust();
    let text = receipt(&trust).to_json();
    for at in 0..text.len() {
        for flip in [1u8, 2, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flip;
            let refused = match String::from_utf8(bytes) {
                Err(_) => true,
                Ok(flipped) => {
                    Receipt::from_json(&flipped).and_then(|receipt| receipt.verify(&trust)).is_err()
                }
            };
            assert!(refused, "byte {at} flipped by {flip:#x} is accepted");
        }
    }
}

#[test]
fn too_few_repeated_or_foreign_signatures_are_refused() {
    let trust = trust();
    let good = receipt(&trust);
    let refused = |signatures: Vec<(ReplicaId, Signature)>| {
        let certificate = BlockCertificate { signatures, ..good.certificate.clone() };
        Receipt { certificate, ..good.clone() }.verify(&trust).is_err()
    };
    let signatures = good.certificate.signatures.clone();
    assert!(refused(signatures[..2].to_vec()), "q-1 signatures");
    assert!(refused(vec![signatures[0], signatures[0], signatures[1]]), "one signer twice");
    let claimed = (ReplicaId::new(3), signatures[0].1);
    assert!(refused(vec![claimed, signatures[0], signatures[1]]), "one signature under two names");
    let other_height = Statement::Attest { seq: Seq::new(8), header: good.certificate.header };
    assert!(refused(vec![signatures[0], signatures[1], sign(&trust, 2, &other_height)]), "two heights");
    let prepare = Statement::Checkpoint { seq: Seq::new(7), header: good.certificate.header };
    assert!(refused(vec![signatures[0], signatures[1], sign(&trust, 2, &prepare)]), "two kinds");
}

#[test]
fn another_genesis_is_refused() {
    let trust = trust();
    let mut genesis = example(4);
    genesis.name = "another".to_owned();
    let other = TrustRoot::from_genesis(genesis).expect("good");
    assert!(matches!(receipt(&trust).verify(&other), Err(ReceiptError::OtherLedger { .. })));
}

/// F4: a void inclusion is in the block, and is no outcome.
#[test]
fn f4_a_void_inclusion_is_no_outcome() {
    let trust = trust();
    let void = receipt_with(&trust, TransactionResult::Void { reason: VoidReason::NumberUsed });
    assert_eq!(void.verify(&trust), Err(ReceiptError::NotAnOutcome));
}
