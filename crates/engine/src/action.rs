//! What a host wants done, and how the core's effects become it.

use crate::recent::Outcome;
use crate::transfer::{Fetched, TransferRecord};
use quorate_crypto::HashedBatch;
use quorate_pbft::{Effect, Report};
use quorate_types::{BlockCertificate, Epoch, ErrorCode, Fetch, Message, ReplicaId, Seq};
use std::sync::Arc;

/// Which stream of a link a message takes: a large proposal must not hold up votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Statements and notices: small, repaired by STATUS when lost.
    Votes,
    /// Proposals and requests.
    Proposals,
    /// Bodies, blocks, NEW-VIEWs with everything they name.
    Bulk,
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Action {
    Send {
        to: ReplicaId,
        message: Message,
        class: Class,
    },
    /// To every other member.
    Broadcast {
        message: Message,
        class: Class,
    },
    /// Execute the next slot; `None` is the null batch. Answered by [`crate::Event::Executed`].
    Execute {
        seq: Seq,
        batch: Option<Arc<HashedBatch>>,
    },
    /// Make the blocks up to here durable (K1). Answered by [`crate::Event::CheckpointDurable`].
    MakeDurable {
        seq: Seq,
    },
    /// Store the state after this block in place of the stored one. Nothing waits for it.
    StoreState {
        seq: Seq,
        /// That of the block, if it is known.
        certificate: Option<BlockCertificate>,
    },
    /// Keep a block's certificate, and hand it back as [`crate::Event::Certified`].
    StoreCertificate(BlockCertificate),
    /// Read certified blocks for a peer. Answered by [`crate::Event::BlocksRead`].
    ReadBlocks {
        to: ReplicaId,
        from: Seq,
    },
    /// Read what a peer asks for of a checkpoint's state. Answered by [`crate::Event::StateRead`], if there is something.
    ReadState {
        to: ReplicaId,
        fetch: Fetch,
    },
    /// The core is ready for the state after this block: hand back [`crate::Event::InstallState`], after all that was given before.
    PrepareInstall {
        seq: Seq,
    },
    /// Put this state in place of the executed one, durably, once what was given before is executed. Answered by
    /// [`crate::Event::Installed`].
    Install(Box<Fetched>),
    /// Keep this of a transfer, as far as that is possible: it saves fetching it again after a restart.
    KeepTransfer(TransferRecord),
    /// The last block of the epoch is stable (G2): stop this host, and start the one of the next epoch from what is stored.
    CloseEpoch {
        last: Seq,
    },
    /// Read the certificate of the last checkpoint of an epoch for a peer that is still in it. Answered by
    /// [`crate::Event::HandoverRead`], if there is one.
    ReadHandover {
        to: ReplicaId,
        epoch: Epoch,
    },
    /// Tell who waits under this token.
    Answer {
        token: u64,
        answer: Answer,
    },
    Report(Report),
}

/// What a client that waits is told.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The transaction has a final outcome in a certified block.
    Outcome(Outcome),
    /// Another transaction with the same sender, session and number has one.
    Superseded(Outcome),
    Refused(Refusal),
}

/// Why a gateway did not take a transaction: advice, except for reasons that anyone recomputes from the bytes (C3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    /// For `Busy`: when to try again.
    pub retry_after_ms: u32,
}

/// Turns an effect that was released into an action.
pub fn dispatch(effect: Effect) -> Action {
    match effect {
        Effect::Broadcast(message) => Action::Broadcast { class: class_of(&message), message },
        Effect::Send { to, message } => Action::Send { to, class: class_of(&message), message },
        Effect::Execute { seq, batch } => Action::Execute { seq, batch },
        Effect::MakeDurable { seq } => Action::MakeDurable { seq },
        Effect::StoreState { seq, certificate } => Action::StoreState { seq, certificate },
        Effect::Certified(certificate) => Action::StoreCertificate(certificate),
        Effect::SupplyBlocks { to, from } => Action::ReadBlocks { to, from },
        Effect::InstallState { seq } => Action::PrepareInstall { seq },
        Effect::SupplyState { to, fetch } => Action::ReadState { to, fetch },
        Effect::CloseEpoch { last } => Action::CloseEpoch { last },
        Effect::SupplyHandover { to, epoch } => Action::ReadHandover { to, epoch },
        Effect::Report(report) => Action::Report(report),
    }
}

pub(crate) fn class_of(message: &Message) -> Class {
    match message {
        Message::Vote(_)
        | Message::Notice(_)
        | Message::CommitCertificate(_)
        | Message::BlockCertificate(_)
        | Message::Evidence(_) => Class::Votes,
        Message::Proposal(_) | Message::Forward(_) => Class::Proposals,
        Message::ViewChange(_)
        | Message::NewView(_)
        | Message::Body(_)
        | Message::Block(_)
        | Message::StateParts(_)
        | Message::StateLeaves(_) => Class::Bulk,
    }
}
