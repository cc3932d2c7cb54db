//! Reading a directory of blocks without changing it, while a node may be writing: every frame in order, and what is no frame.

use super::base::read_base;
use super::{Entry, name_of, number_of, oldest_kept};
use crate::disk::Disk;
use crate::frame::Seed;
use quorate_types::LedgerId;
use std::io;

/// How the frames end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Bytes after the last frame that are no frame, as an interrupted write leaves them: a node that opens the directory cuts
    /// them off.
    pub torn: usize,
}

/// Why a directory of blocks cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No torn tail: more follows.
    #[error("{file} is damaged at byte {offset}")]
    Damaged { file: String, offset: usize },
    #[error("{0} is missing")]
    Missing(String),
}

/// Hands every entry to `see`, in the order in which they were written, with the bytes read so far, until it answers `false`.
///
/// # Errors
/// If the directory cannot be read, or something is damaged or missing in the midst of it.
pub fn read_entries<D: Disk>(
    disk: &D,
    ledger: LedgerId,
    mut see: impl FnMut(Entry, u64) -> bool,
) -> Result<Tail, AuditError> {
    let first = oldest_kept(&read_base(disk, ledger)?);
    let mut files: Vec<u64> = disk.list()?.iter().filter_map(|name| number_of(name)).collect();
    files.retain(|file| *file >= first);
    files.sort_unstable();
    let last = files.last().copied();
    let mut before = 0;
    for (file, expected) in files.into_iter().zip(first..) {
        if file != expected {
            return Err(AuditError::Missing(name_of(expected)));
        }
        let bytes = disk.read(&name_of(file))?;
        let seed = Seed::new(ledger, file);
        let mut offset = 0;
        while let Some(frame) = seed.read(&bytes, offset) {
            let Ok(entry) = quorate_codec::decode(frame.payload) else {
                return Err(AuditError::Damaged { file: name_of(file), offset });
            };
            offset = frame.end;
            if !see(entry, before + offset as u64) {
                return Ok(Tail { torn: 0 });
            }
        }
        before += bytes.len() as u64;
        let more_follows = || last != Some(file) || seed.highest_claim_after(&bytes, offset).is_some();
        if offset < bytes.len() && more_follows() {
            return Err(AuditError::Damaged { file: name_of(file), offset });
        }
        if last == Some(file) {
            return Ok(Tail { torn: bytes.len() - offset });
        }
    }
    Ok(Tail { torn: 0 })
}
