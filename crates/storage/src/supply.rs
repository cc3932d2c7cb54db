//! Gives peers the state of a checkpoint, part by part (T2). The node and the simulator call the same.

use crate::blocks::BlockStore;
use crate::disk::Disk;
use quorate_crypto::header_hash;
use quorate_ledger::{PartedState, StateStore};
use quorate_types::{BlockCertificate, Fetch, Header, Message, Seq, StateLeaves, StateParts};
use std::collections::VecDeque;
use std::io;

/// States that are kept cut: one that peers fetch must not go away under their hands as soon as the next checkpoint is there.
const KEPT: usize = 2;

fn position<S: StateStore>(store: &S) -> Result<Option<Seq>, SupplyError> {
    store.position().map_err(|error| SupplyError::State(error.to_string()))
}

/// States that peers fetch. Each is a copy in memory, made when one asks for its parts.
#[derive(Debug, Default)]
pub struct StateSupply {
    /// The newest last.
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    state: PartedState,
    header: Header,
    certificate: BlockCertificate,
}

/// Why a stored state cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    #[error("{0}")]
    Blocks(#[from] io::Error),
    #[error("{0}")]
    State(String),
}

impl StateSupply {
    /// What answers this FETCH, if anything does: a state above the one that the peer names, of a block with a certificate of its own; or
    /// the leaves of one part of a state that is stored, or whose parts were given before.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn answer<D: Disk, S: StateStore>(
        &mut self,
        fetch: &Fetch,
        blocks: &BlockStore<D>,
        store: &S,
    ) -> Result<Option<Message>, SupplyError> {
        match fetch {
            Fetch::StateParts { above } => {
                self.load(blocks, store)?;
                let newest = self.kept.back().filter(|kept| kept.state.height() > *above);
                Ok(newest.map(Kept::parts))
            }
            Fetch::StateLeaves { height, index } => {
                // Another gave the parts; all members store the states of the same checkpoints.
                if !self.heights().any(|kept| kept == *height) && position(store)? == Some(*height) {
                    self.load(blocks, store)?;
                }
                let kept = self.kept.iter().find(|kept| kept.state.height() == *height);
                Ok(kept.and_then(|kept| kept.leaves(*index)))
            }
            Fetch::Body { .. } | Fetch::ViewChange { .. } | Fetch::Blocks { .. } => Ok(None),
        }
    }

    /// Cuts the stored state, unless it is already.
    fn load<D: Disk, S: StateStore>(&mut self, blocks: &BlockStore<D>, store: &S) -> Result<(), SupplyError> {
        let newest = self.kept.back().map(|kept| kept.state.height());
        let Some(height) = position(store)?.filter(|height| newest < Some(*height)) else { return Ok(()) };
        let Some(header) = blocks.header(height)? else { return Ok(()) };
        // That of the checkpoint proves more than one of the block: q members have the state.
        let proof = store.proof().map_err(|error| SupplyError::State(error.to_string()))?;
        let known =
            proof.filter(|proof| proof.header == header && proof.certificate.header == header_hash(&header));
        let known = known.map(|proof| proof.certificate);
        let certificate = known.map_or_else(|| blocks.certificate(height), |known| Ok(Some(known)))?;
        let Some(certificate) = certificate else { return Ok(()) };
        let stored = store.load().map_err(|error| SupplyError::State(error.to_string()))?;
        // It may have been made durable meanwhile that there is a later one.
        let Some(stored) = stored.filter(|stored| stored.height == height) else { return Ok(()) };
        self.kept.push_back(Kept { state: PartedState::new(stored), header, certificate });
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        Ok(())
    }

    /// Nobody has asked for long: the copies go.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// Heights of the states that are kept cut.
    pub fn heights(&self) -> impl Iterator<Item = Seq> + '_ {
        self.kept.iter().map(|kept| kept.state.height())
    }
}

impl Kept {
    fn parts(&self) -> Message {
        Message::StateParts(Box::new(StateParts {
            header: self.header.clone(),
            certificate: self.certificate.clone(),
            parts: self.state.parts().to_vec(),
        }))
    }

    fn leaves(&self, index: u32) -> Option<Message> {
        let leaves = self.state.leaves_of(usize::try_from(index).ok()?)?.clone();
        Some(Message::StateLeaves(Box::new(StateLeaves { height: self.state.height(), index, leaves })))
    }
}

#[cfg(test)]
mod tests;
