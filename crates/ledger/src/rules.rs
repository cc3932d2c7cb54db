//! What of the genesis execution depends on, and block 0.

use crate::machine::LedgerError;
use crate::registry::genesis_leaves;
use crate::tree::Tree;
use quorate_crypto::{genesis_ledger_id, members_hash, merkle_root, null_batch_digest};
use quorate_types::{Digest, Epoch, Genesis, Header, LedgerId, LedgerTime, Parameters, RegistryMode, Seq};

/// What of the genesis execution depends on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) ledger: LedgerId,
    /// The members of the genesis.
    pub(crate) members_hash: Digest,
    /// How many operators must approve a change of the members (G0).
    pub(crate) approvals: u16,
    pub(crate) allow_crash_only: bool,
    pub(crate) parameters: Parameters,
    pub(crate) registry: RegistryMode,
}

/// The header of block 0: the time the genesis was created, the state of the genesis, no transactions (M7).
///
/// # Errors
/// If the genesis cannot be used.
pub fn genesis_header(genesis: &Genesis) -> Result<Header, LedgerError> {
    let rules = Rules::new(genesis)?;
    let mut tree = Tree::default();
    tree.apply(&genesis_leaves(genesis));
    Ok(rules.genesis_header(genesis.created, tree.root()))
}

impl Rules {
    pub(crate) fn new(genesis: &Genesis) -> Result<Self, LedgerError> {
        genesis.check()?;
        let ledger = genesis_ledger_id(genesis);
        Ok(Self {
            ledger,
            members_hash: members_hash(&genesis.members_of_epoch_0(ledger)?),
            approvals: genesis.approvals,
            allow_crash_only: genesis.allow_crash_only,
            parameters: genesis.parameters.clone(),
            registry: genesis.registry,
        })
    }

    pub(crate) fn genesis_header(&self, time: LedgerTime, state_root: Digest) -> Header {
        let nothing = merkle_root::<&[u8]>([]);
        Header {
            ledger: self.ledger,
            epoch: Epoch::ZERO,
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
