use super::*;
use crate::receipt::tests::{member, trust};
use crate::receipt::{Receipt, ReceiptError};
use quorate_crypto::{Ed25519Signer, MerkleTree, Signer};
use quorate_types::{
    LedgerTime, Number, Operation, Operations, PublicKey, Seat, SessionId, SignedTransaction, StoreId,
    Transaction, TransactionResult,
};

/// A vote key that joins in a later epoch.
fn newcomer(epoch: u64) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[100 + u8::try_from(epoch).expect("few"); 32])
}

/// The keys of the members of an epoch: in each the next of the first ones is replaced.
fn keys(epoch: u64) -> Vec<Ed25519Signer> {
    let key = |place: u64| {
        if place < epoch { newcomer(place + 1) } else { member(u16::try_from(place).expect("few")) }
    };
    (0..4).map(key).collect()
}

/// The last block of an epoch, at the first checkpoints.
fn last(trust: &TrustRoot, epoch: u64) -> Seq {
    Seq::new((epoch + 1) * trust.genesis().parameters.checkpoint_every)
}

fn set(trust: &TrustRoot, epoch: u64) -> MemberSet {
    let mut set = MemberSet::of_genesis(trust.genesis());
    for (seat, key) in set.seats.iter_mut().zip(keys(epoch)) {
        seat.member.vote = key.public_key();
        seat.member.store = Some(StoreId([1; 16]));
    }
    set.after = if epoch == 0 { Seq::ZERO } else { last(trust, epoch - 1) };
    set
}

fn hash_of(trust: &TrustRoot, epoch: u64) -> Digest {
    match epoch {
        0 => members_hash(&trust.genesis().members_of_epoch_0(trust.ledger()).expect("legal")),
        _ => members_hash(&set(trust, epoch).members(trust.ledger(), Epoch::new(epoch)).expect("legal")),
    }
}

fn header(trust: &TrustRoot, epoch: u64, height: Seq, names: u64) -> Header {
    Header {
        ledger: trust.ledger(),
        epoch: Epoch::new(epoch),
        height,
        parent: Digest([1; 32]),
        time: LedgerTime(5),
        batch_digest: Digest([2; 32]),
        transactions_root: Digest([4; 32]),
        results_root: Digest([5; 32]),
        state_root: Digest([3; 32]),
        members_hash: hash_of(trust, names),
        transaction_count: 0,
    }
}

fn certify(
    trust: &TrustRoot,
    header: &Header,
    by: &[Ed25519Signer],
    kind: CertificateKind,
) -> BlockCertificate {
    let mut certificate = BlockCertificate {
        epoch: header.epoch,
        height: header.height,
        header: header_hash(header),
        kind,
        signatures: Vec::new(),
    };
    let bytes = certificate.statement().signed_bytes(&trust.ledger(), header.epoch);
    let signed = |(id, key): (u16, &Ed25519Signer)| (ReplicaId::new(id), key.sign(&bytes));
    certificate.signatures = (0..).zip(by.iter().take(3)).map(signed).collect();
    certificate
}

fn handover(trust: &TrustRoot, epoch: u64) -> Handover {
    let header = header(trust, epoch, last(trust, epoch), epoch + 1);
    let certificate = certify(trust, &header, &keys(epoch), CertificateKind::Checkpoint);
    Handover { header, certificate, next: set(trust, epoch + 1) }
}

#[test]
fn g4_members_are_followed_from_the_genesis_epoch_by_epoch() {
    let mut trust = trust();
    let genesis = trust.clone();
    for epoch in 0..3 {
        trust.follow(&handover(&genesis, epoch)).expect("each names the next");
    }
    assert_eq!(trust.members().epoch(), Epoch::new(3));
    assert_eq!(trust.members().get(ReplicaId::new(0)).expect("four").vote, newcomer(1).public_key());
    assert_eq!(trust.handovers_to(Epoch::new(2)).len(), 2);
    let known = trust.clone();
    trust.follow(&handover(&genesis, 1)).expect("what is known already changes nothing");
    assert_eq!(trust, known);
    let gap = genesis.clone().follow(&handover(&genesis, 1));
    assert_eq!(gap, Err(HandoverError::Gap { found: 1, known: 0 }));
}

#[test]
fn g4_a_handover_that_does_not_hold_leads_nowhere() {
    let trust = trust();
    let good = handover(&trust, 0);
    let signed = |header: Header, by: &[Ed25519Signer], kind| {
        let certificate = certify(&trust, &header, by, kind);
        Handover { header, certificate, next: good.next.clone() }
    };
    let checkpoint = CertificateKind::Checkpoint;
    let between = header(&trust, 0, last(&trust, 0).next(), 1);
    let mut fewer = good.clone();
    fewer.certificate.signatures.pop();
    let mut later = good.clone();
    later.next.after = last(&trust, 1);
    let mut another = good.clone();
    another.next.seats[1].member.vote = PublicKey([9; 32]);
    let mut weaker = good.clone();
    weaker.next.faults = 0;
    let mut ledger = good.header.clone();
    ledger.ledger = LedgerId([9; 32]);
    let mut mixed = good.clone();
    mixed.header.time = LedgerTime(6);
    let lies = [
        ("an ATTEST", signed(good.header.clone(), &keys(0), CertificateKind::Attest)),
        ("no checkpoint", signed(between, &keys(0), checkpoint)),
        ("signed by the next members", signed(good.header.clone(), &keys(4), checkpoint)),
        ("too few signatures", fewer),
        ("another beginning", later),
        ("another member", another),
        ("other quorums", weaker),
        ("another ledger", signed(ledger, &keys(0), checkpoint)),
        ("another header", mixed),
    ];
    for (what, lie) in lies {
        let mut followed = trust.clone();
        assert!(followed.follow(&lie).is_err(), "{what}");
        assert_eq!(followed, trust, "{what}");
    }
}

/// A receipt of a block of the second epoch.
fn receipt(trust: &TrustRoot, height: Seq, by: u64) -> Receipt {
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
    let id = quorate_crypto::transaction_id(&transaction);
    let result = TransactionResult::Committed { output: Vec::new() };
    let transactions = MerkleTree::new([[&id.0[..], &signature.0[..]].concat()]);
    let results = MerkleTree::new([result.leaf_bytes(&id)]);
    let header = Header {
        transactions_root: transactions.root(),
        results_root: results.root(),
        transaction_count: 1,
        ..header(trust, by, height, by)
    };
    Receipt {
        transaction: SignedTransaction { transaction, signature },
        transaction_path: transactions.path(0).expect("in range"),
        result,
        result_path: results.path(0).expect("in range"),
        certificate: certify(trust, &header, &keys(by), CertificateKind::Attest),
        header,
        links: Vec::new(),
        handovers: (0..by).map(|epoch| handover(trust, epoch)).collect(),
    }
}

#[test]
fn g4_a_receipt_of_a_later_epoch_tells_who_its_members_are() {
    let trust = trust();
    let good = receipt(&trust, last(&trust, 1).next(), 2);
    let verified = good.verify(&trust).expect("the genesis is enough");
    assert_eq!(verified.signers.len(), 3);
    let read = Receipt::from_json(&good.to_json()).expect("the file says all of it");
    assert_eq!(read, good);
    for missing in 0..2 {
        let mut gap = good.clone();
        gap.handovers.remove(missing);
        assert!(gap.verify(&trust).is_err(), "without handover {missing}");
    }
    let silent = Receipt { handovers: Vec::new(), ..good.clone() };
    assert_eq!(silent.verify(&trust).unwrap_err(), ReceiptError::UnknownEpoch(2));
    // Whoever has followed before needs to be told nothing.
    let mut followed = trust.clone();
    good.handovers.iter().for_each(|handover| followed.follow(handover).expect("good"));
    assert!(silent.verify(&followed).is_ok());
}

#[test]
fn g4_what_members_sign_of_blocks_that_are_not_theirs_counts_for_nothing() {
    let genesis = trust();
    let mut trust = genesis.clone();
    trust.follow(&handover(&genesis, 0)).expect("good");
    // Former members, about a block after their last one; and the next ones, about a block before their first.
    let late = receipt(&genesis, last(&genesis, 0).next(), 0);
    assert!(late.verify(&genesis).is_ok(), "who does not know that they left cannot tell");
    assert_eq!(late.verify(&trust).unwrap_err(), ReceiptError::OtherMembers);
    let early = Receipt { handovers: Vec::new(), ..receipt(&genesis, last(&genesis, 0), 1) };
    assert_eq!(early.verify(&trust).unwrap_err(), ReceiptError::OtherMembers);
    for (epoch, height) in [(0, last(&genesis, 0).next()), (1, last(&genesis, 0))] {
        let header = header(&genesis, epoch, height, epoch);
        let certificate = certify(&genesis, &header, &keys(epoch), CertificateKind::Attest);
        let refused = trust.check_certificate(&certificate).unwrap_err();
        assert_eq!(refused, CertificateError::OutsideEpoch(epoch));
    }
}

#[test]
fn m7_the_last_header_of_an_epoch_names_the_next_members() {
    let genesis = trust();
    let mut trust = genesis.clone();
    let boundary = header(&genesis, 0, last(&genesis, 0), 1);
    assert!(trust.names_members(&boundary), "who they are is not known yet");
    assert!(
        !trust.names_members(&header(&genesis, 0, last(&genesis, 0).previous(), 1)),
        "not before the last"
    );
    trust.follow(&handover(&genesis, 0)).expect("good");
    assert!(trust.names_members(&boundary));
    assert!(!trust.names_members(&header(&genesis, 0, last(&genesis, 0), 0)), "no other than the next");
    assert!(trust.names_members(&header(&genesis, 1, last(&genesis, 0).next(), 1)));
}

/// Addresses are hints: they are not part of what a header names.
#[test]
fn m7_addresses_are_not_hashed() {
    let trust = trust();
    let mut moved = handover(&trust, 0);
    let seat: &mut Seat = &mut moved.next.seats[0];
    seat.peer = "elsewhere:1".to_owned();
    assert!(trust.clone().follow(&moved).is_ok());
}
