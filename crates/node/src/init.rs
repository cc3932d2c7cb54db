//! Data directories of new members and of those who lost theirs. Running a node makes none.

use crate::config::FileConfig;
use crate::member::{Keys, load_member};
use crate::start::NodeError;
use quorate_storage::DataDirectory;
use quorate_types::StoreId;
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

/// Whether a path holds a data directory.
pub fn is_initialised(path: &Path) -> bool {
    path.join("META.toml").exists()
}
