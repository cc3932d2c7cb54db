use super::*;
use crate::testing::{Ledger, append, get, outputs, put};
use quorate_types::TransactionResult;

const DONE_NEW: OperationOutput = OperationOutput::Done { existed: false };
const DONE_OLD: OperationOutput = OperationOutput::Done { existed: true };

fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.into() }
}

fn cas(key: &str, expected: Option<&str>, value: &str) -> Operation {
    Operation::Cas { key: key.into(), expected: expected.map(Into::into), value: value.into() }
}

fn put_if_absent(key: &str, value: &str) -> Operation {
    Operation::PutIfAbsent { key: key.into(), value: value.into() }
}

fn value(value: &str, height: u64, index: u32) -> OperationOutput {
    OperationOutput::Value(Some(StoredValue { value: value.into(), height, index }))
}

fn failed(reason: FailReason, operation: u32, outputs: &[OperationOutput]) -> TransactionResult {
    TransactionResult::Failed { reason, operation, output: OperationOutput::list_to_bytes(outputs) }
}

#[test]
fn put_get_and_delete_tell_what_was_there() {
    let mut ledger = Ledger::new();
    assert_eq!(outputs(&ledger.run((1, 0, 0), vec![put("k", "a")])), [DONE_NEW]);
    assert_eq!(outputs(&ledger.run((1, 0, 1), vec![put("k", "b")])), [DONE_OLD]);
    assert_eq!(outputs(&ledger.run((1, 0, 2), vec![get("k")])), [value("b", 2, 0)]);
    assert_eq!(
        outputs(&ledger.run((1, 0, 3), vec![delete("k"), get("k")])),
        [DONE_OLD, OperationOutput::Value(None)]
    );
    assert_eq!(outputs(&ledger.run((1, 0, 4), vec![delete("k")])), [DONE_NEW]);
    assert_eq!(ledger.machine.state().kv_get(b"k"), None);
}

#[test]
fn a_value_carries_the_height_and_index_of_its_writer() {
    let mut ledger = Ledger::new();
    let first = ledger.transaction((1, 0, 0), vec![put("other", "x")]);
    let second = ledger.transaction((2, 0, 0), vec![put("k", "v"), get("k")]);
    let block = ledger.block(ledger.time(), vec![first, second]);
    assert_eq!(outputs(&block.results[1]), [DONE_NEW, value("v", 1, 1)]);
}

#[test]
fn cas_compares_with_a_value_or_with_absence() {
    let mut ledger = Ledger::new();
    assert_eq!(outputs(&ledger.run((1, 0, 0), vec![cas("k", None, "a")])), [DONE_NEW]);
    assert_eq!(outputs(&ledger.run((1, 0, 1), vec![cas("k", Some("a"), "b")])), [DONE_OLD]);
    let mismatch = ledger.run((1, 0, 2), vec![cas("k", Some("a"), "c")]);
    assert_eq!(mismatch, failed(FailReason::CasMismatch, 0, &[value("b", 2, 0)]));
    let present = ledger.run((1, 0, 3), vec![cas("k", None, "c")]);
    assert_eq!(present, failed(FailReason::CasMismatch, 0, &[value("b", 2, 0)]));
    let absent = ledger.run((1, 0, 4), vec![cas("none", Some(""), "c")]);
    assert_eq!(absent, failed(FailReason::CasMismatch, 0, &[OperationOutput::Value(None)]));
    assert_eq!(ledger.machine.state().kv_get(b"k").unwrap().value, b"b");
}

#[test]
fn put_if_absent_gives_the_value_in_its_way() {
    let mut ledger = Ledger::new();
    assert_eq!(outputs(&ledger.run((1, 0, 0), vec![put_if_absent("k", "a")])), [DONE_NEW]);
    let exists = ledger.run((1, 0, 1), vec![get("k"), put_if_absent("k", "b")]);
    assert_eq!(exists, failed(FailReason::KeyExists, 1, &[value("a", 1, 0)]));
}

#[test]
fn appends_count_up_and_run_a_hash_over_the_entries() {
    let mut ledger = Ledger::new();
    let index = |index| OperationOutput::Appended { index };
    assert_eq!(
        outputs(&ledger.run((1, 0, 0), vec![append("t", "a"), append("t", "b")])),
        [index(0), index(1)]
    );
    assert_eq!(
        outputs(&ledger.run((1, 0, 1), vec![append("t", "c"), append("u", "a")])),
        [index(2), index(0)]
    );
    let mut expected = quorate_types::Digest::ZERO;
    for (at, entry) in [b"a", b"b", b"c"].into_iter().enumerate() {
        let index = (at as u64).to_be_bytes();
        let bytes = [b"quorate/topic/v1\0", &expected.0[..], &index, &sha256(entry).0].concat();
        expected = sha256(&bytes);
    }
    let topic = ledger.machine.state().topic(b"t").unwrap();
    assert_eq!((topic.length, topic.running_hash), (3, expected));
}

#[test]
fn all_operations_take_effect_or_none() {
    let mut ledger = Ledger::new();
    ledger.run((1, 0, 0), vec![put("k", "old"), append("t", "a")]);
    let held = |ledger: &Ledger| {
        let state = ledger.machine.state();
        (state.kv_get(b"k"), state.topic(b"t"))
    };
    let before = held(&ledger);
    let all = vec![put("k", "new"), put("l", "new"), delete("k"), append("t", "b"), cas("l", Some("x"), "y")];
    let result = ledger.run((1, 0, 1), all);
    assert_eq!(result, failed(FailReason::CasMismatch, 4, &[value("new", 2, 0)]));
    assert_eq!(held(&ledger), before);
    assert_eq!(ledger.machine.state().kv_get(b"l"), None);
}

#[test]
fn a_later_transaction_of_the_block_sees_the_earlier_ones_writes() {
    let mut ledger = Ledger::new();
    let first = ledger.transaction((1, 0, 0), vec![put("k", "a")]);
    let second = ledger.transaction((2, 0, 0), vec![cas("k", Some("a"), "b"), delete("none")]);
    let third = ledger.transaction((3, 0, 0), vec![get("k")]);
    let block = ledger.block(ledger.time(), vec![first, second, third]);
    assert_eq!(outputs(&block.results[2]), [value("b", 1, 1)]);
}

#[test]
fn c3_a_transaction_without_operations_commits() {
    let mut ledger = Ledger::new();
    assert_eq!(outputs(&ledger.run((1, 0, 0), vec![])), []);
}

#[test]
fn keys_and_topics_may_be_as_long_as_their_limits_and_no_longer() {
    let mut ledger = Ledger::new();
    let key = |len| Operation::Put { key: vec![b'k'; len], value: vec![] };
    let topic = |len| Operation::Append { topic: vec![b't'; len], entry: vec![] };
    assert_eq!(outputs(&ledger.run((1, 0, 0), vec![key(1_024), topic(255)])).len(), 2);
    assert_eq!(ledger.run((1, 0, 1), vec![key(1), key(1_025)]), failed(FailReason::LimitExceeded, 1, &[]));
    assert_eq!(ledger.run((1, 0, 2), vec![topic(256)]), failed(FailReason::LimitExceeded, 0, &[]));
}

#[test]
fn any_other_payload_fails_as_malformed_and_consumes_its_number() {
    let mut ledger = Ledger::new();
    for (number, payload) in
        [vec![], vec![0, 0, 0, 1], vec![0, 0, 0, 0, 0], vec![0xff; 9]].into_iter().enumerate()
    {
        let mut signed = ledger.transaction((1, 0, number as u64), vec![]);
        signed.transaction.payload = payload;
        let block = ledger.block(ledger.time(), vec![signed]);
        assert_eq!(block.results[0], failed(FailReason::Malformed, 0, &[]));
        assert_eq!(block.consumed.len(), 1);
    }
}

#[test]
fn short_gets_of_a_long_value_cannot_make_a_huge_output() {
    let mut ledger = Ledger::new();
    let long = "x".repeat(200_000);
    ledger.run((1, 0, 0), vec![put("long", &long)]);
    let once = ledger.run((1, 0, 1), vec![get("long")]);
    assert_eq!(outputs(&once), [value(&long, 1, 0)]);
    assert_eq!(ledger.run((1, 0, 2), vec![get("long"); 2]), failed(FailReason::LimitExceeded, 1, &[]));
}
