//! What executes the payloads of transactions.

use crate::namespace::Namespace;
use quorate_types::{FailReason, LedgerTime, PublicKey, Seq, TransactionId};

/// The place of a transaction in the order: all that its execution may depend on beside payload and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionContext {
    /// The height of the block it is in.
    pub height: Seq,
    /// Its index in that block, zero-based.
    pub index: u32,
    /// The block's time (N11): the only clock there is.
    pub time: LedgerTime,
    pub sender: PublicKey,
    pub id: TransactionId,
    /// How many bytes of output it may have. A longer output fails the transaction.
    pub output_limit: usize,
}

/// What became of a transaction that consumed its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It took effect; `output` is the application's.
    Committed { output: Vec<u8> },
    /// It took no effect, whatever was written before; the ledger undoes that. `operation` is zero-based.
    Failed { reason: FailReason, operation: u32, output: Vec<u8> },
}

/// A deterministic state machine.
///
/// Every replica executes every payload, and their states must be equal byte for byte. An implementation
/// - depends on nothing but its arguments: no clock, no randomness, no environment, no field that execution changes;
/// - iterates in an order that the state defines (no hashing with a random seed), and uses no floating point;
/// - is total: any payload, however malformed, is answered with [`Execution::Failed`]. It never panics, for every
///   replica would panic at the same place, and does bounded work for each byte of payload;
/// - never changes: another behaviour is another application name.
pub trait Application: Send + Sync {
    /// The name that the genesis and transactions call it by: 1 to [`quorate_types::limits::MAX_APP_BYTES`] bytes.
    fn name(&self) -> &str;

    /// Executes one payload. Writes take effect if it returns [`Execution::Committed`], and else none does.
    fn execute(&self, context: &TransactionContext, payload: &[u8], state: &mut Namespace<'_>) -> Execution;

    /// The earliest ledger time at which this state needs a block even if no transaction waits (K6).
    fn obligation(&self, _state: &Namespace<'_>) -> Option<LedgerTime> {
        None
    }
}
