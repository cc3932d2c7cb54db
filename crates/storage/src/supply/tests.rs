use super::*;
use crate::blocks::StoredBlock;
use crate::simulated::SimulatedDisk;
use quorate_crypto::header_hash;
use quorate_ledger::{Assembly, MemoryStateStore, StateProof, StoredState, tree::Tree};
use quorate_types::{Block, CertificateKind, Digest, Epoch, LedgerId, LedgerTime};

const LEDGER: LedgerId = LedgerId([7; 32]);

/// Blocks up to `tip`, each with the root of a state of as many keys; those in `certified` have certificates.
fn chain(tip: u64, certified: &[u64]) -> (BlockStore<SimulatedDisk>, Vec<StoredState>) {
    let mut blocks = BlockStore::open(SimulatedDisk::new(), LEDGER).unwrap();
    let mut states = Vec::new();
    for height in 1..=tip {
        let leaves: Vec<_> = (0..height).map(|key| (key.to_be_bytes().to_vec(), vec![7])).collect();
        let header = Header {
            ledger: LEDGER,
            epoch: Epoch::ZERO,
            height: Seq::new(height),
            parent: Digest([1; 32]),
            time: LedgerTime(height),
            batch_digest: Digest([1; 32]),
            transactions_root: Digest([2; 32]),
            results_root: Digest([3; 32]),
            state_root: Tree::from_leaves(leaves.clone()).root(),
            members_hash: Digest([5; 32]),
            transaction_count: 0,
        };
        let hash = header_hash(&header);
        blocks.append(StoredBlock { block: Block { header, batch: None }, results: Vec::new() }).unwrap();
        if certified.contains(&height) {
            let (epoch, kind) = (Epoch::ZERO, CertificateKind::Checkpoint);
            let certificate =
                BlockCertificate { epoch, height: Seq::new(height), header: hash, kind, signatures: vec![] };
            blocks.append_certificate(certificate).unwrap();
        }
        states.push(StoredState { height: Seq::new(height), header_hash: hash, leaves });
    }
    (blocks, states)
}

/// Makes this the stored state, with any certificate: only the blocks' own counts here.
fn put(store: &mut MemoryStateStore, state: &StoredState, blocks: &BlockStore<SimulatedDisk>) {
    let header = blocks.header(state.height).unwrap().unwrap();
    let certificate = blocks.certificate(Seq::new(5)).unwrap().unwrap();
    store.replace(state.clone(), &StateProof { header, certificate }).unwrap();
}

fn parts_above(
    supply: &mut StateSupply,
    above: u64,
    blocks: &BlockStore<SimulatedDisk>,
    store: &MemoryStateStore,
) -> Option<StateParts> {
    match supply.answer(&Fetch::StateParts { above: Seq::new(above) }, blocks, store).unwrap() {
        Some(Message::StateParts(parts)) => Some(*parts),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

fn leaves_of(
    supply: &mut StateSupply,
    height: u64,
    index: u32,
    blocks: &BlockStore<SimulatedDisk>,
    store: &MemoryStateStore,
) -> Option<StateLeaves> {
    match supply.answer(&Fetch::StateLeaves { height: Seq::new(height), index }, blocks, store).unwrap() {
        Some(Message::StateLeaves(leaves)) => Some(*leaves),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

#[test]
fn what_is_given_puts_the_state_together() {
    let (blocks, states) = chain(5, &[5]);
    let mut store = MemoryStateStore::new();
    put(&mut store, &states[4], &blocks);
    let mut supply = StateSupply::default();
    let parts = parts_above(&mut supply, 4, &blocks, &store).expect("it is above 4");
    let mut assembly = Assembly::new(&parts.header, parts.parts).unwrap();
    for index in assembly.missing().collect::<Vec<_>>() {
        let given = leaves_of(&mut supply, 5, u32::try_from(index).unwrap(), &blocks, &store).unwrap();
        assembly.accept(index, given.leaves).unwrap();
    }
    let mut again = assembly.finish().unwrap();
    again.leaves.sort();
    assert_eq!(again, states[4]);
}

#[test]
fn only_what_is_newer_and_certified_is_given() {
    let (blocks, states) = chain(5, &[5]);
    let mut store = MemoryStateStore::new();
    let mut supply = StateSupply::default();
    assert_eq!(parts_above(&mut supply, 0, &blocks, &store), None, "there is no state");
    put(&mut store, &states[3], &blocks);
    assert_eq!(parts_above(&mut supply, 0, &blocks, &store), None, "block 4 has no certificate");
    put(&mut store, &states[4], &blocks);
    assert_eq!(parts_above(&mut supply, 5, &blocks, &store), None, "the peer has it");
    assert!(parts_above(&mut supply, 4, &blocks, &store).is_some());
    assert_eq!(leaves_of(&mut supply, 5, 1, &blocks, &store), None, "it is in one part");
    assert_eq!(leaves_of(&mut supply, 4, 0, &blocks, &store), None);
}

/// A peer that has begun with one state finishes it though there is a newer one; two newer ones are too many.
#[test]
fn a_state_that_is_fetched_stays_for_a_while() {
    let (blocks, states) = chain(5, &[3, 4, 5]);
    let mut store = MemoryStateStore::new();
    let mut supply = StateSupply::default();
    for state in &states[2..] {
        put(&mut store, state, &blocks);
        assert!(parts_above(&mut supply, 0, &blocks, &store).is_some());
    }
    assert!(supply.heights().eq([Seq::new(4), Seq::new(5)]));
    assert!(leaves_of(&mut supply, 4, 0, &blocks, &store).is_some());
    assert_eq!(leaves_of(&mut supply, 3, 0, &blocks, &store), None);
    supply.forget();
    assert_eq!(leaves_of(&mut supply, 4, 0, &blocks, &store), None, "it is stored no more");
}

/// Parts come from one member, leaves from all that have stored the same state.
#[test]
fn t2_leaves_are_given_by_whoever_has_stored_that_state() {
    let (blocks, states) = chain(5, &[5]);
    let mut store = MemoryStateStore::new();
    put(&mut store, &states[4], &blocks);
    let mut supply = StateSupply::default();
    assert!(leaves_of(&mut supply, 4, 0, &blocks, &store).is_none());
    assert_eq!(supply.heights().count(), 0, "it is not cut for a height that it is not of");
    assert!(leaves_of(&mut supply, 5, 0, &blocks, &store).is_some());
}
