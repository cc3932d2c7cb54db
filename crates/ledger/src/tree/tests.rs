use super::*;
use proptest::prelude::*;
use quorate_crypto::sha256;
use quorate_crypto::sparse::Terminal;

/// The root by its definition, hashed by hand, from the sorted pairs of key hash and value hash.
fn naive_root(depth: usize, leaves: &[(Digest, Digest)]) -> Digest {
    match leaves {
        [] => Digest([0; 32]),
        [(key, value)] => sha256(&[b"quorate/state-leaf/v1\0", &key.0[..], &value.0[..]].concat()),
        _ => {
            let is_left = |leaf: &&(Digest, Digest)| leaf.0.0[depth / 8] & (0x80 >> (depth % 8)) == 0;
            let (left, right): (Vec<_>, Vec<_>) = leaves.iter().partition(is_left);
            let (left, right) = (naive_root(depth + 1, &left), naive_root(depth + 1, &right));
            sha256(&[b"quorate/state-node/v1\0", &left.0[..], &right.0[..]].concat())
        }
    }
}

fn naive_root_of(model: &BTreeMap<Vec<u8>, Vec<u8>>) -> Digest {
    let hashes = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        (sha256(&[b"quorate/state-key/v1\0", key.as_slice()].concat()), sha256(value))
    };
    let mut leaves: Vec<_> = model.iter().map(hashes).collect();
    leaves.sort();
    naive_root(0, &leaves)
}

fn changes(of: &[(Vec<u8>, Option<Vec<u8>>)]) -> Changes {
    of.iter().map(|(key, value)| (key.clone(), value.clone().map(Arc::from))).collect()
}

fn tree(keys: u32) -> Tree {
    Tree::from_leaves(
        (0..keys).map(|key| (key.to_be_bytes().to_vec(), vec![u8::try_from(key % 251).unwrap()])),
    )
}

fn changes_to(model: &BTreeMap<Vec<u8>, Vec<u8>>) -> Changes {
    model.iter().map(|(key, value)| (key.clone(), Some(Arc::from(value.as_slice())))).collect()
}

fn tree_of(block: &Changes) -> Tree {
    let mut tree = Tree::default();
    tree.apply(block);
    tree
}

/// A few keys that are prefixes of one another, so that blocks meet the same key again.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..3, 0..4)
}

fn any_block() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    let change = (any_key(), prop::option::weighted(0.6, prop::collection::vec(any::<u8>(), 0..3)));
    prop::collection::vec(change, 0..24)
}

proptest! {
    #[test]
    fn every_state_equals_a_naive_model(blocks in prop::collection::vec(any_block(), 1..8)) {
        let mut model = BTreeMap::new();
        let mut tree = Tree::default();
        for block in &blocks {
            let block = changes(block);
            tree.apply(&block);
            for (key, value) in block {
                match value {
                    Some(value) => model.insert(key, value.to_vec()),
                    None => model.remove(&key),
                };
            }
            let held: BTreeMap<_, _> = tree.leaves().iter().map(|(key, value)| (key.clone(), value.to_vec())).collect();
            prop_assert_eq!(&held, &model);
            prop_assert_eq!(tree.root(), naive_root_of(&model));
            // Nothing that is replaced or removed is kept.
            let (leaves, inner) = tree.hashed.kept();
            prop_assert_eq!(leaves, model.len());
            prop_assert_eq!(inner, tree_of(&changes_to(&model)).hashed.kept().1);
        }
    }

    #[test]
    fn listings_equal_a_sorted_map(block in any_block(), from in any_key(), prefix in any_key()) {
        let block = changes(&block);
        let tree = tree_of(&block);
        let model: BTreeMap<_, _> = block.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        prop_assert_eq!(tree.get(&from), model.get(&from));
        let found: Vec<_> = prefixed(tree.leaves(), &prefix, &from).map(|(key, _)| key.to_vec()).collect();
        let expected = model.keys().filter(|key| key.starts_with(&prefix) && **key >= from);
        prop_assert_eq!(found, expected.cloned().collect::<Vec<_>>());
    }

    #[test]
    fn x5_presence_and_absence_are_proven(block in any_block(), key in any_key()) {
        let tree = tree_of(&changes(&block));
        let path = tree.prove(&key);
        let value = tree.get(&key).map(AsRef::as_ref);
        prop_assert!(path.verify(&tree.root(), &key, value));
        let other: &[u8] = b"another value";
        prop_assert!(!path.verify(&tree.root(), &key, Some(other)));
        prop_assert!(value.is_none() || !path.verify(&tree.root(), &key, None));
    }
}

#[test]
fn an_empty_state_has_the_empty_root_and_one_leaf_is_its_own_root() {
    assert_eq!(Tree::default().root(), Digest([0; 32]));
    assert!(Tree::default().prove(b"k").verify(&Digest([0; 32]), b"k", None));
    let mut one = Tree::from_leaves([(b"k".to_vec(), b"v".to_vec())]);
    assert_eq!(one.root(), naive_root_of(&[(b"k".to_vec(), b"v".to_vec())].into()));
    one.apply(&changes(&[(b"k".to_vec(), None)]));
    assert_eq!(one.root(), Digest([0; 32]));
}

#[test]
fn x5_a_tampered_proof_does_not_verify() {
    let tree = tree(200);
    let root = tree.root();
    let (present, absent) = (7u32.to_be_bytes(), 1_000u32.to_be_bytes());
    for (key, value) in [(&present, Some(&[7u8][..])), (&absent, None)] {
        let path = tree.prove(key);
        assert!(path.verify(&root, key, value));
        assert!(!path.verify(&root, &8u32.to_be_bytes(), value), "of another key");
        assert!(!path.verify(&Digest([1; 32]), key, value), "under another root");
        for at in 0..path.siblings.len() {
            let mut flipped = path.clone();
            flipped.siblings[at].0[at % 32] ^= 1;
            assert!(!flipped.verify(&root, key, value));
            let mut cut = path.clone();
            cut.siblings.remove(at);
            assert!(!cut.verify(&root, key, value));
        }
        let mut emptied = path.clone();
        emptied.terminal = Terminal::Empty;
        assert!(!emptied.verify(&root, &present, None), "a present key is not absent");
    }
}

#[test]
fn x5_another_leaf_proves_absence_only_where_the_key_would_stand() {
    let tree = tree(200);
    let wanted = 1_000u32.to_be_bytes();
    let stranger = (0..200u32).map(|key| tree.prove(&key.to_be_bytes())).find(|path| {
        let Terminal::Leaf { key_hash: other, .. } = &path.terminal else { return false };
        other.0[0] >> 7 != key_hash(&wanted).0[0] >> 7
    });
    assert!(!stranger.expect("half of the leaves stand there").verify(&tree.root(), &wanted, None));
}

#[test]
fn a_proof_of_any_length_is_answered() {
    let mut path = tree(3).prove(b"k");
    for len in [255, 256, 257, 100_000] {
        path.siblings = vec![Digest([9; 32]); len];
        assert!(!path.verify(&Digest([0; 32]), b"k", None));
    }
}

#[test]
fn hashes_that_differ_in_the_last_bit_alone_stand_at_the_bottom() {
    let change = |key_hash, value: Option<u8>| hashed::Change {
        key_hash,
        value_hash: value.map(|value| sha256(&[value])),
    };
    let (low, mut high) = (Digest([0; 32]), Digest([0; 32]));
    high.0[31] = 1;
    let expected = naive_root(0, &[(low, sha256(&[0])), (high, sha256(&[1]))]);
    let mut together = hashed::Tree::default();
    together.apply(&[change(low, Some(0)), change(high, Some(1))]);
    let mut in_turn = hashed::Tree::default();
    in_turn.apply(&[change(high, Some(1))]);
    in_turn.apply(&[change(low, Some(0))]);
    for tree in [&together, &in_turn] {
        assert_eq!(tree.root(), expected);
        assert_eq!(tree.prove(&low).siblings.len(), 256);
    }
    together.apply(&[change(high, None)]);
    assert!(together.prove(&low).siblings.is_empty(), "a subtree with one leaf is that leaf");
    assert_eq!(together.kept(), (1, 0));
}
