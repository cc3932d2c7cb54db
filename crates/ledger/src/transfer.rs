//! A certified state on its way from replicas that have it to one that has not (T2): cut into parts, each checked by itself against the
//! root in a certified header, and put together again.

use crate::store::StoredState;
use quorate_crypto::header_hash;
use quorate_crypto::sparse::key_hash;
use quorate_crypto::sparse::parts::{MOST_DEPTH, hash_of, part_of_key, part_with, root_of};
use quorate_types::mutants::mutant;
use quorate_types::{Digest, Header, Seq, StatePart, limits};
use std::collections::BTreeMap;

/// Keys with their values.
pub type PartLeaves = Vec<(Vec<u8>, Vec<u8>)>;

/// A stored state, cut. It is a copy of the state in memory, for as long as somebody fetches it.
#[derive(Debug)]
pub struct PartedState {
    height: Seq,
    header_hash: Digest,
    leaves: Vec<PartLeaves>,
    parts: Vec<StatePart>,
}

impl PartedState {
    pub fn new(stored: StoredState) -> Self {
        let bytes: usize = stored.leaves.iter().map(|(key, value)| key.len() + value.len()).sum();
        Self::cut(stored, depth_for(bytes))
    }

    fn cut(stored: StoredState, depth: usize) -> Self {
        let StoredState { height, header_hash, leaves } = stored;
        let leaves = by_part(depth, leaves);
        let parts = leaves.iter().enumerate().map(|(index, leaves)| {
            part_with(depth, index, borrowed(leaves))
                .expect("each leaf is in its part, and a state has no key twice")
        });
        let parts = parts.collect();
        Self { height, header_hash, leaves, parts }
    }

    /// The height of the block after which this was the state.
    pub fn height(&self) -> Seq {
        self.height
    }

    /// The hash of that block's header.
    pub fn header_hash(&self) -> Digest {
        self.header_hash
    }

    /// All parts, 2^depth of them.
    pub fn parts(&self) -> &[StatePart] {
        &self.parts
    }

    /// The keys and values of one part.
    pub fn leaves_of(&self, index: usize) -> Option<&PartLeaves> {
        self.leaves.get(index)
    }
}

/// The least depth whose parts are small enough on average.
fn depth_for(bytes: usize) -> usize {
    (0..MOST_DEPTH).find(|depth| bytes >> depth <= limits::STATE_PART_BYTES).unwrap_or(MOST_DEPTH)
}

fn borrowed(leaves: &PartLeaves) -> impl Iterator<Item = (&[u8], &[u8])> {
    leaves.iter().map(|(key, value)| (&key[..], &value[..]))
}

fn by_part(depth: usize, leaves: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<PartLeaves> {
    let mut parts = vec![PartLeaves::new(); 1 << depth];
    for (key, value) in leaves {
        let index = part_of_key(&key_hash(&key), depth);
        parts[index].push((key, value));
    }
    parts
}

/// Why something about a state is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Whoever sent these parts lied: the header is certified.
    #[error("the parts have another root than the header")]
    OtherRoot,
    #[error("there is no part {0}")]
    NoSuchPart(usize),
    /// Whoever sent these leaves lied: the parts have the header's root.
    #[error("part {0} does not consist of these leaves")]
    OtherPart(usize),
}

/// A state that is being put together.
#[derive(Clone, Debug)]
pub struct Assembly {
    height: Seq,
    header_hash: Digest,
    parts: Vec<StatePart>,
    held: BTreeMap<usize, PartLeaves>,
}

impl Assembly {
    /// The state after the block with this header, of which a certificate was checked, in these parts.
    ///
    /// # Errors
    /// If the parts are not those of the header's state.
    pub fn new(header: &Header, parts: Vec<StatePart>) -> Result<Self, TransferError> {
        if root_of(&parts) != Some(header.state_root) {
            return Err(TransferError::OtherRoot);
        }
        Ok(Self { height: header.height, header_hash: header_hash(header), parts, held: BTreeMap::new() })
    }

    pub fn height(&self) -> Seq {
        self.height
    }

    fn depth(&self) -> usize {
        self.parts.len().trailing_zeros() as usize
    }

    /// Parts that must still be fetched, in order.
    pub fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        let wanted = |(index, part): &(usize, &StatePart)| {
            **part != StatePart::Empty && !self.held.contains_key(index)
        };
        self.parts.iter().enumerate().filter(wanted).map(|(index, _)| index)
    }

    /// Parts that are held, and all that hold anything: how far it is.
    pub fn progress(&self) -> (usize, usize) {
        (self.held.len(), self.parts.iter().filter(|part| **part != StatePart::Empty).count())
    }

    /// Takes the leaves of one part. Taking one again changes nothing.
    ///
    /// # Errors
    /// If they are not that part.
    pub fn accept(&mut self, index: usize, leaves: PartLeaves) -> Result<(), TransferError> {
        let expected = self.parts.get(index).ok_or(TransferError::NoSuchPart(index))?;
        let found = part_with(self.depth(), index, borrowed(&leaves));
        // Only the hash counts: a leaf that was called a subtree is a leaf all the same.
        if found.as_ref().map(hash_of) != Some(hash_of(expected)) && !mutant("m34") {
            return Err(TransferError::OtherPart(index));
        }
        if !leaves.is_empty() {
            self.held.insert(index, leaves);
        }
        Ok(())
    }

    /// The state after a later block instead. What is held and did not change meanwhile is kept.
    ///
    /// # Errors
    /// As [`Assembly::new`]; the assembly is then as it was.
    pub fn retarget(&mut self, header: &Header, parts: Vec<StatePart>) -> Result<(), TransferError> {
        let mut next = Self::new(header, parts)?;
        next.accept_all(std::mem::take(&mut self.held).into_values());
        *self = next;
        Ok(())
    }

    /// Takes what fits of parts of another state, or of this one from before a restart.
    pub fn accept_all(&mut self, held: impl IntoIterator<Item = PartLeaves>) {
        for (index, leaves) in by_part(self.depth(), held.into_iter().flatten()).into_iter().enumerate() {
            // What does not fit has changed, or is not there in full.
            let _ = self.accept(index, leaves);
        }
    }

    /// The parts that are held.
    pub fn held(&self) -> impl Iterator<Item = (usize, &PartLeaves)> {
        self.held.iter().map(|(index, leaves)| (*index, leaves))
    }

    /// All parts, as [`Assembly::new`] was given them.
    pub fn parts(&self) -> &[StatePart] {
        &self.parts
    }

    /// The mistake m34: whether everything together is the state is looked at when all is there.
    fn is_whole(&self) -> bool {
        let hash = |(index, leaves): (&usize, &PartLeaves)| {
            part_with(self.depth(), *index, borrowed(leaves)).as_ref().map(hash_of)
        };
        self.held.iter().all(|held| hash(held) == self.parts.get(*held.0).map(hash_of))
    }

    /// The whole state, if nothing is missing.
    ///
    /// # Errors
    /// The assembly, if something is.
    pub fn finish(self) -> Result<StoredState, Self> {
        if self.missing().next().is_some() {
            return Err(self);
        }
        if mutant("m34") && !self.is_whole() {
            return Err(Self { held: BTreeMap::new(), ..self });
        }
        let leaves = self.held.into_values().flatten().collect();
        Ok(StoredState { height: self.height, header_hash: self.header_hash, leaves })
    }
}

#[cfg(test)]
mod tests;
