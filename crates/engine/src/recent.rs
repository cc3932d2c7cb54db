//! Executed blocks and certificates of late: what outcomes and receipts are made of.

use quorate_ledger::SealedBlock;
use quorate_types::mutants::mutant;
use quorate_types::{BlockCertificate, Header, Number, PublicKey, Seq, SessionId, TransactionId, limits};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transaction's final outcome: its place in a certified block.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub id: TransactionId,
    pub block: Arc<SealedBlock>,
    pub index: u32,
    /// The headers above the block, up to the one that the certificate names (M8).
    pub links: Vec<Header>,
    pub certificate: BlockCertificate,
}

/// The number that a transaction consumes.
pub(crate) type Consumed = (PublicKey, SessionId, Number);

/// The last [`limits::RECENT_BLOCKS`] blocks, and where the outcomes in them stand.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    blocks: BTreeMap<Seq, Arc<SealedBlock>>,
    certificates: BTreeMap<Seq, BlockCertificate>,
    by_id: BTreeMap<TransactionId, (Seq, u32)>,
    by_number: BTreeMap<Consumed, (Seq, u32, TransactionId)>,
}

impl Recent {
    /// Adds a block. Void inclusions are no outcomes and are not found later (F4).
    pub(crate) fn add(&mut self, block: Arc<SealedBlock>) {
        let height = block.header.height;
        for (index, (id, signed, result)) in (0u32..).zip(block.transactions()) {
            if result.is_outcome() {
                let transaction = &signed.transaction;
                let number = (transaction.sender, transaction.session, transaction.number);
                self.by_id.insert(id, (height, index));
                self.by_number.insert(number, (height, index, id));
            }
        }
        self.blocks.insert(height, block);
        let oldest = height.minus(limits::RECENT_BLOCKS as u64);
        while let Some(entry) = self.blocks.first_entry().filter(|entry| *entry.key() <= oldest) {
            let old = entry.remove();
            self.certificates.remove(&old.header.height);
            for (id, signed, result) in old.transactions() {
                // A void inclusion may have become an outcome in a later block.
                if result.is_outcome() {
                    let transaction = &signed.transaction;
                    self.by_id.remove(&id);
                    self.by_number.remove(&(transaction.sender, transaction.session, transaction.number));
                }
            }
        }
    }

    pub(crate) fn certify(&mut self, certificate: BlockCertificate) {
        if self.blocks.contains_key(&certificate.height) {
            self.certificates.insert(certificate.height, certificate);
        }
    }

    /// The blocks below this one that have no certificate of their own, down to the first that has.
    pub(crate) fn uncertified_below(&self, height: Seq) -> Vec<Seq> {
        let below = self.blocks.range(..height).rev().map(|(at, _)| *at);
        below.take_while(|at| !self.certificates.contains_key(at)).collect()
    }

    /// What proves a block that is held: its own certificate, or the next one above with the headers up to there (M8).
    fn proof(&self, height: Seq) -> Option<(Vec<Header>, BlockCertificate)> {
        let (at, certificate) = self.certificates.range(height..).next()?;
        let links: Vec<Header> =
            self.blocks.range(height..=*at).skip(1).map(|(_, block)| block.header.clone()).collect();
        Some((links, certificate.clone()))
    }

    /// Where the outcomes of a block stand, by transaction and by number.
    pub(crate) fn places_in(&self, height: Seq) -> Vec<(u32, TransactionId, Consumed)> {
        let Some(block) = self.blocks.get(&height) else { return Vec::new() };
        (0u32..)
            .zip(block.transactions())
            .filter(|(_, (_, _, result))| result.is_outcome() || mutant("m50"))
            .map(|(index, (id, signed, _))| {
                let transaction = &signed.transaction;
                (index, id, (transaction.sender, transaction.session, transaction.number))
            })
            .collect()
    }

    /// Where an id has its outcome, and that outcome if its block is certified.
    pub(crate) fn by_id(&self, id: &TransactionId) -> Option<Option<Outcome>> {
        let (height, index) = self.by_id.get(id).copied()?;
        Some(self.outcome(height, index, *id))
    }

    /// Which transaction consumed a number, and its outcome if its block is certified.
    pub(crate) fn by_number(&self, number: &Consumed) -> Option<Option<Outcome>> {
        let (height, index, id) = self.by_number.get(number).copied()?;
        Some(self.outcome(height, index, id))
    }

    /// The outcome at a place, if its block is held and certified.
    pub(crate) fn outcome(&self, height: Seq, index: u32, id: TransactionId) -> Option<Outcome> {
        let block = self.blocks.get(&height)?.clone();
        let (links, certificate) = self.proof(height)?;
        Some(Outcome { id, block, index, links, certificate })
    }
}

/// The receipt of an outcome.
///
/// # Panics
/// If the outcome names a place that its block does not have: hosts make none such.
pub fn receipt(outcome: &Outcome) -> quorate_proof::Receipt {
    let (block, index) = (&outcome.block, outcome.index);
    let (_, transaction, result) =
        block.transactions().nth(index as usize).expect("an outcome names a transaction of its block");
    quorate_proof::Receipt {
        transaction: transaction.clone(),
        transaction_path: block.transaction_path(index).expect("in the block"),
        result: result.clone(),
        result_path: block.result_path(index).expect("in the block"),
        header: block.header.clone(),
        links: outcome.links.clone(),
        handovers: Vec::new(),
        certificate: outcome.certificate.clone(),
    }
}

#[cfg(test)]
mod tests;
