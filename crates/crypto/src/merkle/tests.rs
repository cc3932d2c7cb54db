use super::*;
use proptest::prelude::*;

/// RFC 6962, section 2.1, to the letter.
fn reference(leaves: &[Vec<u8>]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [one] => leaf_hash(one),
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&reference(&leaves[..split]), &reference(&leaves[split..]))
        }
    }
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| index.to_be_bytes().to_vec()).collect()
}

#[test]
fn the_tree_is_that_of_rfc_6962_with_its_size_bound() {
    for count in 0..70 {
        let leaves = leaves(count);
        let expected = bind(u32::try_from(count).expect("small"), &reference(&leaves));
        assert_eq!(merkle_root(&leaves), expected, "{count} leaves");
    }
}

#[test]
fn every_path_verifies_and_no_other_leaf_index_or_count_does() {
    for count in 1..40usize {
        let leaves = leaves(count);
        let tree = MerkleTree::new(&leaves);
        for (index, leaf) in (0u32..).zip(&leaves) {
            let path = tree.path(index).expect("in range");
            assert!(path.verify(leaf, &tree.root()));
            assert!(!path.verify(b"another leaf", &tree.root()));
            for other in (0..path.count).filter(|other| *other != index) {
                assert!(!MerklePath { index: other, ..path.clone() }.verify(leaf, &tree.root()));
            }
            assert!(!MerklePath { count: path.count + 1, ..path.clone() }.verify(leaf, &tree.root()));
            let mut longer = path.clone();
            longer.siblings.push(Digest::ZERO);
            assert!(!longer.verify(leaf, &tree.root()));
        }
        assert!(tree.path(u32::try_from(count).expect("small")).is_none());
    }
}

proptest! {
    #[test]
    fn verification_is_total(index: u32, count: u32, siblings in prop::collection::vec(any::<[u8; 32]>(), 0..40)) {
        let path = MerklePath { index, count, siblings: siblings.into_iter().map(Digest).collect() };
        prop_assert!(!path.verify(b"leaf", &Digest::ZERO));
    }
}
