//! The judge of stopped replicas: what their data directories hold, against each other and against what clients were told.
//! Shared with the tests of `tests/byz`.

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

/// What is wrong with the replicas' directories.
pub(crate) type Verdict<T = ()> = Result<T, String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// The blocks that a stopped replica has on disk. Every certificate beside them must verify.
pub(crate) fn read(net: &Path, member: usize, trust: &TrustRoot) -> Verdict<Vec<StoredBlock>> {
    let directory = net.join(format!("node{member}/data/blocks"));
    let store = BlockStore::open(RealDisk::open(&directory).unwrap(), trust.ledger()).unwrap();
    let mut blocks = Vec::new();
    let mut height = Seq::new(1);
    while height <= store.tip() {
        let block = store.block(height).map_err(|error| format!("member {member}: {error}"))?.unwrap();
        if let Some(certificate) = store.certificate(height).unwrap() {
            trust.check_certificate(&certificate).map_err(|why| format!("member {member}: {why}"))?;
            let hash = header_hash(&block.block.header);
            ensure(certificate.header == hash, || format!("member {member}: certificate of {height}"))?;
        }
        blocks.push(block);
        height = height.next();
    }
    Ok(blocks)
}

/// Executes the blocks once more from the genesis, one after the other: same headers, same results.
pub(crate) fn execute_again(trust: &TrustRoot, blocks: &[StoredBlock]) -> Verdict {
    let mut machine = Machine::genesis(trust.genesis(), built_in_applications()).unwrap();
    for block in blocks {
        let height = block.block.header.height;
        let batch = block.block.batch.clone().map(|batch| Arc::new(HashedBatch::new(batch)));
        let executed = machine.execute(height, batch);
        let same = executed.header == block.block.header && executed.results == block.results;
        ensure(same, || format!("block {height} executes to something else"))?;
        machine.committed(height);
    }
    Ok(())
}

/// No number takes effect twice.
pub(crate) fn nothing_twice(blocks: &[StoredBlock]) -> Verdict {
    let mut used = BTreeSet::new();
    for block in blocks {
        let transactions = block.block.batch.iter().flat_map(|batch| &batch.transactions);
        for (signed, result) in transactions.zip(&block.results) {
            let inner = &signed.transaction;
            if !matches!(result, TransactionResult::Void { .. }) {
                let number = (inner.sender, inner.session, inner.number);
                let height = block.block.header.height;
                ensure(used.insert(number), || format!("executed twice: {number:?}, again in {height}"))?;
            }
        }
    }
    Ok(())
}

/// Every receipt verifies, and its block is in the ledger with that transaction and that result.
pub(crate) fn nothing_lost(trust: &TrustRoot, blocks: &[StoredBlock], receipts: &[Receipt]) -> Verdict {
    for receipt in receipts {
        let height = receipt.verify(trust).map_err(|why| format!("a receipt: {why}"))?.height;
        let at = usize::try_from(height.get() - 1).unwrap();
        let block = blocks.get(at).ok_or_else(|| format!("acknowledged block {height} is lost"))?;
        ensure(block.block.header == receipt.header, || format!("block {height} is another one"))?;
        let batch = block.block.batch.as_ref().ok_or_else(|| format!("block {height} is empty"))?;
        let place = batch.transactions.iter().position(|signed| *signed == receipt.transaction);
        let result = place.and_then(|place| block.results.get(place));
        ensure(result == Some(&receipt.result), || format!("an acknowledged result is not in {height}"))?;
    }
    Ok(())
}

/// Reads the data directories of these members of a stopped testnet: equal ledgers, which execute again to the same headers,
/// nothing twice, and nothing lost of what clients have receipts for. Returns the number of blocks.
pub(crate) fn judge_of(net: &Path, members: &[usize], receipts: &[Receipt]) -> Verdict<usize> {
    let trust = trust(net);
    let one = members[0];
    let first = read(net, one, &trust)?;
    for member in &members[1..] {
        let other = read(net, *member, &trust)?;
        let (ours, theirs) = (first.len(), other.len());
        ensure(ours == theirs, || format!("member {one} has {ours} blocks, member {member} {theirs}"))?;
        let differs = first.iter().zip(&other).position(|(own, theirs)| own != theirs);
        ensure(differs.is_none(), || format!("member {member} differs after block {}", differs.unwrap()))?;
    }
    execute_again(&trust, &first)?;
    nothing_twice(&first)?;
    nothing_lost(&trust, &first, receipts)?;
    Ok(first.len())
}
