use super::*;
use quorate_types::{Number, PublicKey, SessionId};

fn id(byte: u8) -> TransactionId {
    TransactionId([byte; 32])
}

fn number(value: u64) -> Consumed {
    (PublicKey([1; 32]), SessionId::new(1), Number::new(value))
}

#[test]
fn everyone_who_waits_is_answered_once() {
    let mut gateway = Gateway::default();
    gateway.wait(1, id(1), Some(number(1)));
    gateway.wait(2, id(1), Some(number(1)));
    gateway.wait(3, id(2), None);
    assert_eq!(gateway.take(&id(1)), BTreeSet::from([1, 2]));
    assert!(gateway.take(&id(1)).is_empty());
    assert!(gateway.waiting_for_number(&number(1)).is_empty());
    assert_eq!(gateway.take(&id(2)), BTreeSet::from([3]));
}

#[test]
fn c3_two_transactions_of_one_number_are_both_found_by_it() {
    let mut gateway = Gateway::default();
    gateway.wait(1, id(1), Some(number(5)));
    gateway.wait(2, id(2), Some(number(5)));
    assert_eq!(gateway.waiting_for_number(&number(5)), [id(1), id(2)]);
    gateway.take(&id(1));
    assert_eq!(gateway.waiting_for_number(&number(5)), [id(2)]);
}

#[test]
fn whoever_hangs_up_leaves_nothing_behind() {
    let mut gateway = Gateway::default();
    gateway.wait(1, id(1), Some(number(1)));
    gateway.wait(2, id(1), Some(number(1)));
    gateway.forget(1);
    assert_eq!(gateway.waiting_for_number(&number(1)), [id(1)]);
    gateway.forget(2);
    gateway.forget(2);
    assert!(gateway.by_id.is_empty() && gateway.by_number.is_empty());
    assert!(gateway.number_of.is_empty() && gateway.by_token.is_empty());
    for token in 0..MOST_WAITING as u64 {
        gateway.wait(token, id(1), None);
    }
    assert!(!gateway.has_room());
}
