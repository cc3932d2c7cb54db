use super::*;
use crate::receipt::tests::{certificate_of, trust};
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_types::{
    Batch, Number, Operation, Operations, SessionId, Signature, SignedTransaction, Transaction, VoidReason,
};

const COMMITTED: TransactionResult = TransactionResult::Committed { output: Vec::new() };

fn genesis_header(trust: &TrustRoot) -> Header {
    Header {
        ledger: trust.ledger(),
        epoch: trust.members().epoch(),
        height: Seq::ZERO,
        parent: Digest([0; 32]),
        time: LedgerTime(1),
        batch_digest: null_batch_digest(),
        transactions_root: merkle_root::<Vec<u8>>([]),
        results_root: merkle_root::<Vec<u8>>([]),
        state_root: Digest([7; 32]),
        members_hash: quorate_crypto::members_hash(trust.members()),
        transaction_count: 0,
    }
}

fn transaction(trust: &TrustRoot, number: u64) -> SignedTransaction {
    let client = Ed25519Signer::from_seed(&[201; 32]);
    let put = Operation::Put { key: b"hello".to_vec(), value: b"world".to_vec() };
    let transaction = Transaction {
        ledger: trust.ledger(),
        sender: client.public_key(),
        session: SessionId::new(1),
        number: Number::new(number),
        valid_until: LedgerTime(900),
        app: "kv".to_owned(),
        payload: Operations(vec![put]).to_payload(),
    };
    let signature = client.sign(&transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

/// The block after `parent` with these transactions, as an honest member makes it.
fn block_after(
    parent: &Header,
    time: u64,
    transactions: Vec<SignedTransaction>,
    results: &[TransactionResult],
) -> Block {
    let batch = Arc::new(Batch { time: LedgerTime(time), transactions });
    let hashed = HashedBatch::new(batch.clone());
    let leaves = hashed.transactions().map(|(id, signed)| [&id.0[..], &signed.signature.0[..]].concat());
    let header = Header {
        height: parent.height.next(),
        parent: header_hash(parent),
        time: parent.time.max(LedgerTime(time)),
        batch_digest: hashed.digest(),
        transactions_root: merkle_root(leaves),
        results_root: merkle_root(hashed.ids().iter().zip(results).map(|(id, result)| result.leaf_bytes(id))),
        transaction_count: u32::try_from(hashed.ids().len()).expect("few"),
        ..parent.clone()
    };
    Block { header, batch: Some(batch) }
}

fn null_after(parent: &Header) -> Block {
    let header = Header {
        height: parent.height.next(),
        parent: header_hash(parent),
        batch_digest: null_batch_digest(),
        transactions_root: merkle_root::<Vec<u8>>([]),
        results_root: merkle_root::<Vec<u8>>([]),
        transaction_count: 0,
        ..parent.clone()
    };
    Block { header, batch: None }
}

fn contents(block: &Block, results: &[TransactionResult]) -> Result<CheckedContents, Fault> {
    let mut checked = check_contents(&trust(), &[(block, results)]);
    checked.pop().expect("one for one").map_err(|error| error.fault)
}

#[test]
fn a_ledger_as_the_members_signed_it_is_good() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let mut chain = Chain::new(&genesis);
    let first = block_after(&genesis, 5, vec![transaction(&trust, 0)], &[COMMITTED]);
    let second = null_after(&first.header);
    // Its batch is older than the block before.
    let third = block_after(&second.header, 3, vec![transaction(&trust, 1)], &[COMMITTED]);
    // A certificate may stand before its block.
    let early = check_certificate(&trust, &certificate_of(&trust, &third.header)).expect("signed");
    for (block, results) in [(&first, &[COMMITTED][..]), (&second, &[])] {
        chain.link(&contents(block, results).expect("good")).expect("in order");
    }
    assert_eq!(chain.certified(), Seq::ZERO);
    chain.certify(early).expect("it waits");
    chain.link(&contents(&third, &[COMMITTED]).expect("good")).expect("in order");
    assert_eq!(
        (chain.height(), chain.certified()),
        (Seq::new(3), Seq::new(3)),
        "the last one proves all below it"
    );
    assert_eq!(chain.head(), header_hash(&third.header));
    let totals = Totals { transactions: 2, certificates: 1, signatures: 3, fewest: 3 };
    assert_eq!(chain.totals(), totals);
    assert_eq!(chain.signers().len(), 3);
}

#[test]
fn what_a_block_says_of_itself_is_checked() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let block = block_after(
        &genesis,
        5,
        vec![transaction(&trust, 0), transaction(&trust, 1)],
        &[COMMITTED, COMMITTED],
    );
    let results = [COMMITTED, COMMITTED];
    assert!(contents(&block, &results).is_ok());
    let with = |change: fn(&mut Header)| {
        let mut changed = block.clone();
        change(&mut changed.header);
        contents(&changed, &results).expect_err("it was changed")
    };
    assert_eq!(with(|header| header.ledger.0[0] ^= 1), Fault::OtherLedger);
    assert_eq!(with(|header| header.members_hash.0[0] ^= 1), Fault::OtherMembers);
    assert_eq!(with(|header| header.epoch = quorate_types::Epoch::new(1)), Fault::OtherMembers);
    assert_eq!(with(|header| header.batch_digest.0[0] ^= 1), Fault::BatchDigest);
    assert_eq!(with(|header| header.transactions_root.0[0] ^= 1), Fault::TransactionsRoot);
    assert_eq!(with(|header| header.results_root.0[0] ^= 1), Fault::ResultsRoot);
    let miscounted = Fault::Count { said: 3, found: 2, results: 2 };
    assert_eq!(with(|header| header.transaction_count = 3), miscounted);
    let missing = Fault::Count { said: 2, found: 2, results: 1 };
    assert_eq!(contents(&block, &results[..1]).expect_err("a result is missing"), missing);
    let void = TransactionResult::Void { reason: VoidReason::Expired };
    assert_eq!(contents(&block, &[COMMITTED, void]).expect_err("another result"), Fault::ResultsRoot);
    let without = Block { batch: None, ..block.clone() };
    assert_eq!(contents(&without, &[]).expect_err("its batch is gone"), Fault::BatchDigest);
}

/// Hashes and roots are as the forger computes them: only the clients' signatures tell.
#[test]
fn what_no_client_signed_is_refused() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let mut forged = transaction(&trust, 1);
    forged.transaction.valid_until = LedgerTime(901);
    let block = block_after(&genesis, 5, vec![transaction(&trust, 0), forged], &[COMMITTED, COMMITTED]);
    assert_eq!(contents(&block, &[COMMITTED, COMMITTED]).expect_err("forged"), Fault::Signature(1));
    let unsigned = SignedTransaction { signature: Signature([0; 64]), ..transaction(&trust, 0) };
    let block = block_after(&genesis, 5, vec![unsigned], &[COMMITTED]);
    assert_eq!(contents(&block, &[COMMITTED]).expect_err("unsigned"), Fault::Signature(0));
    let mut foreign = transaction(&trust, 0);
    foreign.transaction.ledger.0[0] ^= 1;
    let block = block_after(&genesis, 5, vec![foreign], &[COMMITTED]);
    assert_eq!(contents(&block, &[COMMITTED]).expect_err("foreign"), Fault::TransactionOfAnotherLedger(0));
}

#[test]
fn the_chain_is_checked() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let first = block_after(&genesis, 5, vec![transaction(&trust, 0)], &[COMMITTED]);
    let start = {
        let mut chain = Chain::new(&genesis);
        chain.link(&contents(&first, &[COMMITTED]).expect("good")).expect("in order");
        chain
    };
    let refused = |block: &Block, results: &[TransactionResult]| {
        start
            .clone()
            .link(&contents(block, results).expect("good by itself"))
            .expect_err("it does not follow")
    };
    let second = block_after(&first.header, 6, vec![transaction(&trust, 1)], &[COMMITTED]);
    let third = null_after(&second.header);
    assert_eq!(
        refused(&third, &[]),
        ChainError { height: Seq::new(3), fault: Fault::OutOfOrder(Seq::new(1)) }
    );
    let mut other = second.clone();
    other.header.parent.0[0] ^= 1;
    assert_eq!(refused(&other, &[COMMITTED]).fault, Fault::Parent);
    let mut late = second.clone();
    late.header.time = LedgerTime(7);
    assert_eq!(refused(&late, &[COMMITTED]).fault, Fault::Time);
    let again = block_after(&first.header, 6, vec![transaction(&trust, 0)], &[COMMITTED]);
    let id = HashedBatch::new(again.batch.clone().expect("it has one")).ids()[0];
    assert_eq!(refused(&again, &[COMMITTED]).fault, Fault::Again(id));
    // An inclusion that counts for nothing is none (F4).
    let void = TransactionResult::Void { reason: VoidReason::NumberUsed };
    let void_again = block_after(&first.header, 6, vec![transaction(&trust, 0)], std::slice::from_ref(&void));
    let void_again = contents(&void_again, &[void]).expect("good");
    assert_eq!(start.clone().link(&void_again), Ok(()));
}

#[test]
fn a_certificate_must_be_of_the_block_and_signed_by_a_quorum() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let first = block_after(&genesis, 5, vec![transaction(&trust, 0)], &[COMMITTED]);
    let other = block_after(&genesis, 6, vec![transaction(&trust, 0)], &[COMMITTED]);
    let mut weak = certificate_of(&trust, &first.header);
    weak.signatures.pop();
    let too_few = Fault::Certificate(CertificateError::TooFew { valid: 2, needed: 3 });
    assert_eq!(check_certificate(&trust, &weak).expect_err("two are no quorum").fault, too_few);
    let of_other = check_certificate(&trust, &certificate_of(&trust, &other.header)).expect("signed");
    let first = contents(&first, &[COMMITTED]).expect("good");
    let expected = Err(ChainError { height: Seq::new(1), fault: Fault::OtherCertified });
    let mut chain = Chain::new(&genesis);
    chain.link(&first).expect("in order");
    assert_eq!(chain.certify(of_other.clone()), expected);
    let mut chain = Chain::new(&genesis);
    chain.certify(of_other).expect("its block is still to come");
    assert_eq!(chain.link(&first), expected);
}

/// Signatures are checked together, and the blame is not shared.
#[test]
fn of_many_blocks_the_bad_ones_are_named() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let good = |number| block_after(&genesis, 5, vec![transaction(&trust, number)], &[COMMITTED]);
    let forged = SignedTransaction { signature: Signature([0; 64]), ..transaction(&trust, 9) };
    let forged = block_after(&genesis, 5, vec![transaction(&trust, 1), forged], &[COMMITTED, COMMITTED]);
    let mut changed = good(2);
    changed.header.results_root.0[0] ^= 1;
    let blocks = [good(0), forged, changed, good(3), null_after(&genesis)];
    let results = [&[COMMITTED][..], &[COMMITTED, COMMITTED], &[COMMITTED], &[COMMITTED], &[]];
    let together: Vec<_> = blocks.iter().zip(results).collect();
    let faults: Vec<_> = check_contents(&trust, &together)
        .into_iter()
        .map(|checked| checked.err().map(|error| error.fault))
        .collect();
    assert_eq!(faults, [None, Some(Fault::Signature(1)), Some(Fault::ResultsRoot), None, None]);
}

/// What is below the base is gone, and its certificate vouches for it.
#[test]
fn a_chain_may_begin_after_a_certified_block() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let first = block_after(&genesis, 5, vec![transaction(&trust, 0)], &[COMMITTED]);
    let second = block_after(&first.header, 6, vec![transaction(&trust, 1)], &[COMMITTED]);
    let certificate =
        |header: &Header| check_certificate(&trust, &certificate_of(&trust, header)).expect("signed");
    let mut chain = Chain::from_base(&trust, &first.header, certificate(&first.header)).expect("good");
    assert_eq!((chain.start(), chain.height(), chain.certified()), (Seq::new(1), Seq::new(1), Seq::new(1)));
    chain.certify(certificate(&genesis)).expect("it tells nothing");
    chain.link(&contents(&second, &[COMMITTED]).expect("good")).expect("it follows");
    assert_eq!(
        (chain.hash_at(Seq::ZERO), chain.hash_at(Seq::new(2))),
        (None, Some(header_hash(&second.header)))
    );
    let fault = |header: &Header, of: &Header| {
        Chain::from_base(&trust, header, certificate(of)).expect_err("it does not fit").fault
    };
    assert_eq!(fault(&first.header, &second.header), Fault::OtherCertified);
    let mut other = first.header.clone();
    other.time = LedgerTime(7);
    assert_eq!(fault(&other, &first.header), Fault::OtherCertified);
    other.ledger.0[0] ^= 1;
    assert_eq!(fault(&other, &other), Fault::OtherLedger);
    other = Header { members_hash: Digest([8; 32]), ..first.header.clone() };
    assert_eq!(fault(&other, &other), Fault::OtherMembers);
}

/// Each certificate is judged by its own signatures, whatever stands beside it.
#[test]
fn of_many_certificates_the_weak_ones_are_named() {
    let trust = trust();
    let genesis = genesis_header(&trust);
    let good = certificate_of(&trust, &genesis);
    let mut weak = good.clone();
    weak.signatures[1].1 = Signature([0; 64]);
    let mut foreign = good.clone();
    foreign.epoch = quorate_types::Epoch::new(1);
    let together = [&weak, &good, &foreign, &good];
    let faults: Vec<_> = check_certificates(&trust, &together)
        .into_iter()
        .map(|checked| checked.err().map(|error| error.fault))
        .collect();
    let too_few = Fault::Certificate(CertificateError::TooFew { valid: 2, needed: 3 });
    assert_eq!(faults, [Some(too_few), None, Some(Fault::Certificate(CertificateError::Epoch(1))), None]);
}

/// G5: a member whose keys nobody was shown to hold.
#[test]
fn g5_a_change_of_the_members_without_the_joiners_word_is_not_good() {
    use quorate_types::{Change, Governance, Joiner, StoreId, governance};
    let trust = trust();
    let genesis = genesis_header(&trust);
    let [operator, vote, transport] = [90, 91, 92].map(|seed| Ed25519Signer::from_seed(&[seed; 32]));
    let proposal = |forged: bool| {
        let mut joiner = Joiner {
            name: "eve".to_owned(),
            vote: vote.public_key(),
            transport: transport.public_key(),
            store: StoreId([1; 16]),
            peer: String::new(),
            api: String::new(),
            vote_proof: Signature([0; 64]),
            transport_proof: Signature([0; 64]),
        };
        let bytes = joiner.signed_bytes(&trust.ledger());
        let other = if forged { &vote } else { &transport };
        (joiner.vote_proof, joiner.transport_proof) = (vote.sign(&bytes), other.sign(&bytes));
        let change = Change { remove: None, add: Some(joiner), faults: 1 };
        let transaction = Transaction {
            ledger: trust.ledger(),
            sender: operator.public_key(),
            session: SessionId::new(1),
            number: Number::new(0),
            valid_until: LedgerTime(900),
            app: governance::APP.to_owned(),
            payload: Governance::Propose { change, ready: None }.to_payload(),
        };
        let signature = operator.sign(&transaction.signed_bytes());
        SignedTransaction { transaction, signature }
    };
    let block =
        |proposal| block_after(&genesis, 5, vec![transaction(&trust, 0), proposal], &[COMMITTED, COMMITTED]);
    assert!(contents(&block(proposal(false)), &[COMMITTED, COMMITTED]).is_ok());
    let refused = contents(&block(proposal(true)), &[COMMITTED, COMMITTED]).expect_err("forged");
    assert_eq!(refused, Fault::Signature(1));
}
