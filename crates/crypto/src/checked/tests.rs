use super::*;
use crate::{Cache, Ed25519Signer, Ed25519Verifier, Signer, Verified, verify_one};
use quorate_types::{Block, LedgerId, LedgerTime, Member, Seq};

const LEDGER: LedgerId = LedgerId([7; 32]);

fn signer(id: u16) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[u8::try_from(id).expect("small") + 1; 32])
}

fn members() -> Members {
    let member = |id: u16| Member {
        name: format!("node{id}"),
        vote: signer(id).public_key(),
        transport: Ed25519Signer::from_seed(&[u8::try_from(id).expect("small") + 51; 32]).public_key(),
        store: None,
    };
    Members::new(LEDGER, Epoch::ZERO, 1, (0..4).map(member).collect()).expect("legal")
}

fn header(height: u64, parent: Digest) -> Header {
    Header {
        ledger: LEDGER,
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        parent,
        time: LedgerTime(height),
        batch_digest: null_batch_digest(),
        transactions_root: Digest([1; 32]),
        results_root: Digest([2; 32]),
        state_root: Digest([3; 32]),
        members_hash: Digest([4; 32]),
        transaction_count: 0,
    }
}

fn certificate(header: &Header) -> BlockCertificate {
    let mut certificate = BlockCertificate {
        epoch: Epoch::ZERO,
        height: header.height,
        header: header_hash(header),
        kind: CertificateKind::Checkpoint,
        signatures: Vec::new(),
    };
    let bytes = certificate.statement().signed_bytes(&LEDGER, Epoch::ZERO);
    certificate.signatures = (0..3).map(|id| (ReplicaId::new(id), signer(id).sign(&bytes))).collect();
    certificate
}

/// Block 5, which only the certificate of block 8 proves.
fn linked() -> CertifiedBlock {
    let first = header(5, Digest([9; 32]));
    let mut links: Vec<Header> = Vec::new();
    for height in 6..=8 {
        links.push(header(height, header_hash(links.last().unwrap_or(&first))));
    }
    let certificate = certificate(&links[2]);
    CertifiedBlock { block: Block { header: first, batch: None }, links, certificate }
}

fn verified(block: CertifiedBlock) -> Result<Verified<CheckedMessage>, Malformed> {
    verify_one(&members(), &Ed25519Verifier, &Cache::new(16), Message::Block(Arc::new(block)))
}

#[test]
fn m8_headers_link_a_block_to_a_later_certificate() {
    let block = linked();
    let checked = verified(block.clone()).expect("three links and a certificate").into_inner();
    let CheckedMessage::Block(checked) = checked else { panic!("a block stays a block") };
    assert_eq!(checked.own_certificate(), None);
    assert_eq!(checked.header_hash, header_hash(&block.block.header));
    assert_eq!(checked.to_certified_block(), block);
    let own = header(5, Digest([9; 32]));
    let alone = CertifiedBlock { links: Vec::new(), certificate: certificate(&own), ..block };
    let CheckedMessage::Block(checked) = verified(alone).expect("its own certificate").into_inner() else {
        panic!("a block stays a block")
    };
    assert_eq!(checked.own_certificate().map(|certificate| certificate.height), Some(Seq::new(5)));
}

#[test]
fn m8_a_chain_of_headers_with_anything_changed_proves_nothing() {
    type Change = fn(&mut CertifiedBlock);
    let changes: [(&str, Change); 11] = [
        ("no links", |block| block.links.clear()),
        ("the first link missing", |block| block.links = block.links.split_off(1)),
        ("the last link missing", |block| block.links.truncate(2)),
        ("two links swapped", |block| block.links.swap(0, 1)),
        ("a link twice", |block| block.links.insert(1, block.links[1].clone())),
        ("a link's root", |block| block.links[1].state_root = Digest([0; 32])),
        ("a link's parent", |block| block.links[0].parent = Digest([0; 32])),
        ("a link's ledger", |block| block.links[2].ledger = LedgerId([8; 32])),
        ("the block's time", |block| block.block.header.time = LedgerTime(77)),
        ("the certificate's height", |block| block.certificate.height = Seq::new(5)),
        ("a signature", |block| block.certificate.signatures[0].1.0[3] ^= 1),
    ];
    for (what, change) in changes {
        let mut block = linked();
        change(&mut block);
        assert!(verified(block).is_err(), "{what}");
    }
    let mut long = linked();
    let most = usize::try_from(u64::from(limits::LINK_WINDOWS) * limits::MAX_WINDOW).expect("small");
    long.links = vec![long.links[0].clone(); most + 1];
    assert_eq!(verified(long), Err(Malformed::BadList));
}

/// E1: an application's name that no layout can hold is refused, whoever forwards it.
#[test]
fn a_name_without_a_layout_is_refused_before_it_is_hashed() {
    let transaction = quorate_types::Transaction {
        ledger: LEDGER,
        sender: signer(0).public_key(),
        session: quorate_types::SessionId::new(1),
        number: quorate_types::Number::ZERO,
        valid_until: LedgerTime(9),
        app: "a".repeat(70_000),
        payload: Vec::new(),
    };
    let signed = SignedTransaction { transaction, signature: Signature([0; 64]) };
    let (members, cache) = (members(), Cache::new(8));
    let forward = verify_one(&members, &Ed25519Verifier, &cache, Message::Forward(vec![signed.clone()]));
    assert_eq!(forward.err(), Some(Malformed::TooLarge));
    let submitted = verify_one(&members, &Ed25519Verifier, &cache, signed);
    assert_eq!(submitted.err(), Some(Malformed::TooLarge));
}
