//! The replicated state: every key with its value, in order, beside the tree that certifies them.
//!
//! It lives in memory; storage keeps the changes of each checkpoint and gives the leaves back at a start.

use crate::tree::Tree;
use quorate_crypto::{SparsePath, sha256, sparse};
use quorate_types::{Digest, PublicKey, SessionId};
use rpds::RedBlackTreeMapSync;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes of a block: `None` removes a key.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One version of the state. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct State {
    values: RedBlackTreeMapSync<Vec<u8>, Arc<[u8]>>,
    tree: Tree,
}

impl State {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(|value| &**value)
    }

    /// Applies the changes of a block.
    pub fn apply(&mut self, changes: &Changes) {
        for (key, value) in changes {
            let key_hash = sparse::key_hash(key);
            self.tree = self.tree.set(&key_hash, value.as_deref().map(sha256));
            match value {
                Some(value) => self.values.insert_mut(key.clone(), Arc::from(&value[..])),
                None => {
                    self.values.remove_mut(key);
                }
            }
        }
    }

    /// The root that headers carry.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The proof of a key's value or absence.
    pub fn prove(&self, key: &[u8]) -> SparsePath {
        self.tree.prove(&sparse::key_hash(key))
    }

    /// Keys with this prefix after `after` (exclusive), in order, with their values.
    pub fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let start = match after {
            Some(after) => std::ops::Bound::Excluded(after.to_vec()),
            None => std::ops::Bound::Included(prefix.to_vec()),
        };
        self.values
            .range((start, std::ops::Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (&key[..], &**value))
    }

    /// Every key with its value, in order.
    pub fn leaves(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values.iter().map(|(key, value)| (&key[..], &**value))
    }
}

/// The keys of the state (docs/formats.md).
pub mod keys {
    use super::{PublicKey, SessionId};

    /// A registered client: `r` ‖ key.
    pub fn client(key: &PublicKey) -> Vec<u8> {
        [b"r", &key.0[..]].concat()
    }

    /// The sessions of one sender: `s` ‖ sender.
    pub fn sessions(sender: &PublicKey) -> Vec<u8> {
        [b"s", &sender.0[..]].concat()
    }

    /// One session: `s` ‖ sender ‖ session.
    pub fn session(sender: &PublicKey, session: SessionId) -> Vec<u8> {
        [b"s", &sender.0[..], &session.get().to_be_bytes()].concat()
    }

    /// The namespace of an application: `a` ‖ length ‖ name.
    ///
    /// # Panics
    /// If the name is longer than 255 bytes; applications are named by the program, not by peers.
    pub fn namespace(app: &str) -> Vec<u8> {
        let length = u8::try_from(app.len()).expect("an application's name is short");
        [b"a", &[length][..], app.as_bytes()].concat()
    }

    /// A key of the key-value store: namespace of `kv` ‖ `k` ‖ key.
    pub fn kv(key: &[u8]) -> Vec<u8> {
        [&namespace(quorate_types::operation::APP)[..], b"k", key].concat()
    }

    /// A log topic: namespace of `kv` ‖ `t` ‖ topic.
    pub fn topic(topic: &[u8]) -> Vec<u8> {
        [&namespace(quorate_types::operation::APP)[..], b"t", topic].concat()
    }
}
