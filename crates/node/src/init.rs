//! Data directories of new members and of those who lost theirs. Running a node makes none.

use crate::config::FileConfig;
use crate::member::{Keys, load_member};
use crate::start::NodeError;
use quorate_storage::DataDirectory;
use quorate_types::{Seq, StoreId};
use std::path::Path;

/// Makes the data directory of a new member. `run` never does.
///
/// # Errors
/// If there is one already, or the disk fails.
pub fn init(config: &FileConfig) -> Result<StoreId, NodeError> {
    let member = load_member(config)?;
    Ok(DataDirectory::init(&config.node.dir, &member.name(), &member.identity())?)
}

/// Makes a data directory in place of a lost one (L2), or of a member to come (G3): the node follows the ledger, and votes once the members'
/// agreement names this store.
///
/// # Errors
/// As [`init`].
pub fn init_recovered(config: &FileConfig) -> Result<StoreId, NodeError> {
    // Its keys may be those of a later epoch than the genesis.
    let keys = Keys::load(config)?;
    let name = keys.seat(keys.trust().clone()).map_or_else(|_| keys.directory_name(), |member| member.name());
    Ok(DataDirectory::recover(&config.node.dir, &name, &keys.identities()[0])?)
}

/// Makes a data directory from a backup that was verified: all of it, or nothing that a node would start from. The node follows from there,
/// and votes once the members' agreement names this store (L2). The store, and the checkpoint up to which it has the ledger.
///
/// # Errors
/// If there is a data directory already, the backup has no state with a proof, or the disk fails.
pub fn init_from_backup(config: &FileConfig, backup: &Path) -> Result<(StoreId, Seq), NodeError> {
    let keys = Keys::load(config)?;
    let name = keys.seat(keys.trust().clone()).map_or_else(|_| keys.directory_name(), |member| member.name());
    let (target, identity) = (&config.node.dir, &keys.identities()[0]);
    DataDirectory::recover_with(target, &name, identity, |draft| {
        Ok(quorate_storage::backup::restore(backup, draft, identity.ledger)?)
    })
}

/// Whether a path holds a data directory.
pub fn is_initialised(path: &Path) -> bool {
    path.join("META.toml").exists()
}
