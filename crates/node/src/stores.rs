//! Opens what a node keeps of the ledger, and mends what can be mended without asking anybody.

use crate::config::StorageSection;
use crate::start::NodeError;
use quorate_ledger::{ExecutedBlock, LedgerError, Machine};
use quorate_storage::blocks::{Disputed, read_base};
use quorate_storage::index::index_entries;
use quorate_storage::recovery::{Opened, RecoveryError, Replayed, open_blocks, replay, stable_of};
use quorate_storage::{BlockStore, DataDirectory, RealDisk, RedbStateStore};
use quorate_types::{Genesis, LedgerId, Record};
use std::path::Path;

/// What a node keeps of the ledger, and the machine that executed it.
pub(crate) struct Stores {
    pub(crate) blocks: BlockStore<RealDisk>,
    pub(crate) state: RedbStateStore,
    pub(crate) machine: Machine,
}

/// Opens them, up to the last intact block.
///
/// # Errors
/// If the disk fails, or something is damaged in whose place nothing can be put.
pub(crate) fn open(
    directory: &DataDirectory,
    section: &StorageSection,
    (genesis, ledger): (&Genesis, LedgerId),
    records: &[Record],
) -> Result<Stores, NodeError> {
    match open_once(directory, section, (genesis, ledger), records) {
        Err(error) if is_state_damaged(&error) && has_all_blocks(directory, ledger) => {
            set_state_aside(&directory.state()).map_err(NodeError::Disk)?;
            tracing::error!(
                event = "state_damaged",
                %error,
                "the state file is damaged and set aside as state.redb.damaged; all blocks are executed again: {error}"
            );
            open_once(directory, section, (genesis, ledger), records)
        }
        opened => opened,
    }
}

fn open_once(
    directory: &DataDirectory,
    section: &StorageSection,
    (genesis, ledger): (&Genesis, LedgerId),
    records: &[Record],
) -> Result<Stores, NodeError> {
    let mut state =
        RedbStateStore::open(&directory.state()).map_err(|error| NodeError::State(error.to_string()))?;
    let disk = || RealDisk::open(&directory.blocks());
    let (mut blocks, opened) = open_blocks(disk, (ledger, section.block_file_bytes()), &state, records)?;
    match opened {
        Opened::AsTheyWere => {}
        Opened::Installed => tracing::info!(
            event = "install_finished",
            "finished the install of a fetched state that a stop had cut short"
        ),
        Opened::SetAside(damage) => tracing::error!(
            event = "blocks_damaged",
            damage,
            first = %blocks.first(),
            "{damage}: the blocks are set aside as *.damaged, and this replica has none below {} any more; a backup or another replica has them",
            blocks.first()
        ),
    }
    let index = |state: &mut RedbStateStore, block: &ExecutedBlock| {
        state.index_block(block.header.height, index_entries(block.header.height, block.transactions()));
    };
    let Replayed { machine, disputed } = replay(genesis, &mut blocks, &mut state, stable_of(records), index)?;
    if let Some(Disputed { from, to }) = disputed {
        tracing::error!(
            event = "blocks_disputed",
            %from, %to,
            "executing block {from} again gives another header than before: the blocks from there on are set aside as *.disputed and come again from the others; up to block {to} this replica signs nothing. Test this machine's memory"
        );
    }
    Ok(Stores { blocks, state, machine })
}

/// Whether the state file cannot be read, or is not the state that the blocks lead to.
fn is_state_damaged(error: &NodeError) -> bool {
    matches!(
        error,
        NodeError::State(_)
            | NodeError::Recovery(
                RecoveryError::State(_) | RecoveryError::Ledger(LedgerError::StateMismatch { .. })
            )
    )
}

/// Whether the state can be made again from the blocks.
fn has_all_blocks(directory: &DataDirectory, ledger: LedgerId) -> bool {
    let base = RealDisk::open(&directory.blocks()).and_then(|disk| read_base(&disk, ledger));
    base.is_ok_and(|base| base.is_none())
}

fn set_state_aside(path: &Path) -> std::io::Result<()> {
    let aside = path.with_extension("redb.damaged");
    std::fs::rename(path, aside)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(parent)?.sync_all()
}
