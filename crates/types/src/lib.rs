//! The vocabulary of Quorate: identifiers, quorum arithmetic, statements and their signed layouts,
//! notices, records, transactions, headers, limits and error codes.
//!
//! This crate depends on no other crate of the workspace, does no IO, reads no clock and hashes nothing:
//! it says what the bytes *are*; `quorate-crypto` hashes, signs and verifies them.

pub mod bytes;
pub mod error_code;
pub mod genesis;
pub mod governance;
pub mod header;
pub mod ids;
pub mod layout;
pub mod limits;
pub mod members;
pub mod message;
pub mod mutants;
pub mod notice;
pub mod operation;
pub mod probes;
pub mod quorum;
pub mod record;
pub mod result;
pub mod state;
pub mod statement;
pub mod time;
pub mod transaction;

pub use bytes::{Digest, LedgerId, PublicKey, Signature, StoreId, TransactionId};
pub use error_code::ErrorCode;
pub use genesis::{Genesis, GenesisMember, NamedKey, Parameters, RegistryMode};
pub use governance::{Change, Governance, Handover, Joiner, MemberSet, Pending, Ready, Refusal, Seat};
pub use header::{Block, BlockCertificate, CertificateKind, CertifiedBlock, Header, Outlook};
pub use ids::{Epoch, Number, ReplicaId, Seq, SessionId, View};
pub use members::{Member, Members};
pub use message::{
    BaseProof, CommitCertificate, Message, NewView, PreparedCertificate, Proposal, StateLeaves, StateParts,
    ViewChange,
};
pub use notice::{Fetch, Hello, HelloReply, Notice, SlotStatus, Status, Suspicion};
pub use operation::{Operation, OperationOutput, Operations};
pub use quorum::{QuorumError, Quorums};
pub use record::{Record, Reservation};
pub use result::{FailReason, TransactionResult, VoidReason};
pub use state::{NumberState, SessionLeaf, StateKey, StatePart, TopicLeaf};
pub use statement::{SignedStatement, Statement, StatementKind};
pub use time::{LedgerTime, Monotonic, Now, Wall};
pub use transaction::{Batch, SignedTransaction, Transaction};
