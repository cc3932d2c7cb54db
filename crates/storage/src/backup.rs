//! A copy of a ledger beside the nodes that keep it: blocks, how epochs ended, and the state of a checkpoint with what proves it. No keys,
//! and no log: what a member said stays where it said it.
//!
//! A backup is a directory like a node's data directory, so that whatever audits one audits the other. Copying into one again adds what is
//! new. Whoever is restored from it follows without a word until the members' agreement names its store (L2).

use crate::blocks::audit::{AuditError, read_entries};
use crate::blocks::{BlockStore, Entry, read_base};
use crate::disk::{Disk, RealDisk};
use crate::handovers::Handovers;
use crate::index::index_entries;
use crate::log::{LogError, SegmentedLog};
use crate::state::{RedbStateStore, StateError, StateFile, read_state_file};
use quorate_crypto::{header_hash, transaction_id};
use quorate_ledger::{StateProof, StateStore, StoredState};
use quorate_pbft::Log;
use quorate_types::{
    BaseProof, BlockCertificate, CertificateKind, Handover, Header, LedgerId, Record, Seq, View,
};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Entries that are copied together.
const TOGETHER: usize = 1_024;

/// Why a backup cannot be made, or not be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    #[error("{0}")]
    Source(#[from] AuditError),
    #[error("{0}")]
    State(#[from] StateError),
    #[error("{0}")]
    Log(#[from] LogError),
    /// The source has removed blocks that the backup lacks.
    #[error("the backup ends at block {tip}, and the source begins at block {first}")]
    Gap { tip: Seq, first: Seq },
    /// The source has not all blocks up to the state yet.
    #[error("the blocks end at {tip}, and the state is that after block {state}")]
    Short { tip: Seq, state: Seq },
    #[error("the state is not that after block {0}")]
    OtherState(Seq),
    #[error("there is no state with the certificate of its checkpoint")]
    NoCheckpoint,
    /// There is a later state in it.
    #[error("it holds the state after block {held}, and that after block {given} is to be added")]
    Older { held: Seq, given: Seq },
}

/// A backup that is being made or added to.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    ledger: LedgerId,
    blocks: BlockStore<RealDisk>,
    handovers: Handovers<RealDisk>,
    state: RedbStateStore,
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, BackupError> {
    result.map_err(|error| BackupError::Io(path.to_owned(), error))
}

impl Backup {
    /// Opens the backup in a directory; makes it if there is none.
    ///
    /// # Errors
    /// If the disk fails, or what is there is damaged.
    pub fn open(path: &Path, ledger: LedgerId) -> Result<Self, BackupError> {
        let disk = |name: &str| {
            let directory = path.join(name);
            at(&directory, std::fs::create_dir_all(&directory).and_then(|()| RealDisk::open(&directory)))
        };
        let blocks = at(path, BlockStore::open(disk("blocks")?, ledger))?;
        let handovers = Handovers::new(disk("handovers")?, ledger);
        let state = RedbStateStore::open(&path.join("state.redb"))?;
        Ok(Self { path: path.to_owned(), ledger, blocks, handovers, state })
    }

    /// The last block in it; zero if there is none.
    pub fn tip(&self) -> Seq {
        self.blocks.tip()
    }

    /// The header of a block in it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn header(&self, height: Seq) -> Result<Option<Header>, BackupError> {
        at(&self.path, self.blocks.header(height))
    }

    /// Copies the blocks of a source up to this one that are not here yet, with their certificates. A node may be writing the source. `see`
    /// is told the bytes that were read.
    ///
    /// # Errors
    /// If something cannot be read or written, or the source begins above what is here.
    pub fn copy_blocks<D: Disk>(
        &mut self,
        source: &D,
        upto: Seq,
        mut see: impl FnMut(u64),
    ) -> Result<(), BackupError> {
        if let Some(base) = at(&self.path, read_base(source, self.ledger))? {
            if self.tip() == Seq::ZERO {
                let begun = self.blocks.restart_after(base.header, base.certificate);
                at(&self.path, begun)?;
            } else if base.first() > self.tip().next() {
                return Err(BackupError::Gap { tip: self.tip(), first: base.first() });
            }
        }
        let mut wanted = self.tip().next();
        let mut together = Vec::new();
        let mut failed = Ok(());
        read_entries(source, self.ledger, |entry, read| {
            match &entry {
                Entry::Block(stored) if stored.block.header.height == wanted && wanted <= upto => {
                    wanted = wanted.next();
                    together.push(entry);
                }
                Entry::Certificate(certificate) if certificate.height < wanted => together.push(entry),
                _ => {}
            }
            if together.len() >= TOGETHER {
                failed = self.add(std::mem::take(&mut together));
            }
            see(read);
            failed.is_ok()
        })?;
        failed?;
        self.add(together)?;
        let synced = self.blocks.sync();
        at(&self.path, synced)
    }

    /// The indexes first: they may tell of more than is here, not of less.
    fn add(&mut self, entries: Vec<Entry>) -> Result<(), BackupError> {
        for entry in &entries {
            if let Entry::Block(stored) = entry {
                let batch = stored.block.batch.iter().flat_map(|batch| &batch.transactions);
                let told = batch.zip(&stored.results);
                let told = told.map(|(signed, result)| (transaction_id(&signed.transaction), signed, result));
                let height = stored.block.header.height;
                self.state.index_block(height, index_entries(height, told));
            }
        }
        self.state.commit_index()?;
        let write = |blocks: &mut BlockStore<RealDisk>| {
            entries.into_iter().try_for_each(|entry| match entry {
                Entry::Block(stored) => blocks.append(stored),
                // One that stands before the first block that was copied is of a block that is not here.
                Entry::Certificate(certificate) if certificate.height < blocks.first() => Ok(()),
                Entry::Certificate(certificate) => blocks.append_certificate(certificate),
            })
        };
        at(&self.path, write(&mut self.blocks))
    }

    /// Keeps how epochs ended.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_handovers(&mut self, handovers: &[Handover]) -> Result<(), BackupError> {
        for handover in handovers {
            let known = at(&self.path, self.handovers.get(handover.header.epoch))?.is_some();
            if !known {
                at(&self.path, self.handovers.keep(handover))?;
            }
        }
        Ok(())
    }

    /// Puts the state after its last block in, with the certificate of that checkpoint; all of it or nothing. Both were verified.
    ///
    /// # Errors
    /// If the blocks do not reach it, it is of another block than is here, there is a later one, or the disk fails.
    pub fn finish(
        mut self,
        state: StoredState,
        certificate: BlockCertificate,
    ) -> Result<Header, BackupError> {
        let height = state.height;
        if self.tip() < height {
            return Err(BackupError::Short { tip: self.tip(), state: height });
        }
        if let Some(held) = self.state.position()?.filter(|held| *held > height) {
            return Err(BackupError::Older { held, given: height });
        }
        let header = at(&self.path, self.blocks.header(height))?.ok_or(BackupError::OtherState(height))?;
        let hash = header_hash(&header);
        if (state.header_hash, certificate.header, certificate.height) != (hash, hash, height) {
            return Err(BackupError::OtherState(height));
        }
        if certificate.kind != CertificateKind::Checkpoint {
            return Err(BackupError::NoCheckpoint);
        }
        self.state.replace(state, &StateProof { header: header.clone(), certificate })?;
        Ok(header)
    }
}

/// Fills the data directory of a store that is not used yet with what a backup holds, up to the checkpoint of its state. Returns that block's
/// height.
///
/// # Errors
/// If the backup has no state with a proof, or the disk fails.
pub fn restore(backup: &Path, data: &Path, ledger: LedgerId) -> Result<Seq, BackupError> {
    let StateFile::State(state, Some(proof)) = read_state_file(&backup.join("state.redb"))? else {
        return Err(BackupError::NoCheckpoint);
    };
    let certificate = proof.certificate;
    if certificate.kind != CertificateKind::Checkpoint || certificate.height != state.height {
        return Err(BackupError::NoCheckpoint);
    }
    let height = state.height;
    drop(state);
    copy_file(&backup.join("state.redb"), &data.join("state.redb"))?;
    copy_directory(&backup.join("handovers"), &data.join("handovers"))?;
    copy_blocks_upto(&backup.join("blocks"), &data.join("blocks"), ledger, height)?;
    // All that it tells of itself is where the ledger was. It says nothing by it: its store must be named first (L2).
    let proven = BaseProof::Checkpoint(certificate.clone());
    let anchor = Record::Anchor {
        epoch: certificate.epoch,
        view: View::ZERO,
        active: true,
        base: proven.clone(),
        stable: proven,
    };
    let directory = data.join("wal");
    let (mut log, _) = SegmentedLog::open(at(&directory, RealDisk::open(&directory))?, ledger)?;
    log.compact(&[anchor])?;
    Ok(height)
}

/// A backup that was being added to may hold blocks above its state.
fn copy_blocks_upto(from: &Path, to: &Path, ledger: LedgerId, upto: Seq) -> Result<(), BackupError> {
    let source = at(from, RealDisk::open(from))?;
    let mut blocks = at(to, RealDisk::open(to).and_then(|disk| BlockStore::open(disk, ledger)))?;
    if let Some(base) = at(from, read_base(&source, ledger))? {
        at(to, blocks.restart_after(base.header, base.certificate))?;
    }
    let mut written = Ok(());
    read_entries(&source, ledger, |entry, _| {
        written = match entry {
            Entry::Block(stored) if stored.block.header.height <= upto => blocks.append(stored),
            Entry::Certificate(certificate) if certificate.height <= upto => {
                blocks.append_certificate(certificate)
            }
            _ => Ok(()),
        };
        written.is_ok()
    })?;
    at(to, written.and_then(|()| blocks.sync()))
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), BackupError> {
    at(to, std::fs::create_dir_all(to))?;
    for entry in at(from, std::fs::read_dir(from))? {
        let entry = at(from, entry)?;
        copy_file(&entry.path(), &to.join(entry.file_name()))?;
    }
    at(to, File::open(to).and_then(|directory| directory.sync_all()))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    at(from, std::fs::copy(from, to).map(|_| ()))?;
    at(to, File::open(to).and_then(|file| file.sync_all()))
}

#[cfg(test)]
mod tests;
