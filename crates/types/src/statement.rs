//! Statements: what a member signs, over a fixed layout (M1).

use crate::bytes::{Digest, LedgerId, Signature};
use crate::ids::{Epoch, ReplicaId, Seq, View};
use crate::layout::Writer;
use crate::mutants::mutant;
use bincode::{Decode, Encode};

/// What a member can say under its signature. The table of M1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Statement {
    /// The primary's proposal, which is also its vote (N1).
    PrePrepare { view: View, seq: Seq, digest: Digest },
    /// A backup's acceptance of a proposal (N3).
    Prepare { view: View, seq: Seq, digest: Digest },
    /// "I hold a prepared certificate" (N6).
    Commit { view: View, seq: Seq, digest: Digest },
    /// "I executed the block with this header" (N9, M8).
    Attest { seq: Seq, header: Digest },
    /// "I hold, durably, what rebuilds the state after this header" (K1).
    Checkpoint { seq: Seq, header: Digest },
    /// "I left all views below this one" (V2). `base_proof` = H(C), `prepared` = H(P).
    ViewChange { view: View, base: Seq, base_proof: Digest, prepared: Digest },
    /// The new primary's conclusion (V7): exactly q pairs of sender and digest of its VIEW-CHANGE, sorted by
    /// sender; `min`; and O, the digest of each slot min+1, min+2, ….
    NewView { view: View, chosen: Vec<(ReplicaId, Digest)>, min: Seq, proposals: Vec<Digest> },
}

/// The kind of a statement, without its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatementKind {
    PrePrepare,
    Prepare,
    Commit,
    Attest,
    Checkpoint,
    ViewChange,
    NewView,
}

impl StatementKind {
    /// Every kind, in the order of M1's table.
    pub const ALL: [StatementKind; 7] = [
        Self::PrePrepare,
        Self::Prepare,
        Self::Commit,
        Self::Attest,
        Self::Checkpoint,
        Self::ViewChange,
        Self::NewView,
    ];

    /// The domain tag, which the layout ends with a zero byte.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::PrePrepare => "quorate/pre-prepare/v1",
            Self::Prepare => "quorate/prepare/v1",
            Self::Commit => "quorate/commit/v1",
            Self::Attest => "quorate/attest/v1",
            Self::Checkpoint => "quorate/checkpoint/v1",
            Self::ViewChange => "quorate/view-change/v1",
            Self::NewView => "quorate/new-view/v1",
        }
    }
}

impl Statement {
    /// Which kind this is.
    pub fn kind(&self) -> StatementKind {
        match self {
            Self::PrePrepare { .. } => StatementKind::PrePrepare,
            Self::Prepare { .. } => StatementKind::Prepare,
            Self::Commit { .. } => StatementKind::Commit,
            Self::Attest { .. } => StatementKind::Attest,
            Self::Checkpoint { .. } => StatementKind::Checkpoint,
            Self::ViewChange { .. } => StatementKind::ViewChange,
            Self::NewView { .. } => StatementKind::NewView,
        }
    }

    /// The view it speaks of; ATTEST and CHECKPOINT speak of none.
    pub fn view(&self) -> Option<View> {
        match self {
            Self::PrePrepare { view, .. }
            | Self::Prepare { view, .. }
            | Self::Commit { view, .. }
            | Self::ViewChange { view, .. }
            | Self::NewView { view, .. } => Some(*view),
            Self::Attest { .. } | Self::Checkpoint { .. } => None,
        }
    }

    /// The slot it speaks of; VIEW-CHANGE and NEW-VIEW speak of many.
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::PrePrepare { seq, .. }
            | Self::Prepare { seq, .. }
            | Self::Commit { seq, .. }
            | Self::Attest { seq, .. }
            | Self::Checkpoint { seq, .. } => Some(*seq),
            Self::ViewChange { .. } | Self::NewView { .. } => None,
        }
    }

    /// The signed bytes: domain tag ‖ 0 ‖ ledger id ‖ epoch ‖ fields (M1, docs/formats.md).
    pub fn signed_bytes(&self, ledger: &LedgerId, epoch: Epoch) -> Vec<u8> {
        let mut writer = Writer::tagged(self.kind().tag());
        if !mutant("m37") {
            writer.fixed(&ledger.0);
        }
        if !mutant("m36") {
            writer.u64(epoch.get());
        }
        match self {
            Self::PrePrepare { view, seq, digest }
            | Self::Prepare { view, seq, digest }
            | Self::Commit { view, seq, digest } => {
                writer.u64(view.get()).u64(seq.get()).fixed(&digest.0);
            }
            Self::Attest { seq, header } | Self::Checkpoint { seq, header } => {
                writer.u64(seq.get()).fixed(&header.0);
            }
            Self::ViewChange { view, base, base_proof, prepared } => {
                writer.u64(view.get()).u64(base.get()).fixed(&base_proof.0).fixed(&prepared.0);
            }
            Self::NewView { view, chosen, min, proposals } => {
                writer.u64(view.get()).count(chosen.len());
                for (sender, digest) in chosen {
                    writer.u16(sender.get()).fixed(&digest.0);
                }
                writer.u64(min.get()).count(proposals.len());
                for digest in proposals {
                    writer.fixed(&digest.0);
                }
            }
        }
        writer.finish()
    }
}

/// A statement with its signature.
///
/// `signer` selects the key that the signature is checked under; a wrong one makes the check fail, so after
/// verification it *is* the owner of the verified key (M3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct SignedStatement {
    pub epoch: Epoch,
    pub signer: ReplicaId,
    pub statement: Statement,
    pub signature: Signature,
}

#[cfg(test)]
mod tests;
