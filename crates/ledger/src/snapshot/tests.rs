use super::*;
use crate::testing::{EVICT, Ledger, VALIDITY, WINDOW, append, key, put};
use proptest::prelude::*;

fn admission(ledger: &Ledger, place: (u8, u64, u64), valid_until: u64, wall: u64) -> Admission {
    let signed = ledger.valid_until(place, valid_until, vec![]);
    ledger.machine.snapshot().session_check(&signed.transaction, Wall(wall))
}

#[test]
fn c1_admission_foresees_every_void_reason() {
    let mut ledger = Ledger::new();
    for session in 0..3 {
        ledger.run((1, session, 0), vec![]);
    }
    ledger.run((1, 0, 2), vec![]);
    let time = ledger.time();
    let of = |place| admission(&ledger, place, time, time);
    assert_eq!(of((1, 0, 1)), Admission::Ok);
    assert_eq!(of((1, 0, 0)), Admission::BelowLow);
    assert_eq!(of((1, 0, 2)), Admission::AlreadyUsed);
    assert_eq!(of((1, 0, WINDOW + 1)), Admission::AboveWindow);
    assert_eq!(of((1, 3, 0)), Admission::TooManySessions);
    assert_eq!(of((77, 0, 0)), Admission::Unregistered);
    assert_eq!(of((10, 0, 0)), Admission::Ok, "an operator");
    for refused in [Admission::BelowLow, Admission::AlreadyUsed, Admission::AboveWindow] {
        assert!(refused.error_code().is_some());
    }
    assert_eq!(Admission::Ok.error_code(), None);
}

#[test]
fn c1_admission_reads_the_later_of_ledger_time_and_wall_clock() {
    let ledger = Ledger::new();
    let time = ledger.time();
    let of = |valid_until, wall| admission(&ledger, (1, 0, 0), valid_until, wall);
    assert_eq!(of(time - 1, 0), Admission::Expired);
    assert_eq!(of(time, 0), Admission::Ok);
    assert_eq!(of(time, time + 1), Admission::Expired);
    assert_eq!(of(time + VALIDITY, 0), Admission::Ok);
    assert_eq!(of(time + VALIDITY + 1, 0), Admission::ValidTooLong);
    assert_eq!(of(time + VALIDITY + 1, time + 1), Admission::Ok);
}

/// An idle ledger makes no block that would evict; refusing here would refuse for ever.
#[test]
fn c1_a_full_sender_is_admitted_when_the_next_block_evicts() {
    let mut ledger = Ledger::new();
    for session in 0..3 {
        ledger.run((1, session, 0), vec![]);
    }
    let idle = ledger.time() + EVICT;
    assert_eq!(admission(&ledger, (1, 9, 0), idle, idle - 1), Admission::TooManySessions);
    assert_eq!(admission(&ledger, (1, 9, 0), idle, idle), Admission::Ok);
    let signed = ledger.valid_until((1, 9, 0), idle, vec![]);
    assert!(ledger.block(idle, vec![signed]).results[0].is_outcome());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn admission_agrees_with_a_block_made_at_once(
        places in prop::collection::vec((1u8..3, 0u64..4, 0u64..20), 1..30),
    ) {
        let mut ledger = Ledger::new();
        for place in places {
            let signed = ledger.transaction(place, vec![]);
            let said = ledger.machine.snapshot().session_check(&signed.transaction, Wall(0));
            let result = ledger.block(ledger.time(), vec![signed]).results[0].clone();
            prop_assert_eq!(said == Admission::Ok, result.is_outcome(), "{:?} {:?}", said, result);
        }
    }
}

#[test]
fn lists_are_sorted_and_continue_after_a_key() {
    let mut ledger = Ledger::new();
    let keys = ["b", "a/2", "a/1", "a", "a/3"];
    ledger.run((1, 0, 0), keys.iter().map(|key| put(key, key)).collect());
    ledger.run((1, 0, 1), vec![append("t2", "x"), append("t1", "x"), append("u", "x")]);
    let snapshot = ledger.machine.snapshot();
    let names = |list: Vec<(Vec<u8>, StoredValue)>| {
        list.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(snapshot.kv_list(b"", None, 100)), ["a", "a/1", "a/2", "a/3", "b"]);
    assert_eq!(names(snapshot.kv_list(b"a/", None, 2)), ["a/1", "a/2"]);
    assert_eq!(names(snapshot.kv_list(b"a/", Some(b"a/2"), 2)), ["a/3"]);
    assert_eq!(names(snapshot.kv_list(b"c", None, 2)), Vec::<String>::new());
    let topics: Vec<_> = snapshot.topics(b"t", None, 10).into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, [b"t1", b"t2"]);
    let clients = snapshot.clients(Some(&key(7)), 10);
    assert_eq!(clients, [(key(8), "c8".to_owned()), (key(9), "c9".to_owned())]);
}

#[test]
fn x5_what_a_snapshot_says_is_proven_under_its_root() {
    let mut ledger = Ledger::new();
    ledger.run((1, 0, 0), vec![put("k", "v"), append("t", "e")]);
    let snapshot = ledger.machine.snapshot();
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
        let leaf = snapshot.get(place);
        assert!(leaf.is_some(), "{place:?}");
        assert!(snapshot.prove(place).verify(&snapshot.root(), &place.to_bytes(), leaf));
    }
    for place in [StateKey::Kv(b"none"), StateKey::Session(key(2), session)] {
        assert!(snapshot.prove(&place).verify(&snapshot.root(), &place.to_bytes(), None));
    }
}
