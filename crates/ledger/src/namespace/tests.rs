use super::*;
use crate::tree::change;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Layer = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn layer() -> impl Strategy<Value = Layer> {
    let key = prop::collection::vec(0u8..3, 0..3);
    prop::collection::vec((key, prop::option::of(prop::collection::vec(any::<u8>(), 0..2))), 0..12)
}

fn in_namespace(layer: &Layer) -> Changes {
    let place = |key: &Vec<u8>| [&[3][..], b"app", key].concat();
    layer.iter().map(|(key, value)| (place(key), value.clone().map(Arc::from))).collect()
}

proptest! {
    #[test]
    fn reads_see_the_transaction_over_the_block_over_the_state(
        state in layer(),
        block in layer(),
        own in layer(),
        from in prop::collection::vec(0u8..4, 0..3),
    ) {
        // Neighbours on both sides must never be seen.
        let neighbours: Changes = [vec![3, b'a', b'p'], vec![3, b'a', b'p', b'q'], vec![4]]
            .map(|key| (key, Some(Arc::from([1]))))
            .into();
        let mut leaves = Leaves::new();
        for (key, value) in neighbours.iter().chain(&in_namespace(&state)) {
            change(&mut leaves, key, value.as_ref());
        }
        let mut block_state = BlockState::new(&leaves);
        block_state.merge(in_namespace(&block));
        let mut namespace = Namespace::new(&block_state, "app");
        let mut model = BTreeMap::new();
        for (key, value) in &own {
            match value {
                Some(value) => namespace.put(key, value.clone()),
                None => namespace.delete(key),
            }
        }
        for (key, value) in state.iter().chain(&block).chain(&own) {
            match value {
                Some(value) => model.insert(key.clone(), value.clone()),
                None => model.remove(key),
            };
        }
        for (key, _) in state.iter().chain(&block).chain(&own) {
            prop_assert_eq!(namespace.get(key).map(|value| value.to_vec()), model.get(key).cloned());
        }
        let next = namespace.next(&from).map(|(key, value)| (key, value.to_vec()));
        let expected = model.range(from..).next().map(|(key, value)| (key.clone(), value.clone()));
        prop_assert_eq!(next, expected);
    }
}

#[test]
fn writes_reach_the_block_only_when_they_are_merged() {
    let leaves = Leaves::new();
    let mut block = BlockState::new(&leaves);
    let mut namespace = Namespace::new(&block, "app");
    namespace.put(b"k", vec![1]);
    let changes = namespace.into_changes();
    assert_eq!(Namespace::new(&block, "app").get(b"k"), None);
    block.merge(changes);
    assert_eq!(Namespace::new(&block, "app").get(b"k").as_deref(), Some(&[1][..]));
    assert_eq!(Namespace::new(&block, "other").get(b"k"), None);
}
