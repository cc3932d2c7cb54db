//! Records of the write-ahead log: what a replica must find again before it may speak again (D).

use crate::header::{BlockCertificate, CertifiedBlock};
use crate::ids::{Epoch, Seq, View};
use crate::message::{BaseProof, CommitCertificate, NewView, PreparedCertificate, Proposal, ViewChange};
use crate::statement::{SignedStatement, Statement};
use crate::transaction::Batch;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// What a replica may say before that is durable (D7): after a restart it says nothing of this that its log does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Reservation {
    pub epoch: Epoch,
    pub view: View,
    /// The last slot that may be proposed and PREPAREd.
    pub up_to: Seq,
}

impl Reservation {
    /// Whether it speaks of this slot of this view.
    pub fn reaches(&self, view: View, seq: Seq) -> bool {
        view == self.view && seq <= self.up_to
    }

    /// Whether a statement may leave before it is durable, if this is.
    pub fn covers(&self, signed: &SignedStatement) -> bool {
        match signed.statement {
            Statement::PrePrepare { view, seq, .. } | Statement::Prepare { view, seq, .. } => {
                signed.epoch == self.epoch && self.reaches(view, seq)
            }
            _ => false,
        }
    }
}

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
    /// PRE-PREPAREs and PREPAREs of a view that may leave before they are durable (D7).
    Reserved(Reservation),
}
