//! Faults for testnets: a disk that is slow or fails, memory that fails. No node has them that did not ask for it.

use quorate_ledger::Machine;
use quorate_storage::{Disk, RealDisk};
use std::io;
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use std::sync::Arc;

/// Memory that fails once, where a key's value stands.
pub(crate) struct Corruption(Option<String>);

impl Corruption {
    pub(crate) fn of(key: Option<String>) -> Self {
        Self(key)
    }

    /// After a block: as soon as the key is there, a bit of its value flips.
    pub(crate) fn strike(&mut self, machine: &mut Machine) {
        if self.0.as_ref().is_some_and(|key| machine.corrupt(key.as_bytes())) {
            self.0 = None;
            tracing::warn!(event = "fault_injected", "flipped a bit in memory, as testnet.corrupt-key asks");
        }
    }
}

/// The log's disk: measured, and on command slow or failing.
pub(crate) struct LogDisk {
    disk: RealDisk,
    metrics: Arc<Metrics>,
    slow: Duration,
    syncs_left: Option<u64>,
}

impl LogDisk {
    pub(crate) fn new(disk: RealDisk, metrics: Arc<Metrics>, slow_ms: u64, fail_after: Option<u64>) -> Self {
        Self { disk, metrics, slow: Duration::from_millis(slow_ms), syncs_left: fail_after }
    }
}

impl Disk for LogDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read(name)
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.disk.read_at(name, offset, len)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.disk.create(name, len)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let start = Instant::now();
        match &mut self.syncs_left {
            Some(0) => return Err(io::Error::other("injected by testnet.fail-log-sync-after")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.disk.sync(name)?;
        if !self.slow.is_zero() {
            std::thread::sleep(self.slow);
        }
        self.metrics.synced("wal", start.elapsed());
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.disk.truncate(name, len)
    }
}
