//! Records of the write-ahead log: what a replica must find again before it may speak again (D).

use crate::header::{BlockCertificate, CertifiedBlock};
use crate::ids::{Epoch, View};
use crate::message::{BaseProof, CommitCertificate, NewView, PreparedCertificate, Proposal, ViewChange};
use crate::statement::SignedStatement;
use crate::transaction::Batch;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// One record. The log begins with an [`Record::Anchor`]; replaying the records in order gives back the promises.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Record {
    /// The first record of a log or of a compacted one: where the replica stood.
    Anchor { epoch: Epoch, view: View, active: bool, base: BaseProof, stable: BaseProof },
    /// An accepted proposal with its body, the replica's own proposals included (table D: PRE-PREPARE, PREPARE).
    Proposal(Proposal),
    /// A body that came without its proposal (V9, N8).
    Body(Arc<Batch>),
    /// An own PREPARE, COMMIT or CHECKPOINT: the very bytes to send again (D2).
    Vote(SignedStatement),
    /// A whole prepared certificate (table D: COMMIT).
    Prepared(PreparedCertificate),
    /// A learned commit certificate (N8).
    Committed(CommitCertificate),
    /// A block learned by its certificate (N8, T1).
    Block(Arc<CertifiedBlock>),
    /// The own VIEW-CHANGE: the replica left all lower views and is not active (table D).
    ViewChange(Arc<ViewChange>),
    /// An accepted NEW-VIEW with the VIEW-CHANGEs it names: the replica is active in its view (table D).
    NewView(Arc<NewView>),
    /// A checkpoint was proven: base is its height (K2).
    Base(BlockCertificate),
    /// A checkpoint is stable here: its state is held, what is below may be forgotten (K3).
    Stable(BlockCertificate),
}
