//! Deliberate mistakes, each of which a named test must notice: a scenario that no longer does what was recorded, or seeds
//! in which a property fails. The unmodified code passes the same.
//!
//! `cargo test -p quorate-simulator --features mutants --test mutants`

#[path = "known_failures/epochs.rs"]
mod epochs;
#[path = "known_failures/transfer.rs"]
mod transfer;
#[path = "known_failures/world.rs"]
#[allow(dead_code, reason = "the tests of known failures use the rest")]
mod world;

use quorate_crypto::{HashedBatch, null_batch_digest};
use quorate_simulator::{run_seed, scenario};
use quorate_types::mutants::activate;
use quorate_types::{Batch, LedgerTime, Quorums};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Arc;

fn scenario_holds(name: &str) -> bool {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios").join(format!("{name}.txt"));
    let recorded = std::fs::read_to_string(path).unwrap();
    // A panic of the pledge ledger is a replica that refuses to be two-faced: the mistake was noticed.
    catch_unwind(|| scenario::run(&recorded).is_ok_and(|now| now == recorded)).unwrap_or(false)
}

fn seeds_hold() -> bool {
    (0..30).all(|seed| catch_unwind(|| run_seed(seed).is_ok()).unwrap_or(false))
}

fn quorums_hold() -> bool {
    catch_unwind(|| {
        [(5, 4), (6, 4), (8, 6)].iter().all(|(n, q)| Quorums::new(*n).is_ok_and(|found| found.strong() == *q))
    })
    .unwrap_or(false)
}

fn the_null_batch_is_no_empty_batch() -> bool {
    let empty = Batch { time: LedgerTime(0), transactions: Vec::new() };
    HashedBatch::new(Arc::new(empty)).digest() != null_batch_digest()
}

/// T2: whoever lies about one part is asked for no other.
fn transfer_is_short() -> bool {
    catch_unwind(|| {
        let (needed, fetched) = transfer::fresh_member();
        (fetched - needed) * 20 < needed
    })
    .unwrap_or(false)
}

/// F1: members who execute what is beyond the end of their epoch find their ledgers differ from what the next one begins with.
fn epochs_end_where_they_end() -> bool {
    catch_unwind(epochs::execution_is_behind_when_an_epoch_ends).is_ok()
}

/// G4: nobody counts what members of another epoch signed, and nobody keeps a key that was replaced.
fn epochs_have_their_own_keys() -> bool {
    [7, 2].iter().all(|seed| catch_unwind(|| run_seed(*seed).is_ok()).unwrap_or(false))
}

type Test = fn() -> bool;

/// Each mistake with the test that notices it. That of m26 is `crypto/src/digest/tests.rs` word for word: the mistake changes
/// nothing that happens in a cluster.
const MUTANTS: &[(&str, Test)] = &[
    ("m1", || scenario_holds("n5-primary-prepare-counts-for-nothing")),
    ("m2", || scenario_holds("v7-highest-view-wins")),
    ("m4", quorums_hold),
    ("m5", || scenario_holds("v7-v8-v9-null-old-slot-and-body")),
    ("m6", || scenario_holds("n7-values-are-compared")),
    ("m7", || scenario_holds("v3-invalid-view-change")),
    ("m8", || scenario_holds("v5-one-huge-view-moves-nobody")),
    ("m9", || scenario_holds("v4-highest-view-change-kept")),
    ("m10", || scenario_holds("v8-late-new-view")),
    ("m11", || scenario_holds("f16-v6-timeouts-double-and-stay")),
    ("m14", || scenario_holds("n10-late-prepares")),
    ("m16", || scenario_holds("d1-nothing-before-the-disk")),
    ("m17", || scenario_holds("v2-v8-view-change")),
    ("m19", || scenario_holds("k5-t1-behind")),
    ("m23", || scenario_holds("n9-executed-slots-stay")),
    ("m26", the_null_batch_is_no_empty_batch),
    ("m27", || scenario_holds("v8-late-new-view")),
    ("m30", || scenario_holds("f12-new-view-above-executed")),
    ("m32", || scenario_holds("k1-k3-checkpoints")),
    ("m34", transfer_is_short),
    ("m38", epochs_have_their_own_keys),
    ("m39", epochs_have_their_own_keys),
    ("m46", || scenario_holds("f10-new-view-timer")),
    ("m54", || scenario_holds("d7-abstention")),
    ("m55", || scenario_holds("d7-abdication")),
    ("m56", epochs_end_where_they_end),
    ("m59", || scenario_holds("v12-slow-primary")),
    ("m52", || scenario_holds("f16-v6-timeouts-double-and-stay")),
    ("m60", || scenario_holds("r1-proposal-of-a-dead-primary")),
    ("m61", || scenario_holds("v10-window-that-stays-full")),
];

#[test]
fn every_mistake_is_noticed() {
    let mut survivors = Vec::new();
    for (name, test) in MUTANTS {
        activate("");
        assert!(test(), "the unmodified code fails the test of {name}");
        activate(name);
        if test() {
            survivors.push(*name);
        }
        activate("");
    }
    assert!(survivors.is_empty(), "unnoticed: {survivors:?}");
}

#[test]
fn seeds_notice_what_is_said_before_it_is_durable() {
    assert!(seeds_hold());
    for name in ["m16", "m17"] {
        activate(name);
        assert!(!seeds_hold(), "{name} goes unnoticed");
        activate("");
    }
}

/// V6: without doubling, networks that are slow but timely are never answered.
#[test]
fn the_healing_phase_notices_timeouts_that_do_not_double() {
    let notices = |seed: &u64| {
        activate("m11");
        let failed = catch_unwind(|| run_seed(*seed).err().map(|failure| failure.violation.property));
        activate("");
        failed.is_ok_and(|property| property == Some("L1 progress"))
    };
    let seed = (0..300).find(notices).expect("some seed needs longer timeouts");
    assert!(run_seed(seed).is_ok(), "the unmodified code passes seed {seed}");
}
