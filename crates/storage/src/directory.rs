//! The data directory: whose it is, and that one process uses it (D5).

use quorate_types::{ErrorCode, LedgerId, PublicKey, StoreId, limits};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Whose store it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub ledger: LedgerId,
    pub vote: PublicKey,
    pub transport: PublicKey,
}

/// META.toml.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    format: u32,
    ledger: String,
    node: String,
    vote: String,
    transport: String,
    store: String,
    /// Whether it took the place of a store that was lost: to a member of the genesis, which names none, it does not belong (L2).
    #[serde(default)]
    recovered: bool,
}

impl Meta {
    /// Written whole or not at all: it is what makes a directory a store.
    fn write(&self, path: &Path) -> Result<(), DirectoryError> {
        let io = |error| DirectoryError::Io(path.to_owned(), error);
        let text = toml::to_string(self).map_err(|error| io(io::Error::other(error)))?;
        let draft = path.join("META.toml.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, path.join("META.toml"))?;
            File::open(path)?.sync_all()?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(io)
    }
}

/// Why a data directory is refused.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("{0} holds no store")]
    NotInitialised(PathBuf),
    #[error("{0} exists already")]
    AlreadyInitialised(PathBuf),
    #[error("{path} is in use by process {holder}")]
    Locked { path: PathBuf, holder: String },
    #[error("{path} belongs to another {what}: it has {found}, this node has {expected}")]
    OfAnother { path: PathBuf, what: &'static str, found: String, expected: String },
    #[error("{path} has format {found}; this version reads {}", limits::FORMAT)]
    TooNew { path: PathBuf, found: u32 },
    #[error("{0} is damaged: {1}")]
    Damaged(PathBuf, String),
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

impl DirectoryError {
    /// The code under which people find it explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotInitialised(_) => ErrorCode::NotInitialised,
            Self::AlreadyInitialised(_) => ErrorCode::AlreadyInitialised,
            Self::Locked { .. } => ErrorCode::StoreLocked,
            Self::OfAnother { .. } => ErrorCode::StoreOfAnother,
            Self::TooNew { .. } => ErrorCode::StoreTooNew,
            Self::Damaged(..) => ErrorCode::StoreCorrupt,
            Self::Io(..) => ErrorCode::Io,
        }
    }
}

/// What a data directory says of itself, whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAt {
    pub id: StoreId,
    /// The name of its node.
    pub node: String,
    /// Whether it votes only once the members' agreement names it (L2).
    pub must_be_named: bool,
}

/// What the data directory at this path says of itself.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn store_at(path: &Path) -> Result<StoreAt, DirectoryError> {
    let io = |error| DirectoryError::Io(path.to_owned(), error);
    let text = std::fs::read_to_string(path.join("META.toml")).map_err(io)?;
    let damaged = |why: String| DirectoryError::Damaged(path.to_owned(), why);
    let meta: Meta = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let id = meta.store.parse().map_err(|_| damaged("store is no store id".to_owned()))?;
    Ok(StoreAt { id, node: meta.node, must_be_named: meta.recovered })
}

/// An opened, locked data directory.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    meta: Meta,
    store: StoreId,
    /// Held as long as the directory is used; the system releases it when the process ends.
    _lock: File,
}

impl DataDirectory {
    /// Makes a data directory; never overwrites.
    ///
    /// # Errors
    /// If there is one already or the disk fails.
    pub fn init(path: &Path, node: &str, identity: &Identity) -> Result<StoreId, DirectoryError> {
        Self::make(path, node, identity, false)
    }

    /// Makes a data directory in place of one that was lost (L2): it votes once the members' agreement names it.
    ///
    /// # Errors
    /// As [`DataDirectory::init`].
    pub fn recover(path: &Path, node: &str, identity: &Identity) -> Result<StoreId, DirectoryError> {
        Self::make(path, node, identity, true)
    }

    /// [`DataDirectory::recover`] of a directory that `fill` has put something into: all of it, or none.
    ///
    /// # Errors
    /// As [`DataDirectory::init`], or what `fill` fails with.
    pub fn recover_with<T, E: From<DirectoryError>>(
        path: &Path,
        node: &str,
        identity: &Identity,
        fill: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<(StoreId, T), E> {
        let io = |error| DirectoryError::Io(path.to_owned(), error);
        let taken = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if taken {
            return Err(DirectoryError::AlreadyInitialised(path.to_owned()).into());
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(".restoring");
        let draft = PathBuf::from(draft);
        if draft.exists() {
            // What an attempt left that did not end.
            std::fs::remove_dir_all(&draft).map_err(io)?;
        }
        let store = Self::make(&draft, node, identity, true)?;
        let filled = fill(&draft)?;
        std::fs::rename(&draft, path).map_err(io)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)?;
        Ok((store, filled))
    }

    fn make(
        path: &Path,
        node: &str,
        identity: &Identity,
        recovered: bool,
    ) -> Result<StoreId, DirectoryError> {
        let io = |error| DirectoryError::Io(path.to_owned(), error);
        if path.join("META.toml").exists() || path.join("wal").exists() {
            return Err(DirectoryError::AlreadyInitialised(path.to_owned()));
        }
        for directory in [path.to_owned(), path.join("wal"), path.join("blocks")] {
            std::fs::create_dir_all(directory).map_err(io)?;
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| io(io::Error::other(error)))?;
        let store = StoreId(id);
        let meta = Meta {
            format: limits::FORMAT,
            ledger: identity.ledger.to_string(),
            node: node.to_owned(),
            vote: identity.vote.to_string(),
            transport: identity.transport.to_string(),
            store: store.to_string(),
            recovered,
        };
        meta.write(path)?;
        Ok(store)
    }

    /// Opens and locks the directory of this very node, which may have any of these keys.
    ///
    /// # Errors
    /// If it is not initialised, in use, of another ledger, key or format, or damaged.
    pub fn open(path: &Path, identities: &[Identity]) -> Result<Self, DirectoryError> {
        let io = |error| DirectoryError::Io(path.to_owned(), error);
        let text = match std::fs::read_to_string(path.join("META.toml")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DirectoryError::NotInitialised(path.to_owned()));
            }
            Err(error) => return Err(io(error)),
        };
        let lock = Self::lock(path)?;
        let meta = Self::check(path, &text, identities)?;
        let damaged = |_| DirectoryError::Damaged(path.to_owned(), "store is no store id".to_owned());
        let store = meta.store.parse().map_err(damaged)?;
        if !path.join("wal").is_dir() || !path.join("blocks").is_dir() {
            return Err(DirectoryError::Damaged(path.to_owned(), "wal or blocks is missing".to_owned()));
        }
        Ok(Self { path: path.to_owned(), meta, store, _lock: lock })
    }

    fn lock(path: &Path) -> Result<File, DirectoryError> {
        let io = |error| DirectoryError::Io(path.to_owned(), error);
        let name = path.join("LOCK");
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&name).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&name).unwrap_or_default();
                return Err(DirectoryError::Locked { path: path.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).map_err(io)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(io)?;
        Ok(file)
    }

    fn check(path: &Path, text: &str, identities: &[Identity]) -> Result<Meta, DirectoryError> {
        let damaged = |why: String| DirectoryError::Damaged(path.to_owned(), why);
        // The format is looked at before the rest, which a newer version may write differently.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(error.to_string()))?;
        let format = table.get("format").and_then(toml::Value::as_integer).unwrap_or(0);
        let format = u32::try_from(format).unwrap_or(0);
        if format > limits::FORMAT {
            return Err(DirectoryError::TooNew { path: path.to_owned(), found: format });
        }
        let meta: Meta = toml::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let differs = |identity: &Identity| {
            [
                ("ledger", &meta.ledger, identity.ledger.to_string()),
                ("vote key", &meta.vote, identity.vote.to_string()),
                ("transport key", &meta.transport, identity.transport.to_string()),
            ]
            .into_iter()
            .find(|(_, found, expected)| *found != expected)
            .map(|(what, found, expected)| (what, found.clone(), expected))
        };
        let first = identities.first().and_then(differs);
        match first.filter(|_| identities.iter().all(|identity| differs(identity).is_some())) {
            Some((what, found, expected)) => {
                Err(DirectoryError::OfAnother { path: path.to_owned(), what, found, expected })
            }
            None => Ok(meta),
        }
    }

    /// The member has other keys from now on; durable when it returns.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn rebind(&mut self, identity: &Identity) -> Result<(), DirectoryError> {
        let (vote, transport) = (identity.vote.to_string(), identity.transport.to_string());
        if (&self.meta.vote, &self.meta.transport) != (&vote, &transport) {
            (self.meta.vote, self.meta.transport) = (vote, transport);
            self.meta.write(&self.path)?;
        }
        Ok(())
    }

    /// Whether this store may vote for a member that the members' agreement gives this one (L2).
    pub fn may_vote(&self, named: Option<StoreId>) -> bool {
        named.map_or(!self.meta.recovered, |named| named == self.store)
    }

    /// The name of its node, for people.
    pub fn node(&self) -> &str {
        &self.meta.node
    }

    /// The random identity of this store (D5).
    pub fn store_id(&self) -> StoreId {
        self.store
    }

    /// Where the log's segments are.
    pub fn log(&self) -> PathBuf {
        self.path.join("wal")
    }

    /// Where the blocks are.
    pub fn blocks(&self) -> PathBuf {
        self.path.join("blocks")
    }

    /// The state file.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.redb")
    }

    /// How epochs ended; made if it is missing.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn handovers(&self) -> io::Result<PathBuf> {
        let path = self.path.join("handovers");
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Where is kept what was fetched of a state; made if it is missing.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn transfer(&self) -> io::Result<PathBuf> {
        let path = self.path.join("transfer");
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}
