//! The executed state of the moment: what reads are answered from.

use crate::admission::AdmissionControl;
use crate::governance;
use crate::registry::is_registered;
use crate::rules::Rules;
use crate::sessions;
use crate::tree::{Changes, Leaves, Tree, prefixed};
use quorate_crypto::{SparsePath, header_hash};
use quorate_types::operation::StoredValue;
use quorate_types::{
    Digest, Epoch, Header, LedgerTime, MemberSet, Pending, PublicKey, Seq, SessionId, SessionLeaf, StateKey,
    TopicLeaf, TransactionId, limits,
};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The state after the last executed block. Execution changes it in place.
#[derive(Debug)]
pub struct State {
    pub(crate) rules: Arc<Rules>,
    height: Seq,
    time: LedgerTime,
    header_hash: Digest,
    tree: Tree,
}

/// The state, to be read by many while one machine executes. A machine changes it for the moment in which it takes over a
/// block's changes.
#[derive(Clone, Debug)]
pub struct SharedState(Arc<RwLock<State>>);

impl SharedState {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(RwLock::new(state)))
    }

    /// The state, which stays as it is as long as this is held: not for long, since execution waits for it.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn new(
        rules: Arc<Rules>,
        height: Seq,
        time: LedgerTime,
        header_hash: Digest,
        tree: Tree,
    ) -> Self {
        Self { rules, height, time, header_hash, tree }
    }

    /// Makes the changes of the next block, whose header follows from the new root. Returns the header with its hash.
    pub(crate) fn advance(
        &mut self,
        changes: &Changes,
        header: impl FnOnce(Digest, &Leaves) -> Header,
    ) -> (Header, Digest) {
        self.tree.apply(changes);
        let header = header(self.tree.root(), self.tree.leaves());
        (self.height, self.time, self.header_hash) = (header.height, header.time, header_hash(&header));
        (header, self.header_hash)
    }

    /// See [`crate::Machine::corrupt`].
    pub(crate) fn corrupt(&mut self, key: &[u8]) -> bool {
        let Some(mut stored) = self.kv_get(key) else { return false };
        let Some(last) = stored.value.last_mut() else { return false };
        *last ^= 1;
        let leaf: Arc<[u8]> = stored.to_bytes().into();
        self.tree.apply(&Changes::from([(StateKey::Kv(key).to_bytes(), Some(leaf))]));
        true
    }

    /// What gateways ask, as of now.
    pub fn admission_control(&self) -> AdmissionControl {
        AdmissionControl::of(self)
    }

    /// The height of the block that made this state.
    pub fn height(&self) -> Seq {
        self.height
    }

    /// The time of that block.
    pub fn time(&self) -> LedgerTime {
        self.time
    }

    /// The hash of that block's header, which certifies the state.
    pub fn header_hash(&self) -> Digest {
        self.header_hash
    }

    /// The state root.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The state tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// All keys with their values.
    pub(crate) fn leaves(&self) -> &Leaves {
        self.tree.leaves()
    }

    /// The members of an epoch, if it has begun or its beginning is known (G1).
    pub fn member_set(&self, epoch: Epoch) -> Option<MemberSet> {
        governance::member_set(self.leaves(), epoch)
    }

    /// The changes of the members that were proposed and are not decided, those that lapsed among them (G0).
    pub fn proposals(&self) -> impl Iterator<Item = (TransactionId, Pending)> {
        governance::proposals(self.leaves())
    }

    /// The session, unless it was never opened or is evicted.
    pub fn session(&self, sender: PublicKey, session: SessionId) -> Option<SessionLeaf> {
        sessions::session(self.leaves(), sender, session)
    }

    /// How many sessions a sender has.
    pub fn session_count(&self, sender: PublicKey) -> u32 {
        sessions::session_count(self.leaves(), sender)
    }

    /// Whether a key may send transactions.
    pub fn is_registered(&self, sender: &PublicKey) -> bool {
        is_registered(self.leaves(), self.rules.registry, sender)
    }

    /// The registered clients after `after`, at most `limit` and [`limits::MAX_LIST_ENTRIES`], by key, with their names.
    pub fn clients(&self, after: Option<&PublicKey>, limit: usize) -> Vec<(PublicKey, String)> {
        let after = after.map(|key| StateKey::Client(*key).to_bytes());
        self.list(&StateKey::CLIENTS, after.as_deref(), limit)
            .filter_map(|(key, name)| {
                Some((PublicKey(key.try_into().ok()?), String::from_utf8_lossy(name).into_owned()))
            })
            .collect()
    }

    /// The value of a key of the built-in application.
    pub fn kv_get(&self, key: &[u8]) -> Option<StoredValue> {
        self.get(&StateKey::Kv(key)).and_then(|leaf| StoredValue::from_bytes(leaf).ok())
    }

    /// The keys of the built-in application that begin with `prefix` and come after `after`, with their values, in order,
    /// at most `limit` and [`limits::MAX_LIST_ENTRIES`].
    pub fn kv_list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, StoredValue)> {
        let begin = StateKey::Kv(prefix).to_bytes();
        let after = after.map(|key| StateKey::Kv(key).to_bytes());
        self.list(&begin, after.as_deref(), limit)
            .filter_map(|(rest, leaf)| Some(([prefix, rest].concat(), StoredValue::from_bytes(leaf).ok()?)))
            .collect()
    }

    /// A log topic; `None` if nothing was ever appended to it.
    pub fn topic(&self, topic: &[u8]) -> Option<TopicLeaf> {
        self.get(&StateKey::Topic(topic)).and_then(|leaf| TopicLeaf::from_bytes(leaf).ok())
    }

    /// The topics that begin with `prefix` and come after `after`, in order, at most `limit` and
    /// [`limits::MAX_LIST_ENTRIES`].
    pub fn topics(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, TopicLeaf)> {
        let begin = StateKey::Topic(prefix).to_bytes();
        let after = after.map(|topic| StateKey::Topic(topic).to_bytes());
        self.list(&begin, after.as_deref(), limit)
            .filter_map(|(rest, leaf)| Some(([prefix, rest].concat(), TopicLeaf::from_bytes(leaf).ok()?)))
            .collect()
    }

    /// The leaf at a place of the state, as it stands under the root.
    pub fn get(&self, key: &StateKey<'_>) -> Option<&[u8]> {
        self.tree.get(&key.to_bytes()).map(AsRef::as_ref)
    }

    /// The proof, under [`State::root`], of the leaf at a place of the state or of its absence (X5). It is checked with
    /// [`SparsePath::verify`], the bytes of the place and those of [`State::get`].
    pub fn prove(&self, key: &StateKey<'_>) -> SparsePath {
        self.tree.prove(&key.to_bytes())
    }

    /// Leaves whose key begins with `begin` and is greater than `after`; of each key what follows `begin`.
    fn list<'a>(
        &'a self,
        begin: &'a [u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        // The least key greater than another is that one and a zero byte.
        let from = after.map(|key| [key, &[0]].concat()).unwrap_or_default();
        prefixed(self.leaves(), begin, &from)
            .map(|(key, leaf)| (&key[begin.len()..], leaf.as_ref()))
            .take(limit.min(limits::MAX_LIST_ENTRIES))
    }
}

#[cfg(test)]
mod tests;
