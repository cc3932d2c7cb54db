//! Notices (M2): they bind nobody, are authenticated by the connection alone, and are not logged.

use crate::bytes::Digest;
use crate::ids::{Epoch, ReplicaId, Seq, View};
use crate::statement::SignedStatement;
use bincode::{Decode, Encode};

/// A notice between replicas. FORWARD, which carries transactions to verify, is a message of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Notice {
    Status(Status),
    /// Asks for a PONG with the same number; measures the round trip.
    Ping {
        number: u64,
    },
    Pong {
        number: u64,
    },
    Fetch(Fetch),
    Hello(Hello),
    /// Boxed: it is rare, and twice as large as any other message.
    HelloReply(Box<HelloReply>),
    /// The answer to a FETCH of blocks that are gone: the first one that is kept (T1).
    Pruned {
        first: Seq,
    },
}

/// Where a replica stands and what it holds (R1): peers send what it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Status {
    pub epoch: Epoch,
    pub view: View,
    /// Whether it votes in `view`, or waits for its NEW-VIEW.
    pub active: bool,
    /// Whether it suspects the current view's primary (V1).
    pub suspicion: Option<Suspicion>,
    /// Highest proven checkpoint.
    pub base: Seq,
    /// Stable checkpoint whose state it holds.
    pub stable: Seq,
    pub executed: Seq,
    /// Every block up to this one has its block certificate here.
    pub certified: Seq,
    /// Members, as a bitmap by index, of whom it holds a VIEW-CHANGE for `view` or higher.
    pub view_changes: u128,
    /// The unfinished slots above `executed`, at most [`crate::limits::STATUS_SLOTS`], in order.
    pub slots: Vec<SlotStatus>,
    /// Members, as a bitmap by index, whose CHECKPOINT it holds for the lowest unproven checkpoint.
    pub checkpoints: u128,
    /// Members, as a bitmap by index, whose ATTEST it holds for `certified + 1`.
    pub attests: u128,
}

/// Why a replica suspects the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Suspicion {
    /// The request timer expired (V10).
    RequestTimeout,
    /// No sign of life while requests wait.
    Silence,
    /// Proof of misbehaviour.
    Misbehaviour,
    /// Proposals lag behind the clock by more than 2·skew (N2), or more than one empty batch per tick (K6).
    BadTime,
    /// The replica started anew in this view and may not PREPARE what it might have PREPAREd before (D7).
    Abstention,
    /// Requests waited for a proposal for longer than many decisions take (V12).
    Slow,
}

/// What is held of one slot in the sender's current view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SlotStatus {
    pub seq: Seq,
    /// Whether the proposal of the current view, with its body, is held.
    pub proposal: bool,
    /// Whether the slot is decided here, and only earlier ones are missing.
    pub committed: bool,
    /// Whether a body is wanted for a digest that is already agreed on.
    pub wants_body: Option<Digest>,
    /// Members whose PREPARE is held, as a bitmap by index.
    pub prepares: u128,
    /// Members whose COMMIT is held, as a bitmap by index.
    pub commits: u128,
}

/// A request for something by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Fetch {
    /// The batch with this digest (V9).
    Body { seq: Seq, digest: Digest },
    /// The VIEW-CHANGE of `sender` with this digest (V8).
    ViewChange { sender: ReplicaId, digest: Digest },
    /// Blocks with certificates from this height on (T1).
    Blocks { from: Seq },
    /// The parts of a certified state after a block above this one (T2).
    StateParts { above: Seq },
    /// One part of the state after this very block (T2).
    StateLeaves { height: Seq, index: u32 },
}

/// "I have just started: what of mine do you hold?" (D6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Hello {
    /// Fresh for every start: an old answer proves nothing.
    pub nonce: [u8; 32],
}

/// The answer to a [`Hello`]: of *yours* that I hold (D6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct HelloReply {
    pub nonce: [u8; 32],
    /// Your VIEW-CHANGE or NEW-VIEW of the highest (epoch, view).
    pub view: Option<SignedStatement>,
    /// Your PRE-PREPARE, PREPARE or COMMIT of the highest (epoch, view, seq).
    pub vote: Option<SignedStatement>,
    /// Your COMMITs in slots that I have not forgotten, in order: of these no reservation speaks (D7), and they need not have been
    /// made in order.
    pub commits: Vec<SignedStatement>,
}
