//! What waits for verification, kept apart by where it comes from, so that nobody who sends much, or junk, holds the others up
//! (Aardvark: Clement et al., NSDI'09). Deficit round robin (Shreedhar and Varghese, SIGCOMM'95) over two classes and over
//! the sources of each; what an item costs is how many signatures it stands on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
/// Items of a source that sent junk that may wait.
pub(crate) const MOST_APART: usize = 128;
/// After junk, what is verified apart rests for so many times as long as it took to see that it is junk: whoever sends it takes
/// no more than a tenth of a core, however much it sends.
const REST: u32 = 9;
/// For so long after a client sent junk new connections are verified apart until they sent something good: else it would come
/// back as another one.
const WARY: Duration = Duration::from_secs(10);

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
    /// The same of those that are verified apart.
    apart: VecDeque<Source>,
    /// Whether they were served last.
    served_apart: bool,
    waiting: usize,
    /// When somebody last sent junk.
    junk: Option<Instant>,
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            turn: VecDeque::new(),
            apart: VecDeque::new(),
            served_apart: false,
            waiting: 0,
            junk: None,
        }
    }
}

struct State<T> {
    peers: Class<T>,
    clients: Class<T>,
    /// Turns of peers since clients had theirs.
    peers_served: usize,
    /// What is verified apart is not served before.
    rest_until: Option<Instant>,
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
        let wary = matches!(source, Source::Client(_)) && self.junk.is_some_and(|at| at.elapsed() < WARY);
        let lane = self.lanes.entry(source).or_insert_with(|| Lane { apart: wary.into(), ..Lane::default() });
        if lane.items.is_empty() {
            if lane.apart > 0 { &mut self.apart } else { &mut self.turn }.push_back(source);
        }
        lane.bytes += weight.bytes;
        lane.items.push_back((weight, item));
        self.waiting += 1;
    }

    fn has_room(&self, source: Source, bytes: usize) -> bool {
        self.lanes.get(&source).is_none_or(|lane| {
            let most = if lane.apart > 0 { MOST_APART } else { MOST_OF_ONE };
            lane.items.len() < most && (lane.items.is_empty() || lane.bytes + bytes <= MOST_BYTES_OF_ONE)
        })
    }

    /// Whether anything may be served now.
    fn is_ready(&self, resting: bool) -> bool {
        !self.turn.is_empty() || (!resting && !self.apart.is_empty())
    }

    /// The turn of the source that is next, if what it has fits. Who is verified apart is served alone, and in turn with those who
    /// are not.
    fn serve(&mut self, batch: &mut Batch<T>, resting: bool) {
        let may = !resting && batch.items.is_empty() && !self.apart.is_empty();
        let apart = may && (self.turn.is_empty() || !self.served_apart);
        self.served_apart = apart;
        let next = if apart { self.apart.pop_front() } else { self.turn.pop_front() };
        let Some(source) = next else {
            batch.sealed = true;
            return;
        };
        let Some(lane) = self.lanes.get_mut(&source) else { return };
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
        // An empty lane stays until its connection is gone: it tells who has sent something good.
        if lane.items.is_empty() {
            lane.credit = 0;
        } else if lane.apart > 0 {
            self.apart.push_back(source);
        } else {
            self.turn.push_back(source);
        }
    }

    /// From now on what this source sends is verified apart.
    fn set_apart(&mut self, source: Source) {
        self.junk = Some(Instant::now());
        let lane = self.lanes.entry(source).or_default();
        if lane.apart == 0 && !lane.items.is_empty() {
            self.turn.retain(|other| *other != source);
            self.apart.push_back(source);
        }
        lane.apart = APART;
    }

    fn forget(&mut self, source: Source) {
        if let Some(lane) = self.lanes.remove(&source) {
            self.waiting -= lane.items.len();
            self.turn.retain(|other| *other != source);
            self.apart.retain(|other| *other != source);
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

    fn waits(&self) -> bool {
        self.peers.waiting + self.clients.waiting > 0
    }

    /// How long what is verified apart rests yet.
    fn resting(&self) -> Option<Duration> {
        let rest = self.rest_until?.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    fn is_ready(&self, resting: bool) -> bool {
        self.peers.is_ready(resting) || self.clients.is_ready(resting)
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            peers: Class::default(),
            clients: Class::default(),
            peers_served: 0,
            rest_until: None,
            closed: false,
        };
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
        let mut state = self.state();
        loop {
            let resting = state.resting();
            let ready = state.peers.is_ready(resting.is_some()) || state.clients.is_ready(resting.is_some());
            if ready || state.closed {
                return state;
            }
            let unpoisoned = |guard: Result<_, PoisonError<_>>| guard.unwrap_or_else(PoisonError::into_inner);
            state = match resting.filter(|_| state.waits()) {
                Some(rest) => {
                    let waited = self.filled.wait_timeout(state, rest);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => unpoisoned(self.filled.wait(state)),
            };
        }
    }

    /// Takes what is verified next, on about `most` signatures, once something waits; nothing if the queue is closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<(Source, T)>> {
        let mut state = self.waited();
        if !state.waits() {
            return None;
        }
        let resting = !state.closed && state.resting().is_some();
        let mut batch = Batch { items: Vec::new(), cost: 0, most, sealed: false };
        while !batch.sealed && batch.cost < most && state.is_ready(resting) {
            let peers_first = state.peers_served < PEERS_PER_CLIENT || !state.clients.is_ready(resting);
            if peers_first && state.peers.is_ready(resting) {
                state.peers_served += 1;
                state.peers.serve(&mut batch, resting);
            } else {
                state.peers_served = 0;
                state.clients.serve(&mut batch, resting);
            }
        }
        Some(batch.items)
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.peers.waiting + state.clients.waiting
    }

    /// A source sent what does not verify, and it took so long to see that.
    pub(crate) fn sent_junk(&self, source: Source, took: Duration) {
        let mut state = self.state();
        state.rest_until = Some(Instant::now() + took * REST);
        state.class(source).set_apart(source);
    }

    /// A client's connection is gone: what waits of it concerns nobody.
    pub(crate) fn forget(&self, source: Source) {
        self.state().class(source).forget(source);
    }

    /// Takers get what waits, and then nothing.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests;
