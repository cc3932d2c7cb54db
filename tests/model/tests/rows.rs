//! The small rows, to the end: a change of the core shows in the number of states.

use quorate_model::{check, row};
use std::time::Duration;

fn explored(name: &str, unique: usize, silence: usize) {
    let outcome = check(&row(name), "", Duration::from_secs(600));
    assert!(outcome.discoveries.is_empty(), "{name}: {:?}", outcome.discoveries);
    assert!(outcome.complete && !outcome.figures.capped, "{name}: {outcome:?}");
    assert_eq!((outcome.unique, outcome.figures.longest_silence), (unique, silence), "{name}: {outcome:?}");
}

#[test]
fn one_view() {
    explored("1 view", 462, 5);
}

#[test]
fn one_view_two_slots() {
    explored("1 view, 2 slots, no decisions", 59_536, 2);
}

#[test]
fn one_view_and_a_crash() {
    explored("1 view, crash 1", 2_753, 5);
}

#[test]
fn one_view_and_a_lying_primary() {
    explored("1 view, liar 0, no decisions", 1_377, 3);
}

#[test]
fn one_view_a_lying_primary_and_a_crash() {
    explored("1 view, liar 0, crash 1, no decisions", 5_486, 4);
}
