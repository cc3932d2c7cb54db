//! The state machine of the ledger: one batch in, one block out.

use crate::application::{Application, Execution, TransactionContext};
use crate::block::{ExecutedBlock, SealedBlock, transaction_leaf};
use crate::commit::Uncommitted;
use crate::namespace::{BlockState, Namespace};
use crate::registry::{genesis_leaves, is_registered};
use crate::sessions::{Sessions, check_validity};
use crate::snapshot::Snapshot;
use crate::store::{StateChanges, StateStore, StoredState};
use crate::tree::{Changes, Version};
use quorate_crypto::{
    HashedBatch, MerkleTree, genesis_ledger_id, header_hash, members_hash, merkle_root, null_batch_digest,
};
use quorate_types::genesis::GenesisError;
use quorate_types::{
    Digest, Epoch, FailReason, Genesis, Header, LedgerId, LedgerTime, Number, Parameters, PublicKey,
    QuorumError, RegistryMode, Seq, SessionId, SignedTransaction, TransactionId, TransactionResult,
    VoidReason, limits,
};
use std::sync::Arc;

/// What of the genesis execution depends on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) ledger: LedgerId,
    pub(crate) epoch: Epoch,
    pub(crate) members_hash: Digest,
    pub(crate) parameters: Parameters,
    pub(crate) registry: RegistryMode,
}

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
    tip: Snapshot,
    obligation: Option<LedgerTime>,
    uncommitted: Uncommitted,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("height", &self.tip.height()).finish_non_exhaustive()
    }
}

/// The applications that come with the ledger.
pub fn built_in_applications() -> Vec<Arc<dyn Application>> {
    vec![Arc::new(crate::kv::Kv)]
}

/// The header of block 0: the time the genesis was created, the state of the genesis, no transactions (M7).
///
/// # Errors
/// If the genesis cannot be used.
pub fn genesis_header(genesis: &Genesis) -> Result<Header, LedgerError> {
    let rules = Rules::new(genesis)?;
    Ok(rules.genesis_header(genesis.created, Version::default().apply(&genesis_leaves(genesis)).root()))
}

impl Rules {
    fn new(genesis: &Genesis) -> Result<Self, LedgerError> {
        genesis.check()?;
        let ledger = genesis_ledger_id(genesis);
        Ok(Self {
            ledger,
            epoch: Epoch::ZERO,
            members_hash: members_hash(&genesis.members_of_epoch_0(ledger)?),
            parameters: genesis.parameters.clone(),
            registry: genesis.registry,
        })
    }

    fn genesis_header(&self, time: LedgerTime, state_root: Digest) -> Header {
        let nothing = merkle_root::<&[u8]>([]);
        Header {
            ledger: self.ledger,
            epoch: self.epoch,
            height: Seq::ZERO,
            parent: Digest::ZERO,
            time,
            batch_digest: null_batch_digest(),
            transactions_root: nothing,
            results_root: nothing,
            state_root,
            members_hash: self.members_hash,
            transaction_count: 0,
        }
    }
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
        let version = Version::default().apply(&leaves);
        let hash = header_hash(&rules.genesis_header(genesis.created, version.root()));
        let mut uncommitted = Uncommitted::default();
        uncommitted.add(Seq::ZERO, hash, leaves);
        let tip = Snapshot::new(rules.clone(), Seq::ZERO, genesis.created, hash, version);
        Ok(Self::at(rules, application, tip, uncommitted))
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
        let height = stored.height;
        let hash = header_hash(header);
        let version = Version::from_leaves(stored.leaves);
        if header.ledger != rules.ledger
            || header.height != height
            || hash != stored.header_hash
            || header.state_root != version.root()
        {
            return Err(LedgerError::StateMismatch { height });
        }
        let tip = Snapshot::new(rules.clone(), height, header.time, hash, version);
        Ok(Self::at(rules, application, tip, Uncommitted::default()))
    }

    fn at(
        rules: Arc<Rules>,
        application: Arc<dyn Application>,
        tip: Snapshot,
        uncommitted: Uncommitted,
    ) -> Self {
        let obligation = obligation(&*application, tip.version());
        Self { rules, application, tip, obligation, uncommitted }
    }

    /// The height of the last executed block.
    pub fn height(&self) -> Seq {
        self.tip.height()
    }

    /// The state after the last executed block.
    pub fn snapshot(&self) -> &Snapshot {
        &self.tip
    }

    /// The earliest ledger time at which that state needs a block (K6).
    pub fn obligation(&self) -> Option<LedgerTime> {
        self.obligation
    }

    /// Executes the next batch (N9); `None` is the null batch (M5).
    ///
    /// # Panics
    /// If `seq` is not the next height: the caller delivers in order, exactly once.
    pub fn execute(&mut self, seq: Seq, batch: Option<Arc<HashedBatch>>) -> Arc<ExecutedBlock> {
        assert_eq!(seq, self.tip.height().next(), "blocks are executed in order, exactly once");
        // N11: ledger time never falls; the null batch has no time of its own.
        let time = batch.as_ref().map_or(self.tip.time(), |batch| self.tip.time().max(batch.batch().time));
        let mut turn = Turn::new(&self.rules, &*self.application, self.tip.version(), seq, time);
        let results: Vec<_> = batch
            .iter()
            .flat_map(|batch| batch.transactions())
            .map(|(id, signed)| turn.transaction(id, signed))
            .collect();
        let (changes, consumed) = turn.finish();
        let version = self.tip.version().apply(&changes);
        self.seal(seq, time, batch, results, consumed, version, changes)
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a block consists of")]
    fn seal(
        &mut self,
        seq: Seq,
        time: LedgerTime,
        batch: Option<Arc<HashedBatch>>,
        results: Vec<TransactionResult>,
        consumed: Vec<(PublicKey, SessionId, Number)>,
        version: Version,
        changes: Changes,
    ) -> Arc<ExecutedBlock> {
        let transactions = || batch.iter().flat_map(|batch| batch.transactions());
        let transactions_tree =
            MerkleTree::new(transactions().map(|(id, signed)| transaction_leaf(&id, signed)));
        let leaves = transactions().zip(&results).map(|((id, _), result)| result.leaf_bytes(&id));
        let results_tree = MerkleTree::new(leaves);
        let header = Header {
            ledger: self.rules.ledger,
            epoch: self.rules.epoch,
            height: seq,
            parent: self.tip.header_hash(),
            time,
            batch_digest: batch.as_ref().map_or_else(null_batch_digest, |batch| batch.digest()),
            transactions_root: transactions_tree.root(),
            results_root: results_tree.root(),
            state_root: version.root(),
            members_hash: self.rules.members_hash,
            transaction_count: u32::try_from(results.len()).expect("a batch is bounded"),
        };
        let header_hash = header_hash(&header);
        self.uncommitted.add(seq, header_hash, changes);
        self.obligation = obligation(&*self.application, &version);
        self.tip = Snapshot::new(self.rules.clone(), seq, time, header_hash, version);
        let sealed = SealedBlock {
            header,
            header_hash,
            batch,
            results,
            consumed,
            obligation: self.obligation,
            transactions_tree,
            results_tree,
        };
        Arc::new(ExecutedBlock { sealed: Arc::new(sealed), state: self.tip.clone() })
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
    pub fn commit_to<S: StateStore>(&mut self, store: &mut S, upto: Seq) -> Result<bool, S::Error> {
        let Some((header_hash, changes)) = self.changes_since_commit(upto) else { return Ok(false) };
        store.commit(upto, header_hash, &changes)?;
        self.committed(upto);
        Ok(true)
    }
}

fn obligation(application: &dyn Application, version: &Version) -> Option<LedgerTime> {
    application.obligation(&Namespace::new(&BlockState::new(version), application.name()))
}

/// The execution of one block.
struct Turn<'a> {
    rules: &'a Rules,
    application: &'a dyn Application,
    height: Seq,
    time: LedgerTime,
    index: u32,
    state: BlockState<'a>,
    sessions: Sessions,
    consumed: Vec<(PublicKey, SessionId, Number)>,
    output_left: usize,
}

impl<'a> Turn<'a> {
    fn new(
        rules: &'a Rules,
        application: &'a dyn Application,
        version: &'a Version,
        height: Seq,
        time: LedgerTime,
    ) -> Self {
        let mut sessions = Sessions::default();
        sessions.evict_idle(version, time, &rules.parameters);
        Self {
            rules,
            application,
            height,
            time,
            index: 0,
            state: BlockState::new(version),
            sessions,
            consumed: Vec::new(),
            output_left: limits::MAX_BLOCK_OUTPUT_BYTES,
        }
    }

    fn transaction(&mut self, id: TransactionId, signed: &SignedTransaction) -> TransactionResult {
        let result = match self.consume(signed) {
            Err(reason) => TransactionResult::Void { reason },
            Ok(()) => self.run(id, signed),
        };
        self.index = self.index.saturating_add(1);
        result
    }

    /// C1: whether this inclusion consumes its number.
    fn consume(&mut self, signed: &SignedTransaction) -> Result<(), VoidReason> {
        let transaction = &signed.transaction;
        let version = self.state.version();
        if !is_registered(version, self.rules.registry, &transaction.sender) {
            return Err(VoidReason::Unregistered);
        }
        check_validity(transaction, self.time, &self.rules.parameters)?;
        self.sessions.consume(version, transaction, self.time, &self.rules.parameters)?;
        self.consumed.push((transaction.sender, transaction.session, transaction.number));
        Ok(())
    }

    fn run(&mut self, id: TransactionId, signed: &SignedTransaction) -> TransactionResult {
        let transaction = &signed.transaction;
        if transaction.app != self.application.name() {
            return TransactionResult::Failed {
                reason: FailReason::Malformed,
                operation: 0,
                output: Vec::new(),
            };
        }
        let output_limit = self.output_left.clamp(limits::MIN_OUTPUT_BYTES, limits::MAX_OUTPUT_BYTES);
        let context = TransactionContext {
            height: self.height,
            index: self.index,
            time: self.time,
            sender: transaction.sender,
            id,
            output_limit,
        };
        let mut namespace = Namespace::new(&self.state, self.application.name());
        let execution = self.application.execute(&context, &transaction.payload, &mut namespace);
        match execution {
            Execution::Committed { output } if output.len() <= output_limit => {
                let changes = namespace.into_changes();
                self.state.merge(changes);
                self.output_left = self.output_left.saturating_sub(output.len());
                TransactionResult::Committed { output }
            }
            Execution::Committed { .. } => TransactionResult::Failed {
                reason: FailReason::LimitExceeded,
                operation: 0,
                output: Vec::new(),
            },
            Execution::Failed { reason, operation, mut output } => {
                if output.len() > output_limit {
                    output.clear();
                }
                self.output_left = self.output_left.saturating_sub(output.len());
                TransactionResult::Failed { reason, operation, output }
            }
        }
    }

    fn finish(mut self) -> (Changes, Vec<(PublicKey, SessionId, Number)>) {
        self.sessions.write_to(&mut self.state);
        (self.state.into_changes(), self.consumed)
    }
}

#[cfg(test)]
mod tests;
