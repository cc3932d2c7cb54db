//! The port through which the state becomes durable, and its in-memory implementation.

use quorate_types::{BlockCertificate, Digest, Header, Seq};
use std::collections::BTreeMap;

/// What changed between two durable heights: each key with its new value, or `None` for removed. Removing a key that is
/// not there is no error.
pub type StateChanges = crate::tree::Changes;

/// A state as it was made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The height of the block after which this was the state.
    pub height: Seq,
    /// The hash of that block's header.
    pub header_hash: Digest,
    /// Every key with its value, in any order.
    pub leaves: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The block after which a state is made durable.
#[derive(Clone, Copy, Debug)]
pub struct Checkpointed<'a> {
    pub height: Seq,
    /// The hash of its header.
    pub header_hash: Digest,
    /// What proves it, so that the state proves itself, whatever becomes of the blocks or wherever it is copied to.
    pub proof: Option<&'a StateProof>,
}

/// The header of the block after which a state is the state, and its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    pub header: Header,
    pub certificate: BlockCertificate,
}

/// Keeps one durable state: that of the last commit.
pub trait StateStore {
    type Error: std::error::Error + Send + Sync + 'static;

    /// The durable state; `None` if nothing was ever committed.
    ///
    /// # Errors
    /// If the store cannot be read or is damaged.
    fn load(&self) -> Result<Option<StoredState>, Self::Error>;

    /// The height of the durable state; `None` if nothing was ever committed.
    ///
    /// # Errors
    /// If the store cannot be read or is damaged.
    fn position(&self) -> Result<Option<Seq>, Self::Error>;

    /// Makes this the durable state, whatever was before, and keeps what proves it: the block after which it is the state may be
    /// stored nowhere else yet (T3). All of it or nothing; durable when it returns.
    ///
    /// # Errors
    /// As [`StateStore::commit`].
    fn replace(&mut self, state: StoredState, proof: &StateProof) -> Result<(), Self::Error>;

    /// What proves the durable state, if it came with it.
    ///
    /// # Errors
    /// If the store cannot be read or is damaged.
    fn proof(&self) -> Result<Option<StateProof>, Self::Error>;

    /// Makes the state after this block durable: the last one with these changes. All of it or nothing, even if the
    /// machine stops in the midst of it; durable when it returns.
    ///
    /// # Errors
    /// If the store cannot be written. Either state may then be durable, and the process must stop (D3).
    fn commit(&mut self, after: Checkpointed<'_>, changes: &StateChanges) -> Result<(), Self::Error>;
}

/// A durable state in memory, for tests and simulations. A clone is an image of the disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryStateStore {
    meta: Option<(Seq, Digest)>,
    proof: Option<StateProof>,
    leaves: BTreeMap<Vec<u8>, Vec<u8>>,
    interruption: Option<Interruption>,
}

/// Where a commit is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Nothing of it is durable.
    Before,
    /// All of it is durable, but nobody was told.
    After,
}

/// The commit was interrupted as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the commit was interrupted")]
pub struct Interrupted;

impl MemoryStateStore {
    /// A store that nothing was committed to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next commit fail.
    pub fn interrupt_next_commit(&mut self, interruption: Interruption) {
        self.interruption = Some(interruption);
    }

    /// The height of the durable state.
    pub fn height(&self) -> Option<Seq> {
        self.meta.map(|(height, _)| height)
    }

    /// Does this, unless it was to be interrupted before.
    fn interrupted(&mut self, work: impl FnOnce(&mut Self)) -> Result<(), Interrupted> {
        let interruption = self.interruption.take();
        if interruption != Some(Interruption::Before) {
            work(self);
        }
        interruption.map_or(Ok(()), |_| Err(Interrupted))
    }
}

impl StateStore for MemoryStateStore {
    type Error = Interrupted;

    fn load(&self) -> Result<Option<StoredState>, Interrupted> {
        Ok(self.meta.map(|(height, header_hash)| StoredState {
            height,
            header_hash,
            leaves: self.leaves.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }))
    }

    fn position(&self) -> Result<Option<Seq>, Interrupted> {
        Ok(self.height())
    }

    fn proof(&self) -> Result<Option<StateProof>, Interrupted> {
        Ok(self.proof.clone())
    }

    fn replace(&mut self, state: StoredState, proof: &StateProof) -> Result<(), Interrupted> {
        self.interrupted(|store| {
            store.proof = Some(proof.clone());
            store.meta = Some((state.height, state.header_hash));
            store.leaves = state.leaves.into_iter().collect();
        })
    }

    fn commit(&mut self, after: Checkpointed<'_>, changes: &StateChanges) -> Result<(), Interrupted> {
        self.interrupted(|store| {
            for (key, value) in changes {
                match value {
                    Some(value) => store.leaves.insert(key.clone(), value.to_vec()),
                    None => store.leaves.remove(key),
                };
            }
            store.meta = Some((after.height, after.header_hash));
            store.proof = after.proof.cloned();
        })
    }
}
