use super::*;
use crate::testing::{EVICT, Ledger, VALIDITY, WINDOW};
use proptest::prelude::*;

fn admission(ledger: &Ledger, place: (u8, u64, u64), valid_until: u64, wall: u64) -> Admission {
    let signed = ledger.valid_until(place, valid_until, vec![]);
    ledger.machine.state().admission_control().check(&signed.transaction, Wall(wall))
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
        let mut control = ledger.machine.state().admission_control();
        for place in places {
            let signed = ledger.transaction(place, vec![]);
            let said = control.check(&signed.transaction, Wall(0));
            let block = ledger.block(ledger.time(), vec![signed]);
            let result = &block.results[0];
            prop_assert_eq!(said == Admission::Ok, result.is_outcome(), "{:?} {:?}", said, result);
            control.executed(&block);
            // Time goes on, and sessions are evicted.
            control.executed(&ledger.block(ledger.time() + EVICT / 8, vec![]));
            let anew = ledger.machine.state().admission_control();
            prop_assert_eq!((control.time, &control.leaves), (anew.time, &anew.leaves));
        }
    }
}
