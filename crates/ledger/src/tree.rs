//! The certified state: an in-memory map from keys to values with a Merkle root and cheap snapshots.
//!
//! A [`Version`] is two persistent trees over the same entries: a sparse Merkle tree by hashed key, which gives root and
//! proofs (`quorate_crypto::sparse` defines its shape), and a balanced search tree by key, which gives lookups and
//! sorted listings. A change copies the paths it touches and shares the rest, so a snapshot is a reference count (K1).
//!
//! The whole state lives in memory; what makes it durable is the change set of each block ([`crate::StateStore`]).

mod hashed;
mod ordered;

use quorate_crypto::SparsePath;
use quorate_crypto::sparse::{EMPTY, key_hash};
use quorate_types::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a block changed: each key with its new value, or `None` for removed.
pub type Changes = BTreeMap<Vec<u8>, Option<Arc<[u8]>>>;

/// A key and its value, shared by both trees and all versions that hold it.
#[derive(Debug)]
struct Entry {
    key: Vec<u8>,
    value: Arc<[u8]>,
}

/// One version of the state. Cloning it is cheap, and later versions never change it.
#[derive(Clone, Debug, Default)]
pub struct Version {
    hashed: hashed::Link,
    ordered: ordered::Link,
    len: usize,
}

impl Version {
    /// The version with these leaves. Of a key that occurs twice the last value counts.
    pub fn from_leaves(leaves: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let changes = leaves.into_iter().map(|(key, value)| (key, Some(Arc::from(value)))).collect();
        Self::default().apply(&changes)
    }

    /// The version that these changes make of this one. Every node is hashed once, however many changes are below it.
    #[must_use]
    pub fn apply(&self, changes: &Changes) -> Self {
        let mut next = self.clone();
        let mut placed = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            let entry =
                value.as_ref().map(|value| Arc::new(Entry { key: key.clone(), value: value.clone() }));
            let existed = match &entry {
                Some(entry) => ordered::insert(&mut next.ordered, entry.clone()),
                None => ordered::remove(&mut next.ordered, key),
            };
            match (existed, entry.is_some()) {
                (false, true) => next.len += 1,
                (true, false) => next.len -= 1,
                _ => {}
            }
            placed.push(hashed::Change { key_hash: key_hash(key), entry });
        }
        placed.sort_unstable_by_key(|change| change.key_hash);
        next.hashed = hashed::apply(next.hashed, 0, &placed);
        next
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<[u8]>> {
        ordered::get(&self.ordered, key).map(|entry| &entry.value)
    }

    /// The root of the sparse Merkle tree; [`EMPTY`] without any key.
    pub fn root(&self) -> Digest {
        self.hashed.as_ref().map_or(EMPTY, |node| node.hash())
    }

    /// The proof that a key has the value it has, or is absent (X5).
    pub fn prove(&self, key: &[u8]) -> SparsePath {
        hashed::prove(&self.hashed, &key_hash(key))
    }

    /// The keys not less than `from` with their values, in order. Each step is logarithmic at most.
    pub fn range<'a>(&'a self, from: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a Arc<[u8]>)> + use<'a> {
        ordered::Range::starting_at(&self.ordered, from).map(|entry| (entry.key.as_slice(), &entry.value))
    }

    /// The keys that begin with `prefix`, not less than `from`, with their values, in order.
    pub fn prefixed<'a>(
        &'a self,
        prefix: &'a [u8],
        from: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Arc<[u8]>)> + use<'a> {
        self.range(from.max(prefix)).take_while(move |(key, _)| key.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests;
