//! What a replica publishes of itself: for the host's prefilter, for `status`, for metrics.

use quorate_types::{Epoch, ReplicaId, Seq, Suspicion, View};

/// A snapshot of a replica's position. Cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaStatus {
    pub me: ReplicaId,
    pub epoch: Epoch,
    pub view: View,
    pub active: bool,
    pub primary: ReplicaId,
    pub phase: Phase,
    /// Highest proven checkpoint: votes are for base+1 … base+L.
    pub base: Seq,
    /// Stable checkpoint whose state is held.
    pub stable: Seq,
    /// Highest slot with an accepted or own proposal.
    pub proposed: Seq,
    /// Highest slot with a prepared certificate.
    pub prepared: Seq,
    /// Every slot up to this one is decided here.
    pub committed: Seq,
    pub executed: Seq,
    /// Every block up to this one has its certificate.
    pub certified: Seq,
    /// Requests held (C2).
    pub custody: usize,
    pub custody_bytes: usize,
    /// Whether requests wait that are not executed.
    pub waiting: bool,
    pub suspicion: Option<Suspicion>,
    pub view_timeout_ms: u64,
    /// How many members are known to be in reach of this view: VIEW-CHANGEs held for the pending view.
    pub view_changes: u16,
    /// HELLO replies still missing before statements may leave (D6).
    pub hello_missing: u16,
    /// The blocks to catch up with are gone elsewhere: a later state must be fetched (T1).
    pub needs_state: bool,
    /// A fetched state is being installed (T3).
    pub installing: bool,
    /// Whether a barrier read may be answered: every slot with a logged certificate is executed (N9, F2).
    pub may_mark: bool,
}

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Waiting for HELLO replies (D6): no statement leaves.
    Starting,
    Normal,
    ViewChange,
    /// Executing blocks by their certificates (T).
    CatchingUp,
    /// Follows without voting: its store forgot votes (L1).
    Learner,
    /// Stopped voting for ever: its state or an executed slot contradicts a certificate (K4, N9).
    Halted,
}
