use super::*;
use crate::testing::{EVICT, Ledger, VALIDITY, WINDOW, key};
use proptest::prelude::*;
use quorate_types::TransactionResult;
use std::collections::BTreeSet;

fn void(reason: VoidReason) -> TransactionResult {
    TransactionResult::Void { reason }
}

fn sessions_and_reviews(ledger: &Ledger) -> (usize, usize) {
    let state = ledger.machine.state();
    let count = |prefix: &[u8]| prefixed(state.leaves(), prefix, &[]).count();
    (count(&StateKey::SESSIONS), count(&StateKey::REVIEWS))
}

fn leaf(ledger: &Ledger, sender: u8, session: u64) -> Option<SessionLeaf> {
    ledger.machine.state().session(key(sender), SessionId::new(session))
}

#[test]
fn c1_low_moves_over_used_numbers_only() {
    let mut ledger = Ledger::new();
    for (number, low) in [(1, 0), (3, 0), (0, 2), (2, 4), (15, 4), (4, 5)] {
        assert!(ledger.run((1, 7, number), vec![]).is_outcome());
        assert_eq!(leaf(&ledger, 1, 7).unwrap().low, Number::new(low), "after {number}");
    }
}

#[test]
fn c1_numbers_are_usable_from_low_to_the_window_end() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.run((1, 7, WINDOW), vec![]), void(VoidReason::NumberAboveWindow));
    assert_eq!(leaf(&ledger, 1, 7), None, "a void first use opens no session");
    assert!(ledger.run((1, 7, WINDOW - 1), vec![]).is_outcome());
    assert!(ledger.run((1, 7, 0), vec![]).is_outcome());
    assert!(ledger.run((1, 7, WINDOW), vec![]).is_outcome(), "low is 1 now");
    assert_eq!(ledger.run((1, 7, WINDOW + 1), vec![]), void(VoidReason::NumberAboveWindow));
    assert_eq!(ledger.run((1, 7, u64::MAX), vec![]), void(VoidReason::NumberAboveWindow));
    assert_eq!(ledger.run((1, 7, 0), vec![]), void(VoidReason::NumberBelowWindow));
    assert_eq!(ledger.run((1, 7, WINDOW), vec![]), void(VoidReason::NumberUsed));
}

#[test]
fn c1_sessions_and_senders_do_not_share_numbers() {
    let mut ledger = Ledger::new();
    for place in [(1, 7, 0), (1, 8, 0), (2, 7, 0)] {
        assert!(ledger.run(place, vec![]).is_outcome());
    }
    assert_eq!(ledger.run((1, 8, 0), vec![]), void(VoidReason::NumberBelowWindow));
}

#[test]
fn c1_the_first_use_of_a_session_above_the_limit_is_void() {
    let mut ledger = Ledger::new();
    for session in 0..3 {
        assert!(ledger.run((1, session, 0), vec![]).is_outcome());
    }
    assert_eq!(ledger.run((1, 3, 0), vec![]), void(VoidReason::TooManySessions));
    assert_eq!(leaf(&ledger, 1, 3), None);
    assert!(ledger.run((1, 2, 1), vec![]).is_outcome(), "an open session goes on");
    assert!(ledger.run((2, 3, 0), vec![]).is_outcome(), "another sender has its own limit");
    assert_eq!(ledger.machine.state().session_count(key(1)), 3);
}

#[test]
fn c1_the_limit_holds_within_one_block() {
    let mut ledger = Ledger::new();
    let all = (0..4).map(|session| ledger.transaction((1, session, 0), vec![])).collect();
    let results = ledger.block(ledger.time(), all).results.clone();
    assert!(results[..3].iter().all(TransactionResult::is_outcome));
    assert_eq!(results[3], void(VoidReason::TooManySessions));
}

#[test]
fn c1_a_session_is_evicted_when_idle_for_e_and_never_sooner() {
    let mut ledger = Ledger::new();
    ledger.run((1, 7, 0), vec![]);
    let used_at = ledger.time();
    ledger.block(used_at + EVICT - 1, vec![]);
    assert!(leaf(&ledger, 1, 7).is_some());
    ledger.block(used_at + EVICT, vec![]);
    assert_eq!(leaf(&ledger, 1, 7), None);
    assert_eq!(sessions_and_reviews(&ledger), (0, 0));
    assert_eq!(ledger.machine.state().session_count(key(1)), 0);
}

#[test]
fn c1_a_used_session_is_kept_for_e_after_its_last_use() {
    let mut ledger = Ledger::new();
    ledger.run((1, 7, 0), vec![]);
    let opened = ledger.time();
    ledger.block(opened + EVICT - 1, vec![]);
    assert!(ledger.run((1, 7, 1), vec![]).is_outcome());
    let last = ledger.time();
    ledger.block(last + EVICT - 1, vec![]);
    assert!(leaf(&ledger, 1, 7).is_some());
    assert_eq!(sessions_and_reviews(&ledger), (1, 1), "it was looked at in between and noted again");
    ledger.block(last + EVICT, vec![]);
    assert_eq!(sessions_and_reviews(&ledger), (0, 0));
}

#[test]
fn c1_a_void_inclusion_is_no_activity() {
    let mut ledger = Ledger::new();
    ledger.run((1, 7, 0), vec![]);
    let used_at = ledger.time();
    let again = ledger.valid_until((1, 7, 0), used_at + EVICT, vec![]);
    ledger.block(used_at + EVICT - 1, vec![again]);
    assert_eq!(leaf(&ledger, 1, 7).unwrap().last_activity, LedgerTime(used_at));
}

/// What was used can be evicted only when it can no longer be valid, so an evicted session admits no replay (F5).
#[test]
fn f5_an_evicted_session_admits_no_replay() {
    let mut ledger = Ledger::new();
    let longest = ledger.valid_until((1, 7, 0), ledger.time() + VALIDITY, vec![]);
    let used_at = ledger.time();
    assert!(ledger.block(used_at, vec![longest.clone()]).results[0].is_outcome());
    let after = ledger.block(used_at + EVICT, vec![longest]);
    assert_eq!(after.results[0], void(VoidReason::Expired));
    assert_eq!(leaf(&ledger, 1, 7), None);
}

#[test]
fn c1_a_session_evicted_at_the_beginning_of_a_block_makes_room_in_it() {
    let mut ledger = Ledger::new();
    for session in 0..3 {
        ledger.run((1, session, 0), vec![]);
    }
    let time = ledger.time() + EVICT;
    let reopened = ledger.valid_until((1, 0, 0), time, vec![]);
    let fresh = ledger.valid_until((1, 9, 0), time, vec![]);
    let block = ledger.block(time, vec![reopened, fresh]);
    assert!(block.results.iter().all(TransactionResult::is_outcome));
    assert_eq!(sessions_and_reviews(&ledger), (2, 2));
    assert_eq!(ledger.machine.state().session_count(key(1)), 2);
}

#[test]
fn c1_eviction_does_bounded_work_in_each_block_and_goes_on_in_the_next() {
    let mut genesis = crate::testing::genesis();
    genesis.parameters.sessions_per_client = 60_000;
    let mut ledger = Ledger::of(genesis, crate::built_in_applications());
    let count = limits::MAX_SESSION_REVIEWS as u64 + 100;
    let time = ledger.time();
    for first in (0..count).step_by(1_500) {
        let all =
            (first..count.min(first + 1_500)).map(|id| ledger.transaction((1, id, 0), vec![])).collect();
        ledger.block(time, all);
    }
    ledger.block(time + EVICT, vec![]);
    assert_eq!(sessions_and_reviews(&ledger), (100, 100));
    ledger.block(time + EVICT, vec![]);
    assert_eq!(sessions_and_reviews(&ledger), (0, 0));
}

/// The rule of C1, with sets instead of windows. Time only grows by what keeps every session.
#[derive(Default)]
struct Model {
    used: BTreeMap<(u8, u64), BTreeSet<u64>>,
}

impl Model {
    fn consumes(&mut self, (sender, session, number): (u8, u64, u64)) -> bool {
        let open = self.used.keys().filter(|(other, _)| *other == sender).count();
        let used = self.used.get(&(sender, session)).cloned().unwrap_or_default();
        let low = (0..).find(|number| !used.contains(number)).unwrap();
        let fits = (low..low + WINDOW).contains(&number) && !used.contains(&number);
        let consumes = fits && (open < 3 || self.used.contains_key(&(sender, session)));
        if consumes {
            self.used.entry((sender, session)).or_default().insert(number);
        }
        consumes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn c1_exactly_once_as_in_a_naive_model(
        blocks in prop::collection::vec(prop::collection::vec((1u8..3, 0u64..5, 0u64..24), 0..20), 1..8)
    ) {
        let mut ledger = Ledger::new();
        let mut model = Model::default();
        for places in blocks {
            let all = places.iter().map(|place| ledger.transaction(*place, vec![])).collect();
            let block = ledger.block(ledger.time() + 10, all);
            for (place, result) in places.iter().zip(&block.results) {
                prop_assert_eq!(model.consumes(*place), result.is_outcome(), "{:?} {:?}", place, result);
            }
            let (sessions, reviews) = sessions_and_reviews(&ledger);
            prop_assert_eq!(sessions, model.used.len());
            prop_assert_eq!(reviews, sessions, "one review for each session");
        }
        for ((sender, session), used) in &model.used {
            let leaf = leaf(&ledger, *sender, *session).unwrap();
            prop_assert_eq!(SessionLeaf::from_bytes(&leaf.to_bytes()), Ok(leaf.clone()), "canonical");
            for number in 0..40 {
                let state = leaf.state_of(Number::new(number), 16);
                let says_used = matches!(state, NumberState::Used | NumberState::BelowLow);
                prop_assert_eq!(says_used, used.contains(&number));
            }
        }
    }
}
