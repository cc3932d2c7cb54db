//! What an application sees of the state: its own keys, under the writes of the block and of the transaction so far.

use crate::tree::{Changes, Leaves};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A state with the changes that a block has made of it so far.
#[derive(Debug)]
pub(crate) struct BlockState<'a> {
    leaves: &'a Leaves,
    changes: Changes,
}

impl<'a> BlockState<'a> {
    pub(crate) fn new(leaves: &'a Leaves) -> Self {
        Self { leaves, changes: Changes::new() }
    }

    /// The state before the block.
    pub(crate) fn leaves(&self) -> &'a Leaves {
        self.leaves
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        match self.changes.get(key) {
            Some(changed) => changed.clone(),
            None => self.leaves.get(key).cloned(),
        }
    }

    /// What begins with `prefix`, in order.
    pub(crate) fn prefixed(&self, prefix: &[u8]) -> Changes {
        let before = crate::tree::prefixed(self.leaves, prefix, &[]);
        let mut found: Changes = before.map(|(key, value)| (key.to_vec(), Some(value.clone()))).collect();
        let changed = self.changes.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        found.extend(changed.map(|(key, value)| (key.clone(), value.clone())));
        found.retain(|_, value| value.is_some());
        found
    }

    pub(crate) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.changes.insert(key, value.map(Arc::from));
    }

    pub(crate) fn merge(&mut self, changes: Changes) {
        self.changes.extend(changes);
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }
}

/// The keys of one application. Its writes are seen by itself at once, and by the state only if it commits.
#[derive(Debug)]
pub struct Namespace<'a> {
    block: &'a BlockState<'a>,
    prefix: Vec<u8>,
    changes: Changes,
}

impl<'a> Namespace<'a> {
    pub(crate) fn new(block: &'a BlockState<'a>, application: &str) -> Self {
        Self { block, prefix: quorate_types::state::namespace(application), changes: Changes::new() }
    }

    fn full_key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    fn get_full(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        match self.changes.get(key) {
            Some(changed) => changed.clone(),
            None => self.block.get(key),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.get_full(&self.full_key(key))
    }

    /// Sets a key.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.changes.insert(self.full_key(key), Some(Arc::from(value)));
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: &[u8]) {
        self.changes.insert(self.full_key(key), None);
    }

    /// The first key not less than `from`, with its value. Its work grows with the logarithm of the state and with the
    /// number of keys that this block removed from there on.
    pub fn next(&self, from: &[u8]) -> Option<(Vec<u8>, Arc<[u8]>)> {
        let mut from = self.full_key(from);
        loop {
            let candidates = [
                first_from(self.block.leaves, &from),
                first_from(&self.block.changes, &from),
                first_from(&self.changes, &from),
            ];
            let key = candidates.into_iter().flatten().min()?;
            let own = key.strip_prefix(self.prefix.as_slice())?;
            if let Some(value) = self.get_full(key) {
                return Some((own.to_vec(), value));
            }
            // It is removed; the least key after it is itself and a zero byte.
            from = [key, &[0]].concat();
        }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }
}

fn first_from<'a, T>(map: &'a BTreeMap<Vec<u8>, T>, from: &[u8]) -> Option<&'a [u8]> {
    let range = (Bound::Included(from), Bound::Unbounded);
    map.range::<[u8], _>(range).next().map(|(key, _)| key.as_slice())
}

#[cfg(test)]
mod tests;
