use super::*;
use crate::testing::{Ledger, append, key, put};

#[test]
fn lists_are_sorted_and_continue_after_a_key() {
    let mut ledger = Ledger::new();
    let keys = ["b", "a/2", "a/1", "a", "a/3"];
    ledger.run((1, 0, 0), keys.iter().map(|key| put(key, key)).collect());
    ledger.run((1, 0, 1), vec![append("t2", "x"), append("t1", "x"), append("u", "x")]);
    let state = ledger.machine.state();
    let names = |list: Vec<(Vec<u8>, StoredValue)>| {
        list.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(state.kv_list(b"", None, 100)), ["a", "a/1", "a/2", "a/3", "b"]);
    assert_eq!(names(state.kv_list(b"a/", None, 2)), ["a/1", "a/2"]);
    assert_eq!(names(state.kv_list(b"a/", Some(b"a/2"), 2)), ["a/3"]);
    assert_eq!(names(state.kv_list(b"c", None, 2)), Vec::<String>::new());
    let topics: Vec<_> = state.topics(b"t", None, 10).into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, [b"t1", b"t2"]);
    let clients = state.clients(Some(&key(7)), 10);
    assert_eq!(clients, [(key(8), "c8".to_owned()), (key(9), "c9".to_owned())]);
}

#[test]
fn x5_what_the_state_says_is_proven_under_its_root() {
    let mut ledger = Ledger::new();
    ledger.run((1, 0, 0), vec![put("k", "v"), append("t", "e")]);
    let state = ledger.machine.state();
    let session = SessionId::new(0);
    let present = [
        StateKey::Kv(b"k"),
        StateKey::Topic(b"t"),
        StateKey::Session(key(1), session),
        StateKey::SessionCount(key(1)),
        StateKey::Client(key(1)),
        StateKey::Operator(key(10)),
    ];
    for place in &present {
        let leaf = state.get(place);
        assert!(leaf.is_some(), "{place:?}");
        assert!(state.prove(place).verify(&state.root(), &place.to_bytes(), leaf));
    }
    for place in [StateKey::Kv(b"none"), StateKey::Session(key(2), session)] {
        assert!(state.prove(&place).verify(&state.root(), &place.to_bytes(), None));
    }
}
