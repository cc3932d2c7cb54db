use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn parts(depth: usize, model: &Model) -> Vec<Part> {
    let of = |index| {
        let here = model.iter().filter(|(key, _)| part_of_key(&key_hash(key), depth) == index);
        part_with(depth, index, here.map(|(key, value)| (&key[..], &value[..]))).unwrap()
    };
    (0..1 << depth).map(of).collect()
}

fn model() -> impl Strategy<Value = Model> {
    proptest::collection::btree_map(
        proptest::collection::vec(any::<u8>(), 0..3),
        proptest::collection::vec(any::<u8>(), 0..3),
        0..40,
    )
}

proptest! {
    /// However it is cut, the root is that of the whole: depth 0 is the tree itself.
    #[test]
    fn the_parts_of_every_depth_have_one_root(model in model(), depth in 0usize..=8) {
        prop_assert_eq!(root_of(&parts(depth, &model)), root_of(&parts(0, &model)));
    }

    /// Whoever makes up parts with a known root can only call a leaf a subtree, which has the same hash.
    #[test]
    fn parts_that_differ_in_a_hash_have_another_root(
        model in model(),
        depth in 0usize..=6,
        at in any::<prop::sample::Index>(),
        with in any::<prop::sample::Index>(),
    ) {
        let known = parts(depth, &model);
        let (at, with) = (at.index(known.len()), with.index(known.len()));
        let lies = [Part::Empty, Part::Many(Digest([9; 32])), Part::Many(hash_of(&known[at])), known[with]];
        for lie in lies {
            let mut lied = known.clone();
            lied[at] = lie;
            let same_hashes = lied.iter().map(hash_of).eq(known.iter().map(hash_of));
            prop_assert!(root_of(&lied) != root_of(&known) || same_hashes, "{:?}", lied);
            lied.swap(at, with);
            let same_hashes = lied.iter().map(hash_of).eq(known.iter().map(hash_of));
            prop_assert!(root_of(&lied) != root_of(&known) || same_hashes, "swapped: {:?}", lied);
        }
    }
}

#[test]
fn what_is_no_set_of_parts_has_no_root() {
    assert_eq!(root_of(&[]), None);
    assert_eq!(root_of(&[Part::Empty; 3]), None);
    assert_eq!(root_of(&vec![Part::Empty; 2 << MOST_DEPTH]), None);
    assert_eq!(root_of(&vec![Part::Empty; 1 << MOST_DEPTH]), Some(EMPTY));
}

#[test]
fn leaves_of_another_part_and_leaves_given_twice_are_refused() {
    let key = b"a".as_slice();
    let index = part_of_key(&key_hash(key), 3);
    assert!(part_with(3, index, [(key, b"1".as_slice())]).is_some());
    assert_eq!(part_with(3, index ^ 1, [(key, b"1".as_slice())]), None);
    assert_eq!(part_with(3, index, [(key, b"1".as_slice()), (key, b"2")]), None);
    assert_eq!(part_with(3, index, []), Some(Part::Empty));
}
