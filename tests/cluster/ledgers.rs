//! The judge of stopped replicas: what their data directories hold, against each other and against what clients were told.

use crate::harness::{Place, all_equal, until};
use crate::load::Load;
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
type Verdict<T = ()> = Result<T, String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// The blocks that a stopped replica has on disk. Every certificate beside them must verify.
fn read(net: &Path, member: usize, trust: &TrustRoot) -> Verdict<Vec<StoredBlock>> {
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
fn execute_again(trust: &TrustRoot, blocks: &[StoredBlock]) -> Verdict {
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
fn nothing_twice(blocks: &[StoredBlock]) -> Verdict {
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
fn nothing_lost(trust: &TrustRoot, blocks: &[StoredBlock], receipts: &[Receipt]) -> Verdict {
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

/// Reads the data directories of a stopped testnet: equal ledgers, which execute again to the same headers, nothing twice,
/// and nothing lost of what clients have receipts for. Returns the number of blocks.
pub(crate) fn judge(net: &Path, members: usize, receipts: &[Receipt]) -> Verdict<usize> {
    let trust = trust(net);
    let first = read(net, 0, &trust)?;
    for member in 1..members {
        let other = read(net, member, &trust)?;
        let (ours, theirs) = (first.len(), other.len());
        ensure(ours == theirs, || format!("member 0 has {ours} blocks, member {member} {theirs}"))?;
        let differs = first.iter().zip(&other).position(|(own, theirs)| own != theirs);
        ensure(differs.is_none(), || format!("member {member} differs after block {}", differs.unwrap()))?;
    }
    execute_again(&trust, &first)?;
    nothing_twice(&first)?;
    nothing_lost(&trust, &first, receipts)?;
    Ok(first.len())
}

/// The judge itself: it must see each of these.
#[test]
fn the_judge_sees_lost_doubled_and_different_blocks() {
    let place = Place::new(28);
    let net = place.testnet(&[]);
    let load = Load::start(&net, 2);
    load.progress(20);
    let receipts = load.stop();
    until("all stand at the same block", || all_equal(&net));
    assert!(place.run(&["testnet", "down", "net"]).status.success());
    let (dir, trust) = (net.dir(), trust(&net.dir()));
    judge(&dir, 4, &receipts).unwrap();
    let blocks = read(&dir, 0, &trust).unwrap();
    assert!(nothing_lost(&trust, &blocks[..blocks.len() - 1], &receipts).unwrap_err().contains("is lost"));
    let mut forged = receipts.clone();
    forged[3].result = TransactionResult::Committed { output: vec![9] };
    assert!(nothing_lost(&trust, &blocks, &forged).unwrap_err().contains("a receipt"));
    let mut other = blocks.clone();
    other[2].results = vec![TransactionResult::Committed { output: vec![9] }; other[2].results.len()];
    assert!(nothing_lost(&trust, &other, &receipts).unwrap_err().contains("result"));
    assert!(execute_again(&trust, &other).unwrap_err().contains("block 3"));
    let doubled = [&blocks[..], &blocks[4..5]].concat();
    assert!(nothing_twice(&doubled).unwrap_err().contains("twice"));
    let file = dir.join("node2/data/blocks/0000000000000001.blk");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(judge(&dir, 4, &receipts).unwrap_err().contains("member 2"));
}
