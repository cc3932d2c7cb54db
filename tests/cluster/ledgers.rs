//! The judge of stopped replicas: what their data directories hold, against each other and against what clients were told.

use quorate_client::{Receipt, TransactionResult, TrustRoot};
use quorate_crypto::{HashedBatch, header_hash};
use quorate_ledger::{Machine, built_in_applications};
use quorate_proof::genesis_file;
use quorate_storage::{BlockStore, RealDisk, StoredBlock};
use quorate_types::Seq;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The genesis of a testnet.
pub(crate) fn trust(net: &Path) -> TrustRoot {
    let text = std::fs::read_to_string(net.join("genesis.toml")).unwrap();
    TrustRoot::from_genesis(genesis_file::parse(&text).unwrap()).unwrap()
}

/// The blocks that a stopped replica has on disk. Every certificate beside them must verify.
fn read(net: &Path, member: usize, trust: &TrustRoot) -> Vec<StoredBlock> {
    let directory = net.join(format!("node{member}/data/blocks"));
    let store = BlockStore::open(RealDisk::open(&directory).unwrap(), trust.ledger()).unwrap();
    let mut blocks = Vec::new();
    while blocks.len() < usize::try_from(store.tip().get()).unwrap() {
        let height = Seq::new(blocks.len() as u64 + 1);
        let block = store.block(height).unwrap().unwrap();
        if let Some(certificate) = store.certificate(height).unwrap() {
            trust.check_certificate(&certificate).unwrap();
            assert_eq!(
                certificate.header,
                header_hash(&block.block.header),
                "member {member}, block {height}"
            );
        }
        blocks.push(block);
    }
    blocks
}

/// Executes the blocks once more from the genesis, one after the other: same headers, same results.
fn execute_again(trust: &TrustRoot, blocks: &[StoredBlock]) {
    let mut machine = Machine::genesis(trust.genesis(), built_in_applications()).unwrap();
    for block in blocks {
        let height = block.block.header.height;
        let batch = block.block.batch.clone().map(|batch| Arc::new(HashedBatch::new(batch)));
        let executed = machine.execute(height, batch);
        assert_eq!(executed.header, block.block.header, "block {height}");
        assert_eq!(executed.results, block.results, "block {height}");
        machine.committed(height);
    }
}

/// No number takes effect twice.
fn nothing_twice(blocks: &[StoredBlock]) {
    let mut used = BTreeSet::new();
    for block in blocks {
        let transactions = block.block.batch.iter().flat_map(|batch| &batch.transactions);
        for (signed, result) in transactions.zip(&block.results) {
            let inner = &signed.transaction;
            if !matches!(result, TransactionResult::Void { .. }) {
                let number = (inner.sender, inner.session, inner.number);
                assert!(used.insert(number), "executed twice: {number:?} in {}", block.block.header.height);
            }
        }
    }
}

/// Every receipt verifies, and its block is in the ledger with that transaction and that result.
fn nothing_lost(trust: &TrustRoot, blocks: &[StoredBlock], receipts: &[Receipt]) {
    for receipt in receipts {
        let verified = receipt.verify(trust).unwrap();
        let at = usize::try_from(verified.height.get() - 1).unwrap();
        let block = blocks.get(at).unwrap_or_else(|| panic!("acknowledged block {} is lost", at + 1));
        assert_eq!(block.block.header, receipt.header);
        let batch = block.block.batch.as_ref().expect("a block with a transaction");
        let place = batch.transactions.iter().position(|signed| *signed == receipt.transaction);
        let place = place.expect("an acknowledged transaction is in its block");
        assert_eq!(block.results[place], receipt.result);
    }
}

/// Reads the data directories of a stopped testnet: equal ledgers, which execute again to the same headers, nothing twice,
/// and nothing lost of what clients have receipts for. Returns the number of blocks.
pub(crate) fn judge(net: &Path, members: usize, receipts: &[Receipt]) -> usize {
    let trust = trust(net);
    let first = read(net, 0, &trust);
    for member in 1..members {
        let other = read(net, member, &trust);
        assert_eq!(other.len(), first.len(), "member {member} has as many blocks as member 0");
        for (own, theirs) in first.iter().zip(&other) {
            assert!(own == theirs, "member {member} differs in block {}", own.block.header.height);
        }
    }
    execute_again(&trust, &first);
    nothing_twice(&first);
    nothing_lost(&trust, &first, receipts);
    first.len()
}
