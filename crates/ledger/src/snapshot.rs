//! A moment of the executed state: what gateways ask before they admit a transaction, and what reads are answered from.

use crate::registry::is_registered;
use crate::rules::Rules;
use crate::sessions;
use crate::tree::Version;
use quorate_crypto::SparsePath;
use quorate_types::operation::StoredValue;
use quorate_types::{
    Digest, ErrorCode, LedgerTime, PublicKey, Seq, SessionId, SessionLeaf, StateKey, TopicLeaf, Transaction,
    VoidReason, Wall, limits,
};
use std::sync::Arc;

/// The state after one block. Cloning it is cheap; holding it keeps its version of the state in memory.
#[derive(Clone, Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rules: Arc<Rules>,
    height: Seq,
    time: LedgerTime,
    header_hash: Digest,
    version: Version,
}

/// What a gateway may expect of a transaction, by its own executed state and clock. Advice: only a block decides (C1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nothing speaks against it.
    Ok,
    /// The session's window has the number as used.
    AlreadyUsed,
    /// The number is below the session's window: used.
    BelowLow,
    AboveWindow,
    TooManySessions,
    Unregistered,
    Expired,
    ValidTooLong,
}

impl Admission {
    /// The error that a refusal is answered with; `None` if it is admitted.
    pub const fn error_code(self) -> Option<ErrorCode> {
        match self {
            Self::Ok => None,
            Self::AlreadyUsed | Self::BelowLow => Some(ErrorCode::NumberUsed),
            Self::AboveWindow => Some(ErrorCode::NumberOutsideWindow),
            Self::TooManySessions => Some(ErrorCode::TooManySessions),
            Self::Unregistered => Some(ErrorCode::Unregistered),
            Self::Expired => Some(ErrorCode::Expired),
            Self::ValidTooLong => Some(ErrorCode::ValidTooLong),
        }
    }
}

impl From<Result<(), VoidReason>> for Admission {
    fn from(result: Result<(), VoidReason>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(VoidReason::Unregistered) => Self::Unregistered,
            Err(VoidReason::Expired) => Self::Expired,
            Err(VoidReason::ValidTooLong) => Self::ValidTooLong,
            Err(VoidReason::NumberBelowWindow) => Self::BelowLow,
            Err(VoidReason::NumberAboveWindow) => Self::AboveWindow,
            Err(VoidReason::NumberUsed) => Self::AlreadyUsed,
            Err(VoidReason::TooManySessions) => Self::TooManySessions,
        }
    }
}

impl Snapshot {
    pub(crate) fn new(
        rules: Arc<Rules>,
        height: Seq,
        time: LedgerTime,
        header_hash: Digest,
        version: Version,
    ) -> Self {
        Self { inner: Arc::new(Inner { rules, height, time, header_hash, version }) }
    }

    /// The height of the block that made this state.
    pub fn height(&self) -> Seq {
        self.inner.height
    }

    /// The time of that block.
    pub fn time(&self) -> LedgerTime {
        self.inner.time
    }

    /// The hash of that block's header, which certifies the state.
    pub fn header_hash(&self) -> Digest {
        self.inner.header_hash
    }

    /// The state root.
    pub fn root(&self) -> Digest {
        self.inner.version.root()
    }

    /// The version of the state tree.
    pub fn version(&self) -> &Version {
        &self.inner.version
    }

    /// What would become of this transaction in a block that is made now: in ledger time or by this wall clock, whichever
    /// is later, since an idle ledger's time stands still.
    pub fn session_check(&self, transaction: &Transaction, now: Wall) -> Admission {
        let time = self.time().max(LedgerTime(now.0));
        self.check_at(transaction, time).into()
    }

    fn check_at(&self, transaction: &Transaction, time: LedgerTime) -> Result<(), VoidReason> {
        let (version, rules) = (&self.inner.version, &self.inner.rules);
        if !is_registered(version, rules.registry, &transaction.sender) {
            return Err(VoidReason::Unregistered);
        }
        sessions::check_validity(transaction, time, &rules.parameters)?;
        let session = self.session(transaction.sender, transaction.session);
        sessions::check_number(session.as_ref(), transaction.number, &rules.parameters)?;
        let count = sessions::session_count(version, transaction.sender);
        // The next block may evict sessions before it opens this one; on an idle ledger only a new transaction makes it.
        if session.is_none()
            && count >= rules.parameters.sessions_per_client
            && !sessions::review_is_due(version, time)
        {
            return Err(VoidReason::TooManySessions);
        }
        Ok(())
    }

    /// The session, unless it was never opened or is evicted.
    pub fn session(&self, sender: PublicKey, session: SessionId) -> Option<SessionLeaf> {
        sessions::session(&self.inner.version, sender, session)
    }

    /// How many sessions a sender has.
    pub fn session_count(&self, sender: PublicKey) -> u32 {
        sessions::session_count(&self.inner.version, sender)
    }

    /// Whether a key may send transactions.
    pub fn is_registered(&self, sender: &PublicKey) -> bool {
        is_registered(&self.inner.version, self.inner.rules.registry, sender)
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
        self.inner.version.get(&key.to_bytes()).map(AsRef::as_ref)
    }

    /// The proof, under [`Snapshot::root`], of the leaf at a place of the state or of its absence (X5). It is checked with
    /// [`SparsePath::verify`], the bytes of the place and those of [`Snapshot::get`].
    pub fn prove(&self, key: &StateKey<'_>) -> SparsePath {
        self.inner.version.prove(&key.to_bytes())
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
        self.inner
            .version
            .prefixed(begin, &from)
            .map(|(key, leaf)| (&key[begin.len()..], leaf.as_ref()))
            .take(limit.min(limits::MAX_LIST_ENTRIES))
    }
}

#[cfg(test)]
mod tests;
