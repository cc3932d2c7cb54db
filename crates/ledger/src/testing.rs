//! What the tests of this crate build ledgers and batches with.

use crate::machine::{Machine, built_in_applications};
use crate::{Application, ExecutedBlock};
use quorate_crypto::{HashedBatch, genesis_ledger_id};
use quorate_types::{
    Batch, Genesis, GenesisMember, LedgerTime, NamedKey, Number, Operation, OperationOutput, Operations,
    Parameters, PublicKey, RegistryMode, SessionId, Signature, SignedTransaction, Transaction,
    TransactionResult, operation,
};
use std::sync::Arc;

/// Block 0's time.
pub(crate) const CREATED: u64 = 1_000_000;
/// V of the test genesis.
pub(crate) const VALIDITY: u64 = 1_000;
/// E of the test genesis.
pub(crate) const EVICT: u64 = 2_500;
/// W of the test genesis.
pub(crate) const WINDOW: u64 = 16;

/// A client's key. Execution checks no signature, so it need not be one.
pub(crate) fn key(id: u8) -> PublicKey {
    PublicKey([id; 32])
}

/// Four members, clients 1 to 9, operator 10, three sessions for each client.
pub(crate) fn genesis() -> Genesis {
    let member = |id: u8| GenesisMember {
        name: format!("r{id}"),
        vote: key(100 + id),
        transport: key(200 + id),
        peer: String::new(),
        api: String::new(),
    };
    let named = |id: u8| NamedKey { name: format!("c{id}"), key: key(id) };
    Genesis {
        name: "test".to_owned(),
        created: LedgerTime(CREATED),
        app: operation::APP.to_owned(),
        faults: 1,
        allow_crash_only: false,
        parameters: Parameters {
            max_validity_ms: VALIDITY,
            evict_after_ms: EVICT,
            tick_ms: 500,
            session_window: 16,
            sessions_per_client: 3,
            ..Parameters::default()
        },
        members: (0..4).map(member).collect(),
        clients: (1..10).map(named).collect(),
        operators: vec![named(10)],
        approvals: 1,
        registry: RegistryMode::Closed,
    }
}

/// A machine with what it was made of.
pub(crate) struct Ledger {
    pub(crate) genesis: Genesis,
    pub(crate) machine: Machine,
}

/// Where a transaction stands: sender, session, number.
pub(crate) type Place = (u8, u64, u64);

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::of(genesis(), built_in_applications())
    }

    pub(crate) fn of(genesis: Genesis, applications: Vec<Arc<dyn Application>>) -> Self {
        let machine = Machine::genesis(&genesis, applications).expect("the test genesis is legal");
        Self { genesis, machine }
    }

    pub(crate) fn time(&self) -> u64 {
        self.machine.state().time().0
    }

    /// A transaction valid for half of V from the ledger's time.
    pub(crate) fn transaction(&self, place: Place, operations: Vec<Operation>) -> SignedTransaction {
        self.valid_until(place, self.time() + VALIDITY / 2, operations)
    }

    pub(crate) fn valid_until(
        &self,
        (sender, session, number): Place,
        valid_until: u64,
        operations: Vec<Operation>,
    ) -> SignedTransaction {
        let transaction = Transaction {
            ledger: genesis_ledger_id(&self.genesis),
            sender: key(sender),
            session: SessionId::new(session),
            number: Number::new(number),
            valid_until: LedgerTime(valid_until),
            app: operation::APP.to_owned(),
            payload: Operations(operations).to_payload(),
        };
        SignedTransaction { transaction, signature: Signature([sender; 64]) }
    }

    /// Executes the next block.
    pub(crate) fn block(&mut self, time: u64, transactions: Vec<SignedTransaction>) -> Arc<ExecutedBlock> {
        let batch = batch(time, transactions);
        self.machine.execute(self.machine.height().next(), Some(batch))
    }

    /// Executes the next block at the ledger's time and gives its only result.
    pub(crate) fn run(&mut self, place: Place, operations: Vec<Operation>) -> TransactionResult {
        let transaction = self.transaction(place, operations);
        self.block(self.time(), vec![transaction]).results[0].clone()
    }
}

pub(crate) fn batch(time: u64, transactions: Vec<SignedTransaction>) -> Arc<HashedBatch> {
    Arc::new(HashedBatch::new(Arc::new(Batch { time: LedgerTime(time), transactions })))
}

pub(crate) fn put(key: &str, value: &str) -> Operation {
    Operation::Put { key: key.into(), value: value.into() }
}

pub(crate) fn get(key: &str) -> Operation {
    Operation::Get { key: key.into() }
}

pub(crate) fn append(topic: &str, entry: &str) -> Operation {
    Operation::Append { topic: topic.into(), entry: entry.into() }
}

/// The outputs of a committed transaction.
pub(crate) fn outputs(result: &TransactionResult) -> Vec<OperationOutput> {
    match result {
        TransactionResult::Committed { output } => OperationOutput::list_from_bytes(output).expect("outputs"),
        other => panic!("not committed: {other:?}"),
    }
}
