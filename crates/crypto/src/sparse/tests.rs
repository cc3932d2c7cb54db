use super::*;

/// A tree of the two leaves that part at the first bit, made by hand.
struct Pair {
    left: (&'static [u8], Digest),
    right: (&'static [u8], Digest),
    root: Digest,
}

fn pair() -> Pair {
    let names: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"];
    let on = |side: bool| {
        let name =
            names.into_iter().find(|name| bit(&key_hash(name), 0) == side).expect("some hash begins so");
        (name, leaf_hash(&key_hash(name), &sha256(b"value")))
    };
    let (left, right) = (on(false), on(true));
    Pair { left, right, root: node_hash(&left.1, &right.1) }
}

fn leaf(key: &[u8]) -> Terminal {
    Terminal::Leaf { key_hash: key_hash(key), value_hash: sha256(b"value") }
}

#[test]
fn bits_are_counted_from_the_highest_of_the_first_byte() {
    let mut hash = Digest([0; 32]);
    hash.0[0] = 0x80;
    hash.0[31] = 0x01;
    let set: Vec<_> = (0..256).filter(|depth| bit(&hash, *depth)).collect();
    assert_eq!(set, [0, 255]);
}

#[test]
fn x5_a_leaf_proves_its_own_key_and_value_alone() {
    let Pair { left, right, root } = pair();
    let path = SparsePath { siblings: vec![right.1], terminal: leaf(left.0) };
    assert!(path.verify(&root, left.0, Some(b"value")));
    assert!(!path.verify(&root, left.0, Some(b"other")));
    assert!(!path.verify(&root, left.0, None));
    assert!(!path.verify(&root, right.0, Some(b"value")));
    assert!(!path.verify(&root, right.0, None), "the other's place is not on this path");
}

#[test]
fn x5_an_empty_place_and_a_strangers_leaf_prove_absence() {
    let Pair { left, right, root } = pair();
    let names: [&[u8]; 4] = [b"x1", b"x2", b"x3", b"x4"];
    for name in names {
        let (own, sibling) = if bit(&key_hash(name), 0) { (right, left) } else { (left, right) };
        let path = SparsePath { siblings: vec![sibling.1], terminal: leaf(own.0) };
        assert!(path.verify(&root, name, None));
        assert!(!path.verify(&root, name, Some(b"value")));
        let empty = SparsePath { siblings: vec![sibling.1], terminal: Terminal::Empty };
        assert!(!empty.verify(&root, name, None), "something stands there");
    }
    let nothing = SparsePath { siblings: vec![], terminal: Terminal::Empty };
    assert!(nothing.verify(&EMPTY, b"x", None));
    assert!(!nothing.verify(&root, b"x", None));
}

#[test]
fn an_inner_node_cannot_pass_for_a_leaf() {
    let Pair { left, right, root } = pair();
    let terminal = Terminal::Leaf { key_hash: left.1, value_hash: right.1 };
    let forged = SparsePath { siblings: vec![], terminal };
    assert!(!forged.verify(&root, b"x", None));
}
