//! What the state store has not yet: the changes of each block since the last commit.

use crate::store::StateChanges;
use crate::tree::Changes;
use quorate_types::{Digest, Seq};
use std::collections::VecDeque;

/// The changes of the blocks above the durable state, oldest first, one entry for each height.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    blocks: VecDeque<BlockChanges>,
}

#[derive(Debug)]
struct BlockChanges {
    height: Seq,
    header_hash: Digest,
    changes: Changes,
}

impl Uncommitted {
    pub(crate) fn add(&mut self, height: Seq, header_hash: Digest, changes: Changes) {
        self.blocks.push_back(BlockChanges { height, header_hash, changes });
    }

    /// The changes up to and including `upto` as one set, in which of each key the last change counts.
    pub(crate) fn merged(&self, upto: Seq) -> Option<(Digest, StateChanges)> {
        let header_hash = self.blocks.iter().find(|block| block.height == upto)?.header_hash;
        let mut last = std::collections::BTreeMap::new();
        for block in self.blocks.iter().take_while(|block| block.height <= upto) {
            last.extend(&block.changes);
        }
        let changes = last.into_iter().map(|(key, value)| (key.clone(), value.clone()));
        Some((header_hash, changes.collect()))
    }

    pub(crate) fn forget(&mut self, upto: Seq) {
        while self.blocks.front().is_some_and(|block| block.height <= upto) {
            self.blocks.pop_front();
        }
    }
}
