//! The state machine of the ledger: one batch in, one block out.

use crate::admission::own_changes;
use crate::application::Application;
use crate::block::{ExecutedBlock, SealedBlock, transaction_leaf};
use crate::commit::Uncommitted;
use crate::execution::{BlockExecution, Outcome};
use crate::governance::{self, Epochs};
use crate::namespace::{BlockState, Namespace};
use crate::registry::genesis_leaves;
use crate::rules::Rules;
use crate::state::{SharedState, State};
use crate::store::{Checkpointed, StateChanges, StateProof, StateStore, StoredState};
use crate::tree::{Changes, Tree};
use quorate_crypto::{HashedBatch, MerkleTree, header_hash, null_batch_digest};
use quorate_types::genesis::GenesisError;
use quorate_types::{
    Digest, Epoch, Genesis, Header, LedgerTime, Members, Outlook, QuorumError, Seq, StateKey,
};
use std::sync::{Arc, RwLockReadGuard};

/// Why a ledger cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("the genesis cannot be used: {0}")]
    Genesis(#[from] GenesisError),
    #[error("the genesis cannot be used: {0}")]
    Members(#[from] QuorumError),
    /// The genesis names an application that this program has not, or has twice.
    #[error("the genesis asks for application {0:?}, and this program has not exactly one of that name")]
    Application(String),
    /// The stored state and the header of its last block do not belong together.
    #[error("the stored state at height {height} does not match the header of block {height}")]
    StateMismatch { height: Seq },
}

/// Executes batches in order and keeps the state that they make.
///
/// Deterministic: the same genesis, application and batches give the same blocks, byte for byte. Total: no batch whose
/// signatures and static limits hold makes it fail.
pub struct Machine {
    rules: Arc<Rules>,
    application: Arc<dyn Application>,
    state: SharedState,
    /// Who owns the next block, and until when.
    epochs: Epochs,
    outlook: Outlook,
    uncommitted: Uncommitted,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("height", &self.height()).finish_non_exhaustive()
    }
}

/// The applications that come with the ledger.
pub fn built_in_applications() -> Vec<Arc<dyn Application>> {
    vec![Arc::new(crate::kv::Kv)]
}

fn choose(
    genesis: &Genesis,
    applications: Vec<Arc<dyn Application>>,
) -> Result<Arc<dyn Application>, LedgerError> {
    let mut named = applications.into_iter().filter(|application| application.name() == genesis.app);
    match (named.next(), named.next()) {
        (Some(application), None) => Ok(application),
        _ => Err(LedgerError::Application(genesis.app.clone())),
    }
}

impl Machine {
    /// The machine after block 0. It executes the one of `applications` that the genesis names.
    ///
    /// # Errors
    /// If the genesis cannot be used, or its application is not there.
    pub fn genesis(genesis: &Genesis, applications: Vec<Arc<dyn Application>>) -> Result<Self, LedgerError> {
        let rules = Arc::new(Rules::new(genesis)?);
        let application = choose(genesis, applications)?;
        let leaves = genesis_leaves(genesis);
        let mut tree = Tree::default();
        tree.apply(&leaves);
        let hash = header_hash(&rules.genesis_header(genesis.created, tree.root()));
        let mut uncommitted = Uncommitted::default();
        uncommitted.add(Seq::ZERO, hash, leaves);
        let state = State::new(rules.clone(), Seq::ZERO, genesis.created, hash, tree);
        Ok(Self::at(rules, application, state, uncommitted))
    }

    /// The machine after the block that a durable state belongs to; `header` is that block's.
    ///
    /// # Errors
    /// As [`Machine::genesis`], and if state and header do not belong together, or belong to another ledger.
    pub fn restore(
        genesis: &Genesis,
        applications: Vec<Arc<dyn Application>>,
        stored: StoredState,
        header: &Header,
    ) -> Result<Self, LedgerError> {
        let rules = Arc::new(Rules::new(genesis)?);
        let application = choose(genesis, applications)?;
        let state = stored_state(&rules, stored, header)?;
        Ok(Self::at(rules, application, state, Uncommitted::default()))
    }

    /// Goes on from a durable state that was not executed here, after the block of `header` (T3). Whoever holds the shared state sees
    /// it from then on.
    ///
    /// # Errors
    /// If state and header do not belong together, or belong to another ledger. The machine is then as it was.
    pub fn install(&mut self, stored: StoredState, header: &Header) -> Result<(), LedgerError> {
        let state = stored_state(&self.rules, stored, header)?;
        self.epochs = Epochs::after(&self.rules, state.leaves(), state.height());
        self.outlook = outlook(&*self.application, &self.epochs, &state);
        self.uncommitted = Uncommitted::default();
        *self.state.write() = state;
        Ok(())
    }

    fn at(
        rules: Arc<Rules>,
        application: Arc<dyn Application>,
        state: State,
        uncommitted: Uncommitted,
    ) -> Self {
        let epochs = Epochs::after(&rules, state.leaves(), state.height());
        let outlook = outlook(&*application, &epochs, &state);
        Self { rules, application, state: SharedState::new(state), epochs, outlook, uncommitted }
    }

    /// The height of the last executed block.
    pub fn height(&self) -> Seq {
        self.state.read().height()
    }

    /// The state after the last executed block.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// The same, for others to read while this machine executes.
    pub fn shared_state(&self) -> SharedState {
        self.state.clone()
    }

    /// What that state asks of the blocks to come.
    pub fn outlook(&self) -> Outlook {
        self.outlook
    }

    /// The members of an epoch, if it has begun or its beginning is known.
    pub fn members(&self, epoch: Epoch) -> Option<Members> {
        self.state.read().member_set(epoch)?.members(self.rules.ledger, epoch).ok()
    }

    /// The epoch that owns the next block.
    pub fn epoch(&self) -> Epoch {
        self.epochs.members.epoch()
    }

    /// Executes the next batch (N9); `None` is the null batch (M5).
    ///
    /// # Panics
    /// If `seq` is not the next height: the caller delivers in order, exactly once.
    pub fn execute(&mut self, seq: Seq, batch: Option<Arc<HashedBatch>>) -> Arc<ExecutedBlock> {
        let state = self.state.read();
        assert_eq!(seq, state.height().next(), "blocks are executed in order, exactly once");
        // N11: ledger time never falls; the null batch has no time of its own.
        let time = batch.as_ref().map_or(state.time(), |batch| state.time().max(batch.batch().time));
        let place = (self.epoch(), seq, time);
        let mut execution = BlockExecution::new(&self.rules, &*self.application, state.leaves(), place);
        for (id, signed) in batch.iter().flat_map(|batch| batch.transactions()) {
            execution.transaction(id, signed);
        }
        let outcome = execution.finish();
        drop(state);
        self.seal(seq, time, batch, outcome)
    }

    fn seal(
        &mut self,
        seq: Seq,
        time: LedgerTime,
        batch: Option<Arc<HashedBatch>>,
        outcome: Outcome,
    ) -> Arc<ExecutedBlock> {
        let Outcome { results, consumed, changes } = outcome;
        let transactions = || batch.iter().flat_map(|batch| batch.transactions());
        let transactions_tree =
            MerkleTree::new(transactions().map(|(id, signed)| transaction_leaf(&id, signed)));
        let result_leaves = transactions().zip(&results).map(|((id, _), result)| result.leaf_bytes(&id));
        let results_tree = MerkleTree::new(result_leaves);
        let mut state = self.state.write();
        let parent = state.header_hash();
        let epoch = self.epochs.members.epoch();
        let (header, header_hash) = state.advance(&changes, |state_root, leaves| {
            let closed = self.epochs.closes.is_some_and(|last| seq >= last);
            if closed || changes_members(&changes) {
                self.epochs = Epochs::after(&self.rules, leaves, seq);
            }
            Header {
                ledger: self.rules.ledger,
                epoch,
                height: seq,
                parent,
                time,
                batch_digest: batch.as_ref().map_or_else(null_batch_digest, |batch| batch.digest()),
                transactions_root: transactions_tree.root(),
                results_root: results_tree.root(),
                state_root,
                members_hash: self.epochs.hash,
                transaction_count: u32::try_from(results.len()).expect("a batch is bounded"),
            }
        });
        self.outlook = outlook(&*self.application, &self.epochs, &state);
        drop(state);
        let own_changes = own_changes(&changes);
        self.uncommitted.add(seq, header_hash, changes);
        let trees = (transactions_tree, results_tree);
        let outlook = self.outlook;
        let sealed = SealedBlock { header, header_hash, batch, results, consumed, outlook, trees };
        Arc::new(ExecutedBlock { sealed: Arc::new(sealed), own_changes })
    }

    /// Flips a bit of the value of a key in memory, and nowhere else, as failing memory would; returns whether there was one to flip.
    /// For faults of testnets and simulations: what is executed from here on differs from what others execute (K4).
    pub fn corrupt(&mut self, key: &[u8]) -> bool {
        self.state.write().corrupt(key)
    }

    /// What changed since the last commit up to and including block `upto`, with the hash of that block's header; `None` if
    /// that block is committed already or not executed yet. Blocks above it may be executed: they are not included (K1).
    pub fn changes_since_commit(&self, upto: Seq) -> Option<(Digest, StateChanges)> {
        self.uncommitted.merged(upto)
    }

    /// Forgets the changes up to `upto`: a commit of them has succeeded.
    pub fn committed(&mut self, upto: Seq) {
        self.uncommitted.forget(upto);
    }

    /// Makes the state after block `upto` durable. Does nothing if it is already, or the block is not executed yet; returns
    /// whether it did.
    ///
    /// # Errors
    /// The store's; the changes are kept, but the process must stop (D3).
    pub fn commit_to<S: StateStore>(
        &mut self,
        store: &mut S,
        upto: Seq,
        proof: Option<&StateProof>,
    ) -> Result<bool, S::Error> {
        let Some((header_hash, changes)) = self.changes_since_commit(upto) else { return Ok(false) };
        store.commit(Checkpointed { height: upto, header_hash, proof }, &changes)?;
        self.committed(upto);
        Ok(true)
    }
}

/// The state that was stored after the block of this header.
fn stored_state(rules: &Arc<Rules>, stored: StoredState, header: &Header) -> Result<State, LedgerError> {
    let height = stored.height;
    let hash = header_hash(header);
    let tree = Tree::from_leaves(stored.leaves);
    // A ledger's state tells who its members are; that of another version of this program may not.
    if governance::member_set(tree.leaves(), Epoch::ZERO).is_none()
        || header.ledger != rules.ledger
        || header.height != height
        || hash != stored.header_hash
        || header.state_root != tree.root()
    {
        return Err(LedgerError::StateMismatch { height });
    }
    Ok(State::new(rules.clone(), height, header.time, hash, tree))
}

/// An epoch that is to close needs blocks, whether or not anybody has something to order (K6).
fn outlook(application: &dyn Application, epochs: &Epochs, state: &State) -> Outlook {
    let unchanged = BlockState::new(state.leaves());
    let closing = epochs.closes.filter(|last| *last > state.height()).map(|_| state.time());
    let obligation = application.obligation(&Namespace::new(&unchanged, application.name()));
    let obligation = obligation.into_iter().chain(closing).min();
    Outlook { obligation, closes: epochs.closes }
}

/// Whether a block's changes are of the members.
fn changes_members(changes: &Changes) -> bool {
    let first = changes.range(StateKey::MEMBER_SETS.to_vec()..).next();
    first.is_some_and(|(key, _)| key.starts_with(&StateKey::MEMBER_SETS))
}

#[cfg(test)]
mod tests;
