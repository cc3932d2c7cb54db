//! What a node keeps on disk: the write-ahead log, the blocks, the state of the last checkpoint, and indexes.
//!
//! Only the log is synced on the critical path; everything else is written behind, synced once per checkpoint, and
//! rebuilt from the log and the blocks after a crash (D1).

pub mod backup;
pub mod blocks;
pub mod directory;
pub mod disk;
mod frame;
pub mod handovers;
pub mod index;
pub mod log;
pub mod recovery;
pub mod simulated;
pub mod state;
pub mod supply;
pub mod transfer;

pub use blocks::{BlockStore, StoredBlock};
pub use directory::{DataDirectory, DirectoryError, Identity};
pub use disk::{Disk, RealDisk};
pub use handovers::Handovers;
pub use index::Index;
pub use log::{LogError, RecoveredLog, SegmentedLog};
pub use simulated::SimulatedDisk;
pub use state::RedbStateStore;
pub use supply::{StateSupply, SupplyError};
pub use transfer::TransferFile;
