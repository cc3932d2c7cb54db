//! What several threads look at.

use crate::metrics::Metrics;
use crossbeam_channel::Sender;
use quorate_engine::Answer;
use quorate_ledger::SharedState;
use quorate_pbft::ReplicaStatus;
use quorate_proof::TrustRoot;
use quorate_storage::{BlockStore, Handovers, RealDisk, RedbStateStore};
use quorate_types::{ReplicaId, Reservation};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

/// Where the replica stands, as published by the core thread after each round.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) status: ReplicaStatus,
    pub(crate) rtts: BTreeMap<ReplicaId, Duration>,
    /// When the core thread last went round.
    pub(crate) at: Instant,
}

/// Handles that the node's threads share.
pub(crate) struct Shared {
    pub(crate) trust: TrustRoot,
    pub(crate) genesis_text: String,
    pub(crate) me: ReplicaId,
    /// Whether the members' agreement names the store of this node (L2).
    pub(crate) may_vote: bool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) blocks: Closable<BlockStore<RealDisk>>,
    pub(crate) store: Closable<RedbStateStore>,
    /// How the epochs before this one ended.
    pub(crate) handovers: Handovers<RealDisk>,
    /// The executed state; execution waits for who reads it.
    pub(crate) state: SharedState,
    pub(crate) waiters: Waiters,
    pub(crate) started: Instant,
    /// What an operator should know of the disk.
    alarm: Mutex<Option<String>>,
    published: Mutex<Published>,
    clients: AtomicU64,
    /// Whether this run is over: the process stops, or the node starts again in the next epoch.
    over: watch::Sender<bool>,
    /// The latest reservation that became durable in this run (D7).
    reserved: Mutex<Option<Reservation>>,
}

impl Shared {
    pub(crate) fn new(
        trust: TrustRoot,
        genesis_text: String,
        (me, may_vote): (ReplicaId, bool),
        metrics: Arc<Metrics>,
        (blocks, store, state): (BlockStore<RealDisk>, RedbStateStore, SharedState),
        handovers: Handovers<RealDisk>,
        published: Published,
    ) -> Self {
        Self {
            trust,
            genesis_text,
            me,
            may_vote,
            metrics,
            blocks: Closable::new(blocks),
            store: Closable::new(store),
            handovers,
            state,
            waiters: Waiters::default(),
            started: Instant::now(),
            alarm: Mutex::new(None),
            published: Mutex::new(published),
            clients: AtomicU64::new(1),
            over: watch::Sender::new(false),
            reserved: Mutex::new(None),
        }
    }

    /// What an operator should know of the disk.
    pub(crate) fn alarm(&self) -> Option<String> {
        lock(&self.alarm).clone()
    }

    /// Returns what it was before.
    pub(crate) fn change_alarm(&self, alarm: Option<String>) -> Option<String> {
        std::mem::replace(&mut *lock(&self.alarm), alarm)
    }

    pub(crate) fn published(&self) -> Published {
        lock(&self.published).clone()
    }

    pub(crate) fn status(&self) -> ReplicaStatus {
        lock(&self.published).status
    }

    pub(crate) fn publish(&self, published: Published) {
        *lock(&self.published) = published;
    }

    /// This run is to end.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Whether this run is over.
    pub(crate) fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// A number for a client's stream, from 1 on, that no other has.
    pub(crate) fn next_client(&self) -> u64 {
        self.clients.fetch_add(1, Ordering::Relaxed)
    }

    /// What may leave before it is durable (D7).
    pub(crate) fn reserved(&self) -> Option<Reservation> {
        *lock(&self.reserved)
    }

    /// A reservation is durable.
    pub(crate) fn reserve(&self, reservation: Option<Reservation>) {
        let mut reserved = lock(&self.reserved);
        *reserved = reservation.max(*reserved);
    }

    pub(crate) fn member_name(&self, member: ReplicaId) -> &str {
        self.trust.members().get(member).map_or("?", |member| &member.name)
    }
}

/// Something that calls in flight may still look at when the node stops, and that must then be let go of all the same:
/// a store keeps its files locked as long as it lives.
pub(crate) struct Closable<T>(Mutex<Option<T>>);

/// It was closed: the node stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed;

impl<T> Closable<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// Works with it, unless it is closed.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R, Closed> {
        lock(&self.0).as_mut().map(work).ok_or(Closed)
    }

    pub(crate) fn close(&self) {
        *lock(&self.0) = None;
    }
}

/// A lock whose holder panicked is used all the same: the panic hook ends the process anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls of clients that wait for an answer.
#[derive(Default)]
pub(crate) struct Waiters {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, mpsc::Sender<(u64, Answer)>>>,
}

impl Waiters {
    /// A token under which the answer is sent to `to`.
    pub(crate) fn register(&self, to: mpsc::Sender<(u64, Answer)>) -> u64 {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.waiting).insert(token, to);
        token
    }

    pub(crate) fn forget(&self, token: u64) {
        lock(&self.waiting).remove(&token);
    }

    /// Hands an answer to who waits for it. Its channel has room for every token that it registered.
    pub(crate) fn answer(&self, token: u64, answer: Answer) {
        let waiter = lock(&self.waiting).remove(&token);
        if let Some(waiter) = waiter {
            // A closed channel is a client that went away.
            let _ = waiter.try_send((token, answer));
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sends to a thread that may have ended, which happens only at a stop.
pub(crate) fn post<T>(sender: &Sender<T>, item: T) {
    let _ = sender.send(item);
}
