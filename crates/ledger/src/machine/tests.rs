use super::*;
use crate::application::{Execution, TransactionContext};
use crate::store::{Interruption, MemoryStateStore};
use crate::testing::{CREATED, Ledger, VALIDITY, append, batch, genesis, get, key, outputs, put};
use crate::{Admission, built_in_applications, genesis_header};
use quorate_crypto::{genesis_ledger_id, members_hash};
use quorate_types::{
    Epoch, FailReason, Operation, RegistryMode, SignedTransaction, TransactionResult, VoidReason, Wall,
};

fn void(reason: VoidReason) -> TransactionResult {
    TransactionResult::Void { reason }
}

/// A history with puts, appends, failures and void inclusions.
fn history(ledger: &Ledger, blocks: u64) -> Vec<Option<Arc<HashedBatch>>> {
    let mut all = Vec::new();
    for block in 0..blocks {
        let time = CREATED + block * 7;
        // Every fifth block is null; sender 3 repeats a number in every fifth.
        let number = block - block / 5;
        let transactions: Vec<SignedTransaction> = (1..5)
            .map(|sender: u8| {
                let repeated = u64::from(sender == 3 && block % 5 == 2);
                let name = format!("k{}", (block * u64::from(sender)) % 11);
                let operations = match sender {
                    4 => vec![put(&name, "x"), Operation::PutIfAbsent { key: name.into(), value: vec![] }],
                    _ => vec![put(&name, &block.to_string()), append("t", &name)],
                };
                ledger.valid_until((sender, 0, number - repeated), time, operations)
            })
            .collect();
        all.push(if block % 5 == 4 { None } else { Some(batch(time, transactions)) });
    }
    all
}

fn play(machine: &mut Machine, history: &[Option<Arc<HashedBatch>>]) -> Vec<Digest> {
    let from = usize::try_from(machine.height().get()).unwrap();
    let play_one = |batch: &Option<Arc<HashedBatch>>| {
        machine.execute(machine.height().next(), batch.clone()).header_hash
    };
    history[from..].iter().map(play_one).collect()
}

#[test]
fn m7_block_0_is_the_genesis() {
    let ledger = Ledger::new();
    let header = genesis_header(&ledger.genesis).unwrap();
    let id = genesis_ledger_id(&ledger.genesis);
    assert_eq!((header.height, header.parent, header.epoch), (Seq::ZERO, Digest::ZERO, Epoch::ZERO));
    assert_eq!((header.ledger, header.time), (id, ledger.genesis.created));
    assert_eq!(header.members_hash, members_hash(&ledger.genesis.members_of_epoch_0(id).unwrap()));
    assert_eq!(header.state_root, ledger.machine.state().root());
    assert_eq!(header_hash(&header), ledger.machine.state().header_hash());
}

#[test]
fn m7_a_header_links_to_its_parent_and_proves_transactions_and_results() {
    let mut ledger = Ledger::new();
    let parent = ledger.machine.state().header_hash();
    let all = (1..4).map(|sender| ledger.transaction((sender, 0, 0), vec![put("k", "v")])).collect();
    let block = ledger.block(ledger.time() + 5, all);
    assert_eq!((block.header.parent, block.header.height), (parent, Seq::new(1)));
    assert_eq!(block.header.batch_digest, block.batch.as_ref().unwrap().digest());
    assert_eq!(block.header.state_root, ledger.machine.state().root());
    assert_eq!(block.header.transaction_count, 3);
    assert_eq!(block.header_hash, header_hash(&block.block().header));
    for (index, (id, signed, result)) in block.transactions().enumerate() {
        let index = u32::try_from(index).unwrap();
        let leaf = [&id.0[..], &signed.signature.0].concat();
        assert!(block.transaction_path(index).unwrap().verify(&leaf, &block.header.transactions_root));
        let leaf = result.leaf_bytes(&id);
        assert!(block.result_path(index).unwrap().verify(&leaf, &block.header.results_root));
        assert_eq!(block.result_leaves()[index as usize], leaf);
    }
    assert_eq!(block.transaction_path(3), None);
}

#[test]
fn n11_block_time_never_falls_and_the_null_batch_keeps_it() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.block(CREATED + 10, vec![]).header.time.0, CREATED + 10);
    assert_eq!(ledger.block(CREATED + 3, vec![]).header.time.0, CREATED + 10);
    let null = ledger.machine.execute(Seq::new(3), None);
    assert_eq!(null.header.time.0, CREATED + 10);
    assert_eq!(null.header.batch_digest, null_batch_digest());
    assert_eq!(null.block().batch, None);
}

#[test]
#[should_panic(expected = "in order, exactly once")]
fn n9_a_block_out_of_order_is_refused() {
    Ledger::new().machine.execute(Seq::new(2), None);
}

#[test]
fn c1_times_are_inclusive_on_both_ends() {
    let mut ledger = Ledger::new();
    let time = ledger.time() + 100;
    let until = |number, valid_until| ledger.valid_until((1, 0, number), valid_until, vec![]);
    let all =
        vec![until(0, time - 1), until(1, time), until(2, time + VALIDITY), until(3, time + VALIDITY + 1)];
    let results = ledger.block(time, all).results.clone();
    assert_eq!(results[0], void(VoidReason::Expired));
    assert!(results[1].is_outcome());
    assert!(results[2].is_outcome());
    assert_eq!(results[3], void(VoidReason::ValidTooLong));
}

#[test]
fn c1_only_registered_senders_consume_unless_the_registry_is_open() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.run((99, 0, 0), vec![put("k", "v")]), void(VoidReason::Unregistered));
    assert_eq!(ledger.machine.state().kv_get(b"k"), None);
    let open = quorate_types::Genesis { registry: RegistryMode::Open, ..genesis() };
    let mut ledger = Ledger::of(open, built_in_applications());
    assert!(ledger.run((99, 0, 0), vec![put("k", "v")]).is_outcome());
}

#[test]
fn f4_a_second_inclusion_is_void_and_no_second_outcome() {
    let mut ledger = Ledger::new();
    let signed = ledger.transaction((1, 0, 5), vec![append("t", "once")]);
    let first = ledger.block(ledger.time(), vec![signed.clone(), signed.clone()]);
    let second = ledger.block(ledger.time(), vec![signed]);
    let results: Vec<_> = first.results.iter().chain(&second.results).collect();
    assert!(results[0].is_outcome());
    assert_eq!(results[1..], [&void(VoidReason::NumberUsed); 2]);
    assert_eq!(first.consumed, [(key(1), quorate_types::SessionId::new(0), quorate_types::Number::new(5))]);
    assert!(second.consumed.is_empty());
    assert_eq!(ledger.machine.state().topic(b"t").unwrap().length, 1);
}

/// F4: void at block 1, registered or not, is no outcome: the same bytes may still commit.
#[test]
fn f4_a_void_inclusion_leaves_the_state_as_it_was() {
    let mut ledger = Ledger::new();
    ledger.run((1, 0, 0), vec![]);
    let root = ledger.machine.state().root();
    for place in [(1, 0, 0), (1, 0, 99), (99, 0, 0), (1, 8, 99)] {
        assert!(!ledger.run(place, vec![put("k", "v")]).is_outcome());
        assert_eq!(ledger.machine.state().root(), root);
    }
}

/// F15: T and T' have one number; T' executes, and T is then refused at admission and void in a block.
#[test]
fn f15_the_other_transaction_with_a_used_number_never_takes_effect() {
    let mut ledger = Ledger::new();
    let mine = ledger.transaction((1, 0, 0), vec![put("k", "T")]);
    ledger.run((1, 0, 0), vec![put("k", "T'")]);
    let said = ledger.machine.state().admission_control().check(&mine.transaction, Wall(0));
    assert_eq!(said, Admission::BelowLow);
    assert_eq!(ledger.block(ledger.time(), vec![mine]).results[0], void(VoidReason::NumberBelowWindow));
    assert_eq!(ledger.machine.state().kv_get(b"k").unwrap().value, b"T'");
}

#[test]
fn c1_a_failed_transaction_is_final_and_its_number_used() {
    let mut ledger = Ledger::new();
    let cas = Operation::Cas { key: b"k".to_vec(), expected: Some(b"x".to_vec()), value: vec![] };
    let signed = ledger.transaction((1, 0, 0), vec![cas]);
    let first = ledger.block(ledger.time(), vec![signed.clone()]);
    assert!(matches!(first.results[0], TransactionResult::Failed { reason: FailReason::CasMismatch, .. }));
    ledger.run((2, 0, 0), vec![put("k", "x")]);
    assert_eq!(ledger.block(ledger.time(), vec![signed]).results[0], void(VoidReason::NumberBelowWindow));
}

#[test]
fn an_unknown_application_fails_and_consumes_the_number() {
    let mut ledger = Ledger::new();
    let mut signed = ledger.transaction((1, 0, 0), vec![]);
    signed.transaction.app = "other".to_owned();
    let block = ledger.block(ledger.time(), vec![signed]);
    let output = Vec::new();
    assert_eq!(
        block.results[0],
        TransactionResult::Failed { reason: FailReason::Malformed, operation: 0, output }
    );
    assert_eq!(block.consumed.len(), 1);
}

#[test]
fn the_genesis_must_name_an_application_that_is_there_once() {
    let genesis = genesis();
    let missing = Machine::genesis(&genesis, vec![Arc::new(Counter)]).unwrap_err();
    assert_eq!(missing, LedgerError::Application("kv".to_owned()));
    let twice = built_in_applications().into_iter().chain(built_in_applications()).collect();
    assert!(Machine::genesis(&genesis, twice).is_err());
}

#[test]
fn equal_batches_make_equal_ledgers_byte_for_byte() {
    let (mut one, mut two) = (Ledger::new(), Ledger::new());
    let batches = history(&one, 40);
    assert_eq!(play(&mut one.machine, &batches), play(&mut two.machine, &batches));
    let leaves = |ledger: &Ledger| ledger.machine.state().leaves().clone();
    assert_eq!(leaves(&one), leaves(&two));
    assert!(one.machine.state().topic(b"t").unwrap().length > 40);
}

#[test]
fn k1_a_commit_holds_the_state_of_exactly_its_height_while_later_blocks_execute() {
    let mut ledger = Ledger::new();
    let batches = history(&ledger, 20);
    let hashes = play(&mut ledger.machine, &batches);
    let mut store = MemoryStateStore::new();
    assert_eq!(ledger.machine.commit_to(&mut store, Seq::new(21), None), Ok(false), "not executed yet");
    for height in [8, 16] {
        assert_eq!(ledger.machine.commit_to(&mut store, Seq::new(height), None), Ok(true));
        assert_eq!(
            ledger.machine.commit_to(&mut store, Seq::new(height), None),
            Ok(false),
            "already durable"
        );
        let mut fresh = Ledger::new();
        play(&mut fresh.machine, &batches[..usize::try_from(height).unwrap()]);
        let stored = store.load().unwrap().unwrap();
        assert_eq!(
            (stored.height, stored.header_hash),
            (Seq::new(height), fresh.machine.state().header_hash())
        );
        assert_eq!(Tree::from_leaves(stored.leaves).root(), fresh.machine.state().root());
    }
    assert_eq!(hashes.len(), 20);
}

#[test]
fn a_restored_machine_goes_on_as_the_original() {
    let mut ledger = Ledger::new();
    let batches = history(&ledger, 20);
    let mut store = MemoryStateStore::new();
    play(&mut ledger.machine, &batches[..10]);
    let header = ledger.machine.execute(Seq::new(11), batches[10].clone()).header.clone();
    ledger.machine.commit_to(&mut store, Seq::new(11), None).unwrap();
    let stored = store.load().unwrap().unwrap();
    let apps = built_in_applications;
    let mut restored = Machine::restore(&ledger.genesis, apps(), stored, &header).unwrap();
    assert_eq!(play(&mut restored, &batches), play(&mut ledger.machine, &batches));
    assert!(restored.commit_to(&mut store, Seq::new(20), None).unwrap());
    let rebuilt = Tree::from_leaves(store.load().unwrap().unwrap().leaves);
    assert_eq!(rebuilt.root(), ledger.machine.state().root());
}

/// What was executed before and is not durable counts for nothing afterwards.
#[test]
fn t3_a_machine_goes_on_from_a_state_that_it_did_not_execute() {
    let mut ledger = Ledger::new();
    let batches = history(&ledger, 20);
    let mut store = MemoryStateStore::new();
    play(&mut ledger.machine, &batches[..10]);
    let header = ledger.machine.execute(Seq::new(11), batches[10].clone()).header.clone();
    ledger.machine.commit_to(&mut store, Seq::new(11), None).unwrap();
    let stored = store.load().unwrap().unwrap();
    let mut behind = Machine::genesis(&ledger.genesis, built_in_applications()).unwrap();
    play(&mut behind, &batches[..3]);
    let shared = behind.shared_state();
    let wrong = Header { parent: Digest::ZERO, ..header.clone() };
    assert!(behind.install(stored.clone(), &wrong).is_err());
    assert_eq!((behind.height(), shared.read().height()), (Seq::new(3), Seq::new(3)), "it is as it was");
    behind.install(stored, &header).unwrap();
    assert_eq!((behind.height(), shared.read().height()), (Seq::new(11), Seq::new(11)));
    assert_eq!(behind.outlook(), ledger.machine.outlook());
    assert_eq!(play(&mut behind, &batches), play(&mut ledger.machine, &batches));
    assert!(behind.commit_to(&mut store, Seq::new(20), None).unwrap());
    assert_eq!(Tree::from_leaves(store.load().unwrap().unwrap().leaves).root(), behind.state().root());
}

#[test]
fn a_state_that_does_not_belong_to_its_header_is_refused() {
    let mut ledger = Ledger::new();
    let mut store = MemoryStateStore::new();
    ledger.run((1, 0, 0), vec![put("k", "v")]);
    let signed = ledger.transaction((1, 0, 1), vec![put("k", "w")]);
    let header = ledger.block(ledger.time(), vec![signed]).header.clone();
    ledger.machine.commit_to(&mut store, Seq::new(2), None).unwrap();
    let good = store.load().unwrap().unwrap();
    let mismatch = Err(LedgerError::StateMismatch { height: good.height });
    let restore = |stored: StoredState, header: &Header| {
        Machine::restore(&ledger.genesis, built_in_applications(), stored, header)
            .map(|machine| machine.height())
    };
    assert_eq!(restore(good.clone(), &header), Ok(Seq::new(2)));
    let mut changed = good.clone();
    changed.leaves[0].1.push(0);
    assert_eq!(restore(changed, &header), mismatch);
    let mut missing = good.clone();
    missing.leaves.pop();
    assert_eq!(restore(missing, &header), mismatch);
    assert_eq!(restore(good.clone(), &Header { parent: Digest::ZERO, ..header.clone() }), mismatch);
    let other = quorate_types::Genesis { name: "other".to_owned(), ..ledger.genesis.clone() };
    assert!(Machine::restore(&other, built_in_applications(), good, &header).is_err());
}

#[test]
fn an_interrupted_commit_leaves_the_old_state_or_the_new_one() {
    for (interruption, height) in [(Interruption::Before, 1), (Interruption::After, 2)] {
        let mut ledger = Ledger::new();
        let mut store = MemoryStateStore::new();
        ledger.run((1, 0, 0), vec![put("k", "1")]);
        ledger.machine.commit_to(&mut store, Seq::new(1), None).unwrap();
        ledger.run((1, 0, 1), vec![put("k", "2")]);
        store.interrupt_next_commit(interruption);
        assert!(ledger.machine.commit_to(&mut store, Seq::new(2), None).is_err());
        assert_eq!(store.height(), Some(Seq::new(height)));
        assert!(ledger.machine.changes_since_commit(Seq::new(2)).is_some(), "nothing is forgotten");
        let expected = Tree::from_leaves(store.load().unwrap().unwrap().leaves);
        let place = quorate_types::StateKey::Kv(b"k").to_bytes();
        let stored =
            quorate_types::operation::StoredValue::from_bytes(expected.get(&place).unwrap()).unwrap();
        assert_eq!(stored.value, height.to_string().into_bytes());
    }
}

#[test]
fn outputs_of_one_block_are_bounded_and_small_ones_always_fit() {
    let mut ledger = Ledger::new();
    let long = "x".repeat(250_000);
    ledger.run((1, 0, 0), vec![put("long", &long)]);
    let mut all: Vec<_> = (1..10)
        .flat_map(|sender| (1..8).map(move |number| (sender, 0, number)))
        .map(|place| ledger.transaction(place, vec![get("long")]))
        .collect();
    all.push(ledger.transaction((9, 0, 9), vec![put("k", "v"); 1_024]));
    let block = ledger.block(ledger.time(), all);
    let total: usize = block.result_leaves().iter().map(Vec::len).sum();
    assert!(total < quorate_types::limits::MAX_BLOCK_OUTPUT_BYTES + 300_000, "{total}");
    let fits = block.results.iter().filter(|result| matches!(result, TransactionResult::Committed { .. }));
    assert_eq!(fits.count(), 33 + 1, "as many as 8 MiB hold, and the small one");
    let last = block.results.last().unwrap();
    assert_eq!(outputs(last).len(), 1_024);
    let refused = &block.results[40];
    assert!(matches!(refused, TransactionResult::Failed { reason: FailReason::LimitExceeded, .. }));
}

/// An example application: a payload of one byte is added to the sender's counter; zero fails after writing.
struct Counter;

impl Application for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn execute(
        &self,
        context: &TransactionContext,
        payload: &[u8],
        state: &mut crate::Namespace<'_>,
    ) -> Execution {
        let before = state.get(&context.sender.0).map_or(0, |value| value[0]);
        let added = payload.first().copied().unwrap_or(0);
        state.put(&context.sender.0, vec![before.wrapping_add(added)]);
        match added {
            0 => {
                Execution::Failed { reason: FailReason::Application, operation: 0, output: b"zero".to_vec() }
            }
            255 => Execution::Committed { output: vec![0; context.output_limit + 1] },
            _ => Execution::Committed { output: vec![before.wrapping_add(added)] },
        }
    }

    /// A full counter wants a block at a time of its own.
    fn obligation(&self, state: &crate::Namespace<'_>) -> Option<LedgerTime> {
        let mut from = Vec::new();
        while let Some((key, value)) = state.next(&from) {
            if value[0] >= 100 {
                return Some(LedgerTime(u64::from(value[0])));
            }
            from = [key, vec![0]].concat();
        }
        None
    }
}

#[test]
fn another_application_runs_in_its_own_namespace_and_is_rolled_back() {
    let own = quorate_types::Genesis { app: "counter".to_owned(), ..genesis() };
    let mut ledger = Ledger::of(own, vec![Arc::new(Counter), Arc::new(crate::kv::Kv)]);
    let mut add = |number: u64, payload: u8| {
        let mut signed = ledger.transaction((3, 0, number), vec![]);
        signed.transaction.app = "counter".to_owned();
        signed.transaction.payload = vec![payload];
        ledger.block(ledger.time(), vec![signed])
    };
    assert_eq!(add(0, 60).results[0], TransactionResult::Committed { output: vec![60] });
    let failed =
        TransactionResult::Failed { reason: FailReason::Application, operation: 0, output: b"zero".to_vec() };
    assert_eq!(add(1, 0).results[0], failed);
    let too_long = &add(2, 255).results[0];
    assert!(matches!(too_long, TransactionResult::Failed { reason: FailReason::LimitExceeded, .. }));
    let block = add(3, 50);
    assert_eq!(block.results[0], TransactionResult::Committed { output: vec![110] });
    assert_eq!(block.outlook.obligation, Some(LedgerTime(110)));
    assert_eq!(ledger.machine.outlook().obligation, Some(LedgerTime(110)));
    let place = [&[7][..], b"counter", &[3; 32]].concat();
    assert_eq!(ledger.machine.state().tree().get(&place).map(AsRef::as_ref), Some(&[110][..]));
}

#[test]
fn k6_the_built_in_application_owes_no_block() {
    let mut ledger = Ledger::new();
    let signed = ledger.transaction((1, 0, 0), vec![put("k", "v")]);
    assert_eq!(ledger.block(ledger.time(), vec![signed]).outlook.obligation, None);
}

/// A largest batch, to notice work that grows faster than the batch does. The bound is many times what it takes.
#[test]
#[allow(clippy::disallowed_types, reason = "the test measures, execution does not")]
fn two_thousand_transactions_execute_in_a_fraction_of_a_second() {
    let mut genesis = genesis();
    genesis.parameters.session_window = 1_024;
    genesis.parameters.sessions_per_client = 1_024;
    let mut ledger = Ledger::of(genesis, built_in_applications());
    let value = "v".repeat(128);
    let mut fastest = std::time::Duration::MAX;
    for block in 0..3u64 {
        let all: Vec<_> = (0..2_000u64)
            .map(|at| {
                let place = (u8::try_from(at % 8 + 1).unwrap(), at / 8 % 25, block * 10 + at / 200);
                ledger.transaction(place, vec![put(&format!("key/{block}/{at}"), &value)])
            })
            .collect();
        let batch = batch(ledger.time(), all);
        let start = std::time::Instant::now();
        let executed = ledger.machine.execute(Seq::new(block + 1), Some(batch));
        fastest = fastest.min(start.elapsed());
        assert!(executed.results.iter().all(TransactionResult::is_outcome));
    }
    assert!(fastest.as_millis() < 500, "{fastest:?}");
}
