//! Sessions: the numbers under which a sender's transactions are executed exactly once (C1).
//!
//! A session kept in a file survives the process: the next number is durable before a transaction with the one before it
//! leaves, so no number is used twice, and a transaction without an outcome is kept beside it and can be sent again, byte
//! for byte. Processes may share the file; each takes its numbers under a lock.

use quorate_types::{LedgerId, Number, PublicKey, SessionId, SignedTransaction, TransactionId};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Why a session file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    #[error("{0} is no session file: {1}")]
    Malformed(PathBuf, String),
    #[error("{0} belongs to another ledger or key")]
    OfAnother(PathBuf),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    ledger: String,
    sender: String,
    session: u64,
    next: u64,
}

#[derive(Debug)]
enum Kind {
    Memory { id: Mutex<SessionId>, next: AtomicU64 },
    File { path: PathBuf, ledger: LedgerId, sender: PublicKey },
}

/// Where a client takes its numbers from.
#[derive(Debug)]
pub struct Session(Kind);

fn random() -> SessionId {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    SessionId::new(u64::from_be_bytes(bytes))
}

impl Session {
    /// A fresh session that ends with the process.
    ///
    /// # Panics
    /// If the system gives no randomness.
    pub fn random() -> Self {
        Self(Kind::Memory { id: Mutex::new(random()), next: AtomicU64::new(0) })
    }

    /// The session of one sender on one ledger, kept in `directory`, which is made if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be written, or the file in it is not one of this sender and ledger.
    pub fn in_directory(directory: &Path, ledger: LedgerId, sender: PublicKey) -> Result<Self, SessionError> {
        let io = |error| SessionError::Io(directory.to_owned(), error);
        std::fs::create_dir_all(directory).map_err(io)?;
        let name = format!("{}-{}.json", &ledger.to_string()[..16], &hex::encode(sender.0)[..16]);
        let path = directory.join(name);
        let kind = Kind::File { path, ledger, sender };
        let session = Self(kind);
        session.update(|_| {})?;
        Ok(session)
    }

    /// The next unused number, durable before it is returned if the session is kept in a file.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn take(&self) -> Result<(SessionId, Number), SessionError> {
        match &self.0 {
            Kind::Memory { id, next } => {
                let id = *id.lock().unwrap_or_else(PoisonError::into_inner);
                Ok((id, Number::new(next.fetch_add(1, Ordering::Relaxed))))
            }
            Kind::File { .. } => {
                let mut taken = (SessionId::ZERO, Number::ZERO);
                self.update(|stored| {
                    taken = (SessionId::new(stored.session), Number::new(stored.next));
                    stored.next += 1;
                })?;
                Ok(taken)
            }
        }
    }

    /// Opens a new session for what comes after: the old one's window is full.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn renew(&self) -> Result<(), SessionError> {
        match &self.0 {
            Kind::Memory { id, next } => {
                let mut id = id.lock().unwrap_or_else(PoisonError::into_inner);
                *id = random();
                next.store(0, Ordering::Relaxed);
                Ok(())
            }
            Kind::File { .. } => self.update(|stored| {
                stored.session = random().get();
                stored.next = 0;
            }),
        }
    }

    /// Reads, changes and durably writes the file under its lock.
    fn update(&self, change: impl FnOnce(&mut Stored)) -> Result<(), SessionError> {
        let Kind::File { path, ledger, sender } = &self.0 else { return Ok(()) };
        let io = |error| SessionError::Io(path.clone(), error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.lock().map_err(io)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io)?;
        let (ledger, sender) = (ledger.to_string(), hex::encode(sender.0));
        let mut stored = if text.is_empty() {
            Stored {
                format: 1,
                ledger: ledger.clone(),
                sender: sender.clone(),
                session: random().get(),
                next: 0,
            }
        } else {
            serde_json::from_str(&text)
                .map_err(|error| SessionError::Malformed(path.clone(), error.to_string()))?
        };
        if stored.format != 1 || stored.ledger != ledger || stored.sender != sender {
            return Err(SessionError::OfAnother(path.clone()));
        }
        change(&mut stored);
        let new = serde_json::to_string(&stored).expect("plain fields");
        if new != text {
            write_over(&mut file, &new).map_err(io)?;
        }
        Ok(())
    }

    /// Keeps a transaction until its outcome is known, durable before this returns. A session in memory keeps nothing.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, id: TransactionId, transaction: &SignedTransaction) -> Result<(), SessionError> {
        let Some(pending) = self.pending() else { return Ok(()) };
        pending.keep(id, transaction)
    }

    /// The transactions kept beside the session's file.
    pub fn pending(&self) -> Option<PendingFile> {
        match &self.0 {
            Kind::Memory { .. } => None,
            Kind::File { path, .. } => path.parent().map(PendingFile::in_directory),
        }
    }
}

/// Overwrites in place; padded so that a shorter text leaves nothing of a longer one, in one write.
fn write_over(file: &mut File, text: &str) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_data()
}

/// Transactions that were signed and have no outcome yet, a file each.
#[derive(Clone, Debug)]
pub struct PendingFile {
    directory: PathBuf,
}

impl PendingFile {
    /// Those kept in a directory of sessions.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.join("pending") }
    }

    fn path(&self, id: &TransactionId) -> PathBuf {
        self.directory.join(format!("{id}.tx"))
    }

    fn keep(&self, id: TransactionId, transaction: &SignedTransaction) -> Result<(), SessionError> {
        let path = self.path(&id);
        let io = |error| SessionError::Io(path.clone(), error);
        std::fs::create_dir_all(&self.directory).map_err(io)?;
        let mut file = File::create(&path).map_err(io)?;
        let bytes = [&transaction.transaction.signed_bytes()[..], &transaction.signature.0[..]].concat();
        file.write_all(hex::encode(bytes).as_bytes()).and_then(|()| file.sync_data()).map_err(io)
    }

    /// The transaction with this id, if it is kept.
    pub fn find(&self, id: &TransactionId) -> Option<SignedTransaction> {
        let text = std::fs::read_to_string(self.path(id)).ok()?;
        crate::client::transaction_from_hex(text.trim())
    }

    /// Forgets a transaction whose outcome is known.
    pub fn forget(&self, id: &TransactionId) {
        // A file that stays behind is only offered again.
        let _ = std::fs::remove_file(self.path(id));
    }
}

#[cfg(test)]
mod tests;
