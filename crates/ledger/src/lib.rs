//! Deterministic execution: application trait, key-value store, log topics, sessions, registry, certified state.
//!
//! - [`Machine`] executes batches into blocks; [`ExecutedBlock`] and [`SealedBlock`] are what comes out.
//! - [`State`] is what the blocks made: reads and their proofs. [`AdmissionControl`] is what gateways ask.
//! - [`Application`] interprets payloads; [`kv::Kv`] is built in.
//! - [`tree`] is the certified state itself; [`StateStore`] is the port through which it becomes durable.

pub mod admission;
pub mod application;
pub mod block;
mod commit;
mod execution;
mod governance;
pub mod kv;
pub mod machine;
pub mod namespace;
mod registry;
mod rules;
mod sessions;
pub mod state;
pub mod store;
#[cfg(test)]
mod testing;
pub mod transfer;
pub mod tree;

pub use admission::{Admission, AdmissionControl};
pub use application::{Application, Execution, TransactionContext};
pub use block::{ExecutedBlock, SealedBlock};
pub use machine::{LedgerError, Machine, built_in_applications};
pub use namespace::Namespace;
pub use rules::genesis_header;
pub use state::{SharedState, State};
pub use store::{
    Checkpointed, Interrupted, Interruption, MemoryStateStore, StateChanges, StateProof, StateStore,
    StoredState,
};
pub use transfer::{Assembly, PartLeaves, PartedState, TransferError};
