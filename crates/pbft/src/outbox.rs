//! The one way out: nothing leaves before what it promises is durable (D1).

use crate::verdict::Evidence;
use quorate_crypto::HashedBatch;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BlockCertificate, Digest, Epoch, Fetch, Message, Record, ReplicaId, Reservation, Seq, SignedStatement,
    Suspicion, View,
};
use std::sync::Arc;

/// What one turn of the core wants done: records to make durable, then effects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Outbox {
    /// Recorded after the compaction, if there is one.
    records: Vec<Record>,
    /// Replaces everything recorded before it.
    compaction: Option<Vec<Record>>,
    /// Whether the effects promise what is recorded here. If not, the records may wait for the next sync (D7).
    urgent: bool,
    /// Own PRE-PREPAREs and PREPAREs, which may leave at once if a durable reservation covers them (D7). Each with the number of
    /// effects that come before it if not.
    early: Vec<(usize, Message)>,
    effects: Vec<Effect>,
}

/// Something to do once the records are durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// To every other member.
    Broadcast(Message),
    Send {
        to: ReplicaId,
        message: Message,
    },
    /// Execute the next slot; `None` is the null batch. Answered by [`crate::Input::Executed`].
    Execute {
        seq: Seq,
        batch: Option<Arc<HashedBatch>>,
    },
    /// Make the blocks up to `seq` durable (K1). Answered by [`crate::Input::CheckpointDurable`].
    MakeDurable {
        seq: Seq,
    },
    /// The state after block `seq`, of which a certificate was handed over before, is stable: store it in place of the stored one (K1). A
    /// state without a certificate could be given to nobody (T1). Nothing waits for it: a restart executes the blocks since again.
    StoreState {
        seq: Seq,
        /// That of the block, if it is known.
        certificate: Option<BlockCertificate>,
    },
    /// q members attested a block (M8): store its certificate, answer who waits.
    Certified(BlockCertificate),
    /// Send stored certified blocks from this height on to a peer (T1).
    SupplyBlocks {
        to: ReplicaId,
        from: Seq,
    },
    /// Send what a peer asks for of the state of a checkpoint (T2): its parts, or the leaves of one.
    SupplyState {
        to: ReplicaId,
        fetch: Fetch,
    },
    /// Put the fetched state after block `seq` in place of the executed one, once what was handed over before is executed (T3).
    InstallState {
        seq: Seq,
    },
    /// The last block of the epoch is stable (G2): start the next epoch from what is stored. All that this replica still says is of the
    /// epoch that ends, for those who are behind.
    CloseEpoch {
        last: Seq,
    },
    /// A peer is in an older epoch: send it the certificate of the last checkpoint there (G2).
    SupplyHandover {
        to: ReplicaId,
        epoch: Epoch,
    },
    /// Something that people or metrics should know.
    Report(Report),
}

/// What happened, for logs and metrics. The pure crates log nothing themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    ViewChangeStarted {
        view: View,
        reason: ViewChangeReason,
    },
    ViewActive {
        view: View,
        primary: ReplicaId,
    },
    Suspects {
        view: View,
        suspicion: Suspicion,
    },
    SuspicionWithdrawn {
        view: View,
    },
    CheckpointStable {
        seq: Seq,
    },
    /// This replica is too far behind for window repair and fetches blocks (K5).
    CatchingUp {
        from: Seq,
        to: Seq,
    },
    CaughtUp {
        at: Seq,
    },
    /// A fetched state took the place of the executed one (T3).
    StateInstalled {
        seq: Seq,
    },
    EvidenceFound(Evidence),
    /// Own header differs from a certified one: voting stopped (K4).
    Diverged {
        seq: Seq,
        own: Digest,
        certified: Digest,
    },
    /// A certificate contradicts an executed slot: more than f faults, voting stopped (N9).
    Contradiction {
        seq: Seq,
    },
    /// There is no higher view to go to, so more than f members are faulty: voting stopped (V5).
    ViewsExhausted,
    /// Peers hold votes of this replica that its log lacks: it is a learner now (D6).
    Amnesia,
    /// The HELLO replies are complete: statements may leave (D6).
    HelloComplete,
}

/// Why a view change began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViewChangeReason {
    /// A blocking set, this replica included, suspects the primary (V1).
    Suspicion,
    /// Others left the view (V5).
    Joined,
    /// The primary abdicated (V1).
    Abdication,
    /// No NEW-VIEW came in time (V6).
    Timeout,
}

/// Where records become durable. Implemented by the segmented log and by the simulator's disk.
pub trait Log {
    type Error;

    /// Adds a record; it need not be durable yet.
    ///
    /// # Errors
    /// When the disk fails; the process must then stop (D3).
    fn append(&mut self, record: &Record) -> Result<(), Self::Error>;

    /// Makes every appended record durable.
    ///
    /// # Errors
    /// When the disk fails; the process must then stop, and must not try again (D3).
    fn sync(&mut self) -> Result<(), Self::Error>;

    /// Atomically replaces everything appended so far by `records`, durably (K3).
    ///
    /// # Errors
    /// When the disk fails; the process must then stop (D3).
    fn compact(&mut self, records: &[Record]) -> Result<(), Self::Error>;
}

/// What is durable now, and what may be done because of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Released {
    pub effects: Vec<Effect>,
    /// The latest reservation that became durable, for [`Outbox::leave_early`].
    pub reserved: Option<Reservation>,
}

/// Makes the records of all outboxes durable with one sync, then gives up their effects in order (D1). An outbox
/// without records waits only for earlier ones. Records that nothing promises yet wait for a later sync (D7).
///
/// # Errors
/// When the log fails: no effect is given up, and the process must stop (D3).
pub fn release<L: Log>(log: &mut L, mut outboxes: Vec<Outbox>) -> Result<Released, L::Error> {
    let mut released = Released::default();
    outboxes.iter_mut().for_each(Outbox::hold_back);
    if outboxes.iter().filter(|outbox| outbox.needs_sync()).count() > 1 {
        hit("one sync serves several turns");
    }
    let mut urgent = false;
    for outbox in outboxes {
        if let Some(records) = outbox.compaction {
            log.compact(&records)?;
            urgent = false;
            released.note(&records);
        }
        for record in &outbox.records {
            log.append(record)?;
        }
        urgent |= outbox.urgent;
        // A reservation is urgent: it is durable when this returns.
        released.note(&outbox.records);
        released.effects.extend(outbox.effects);
    }
    if urgent && !mutant("m16") {
        match log.sync() {
            Err(_) if mutant("m18") => {}
            synced => synced?,
        }
    }
    Ok(released)
}

impl Released {
    fn note(&mut self, records: &[Record]) {
        let reservations = records.iter().filter_map(|record| match record {
            Record::Reserved(reservation) => Some(*reservation),
            _ => None,
        });
        self.reserved = self.reserved.into_iter().chain(reservations).max();
    }
}

impl Outbox {
    /// An outbox in which nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.early.is_empty()
            && self.effects.is_empty()
            && self.compaction.is_none()
    }

    /// Whether something must become durable before the effects may leave.
    pub fn needs_sync(&self) -> bool {
        self.urgent || self.compaction.is_some()
    }

    /// D7: takes out what may leave at once, since a reservation that is durable covers it. What it does not cover waits for its
    /// records, as everything else does.
    pub fn leave_early(&mut self, reserved: Option<Reservation>) -> Vec<Effect> {
        let covered = |(_, message): &(usize, Message)| {
            let said = stated(message);
            said.is_some_and(|said| reserved.is_some_and(|reservation| reservation.covers(said)))
        };
        let (early, late): (Vec<_>, Vec<_>) = std::mem::take(&mut self.early).into_iter().partition(covered);
        if !early.is_empty() {
            hit("a vote leaves before it is durable");
        }
        self.early = late;
        self.hold_back();
        early.into_iter().map(|(_, message)| Effect::Broadcast(message)).collect()
    }

    /// What has not left early leaves in its place among the effects, once its records are durable.
    fn hold_back(&mut self) {
        self.urgent |= !self.early.is_empty();
        for (place, message) in std::mem::take(&mut self.early).into_iter().rev() {
            self.effects.insert(place, Effect::Broadcast(message));
        }
    }

    /// What goes to one peer alone.
    pub fn sent_to(&self, peer: ReplicaId) -> impl Iterator<Item = &Message> {
        self.effects.iter().filter_map(move |effect| match effect {
            Effect::Send { to, message } if *to == peer => Some(message),
            _ => None,
        })
    }

    /// Adds an effect that waits for every record of this outbox and of earlier ones. Hosts use it for what must
    /// keep its place behind the core's own effects.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Adds what a later turn wants done.
    pub fn then(&mut self, later: Outbox) {
        if later.compaction.is_some() {
            self.compaction = later.compaction;
            self.records.clear();
        }
        self.urgent |= later.urgent;
        self.records.extend(later.records);
        let before = self.effects.len();
        self.early.extend(later.early.into_iter().map(|(place, message)| (before + place, message)));
        self.effects.extend(later.effects);
    }

    /// The effects wait until this is durable.
    pub(crate) fn record(&mut self, record: Record) {
        self.urgent = true;
        self.records.push(record);
    }

    /// D7: durable no later than whatever is recorded after it; only what is broadcast early promises it.
    pub(crate) fn record_in_time(&mut self, record: Record) {
        self.records.push(record);
    }

    /// D7: an own PRE-PREPARE or PREPARE, whose record is in this outbox too.
    pub(crate) fn broadcast_early(&mut self, message: Message) {
        self.early.push((self.effects.len(), message));
    }

    /// What this turn recorded so far is part of what replaces it.
    pub(crate) fn compact(&mut self, records: Vec<Record>) {
        self.records.clear();
        self.compaction = Some(records);
    }

    pub(crate) fn send(&mut self, to: ReplicaId, message: Message) {
        self.effects.push(Effect::Send { to, message });
    }

    pub(crate) fn broadcast(&mut self, message: Message) {
        self.effects.push(Effect::Broadcast(message));
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.effects.push(Effect::Report(report));
    }
}

/// The statement that a PRE-PREPARE or a vote is.
fn stated(message: &Message) -> Option<&SignedStatement> {
    match message {
        Message::Proposal(proposal) => Some(&proposal.pre_prepare),
        Message::Vote(signed) => Some(signed),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
