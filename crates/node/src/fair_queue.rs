//! What waits for verification, kept apart by where it comes from, so that nobody who sends much, or junk, holds the others up
//! (Aardvark: Clement et al., NSDI'09). Deficit round robin (Shreedhar and Varghese, SIGCOMM'95) over two classes and over
//! the sources of each; what an item costs is how many signatures it stands on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A member, by its index.
    Peer(u16),
    /// A connection of a client, by a number that is used once.
    Client(u64),
}

/// Signatures that a source may have verified when its turn comes.
pub(crate) const QUANTUM: usize = 64;
/// So many turns of peers for one of clients, if both wait: without votes no client is served at all.
const PEERS_PER_CLIENT: usize = 3;
/// Items of one source that may wait.
pub(crate) const MOST_OF_ONE: usize = 1_024;
/// Bytes of one source that may wait: twice the proposals that a primary may have under way.
pub(crate) const MOST_BYTES_OF_ONE: usize = 16 * 1024 * 1024;
/// Items of all clients together that may wait.
pub(crate) const MOST_OF_CLIENTS: usize = 4_096;
/// After an invalid signature so many items of its source are verified apart from those of others: one invalid signature has a
/// whole batch verified anew, one by one.
pub(crate) const APART: usize = 256;

/// What an item takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    /// Signatures to verify, about.
    pub(crate) cost: usize,
    pub(crate) bytes: usize,
}

struct Lane<T> {
    items: VecDeque<(Weight, T)>,
    bytes: usize,
    /// Signatures that it may still have verified: what is left of earlier turns, if it always had something waiting.
    credit: usize,
    apart: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0, credit: 0, apart: 0 }
    }
}

struct Class<T> {
    lanes: BTreeMap<Source, Lane<T>>,
    /// Sources with something waiting, in the order in which they are served.
    turn: VecDeque<Source>,
    waiting: usize,
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turn: VecDeque::new(), waiting: 0 }
    }
}

struct State<T> {
    peers: Class<T>,
    clients: Class<T>,
    /// Turns of peers since clients had theirs.
    peers_served: usize,
    closed: bool,
}

/// The queue. Who is too fast loses what does not fit, and nobody else does.
pub(crate) struct FairQueue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

/// What is verified in one call.
struct Batch<T> {
    items: Vec<(Source, T)>,
    cost: usize,
    most: usize,
    /// Nothing else may come in.
    sealed: bool,
}

impl<T> Class<T> {
    fn push(&mut self, source: Source, weight: Weight, item: T) {
        let lane = self.lanes.entry(source).or_default();
        if lane.items.is_empty() {
            self.turn.push_back(source);
        }
        lane.bytes += weight.bytes;
        lane.items.push_back((weight, item));
        self.waiting += 1;
    }

    fn has_room(&self, source: Source, bytes: usize) -> bool {
        self.lanes.get(&source).is_none_or(|lane| {
            lane.items.len() < MOST_OF_ONE
                && (lane.items.is_empty() || lane.bytes + bytes <= MOST_BYTES_OF_ONE)
        })
    }

    /// The turn of the source that is next, if what it has fits.
    fn serve(&mut self, batch: &mut Batch<T>) {
        let Some(source) = self.turn.pop_front() else { return };
        let Some(lane) = self.lanes.get_mut(&source) else { return };
        if lane.apart > 0 && !batch.items.is_empty() {
            self.turn.push_front(source);
            batch.sealed = true;
            return;
        }
        batch.sealed = lane.apart > 0;
        lane.credit += QUANTUM;
        while let Some((weight, item)) = lane.items.pop_front() {
            let fits = batch.items.is_empty() || batch.cost + weight.cost <= batch.most;
            if weight.cost > lane.credit || !fits {
                batch.sealed |= !fits;
                lane.items.push_front((weight, item));
                break;
            }
            lane.credit -= weight.cost;
            lane.bytes -= weight.bytes;
            lane.apart = lane.apart.saturating_sub(1);
            batch.cost += weight.cost;
            batch.items.push((source, item));
            self.waiting -= 1;
        }
        if lane.items.is_empty() {
            lane.credit = 0;
            if lane.apart == 0 {
                self.lanes.remove(&source);
            }
        } else {
            self.turn.push_back(source);
        }
    }
}

impl<T> State<T> {
    fn class(&mut self, source: Source) -> &mut Class<T> {
        match source {
            Source::Peer(_) => &mut self.peers,
            Source::Client(_) => &mut self.clients,
        }
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn new() -> Self {
        let state =
            State { peers: Class::default(), clients: Class::default(), peers_served: 0, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item. Never waits.
    ///
    /// # Errors
    /// The item, if too much of its source waits already, or the queue is closed.
    pub(crate) fn push(&self, source: Source, weight: Weight, item: T) -> Result<(), T> {
        let mut state = self.state();
        let crowded = matches!(source, Source::Client(_)) && state.clients.waiting >= MOST_OF_CLIENTS;
        let closed = state.closed;
        let class = state.class(source);
        if closed || crowded || !class.has_room(source, weight.bytes) {
            return Err(item);
        }
        class.push(source, weight, item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until something waits, or the queue is closed.
    pub(crate) fn wait(&self) {
        drop(self.waited());
    }

    fn waited(&self) -> MutexGuard<'_, State<T>> {
        let empty = |state: &mut State<T>| !state.closed && state.peers.waiting + state.clients.waiting == 0;
        self.filled.wait_while(self.state(), empty).unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is verified next, on about `most` signatures, once something waits; nothing if the queue is closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<(Source, T)>> {
        let mut state = self.waited();
        if state.peers.waiting + state.clients.waiting == 0 {
            return None;
        }
        let mut batch = Batch { items: Vec::new(), cost: 0, most, sealed: false };
        while !batch.sealed && batch.cost < most && state.peers.waiting + state.clients.waiting > 0 {
            let peers_first = state.peers_served < PEERS_PER_CLIENT || state.clients.waiting == 0;
            if peers_first && state.peers.waiting > 0 {
                state.peers_served += 1;
                state.peers.serve(&mut batch);
            } else {
                state.peers_served = 0;
                state.clients.serve(&mut batch);
            }
        }
        Some(batch.items)
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.peers.waiting + state.clients.waiting
    }

    /// A source sent what does not verify.
    pub(crate) fn sent_junk(&self, source: Source) {
        self.state().class(source).lanes.entry(source).or_default().apart = APART;
    }

    /// A client's connection is gone: nothing is remembered of it once what waits is served.
    pub(crate) fn forget(&self, source: Source) {
        let mut state = self.state();
        if let Some(lane) = state.clients.lanes.get_mut(&source) {
            lane.apart = 0;
            if lane.items.is_empty() {
                state.clients.lanes.remove(&source);
            }
        }
    }

    /// Takers get what waits, and then nothing.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests;
