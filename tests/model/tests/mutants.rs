//! The model can fail: deliberate mistakes lead to a named property that does not hold, in rows in which the code as it is
//! leads to none.

use quorate_model::{check, row};
use std::time::Duration;

fn killed(mutant: &'static str, name: &str, property: &str) {
    let (row, most) = (row(name), Duration::from_secs(600));
    let outcome = check(&row, "", most);
    assert!(outcome.took < most && outcome.discoveries.is_empty(), "{name}: {outcome:?}");
    let outcome = check(&row, mutant, most);
    assert!(
        outcome.discoveries.iter().any(|(found, _)| *found == property),
        "{mutant} in {name}: {outcome:?}"
    );
}

#[test]
fn m1_a_prepare_of_the_primary_counts() {
    killed("m1", "1 view, liar 0, no decisions", "S8 one prepared digest");
}

#[test]
fn m6_votes_count_whatever_their_digest() {
    killed("m6", "1 view, liar 0, no decisions", "S8 one prepared digest");
}

#[test]
fn m16_effects_before_the_sync() {
    killed("m16", "1 view, crash 1", "D what is sent is durable");
}

#[test]
fn m14_a_vote_after_the_own_view_change() {
    killed("m14", "2 views, liar 3, no decisions, begun", "S7 no vote in a left view");
}

#[test]
fn m28_a_new_view_is_believed() {
    killed("m28", "2 views, liar 1 opens the second, no decisions, begun", "S9 committed stands in NEW-VIEW");
}

#[test]
fn m54_a_lost_prepare_may_be_contradicted() {
    killed("m54", "1 view, crash 1", "D what is sent is durable");
}
