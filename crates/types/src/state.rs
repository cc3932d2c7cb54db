//! Keys and values of the certified state: where a thing stands in the state tree, and what its leaf says.
//!
//! Whoever checks a proof of the state needs these layouts, so they are vocabulary; the ledger writes them.

use crate::bytes::{Digest, PublicKey, TransactionId};
use crate::ids::{Epoch, Number, SessionId};
use crate::layout::{LayoutError, Reader, Writer};
use crate::limits;
use crate::operation;
use crate::time::LedgerTime;
use bincode::{Decode, Encode};

/// The kind byte of an entry within the namespace of the built-in application.
pub const KV_ENTRY: u8 = 1;
/// The kind byte of a topic within the namespace of the built-in application.
pub const KV_TOPIC: u8 = 2;

/// A place in the certified state. A key begins with its namespace: the length of the application's name and the name;
/// the ledger's own namespace has the empty name, which no application can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateKey<'a> {
    /// A registered client; the leaf is its name for people.
    Client(PublicKey),
    /// An operator (G0); the leaf is its name for people.
    Operator(PublicKey),
    /// A session (C1); the leaf is a [`SessionLeaf`].
    Session(PublicKey, SessionId),
    /// How many sessions a sender has; the leaf is a `u32`, absent for none.
    SessionCount(PublicKey),
    /// When a session is next looked at for eviction; the leaf is empty.
    Review(LedgerTime, PublicKey, SessionId),
    /// The members of an epoch (G); the leaf is a [`crate::governance::MemberSet`].
    MemberSet(Epoch),
    /// A proposed change of the members (G0); the leaf is a [`crate::governance::Pending`].
    Proposal(TransactionId),
    /// A key of the built-in application; the leaf is a [`operation::StoredValue`].
    Kv(&'a [u8]),
    /// A log topic of the built-in application; the leaf is a [`TopicLeaf`].
    Topic(&'a [u8]),
}

/// One of the 2^depth subtrees of the state tree at some depth (T2). A subtree with one leaf stands for itself at every depth, so the
/// root does not tell where a lone leaf belongs: its own hashes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum StatePart {
    Empty,
    /// Exactly one leaf.
    One {
        key_hash: Digest,
        value_hash: Digest,
    },
    /// Several leaves.
    Many(Digest),
}

/// The bytes that every key of an application's namespace begins with; the ledger's own has the empty name.
///
/// # Panics
/// If the name is longer than 255 bytes; [`limits::MAX_APP_BYTES`] is less.
pub fn namespace(application: &str) -> Vec<u8> {
    let len = u8::try_from(application.len()).expect("an application's name is short");
    Writer::untagged().u8(len).fixed(application.as_bytes()).finish()
}

impl StateKey<'_> {
    /// The beginning of every client's key.
    pub const CLIENTS: [u8; 2] = [0, 1];
    /// The beginning of every operator's key.
    pub const OPERATORS: [u8; 2] = [0, 2];
    /// The beginning of every session's key.
    pub const SESSIONS: [u8; 2] = [0, 3];
    /// The beginning of every session count's key.
    pub const SESSION_COUNTS: [u8; 2] = [0, 4];
    /// The beginning of every review's key.
    pub const REVIEWS: [u8; 2] = [0, 5];

    /// The beginning of every member set's key.
    pub const MEMBER_SETS: [u8; 2] = [0, 6];
    /// The beginning of every proposal's key.
    pub const PROPOSALS: [u8; 2] = [0, 7];

    /// Whether a key is in the ledger's own namespace. It comes before all others.
    pub fn is_own(key: &[u8]) -> bool {
        key.first() == Some(&0)
    }

    /// The key's bytes, as they are hashed into the tree.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::untagged();
        match self {
            Self::Client(key) => writer.fixed(&Self::CLIENTS).fixed(&key.0),
            Self::Operator(key) => writer.fixed(&Self::OPERATORS).fixed(&key.0),
            Self::Session(sender, session) => {
                writer.fixed(&Self::SESSIONS).fixed(&sender.0).u64(session.get())
            }
            Self::SessionCount(sender) => writer.fixed(&Self::SESSION_COUNTS).fixed(&sender.0),
            Self::Review(due, sender, session) => {
                writer.fixed(&Self::REVIEWS).u64(due.0).fixed(&sender.0).u64(session.get())
            }
            Self::MemberSet(epoch) => writer.fixed(&Self::MEMBER_SETS).u64(epoch.get()),
            Self::Proposal(id) => writer.fixed(&Self::PROPOSALS).fixed(&id.0),
            Self::Kv(key) => writer.fixed(&namespace(operation::APP)).u8(KV_ENTRY).fixed(key),
            Self::Topic(topic) => writer.fixed(&namespace(operation::APP)).u8(KV_TOPIC).fixed(topic),
        };
        writer.finish()
    }

    /// Reads the key of a review.
    ///
    /// # Errors
    /// If the bytes are not exactly one such key.
    pub fn review_from_bytes(bytes: &[u8]) -> Result<(LedgerTime, PublicKey, SessionId), LayoutError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != Self::REVIEWS {
            return Err(LayoutError::Invalid("review key"));
        }
        let review = (LedgerTime(reader.u64()?), PublicKey(reader.array()?), SessionId::new(reader.u64()?));
        reader.end()?;
        Ok(review)
    }
}

/// What a session says of a number (C1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberState {
    /// Below `low`: used.
    BelowLow,
    /// In the window and used.
    Used,
    /// In the window and unused.
    Unused,
    /// At or above `low + W`: not usable yet.
    AboveWindow,
}

/// A session (C1): which numbers are used, and when one last was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionLeaf {
    /// Every number below it is used; itself it is unused.
    pub low: Number,
    /// The time of the last block that consumed a number of this session.
    pub last_activity: LedgerTime,
    /// Bit `i % 8` (lowest first) of byte `i / 8` is number `low + i`; no zero byte at the end.
    pub used: Vec<u8>,
}

impl SessionLeaf {
    /// What this session says of `number`, given the window W of the genesis.
    pub fn state_of(&self, number: Number, window: u32) -> NumberState {
        if number < self.low {
            return NumberState::BelowLow;
        }
        let offset = number.above(self.low);
        if offset >= u64::from(window) {
            return NumberState::AboveWindow;
        }
        let byte = usize::try_from(offset / 8).ok().and_then(|at| self.used.get(at)).copied().unwrap_or(0);
        if byte >> (offset % 8) & 1 == 1 { NumberState::Used } else { NumberState::Unused }
    }

    /// The bytes of a session's leaf: low ‖ last activity ‖ bitmap.
    ///
    /// # Panics
    /// If the bitmap is longer than 65,535 bytes; the largest window needs 128.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::untagged().u64(self.low.get()).u64(self.last_activity.0).short(&self.used).finish()
    }

    /// Reads a session's leaf.
    ///
    /// # Errors
    /// If the bytes are not exactly one canonical leaf.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let leaf = Self {
            low: Number::new(reader.u64()?),
            last_activity: LedgerTime(reader.u64()?),
            used: reader.short()?.to_vec(),
        };
        reader.end()?;
        let most = limits::MAX_SESSION_WINDOW.div_ceil(8) as usize;
        let first_is_used = leaf.used.first().is_some_and(|byte| byte & 1 == 1);
        if leaf.used.len() > most || leaf.used.last() == Some(&0) || first_is_used {
            return Err(LayoutError::Invalid("session bitmap"));
        }
        Ok(leaf)
    }
}

/// A log topic: how many entries it has, and the hash that runs over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicLeaf {
    pub length: u64,
    /// Zero for no entries, then the hash of [`TopicLeaf::entry_bytes`] of each entry in turn.
    pub running_hash: Digest,
}

impl TopicLeaf {
    /// The domain tag of the running hash.
    pub const TAG: &'static str = "quorate/topic/v1";
    /// A topic without entries.
    pub const EMPTY: Self = Self { length: 0, running_hash: Digest::ZERO };

    /// The bytes whose hash is the running hash after one more entry: tag ‖ hash before ‖ index ‖ hash of the entry.
    pub fn entry_bytes(&self, entry_hash: &Digest) -> Vec<u8> {
        Writer::tagged(Self::TAG).fixed(&self.running_hash.0).u64(self.length).fixed(&entry_hash.0).finish()
    }

    /// The bytes of a topic's leaf: length ‖ running hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::untagged().u64(self.length).fixed(&self.running_hash.0).finish()
    }

    /// Reads a topic's leaf.
    ///
    /// # Errors
    /// If the bytes are not exactly one leaf.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let leaf = Self { length: reader.u64()?, running_hash: Digest(reader.array()?) };
        reader.end()?;
        Ok(leaf)
    }
}

#[cfg(test)]
mod tests;
