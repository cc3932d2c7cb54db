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

fn version(keys: u32) -> Version {
    Version::from_leaves(
        (0..keys).map(|key| (key.to_be_bytes().to_vec(), vec![u8::try_from(key % 251).unwrap()])),
    )
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
    fn every_version_equals_a_naive_model(blocks in prop::collection::vec(any_block(), 1..8)) {
        let mut model = BTreeMap::new();
        let mut history = vec![(Version::default(), BTreeMap::new())];
        for block in &blocks {
            let block = changes(block);
            let next = history.last().unwrap().0.apply(&block);
            for (key, value) in block {
                match value {
                    Some(value) => model.insert(key, value.to_vec()),
                    None => model.remove(&key),
                };
            }
            ordered::Node::checked_height(&next.ordered);
            history.push((next, model.clone()));
        }
        for (version, model) in &history {
            let listed: Vec<_> = version.range(&[]).map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(&listed, &model.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(version.len(), model.len());
            prop_assert_eq!(version.root(), naive_root_of(model));
        }
    }

    #[test]
    fn lookups_and_ranges_equal_a_sorted_map(block in any_block(), from in any_key(), prefix in any_key()) {
        let block = changes(&block);
        let version = Version::default().apply(&block);
        let model: BTreeMap<_, _> = block.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        prop_assert_eq!(version.get(&from), model.get(&from));
        let ranged: Vec<_> = version.range(&from).map(|(key, _)| key.to_vec()).collect();
        prop_assert_eq!(ranged, model.range(from.clone()..).map(|(key, _)| key.clone()).collect::<Vec<_>>());
        let prefixed: Vec<_> = version.prefixed(&prefix, &from).map(|(key, _)| key.to_vec()).collect();
        let expected = model.keys().filter(|key| key.starts_with(&prefix) && **key >= from);
        prop_assert_eq!(prefixed, expected.cloned().collect::<Vec<_>>());
    }

    #[test]
    fn x5_presence_and_absence_are_proven(block in any_block(), key in any_key()) {
        let version = Version::default().apply(&changes(&block));
        let path = version.prove(&key);
        let value = version.get(&key).map(AsRef::as_ref);
        prop_assert!(path.verify(&version.root(), &key, value));
        let other: &[u8] = b"another value";
        prop_assert!(!path.verify(&version.root(), &key, Some(other)));
        prop_assert!(value.is_none() || !path.verify(&version.root(), &key, None));
    }
}

#[test]
fn an_empty_state_has_the_empty_root_and_one_leaf_is_its_own_root() {
    assert_eq!(Version::default().root(), Digest([0; 32]));
    assert!(Version::default().prove(b"k").verify(&Digest([0; 32]), b"k", None));
    let one = Version::from_leaves([(b"k".to_vec(), b"v".to_vec())]);
    assert_eq!(one.root(), naive_root_of(&[(b"k".to_vec(), b"v".to_vec())].into()));
    assert_eq!(one.apply(&changes(&[(b"k".to_vec(), None)])).root(), Digest([0; 32]));
}

#[test]
fn x5_a_tampered_proof_does_not_verify() {
    let version = version(200);
    let root = version.root();
    let (present, absent) = (7u32.to_be_bytes(), 1_000u32.to_be_bytes());
    for (key, value) in [(&present, Some(&[7u8][..])), (&absent, None)] {
        let path = version.prove(key);
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
    let version = version(200);
    let wanted = 1_000u32.to_be_bytes();
    let stranger = (0..200u32).map(|key| version.prove(&key.to_be_bytes())).find(|path| {
        let Terminal::Leaf { key_hash: other, .. } = &path.terminal else { return false };
        other.0[0] >> 7 != key_hash(&wanted).0[0] >> 7
    });
    assert!(!stranger.expect("half of the leaves stand there").verify(&version.root(), &wanted, None));
}

#[test]
fn a_proof_of_any_length_is_answered() {
    let mut path = version(3).prove(b"k");
    for len in [255, 256, 257, 100_000] {
        path.siblings = vec![Digest([9; 32]); len];
        assert!(!path.verify(&Digest([0; 32]), b"k", None));
    }
}

#[test]
fn hashes_that_differ_in_the_last_bit_alone_stand_at_the_bottom() {
    let entry = |key: u8| Some(Arc::new(Entry { key: vec![key], value: Arc::from([key]) }));
    let (low, mut high) = (Digest([0; 32]), Digest([0; 32]));
    high.0[31] = 1;
    let both = [
        hashed::Change { key_hash: low, entry: entry(0) },
        hashed::Change { key_hash: high, entry: entry(1) },
    ];
    let together = hashed::apply(None, 0, &both);
    let in_turn = hashed::apply(hashed::apply(None, 0, &both[1..]), 0, &both[..1]);
    let expected = naive_root(0, &[(low, sha256(&[0])), (high, sha256(&[1]))]);
    for tree in [&together, &in_turn] {
        assert_eq!(tree.as_ref().unwrap().hash(), expected);
        assert_eq!(hashed::prove(tree, &low).siblings.len(), 256);
    }
    let left = hashed::apply(together, 0, &[hashed::Change { key_hash: high, entry: None }]);
    assert!(hashed::prove(&left, &low).siblings.is_empty(), "a subtree with one leaf is that leaf");
}

#[test]
fn keys_in_order_do_not_unbalance_the_listing() {
    let count = 20_000u32;
    let version = version(count);
    assert!(ordered::Node::checked_height(&version.ordered) <= 21, "1.44 log2 of 20,000");
    let gone: Vec<_> = (0..count - 5).map(|key| (key.to_be_bytes().to_vec(), None)).collect();
    let rest = version.apply(&changes(&gone));
    assert!(ordered::Node::checked_height(&rest.ordered) <= 3);
    assert_eq!(rest.len(), 5);
    assert_eq!(version.len(), count as usize, "the version before is as it was");
}
