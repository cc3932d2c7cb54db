//! What a replica can be told. Nothing unverified: see `quorate_crypto::verify_all`.

use crate::transfer::Installed;
use quorate_crypto::{CheckedMessage, CheckedRecord, HashedTransaction, Verified};
use quorate_types::{Digest, LedgerTime, Number, Outlook, PublicKey, ReplicaId, Seq, SessionId};

/// One input of [`crate::Replica::handle`].
#[derive(Clone, Debug)]
pub enum Input {
    /// Requests of clients that this replica is a gateway of (C2), already admitted.
    Requests(Vec<Verified<HashedTransaction>>),
    /// A message of the peer that authenticated the connection. Statements in it may be others'.
    Message { from: ReplicaId, message: Verified<CheckedMessage> },
    /// The moment named by [`crate::Replica::next_deadline`] has come.
    Deadline,
    /// The host has not heard from the current primary for too long while requests wait (V1).
    PrimarySilent,
    /// The host has heard from the primary again.
    PrimaryHeard,
    /// A peer connected: it is told where this replica stands.
    PeerConnected { peer: ReplicaId },
    /// What [`crate::Effect::Execute`] led to.
    Executed(Execution),
    /// Blocks up to `seq` are durable and the state there can be rebuilt (K1).
    CheckpointDurable { seq: Seq },
    /// The state after block `seq` was fetched, and checked against its certified header (T2).
    StateFetched { seq: Seq },
    /// What [`crate::Effect::InstallState`] led to.
    Installed(Box<Installed>),
}

/// All that the core may know of an executed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    pub seq: Seq,
    pub header_hash: Digest,
    /// The block's time (N11).
    pub time: LedgerTime,
    /// The numbers that this block consumed (C1).
    pub consumed: Vec<(PublicKey, SessionId, Number)>,
    /// What the state after it asks of the blocks to come (K6, G1).
    pub outlook: Outlook,
}

/// What was found on disk at the start.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The log, in order, beginning with an anchor. Empty only for a store that has never run.
    pub records: Vec<Verified<CheckedRecord>>,
    /// The last block that is intact here, executed into the state: seq, header hash and time. Block 0 at first.
    pub executed: (Seq, Digest, LedgerTime),
    /// Batch digests of the blocks above the log's stable checkpoint up to `executed`, in order (N9).
    pub batches: Vec<(Seq, Digest)>,
    /// Every block up to this one has its certificate in the store.
    pub certified: Seq,
    /// Header hashes of the blocks above the lower of `certified` and the log's stable checkpoint up to `executed`,
    /// in order: those without a certificate are attested again (M8), and checkpoints are compared (K4).
    pub headers: Vec<(Seq, Digest)>,
    /// What the executed state asks of the blocks to come; `closes` is of the epoch that the replica is in.
    pub outlook: Outlook,
    /// Up to this block the replica may have said what it found to be wrong since: nothing is said of these again (K4).
    pub disputed: Seq,
}
