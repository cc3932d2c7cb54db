//! Indexes of what blocks hold: kept in memory until the next checkpoint makes them durable.

use quorate_types::{
    Number, Operation, OperationOutput, Operations, PublicKey, Seq, SessionId, SignedTransaction,
    TransactionId, TransactionResult,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One outcome of a block. Void inclusions are no outcomes and are not indexed (C1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub height: Seq,
    pub index: u32,
    pub id: TransactionId,
    /// [`number_key`] of what it consumed.
    pub number: Vec<u8>,
    /// Topic, number of the entry, number of the operation.
    pub appended: Vec<(Vec<u8>, u64, u32)>,
}

/// The key of (sender, session, number).
pub fn number_key(sender: &PublicKey, session: SessionId, number: Number) -> Vec<u8> {
    [&sender.0[..], &session.get().to_be_bytes(), &number.get().to_be_bytes()].concat()
}

/// What a block adds to the indexes: its outcomes, not its void inclusions.
pub fn index_entries<'a>(
    height: Seq,
    transactions: impl Iterator<Item = (TransactionId, &'a SignedTransaction, &'a TransactionResult)>,
) -> Vec<IndexEntry> {
    (0u32..)
        .zip(transactions)
        .filter(|(_, (_, _, result))| result.is_outcome())
        .map(|(index, (id, signed, result))| {
            let transaction = &signed.transaction;
            IndexEntry {
                height,
                index,
                id,
                number: number_key(&transaction.sender, transaction.session, transaction.number),
                appended: appended(signed, result),
            }
        })
        .collect()
}

/// The topic entries that a committed transaction appended: topic, entry, operation.
fn appended(signed: &SignedTransaction, result: &TransactionResult) -> Vec<(Vec<u8>, u64, u32)> {
    let TransactionResult::Committed { output } = result else { return Vec::new() };
    let operations = Operations::from_payload(&signed.transaction.payload);
    let outputs = OperationOutput::list_from_bytes(output);
    let (Ok(operations), Ok(outputs)) = (operations, outputs) else { return Vec::new() };
    (0u32..)
        .zip(operations.0.into_iter().zip(outputs))
        .filter_map(|(number, pair)| match pair {
            (Operation::Append { topic, .. }, OperationOutput::Appended { index }) => {
                Some((topic, index, number))
            }
            _ => None,
        })
        .collect()
}

/// Entries of blocks above the last commit.
#[derive(Debug, Default)]
pub struct Index {
    blocks: BTreeMap<Seq, Arc<Vec<IndexEntry>>>,
    transactions: BTreeMap<TransactionId, (Seq, u32)>,
    numbers: BTreeMap<Vec<u8>, (Seq, u32)>,
    topics: BTreeMap<(Vec<u8>, u64), (Seq, u32, u32)>,
}

impl Index {
    /// Adds the outcomes of a block.
    pub fn add(&mut self, height: Seq, entries: Vec<IndexEntry>) {
        for entry in &entries {
            self.transactions.insert(entry.id, (height, entry.index));
            self.numbers.insert(entry.number.clone(), (height, entry.index));
            for (topic, number, operation) in &entry.appended {
                self.topics.insert((topic.clone(), *number), (height, entry.index, *operation));
            }
        }
        self.blocks.insert(height, Arc::new(entries));
    }

    pub(crate) fn transaction(&self, id: &TransactionId) -> Option<(Seq, u32)> {
        self.transactions.get(id).copied()
    }

    pub(crate) fn number(&self, number: &[u8]) -> Option<(Seq, u32)> {
        self.numbers.get(number).copied()
    }

    pub(crate) fn topic_entry(&self, topic: &[u8], entry: u64) -> Option<(Seq, u32, u32)> {
        self.topics.get(&(topic.to_vec(), entry)).copied()
    }

    /// The entries of each block up to this one.
    pub(crate) fn up_to(&self, height: Seq) -> Vec<Arc<Vec<IndexEntry>>> {
        self.blocks.range(..=height).map(|(_, entries)| entries.clone()).collect()
    }

    pub(crate) fn forget(&mut self, height: Seq) {
        let above = self.blocks.split_off(&height.next());
        for entries in std::mem::replace(&mut self.blocks, above).into_values() {
            for entry in entries.iter() {
                self.transactions.remove(&entry.id);
                self.numbers.remove(&entry.number);
                for (topic, number, _) in &entry.appended {
                    self.topics.remove(&(topic.clone(), *number));
                }
            }
        }
    }
}
