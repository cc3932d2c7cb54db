use super::*;
use crate::tree::Tree;
use proptest::prelude::*;
use quorate_types::{Epoch, LedgerId, LedgerTime};

fn header(height: u64, root: Digest) -> Header {
    Header {
        ledger: LedgerId([1; 32]),
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        parent: Digest([2; 32]),
        time: LedgerTime(height),
        batch_digest: Digest([3; 32]),
        transactions_root: Digest([4; 32]),
        results_root: Digest([5; 32]),
        state_root: root,
        members_hash: Digest([6; 32]),
        transaction_count: 0,
    }
}

/// A state of `keys` keys after some block, and that block's header.
fn state(height: u64, keys: u32, changed: u32) -> (StoredState, Header) {
    let value = |key: u32| if key < changed { vec![1; 40] } else { key.to_be_bytes().to_vec() };
    let leaves: PartLeaves = (0..keys).map(|key| (key.to_be_bytes().to_vec(), value(key))).collect();
    let header = header(height, Tree::from_leaves(leaves.clone()).root());
    (StoredState { height: Seq::new(height), header_hash: header_hash(&header), leaves }, header)
}

fn sorted(mut state: StoredState) -> StoredState {
    state.leaves.sort();
    state
}

/// Fetches everything that is missing; returns how many parts that took.
fn fetch(assembly: &mut Assembly, source: &PartedState) -> usize {
    let missing: Vec<usize> = assembly.missing().collect();
    for index in &missing {
        assembly.accept(*index, source.leaves_of(*index).unwrap().clone()).unwrap();
    }
    missing.len()
}

proptest! {
    #[test]
    fn what_is_put_together_is_the_state(keys in 0u32..200, depth in 0usize..=7) {
        let (state, header) = state(9, keys, 0);
        let source = PartedState::cut(state.clone(), depth);
        let mut assembly = Assembly::new(&header, source.parts().to_vec()).unwrap();
        fetch(&mut assembly, &source);
        let (held, all) = assembly.progress();
        prop_assert_eq!(held, all);
        prop_assert_eq!(sorted(assembly.finish().unwrap()), sorted(state));
    }

    /// Whatever is done to one part's leaves, it is noticed with that part.
    #[test]
    fn a_lie_in_a_part_is_noticed(keys in 2u32..100, depth in 0usize..=4, at in any::<prop::sample::Index>(), how in 0u8..5) {
        let (state, header) = state(9, keys, 0);
        let source = PartedState::cut(state, depth);
        let mut assembly = Assembly::new(&header, source.parts().to_vec()).unwrap();
        let missing: Vec<usize> = assembly.missing().collect();
        let index = *at.get(&missing);
        let mut leaves = source.leaves_of(index).unwrap().clone();
        match how {
            0 => leaves[0].1.push(0),
            1 => leaves[0].0.push(0),
            2 => drop(leaves.pop()),
            3 => leaves.push((b"another".to_vec(), vec![])),
            _ => leaves.push(leaves[0].clone()),
        }
        prop_assert_eq!(assembly.accept(index, leaves), Err(TransferError::OtherPart(index)));
        prop_assert_eq!(assembly.progress().0, 0);
    }
}

#[test]
fn parts_of_another_state_are_refused() {
    let (one, header) = state(9, 50, 0);
    let (other, _) = state(9, 51, 0);
    let parts = PartedState::cut(other, 3).parts().to_vec();
    assert_eq!(Assembly::new(&header, parts).unwrap_err(), TransferError::OtherRoot);
    let source = PartedState::cut(one, 3);
    let mut assembly = Assembly::new(&header, source.parts().to_vec()).unwrap();
    assert_eq!(assembly.accept(8, Vec::new()), Err(TransferError::NoSuchPart(8)));
    assert!(assembly.finish().is_err(), "nothing is there yet");
}

/// A later state is fetched for the price of what changed, also if it is cut otherwise.
#[test]
fn of_a_later_state_only_what_changed_is_fetched() {
    let (first, first_header) = state(9, 4_000, 0);
    let (later, later_header) = state(18, 4_000, 3);
    let source = PartedState::cut(first, 6);
    let mut assembly = Assembly::new(&first_header, source.parts().to_vec()).unwrap();
    assert_eq!(fetch(&mut assembly, &source), 64);
    let mut other_cut = assembly.clone();
    let changed = PartedState::cut(later.clone(), 6);
    assembly.retarget(&later_header, changed.parts().to_vec()).unwrap();
    assert!((1..=3).contains(&fetch(&mut assembly, &changed)));
    assert_eq!(sorted(assembly.finish().unwrap()), sorted(later.clone()));

    let finer = PartedState::cut(later.clone(), 8);
    other_cut.retarget(&later_header, finer.parts().to_vec()).unwrap();
    assert!((1..=3).contains(&fetch(&mut other_cut, &finer)));
    assert_eq!(sorted(other_cut.finish().unwrap()), sorted(later));
}

#[test]
fn a_lie_about_a_later_state_costs_nothing() {
    let (first, header) = state(9, 100, 0);
    let source = PartedState::cut(first, 2);
    let mut assembly = Assembly::new(&header, source.parts().to_vec()).unwrap();
    fetch(&mut assembly, &source);
    let (_, later) = state(18, 100, 5);
    assert_eq!(assembly.retarget(&later, source.parts().to_vec()), Err(TransferError::OtherRoot));
    assert_eq!((assembly.height(), assembly.progress()), (Seq::new(9), (4, 4)));
}

#[test]
fn a_large_state_is_cut_into_parts_of_some_size() {
    assert_eq!(
        (depth_for(0), depth_for(limits::STATE_PART_BYTES), depth_for(limits::STATE_PART_BYTES + 2)),
        (0, 0, 1)
    );
    assert_eq!(depth_for(100 * limits::STATE_PART_BYTES), 7);
    assert_eq!(depth_for(usize::MAX), MOST_DEPTH);
}
