//! State and indexes on disk: redb, one commit per checkpoint, behind the log (D1).

use crate::index::{Index, IndexEntry};
use quorate_ledger::StateChanges as Changes;
use quorate_ledger::{Checkpointed, StateProof, StateStore, StoredState};
use quorate_types::{BlockCertificate, Digest, Header, Seq, TransactionId};
use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const LEAVES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state_leaves");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const TRANSACTIONS: TableDefinition<'_, &[u8], (u64, u32)> = TableDefinition::new("transactions");
const NUMBERS: TableDefinition<'_, &[u8], (u64, u32)> = TableDefinition::new("numbers");
const ENTRIES: TableDefinition<'_, (&[u8], u64), (u64, u32, u32)> = TableDefinition::new("topic_entries");

/// Pages of the file that are kept in memory. The state itself is in memory; what is looked up here are old transactions.
const CACHE_BYTES: usize = 32 << 20;

/// What redb reports; the process stops on any of it (D3).
#[derive(Debug, thiserror::Error)]
#[error("the state file failed: {0}")]
pub struct StateError(#[from] redb::Error);

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StateError {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        })*
    };
}
from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught, and told as a damaged file: redb panics on some damaged pages. For panic hooks that end
/// the process.
pub fn panic_is_caught() -> bool {
    CAUGHT.get()
}

/// Reads a file that may be damaged.
fn caught<T>(read: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
    CAUGHT.set(true);
    let result = std::panic::catch_unwind(AssertUnwindSafe(read));
    CAUGHT.set(false);
    let damaged = || StateError(redb::Error::Corrupted("a page is not what it should be".to_owned()));
    result.unwrap_or_else(|_| Err(damaged()))
}

/// The state of the last checkpoint, with the indexes up to it. A clone is another handle on the same file: what one of them commits
/// the others read, and nobody waits for a commit but who makes it.
#[derive(Clone, Debug)]
pub struct RedbStateStore {
    database: Arc<Database>,
    index: Arc<Mutex<Index>>,
}

impl RedbStateStore {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// If it is damaged or the disk fails.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        caught(|| Self::open_if_whole(path))
    }

    fn open_if_whole(path: &Path) -> Result<Self, StateError> {
        let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        // All pages are read once: whoever comes upon a damaged one later cannot go on, and need not tell why.
        if !database.check_integrity()? {
            return Err(StateError(redb::Error::Corrupted("a page does not match its checksum".to_owned())));
        }
        let write = database.begin_write()?;
        write.open_table(LEAVES)?;
        write.open_table(META)?;
        write.open_table(TRANSACTIONS)?;
        write.open_table(NUMBERS)?;
        write.open_table(ENTRIES)?;
        write.commit()?;
        Ok(Self { database: Arc::new(database), index: Arc::default() })
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Whoever panicked with it left it whole: entries are added and forgotten one after the other.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a block adds to the indexes; durable with the next commit at or above it.
    pub fn index_block(&self, height: Seq, entries: Vec<IndexEntry>) {
        self.index().add(height, entries);
    }

    /// Where a transaction has its outcome: height and index.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn transaction(&self, id: &TransactionId) -> Result<Option<(Seq, u32)>, StateError> {
        if let Some(found) = self.index().transaction(id) {
            return Ok(Some(found));
        }
        let read = self.database.begin_read()?;
        let found = read.open_table(TRANSACTIONS)?.get(&id.0[..])?.map(|place| place.value());
        Ok(found.map(|(height, index)| (Seq::new(height), index)))
    }

    /// Which transaction consumed a number: height and index.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn number(&self, number: &[u8]) -> Result<Option<(Seq, u32)>, StateError> {
        if let Some(found) = self.index().number(number) {
            return Ok(Some(found));
        }
        let read = self.database.begin_read()?;
        let found = read.open_table(NUMBERS)?.get(number)?.map(|place| place.value());
        Ok(found.map(|(height, index)| (Seq::new(height), index)))
    }

    /// Where an entry of a topic stands: height, index, operation.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn topic_entry(&self, topic: &[u8], entry: u64) -> Result<Option<(Seq, u32, u32)>, StateError> {
        if let Some(found) = self.index().topic_entry(topic, entry) {
            return Ok(Some(found));
        }
        let read = self.database.begin_read()?;
        let found = read.open_table(ENTRIES)?.get((topic, entry))?.map(|place| place.value());
        Ok(found.map(|(height, index, operation)| (Seq::new(height), index, operation)))
    }

    /// Makes the index entries durable that were noted so far, beside whatever state is stored.
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    pub fn commit_index(&mut self) -> Result<(), StateError> {
        let write = self.database.begin_write()?;
        self.write_index(&write, Seq::MAX)?;
        write.commit()?;
        self.index().forget(Seq::MAX);
        Ok(())
    }

    /// Writes the entries of the blocks up to this one.
    fn write_index(&self, write: &WriteTransaction, height: Seq) -> Result<(), StateError> {
        let mut transactions = write.open_table(TRANSACTIONS)?;
        let mut numbers = write.open_table(NUMBERS)?;
        let mut entries = write.open_table(ENTRIES)?;
        // In the order of the keys: a page that several of them go to is copied once.
        let blocks = self.index().up_to(height);
        let mut indexed: Vec<&IndexEntry> = blocks.iter().flat_map(|entries| entries.iter()).collect();
        indexed.sort_unstable_by_key(|entry| entry.id);
        for entry in &indexed {
            transactions.insert(&entry.id.0[..], (entry.height.get(), entry.index))?;
        }
        indexed.sort_unstable_by(|one, other| one.number.cmp(&other.number));
        for entry in &indexed {
            numbers.insert(&entry.number[..], (entry.height.get(), entry.index))?;
        }
        for entry in &indexed {
            for (topic, number, operation) in &entry.appended {
                let place = (entry.height.get(), entry.index, *operation);
                entries.insert((&topic[..], *number), place)?;
            }
        }
        Ok(())
    }
}

fn stored_state(database: &impl ReadableDatabase) -> Result<Option<StoredState>, StateError> {
    let read = database.begin_read()?;
    let meta = read.open_table(META)?;
    let Some(position) = meta.get("position")? else { return Ok(None) };
    let bytes = position.value();
    let (Some(height), Some(hash)) = (bytes.get(..8), bytes.get(8..40)) else { return Ok(None) };
    let height = Seq::new(u64::from_be_bytes(height.try_into().expect("8 bytes")));
    let header_hash = Digest(hash.try_into().expect("32 bytes"));
    let mut leaves = Vec::new();
    for leaf in read.open_table(LEAVES)?.iter()? {
        let (key, value) = leaf?;
        leaves.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(Some(StoredState { height, header_hash, leaves }))
}

/// What proves the stored state, if it came with it.
fn stored_proof(database: &impl ReadableDatabase) -> Result<Option<StateProof>, StateError> {
    let read = database.begin_read()?;
    let proof = read.open_table(META)?.get("proof")?;
    let decoded =
        proof.and_then(|proof| quorate_codec::decode::<(Header, BlockCertificate)>(proof.value()).ok());
    Ok(decoded.map(|(header, certificate)| StateProof { header, certificate }))
}

fn encoded(proof: &StateProof) -> Vec<u8> {
    quorate_codec::encode(&(proof.header.clone(), proof.certificate.clone()))
}

/// What a state file holds, as somebody sees it who must not change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFile {
    /// There is none, or nothing was ever committed to it.
    Empty,
    /// With what proves it, if that came with it.
    State(StoredState, Option<StateProof>),
    /// A running node has it open.
    InUse,
    /// It was not closed: the node mends it when it starts.
    NotClosed,
}

/// Reads a state file without changing it.
///
/// # Errors
/// If it is damaged or cannot be read.
pub fn read_state_file(path: &Path) -> Result<StateFile, StateError> {
    if !path.exists() {
        return Ok(StateFile::Empty);
    }
    caught(|| {
        let database = match ReadOnlyDatabase::open(path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Ok(StateFile::InUse),
            Err(DatabaseError::RepairAborted) => return Ok(StateFile::NotClosed),
            Err(error) => return Err(error.into()),
        };
        let proof = stored_proof(&database)?;
        Ok(stored_state(&database)?.map_or(StateFile::Empty, |state| StateFile::State(state, proof)))
    })
}

impl StateStore for RedbStateStore {
    type Error = StateError;

    fn load(&self) -> Result<Option<StoredState>, StateError> {
        stored_state(&*self.database)
    }

    fn position(&self) -> Result<Option<Seq>, StateError> {
        let read = self.database.begin_read()?;
        let position = read.open_table(META)?.get("position")?;
        let height = position.as_ref().and_then(|position| position.value().get(..8)?.try_into().ok());
        Ok(height.map(|height| Seq::new(u64::from_be_bytes(height))))
    }

    fn proof(&self) -> Result<Option<StateProof>, StateError> {
        stored_proof(&*self.database)
    }

    fn replace(&mut self, state: StoredState, proof: &StateProof) -> Result<(), StateError> {
        let write = self.database.begin_write()?;
        write.delete_table(LEAVES)?;
        {
            let mut leaves = write.open_table(LEAVES)?;
            for (key, value) in &state.leaves {
                leaves.insert(&key[..], &value[..])?;
            }
            let position = [&state.height.get().to_be_bytes()[..], &state.header_hash.0].concat();
            let mut meta = write.open_table(META)?;
            meta.insert("position", &position[..])?;
            meta.insert("proof", &encoded(proof)[..])?;
        }
        write.commit()?;
        Ok(())
    }

    fn commit(&mut self, after: Checkpointed<'_>, changes: &Changes) -> Result<(), StateError> {
        let Checkpointed { height, header_hash, proof } = after;
        let write = self.database.begin_write()?;
        {
            let mut leaves = write.open_table(LEAVES)?;
            for (key, value) in changes {
                match value {
                    Some(value) => leaves.insert(&key[..], &value[..])?,
                    None => leaves.remove(&key[..])?,
                };
            }
            let position = [&height.get().to_be_bytes()[..], &header_hash.0].concat();
            let mut meta = write.open_table(META)?;
            meta.insert("position", &position[..])?;
            match proof {
                Some(proof) => drop(meta.insert("proof", &encoded(proof)[..])?),
                None => drop(meta.remove("proof")?),
            }
        }
        self.write_index(&write, height)?;
        write.commit()?;
        self.index().forget(height);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
