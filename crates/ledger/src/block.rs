//! Executed blocks.

use crate::tree::Changes;
use quorate_crypto::{HashedBatch, MerklePath, MerkleTree};
use quorate_types::{
    Block, Digest, Header, Number, Outlook, PublicKey, SessionId, SignedTransaction, TransactionId,
    TransactionResult,
};
use std::ops::Deref;
use std::sync::Arc;

/// A block, its results, and all that receipts of it need. It holds no state, so that many may be kept.
#[derive(Debug)]
pub struct SealedBlock {
    pub header: Header,
    pub header_hash: Digest,
    /// `None` for the null batch (M5).
    pub batch: Option<Arc<HashedBatch>>,
    /// One for each transaction, in order.
    pub results: Vec<TransactionResult>,
    /// The numbers that this block consumed (C1), in order.
    pub consumed: Vec<(PublicKey, SessionId, Number)>,
    /// What the state after the block asks of the blocks to come.
    pub outlook: Outlook,
    /// Over the transactions and over the results.
    pub(crate) trees: (MerkleTree, MerkleTree),
}

/// What [`crate::Machine::execute`] made. The block's fields are reached through it.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// To be kept instead of the whole by whoever needs the block for longer.
    pub sealed: Arc<SealedBlock>,
    /// What it changed of the ledger's own leaves, for [`crate::AdmissionControl`].
    pub(crate) own_changes: Changes,
}

impl Deref for ExecutedBlock {
    type Target = SealedBlock;

    fn deref(&self) -> &SealedBlock {
        &self.sealed
    }
}

/// A leaf of the transaction tree: id ‖ signature (M6).
pub(crate) fn transaction_leaf(id: &TransactionId, signed: &SignedTransaction) -> [u8; 96] {
    let mut leaf = [0; 96];
    leaf[..32].copy_from_slice(&id.0);
    leaf[32..].copy_from_slice(&signed.signature.0);
    leaf
}

impl SealedBlock {
    /// The block as it is stored and sent.
    pub fn block(&self) -> Block {
        Block { header: self.header.clone(), batch: self.batch.as_ref().map(|batch| batch.batch().clone()) }
    }

    /// The leaves of the result tree, in order.
    pub fn result_leaves(&self) -> Vec<Vec<u8>> {
        self.transactions().map(|(id, _, result)| result.leaf_bytes(&id)).collect()
    }

    /// Each transaction with its id and its result, in order.
    pub fn transactions(
        &self,
    ) -> impl Iterator<Item = (TransactionId, &SignedTransaction, &TransactionResult)> {
        let transactions = self.batch.iter().flat_map(|batch| batch.transactions());
        transactions.zip(&self.results).map(|((id, signed), result)| (id, signed, result))
    }

    /// The path from a transaction to the header's transaction root.
    pub fn transaction_path(&self, index: u32) -> Option<MerklePath> {
        self.trees.0.path(index)
    }

    /// The path from a result to the header's result root.
    pub fn result_path(&self, index: u32) -> Option<MerklePath> {
        self.trees.1.path(index)
    }
}
