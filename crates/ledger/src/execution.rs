//! The execution of one block: C1 for each transaction, then the application.

use crate::application::{Application, Execution, TransactionContext};
use crate::governance::Petition;
use crate::namespace::{BlockState, Namespace};
use crate::registry::is_registered;
use crate::rules::Rules;
use crate::sessions::{Sessions, check_validity};
use crate::tree::{Changes, Leaves};
use quorate_types::{
    Epoch, FailReason, LedgerTime, Number, PublicKey, Seq, SessionId, SignedTransaction, Transaction,
    TransactionId, TransactionResult, VoidReason, governance, limits,
};

/// What the execution of a block led to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// One for each transaction, in order.
    pub(crate) results: Vec<TransactionResult>,
    /// The numbers consumed, in order.
    pub(crate) consumed: Vec<(PublicKey, SessionId, Number)>,
    pub(crate) changes: Changes,
}

/// The execution of one block.
pub(crate) struct BlockExecution<'a> {
    rules: &'a Rules,
    application: &'a dyn Application,
    epoch: Epoch,
    height: Seq,
    time: LedgerTime,
    state: BlockState<'a>,
    sessions: Sessions,
    results: Vec<TransactionResult>,
    consumed: Vec<(PublicKey, SessionId, Number)>,
    output_left: usize,
}

impl<'a> BlockExecution<'a> {
    /// Begins a block: sessions idle at its time are evicted before its first transaction.
    pub(crate) fn new(
        rules: &'a Rules,
        application: &'a dyn Application,
        leaves: &'a Leaves,
        (epoch, height, time): (Epoch, Seq, LedgerTime),
    ) -> Self {
        let mut sessions = Sessions::default();
        sessions.evict_idle(leaves, time, &rules.parameters);
        Self {
            rules,
            application,
            epoch,
            height,
            time,
            state: BlockState::new(leaves),
            sessions,
            results: Vec::new(),
            consumed: Vec::new(),
            output_left: limits::MAX_BLOCK_OUTPUT_BYTES,
        }
    }

    /// Executes the next transaction. Total.
    pub(crate) fn transaction(&mut self, id: TransactionId, signed: &SignedTransaction) {
        let result = match self.consume(signed) {
            Err(reason) => {
                if matches!(reason, VoidReason::NumberUsed | VoidReason::NumberBelowWindow) {
                    quorate_types::probes::hit("a transaction is included twice");
                }
                TransactionResult::Void { reason }
            }
            Ok(()) => self.run(id, signed),
        };
        self.results.push(result);
    }

    /// C1: whether this inclusion consumes its number.
    fn consume(&mut self, signed: &SignedTransaction) -> Result<(), VoidReason> {
        let transaction = &signed.transaction;
        let leaves = self.state.leaves();
        if !is_registered(leaves, self.rules.registry, &transaction.sender) {
            return Err(VoidReason::Unregistered);
        }
        check_validity(transaction, self.time, &self.rules.parameters)?;
        self.sessions.consume(leaves, transaction, self.time, &self.rules.parameters)?;
        self.consumed.push((transaction.sender, transaction.session, transaction.number));
        Ok(())
    }

    fn run(&mut self, id: TransactionId, signed: &SignedTransaction) -> TransactionResult {
        let transaction = &signed.transaction;
        if transaction.app == governance::APP {
            return self.petition(id, transaction);
        }
        if transaction.app != self.application.name() {
            return TransactionResult::Failed {
                reason: FailReason::Malformed,
                operation: 0,
                output: Vec::new(),
            };
        }
        let output_limit = self.output_left.clamp(limits::MIN_OUTPUT_BYTES, limits::MAX_OUTPUT_BYTES);
        let context = TransactionContext {
            height: self.height,
            index: u32::try_from(self.results.len()).unwrap_or(u32::MAX),
            time: self.time,
            sender: transaction.sender,
            id,
            output_limit,
        };
        let mut namespace = Namespace::new(&self.state, self.application.name());
        let execution = self.application.execute(&context, &transaction.payload, &mut namespace);
        match execution {
            Execution::Committed { output } if output.len() <= output_limit => {
                let changes = namespace.into_changes();
                self.state.merge(changes);
                self.output_left = self.output_left.saturating_sub(output.len());
                TransactionResult::Committed { output }
            }
            Execution::Committed { .. } => TransactionResult::Failed {
                reason: FailReason::LimitExceeded,
                operation: 0,
                output: Vec::new(),
            },
            Execution::Failed { reason, operation, mut output } => {
                if output.len() > output_limit {
                    output.clear();
                }
                self.output_left = self.output_left.saturating_sub(output.len());
                TransactionResult::Failed { reason, operation, output }
            }
        }
    }

    /// The ledger's own application (G).
    fn petition(&mut self, id: TransactionId, transaction: &Transaction) -> TransactionResult {
        let petition = Petition {
            rules: self.rules,
            epoch: self.epoch,
            height: self.height,
            time: self.time,
            sender: transaction.sender,
            id,
        };
        match petition.execute(&transaction.payload, &mut self.state) {
            Execution::Committed { output } => TransactionResult::Committed { output },
            Execution::Failed { reason, operation, output } => {
                TransactionResult::Failed { reason, operation, output }
            }
        }
    }

    /// Ends the block.
    pub(crate) fn finish(mut self) -> Outcome {
        self.sessions.write_to(&mut self.state);
        Outcome { results: self.results, consumed: self.consumed, changes: self.state.into_changes() }
    }
}
