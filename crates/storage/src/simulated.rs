//! A disk in memory that loses what a real one may lose: unsynced writes, torn writes, unsynced directory entries; and
//! that fails on command.

use crate::disk::Disk;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Files {
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// The directory after each operation on it since its last sync.
    unsynced_names: Vec<BTreeMap<String, u64>>,
    next: u64,
    operations: u64,
    fail_at: Option<u64>,
    fail_syncs: bool,
    /// Syncs say that all is well and do nothing.
    lie: bool,
    capacity: Option<usize>,
    syncs: u64,
}

/// A handle on a simulated disk; clones are handles on the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Files>>);

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power is cut, or the process is killed: of the unsynced writes each survives whole, in part or not at all, as `choose`
    /// says for each (a number of bytes to keep of so many), and of the unsynced operations on the directory the first so
    /// many (asked first, if there are any).
    pub fn crash(&self, mut choose: impl FnMut(usize) -> usize) {
        let mut files = self.files();
        let unsynced = std::mem::take(&mut files.unsynced_names);
        if !unsynced.is_empty() {
            let kept = choose(unsynced.len()).min(unsynced.len());
            if let Some(last) = kept.checked_sub(1) {
                files.durable_names = unsynced[last].clone();
            }
        }
        files.names = files.durable_names.clone();
        for content in files.contents.values_mut() {
            for (offset, bytes) in std::mem::take(&mut content.pending) {
                let kept = choose(bytes.len()).min(bytes.len());
                overwrite(&mut content.durable, offset, &bytes[..kept]);
            }
            content.current = content.durable.clone();
        }
        files.fail_at = None;
        files.fail_syncs = false;
        files.lie = false;
        files.capacity = None;
    }

    /// The operation with this number, counted from the first, fails, and all later ones.
    pub fn fail_at(&self, operation: u64) {
        self.files().fail_at = Some(operation);
    }

    /// Every later sync fails.
    pub fn fail_syncs(&self) {
        self.files().fail_syncs = true;
    }

    /// Every later sync succeeds and makes nothing durable, until the next crash.
    pub fn lie_about_syncs(&self) {
        self.files().lie = true;
    }

    /// The disk is full beyond this many bytes, until the next crash.
    pub fn limit(&self, capacity: usize) {
        self.files().capacity = Some(capacity);
    }

    /// Whether it was told to fail, to fill up or to lie.
    pub fn fails(&self) -> bool {
        let files = self.files();
        files.fail_at.is_some() || files.fail_syncs || files.lie || files.capacity.is_some()
    }

    /// The bytes in use.
    pub fn used(&self) -> usize {
        self.files().used()
    }

    /// How many operations were made.
    pub fn operations(&self) -> u64 {
        self.files().operations
    }

    /// How many syncs were made.
    pub fn syncs(&self) -> u64 {
        self.files().syncs
    }

    /// Flips one bit at rest.
    pub fn flip(&self, name: &str, offset: usize, bit: u8) {
        let mut files = self.files();
        let Some(content) = files.names.get(name).copied().and_then(|id| files.contents.get_mut(&id)) else {
            return;
        };
        for bytes in [&mut content.durable, &mut content.current] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// A write that went astray: `len` bytes from `from` stand at `to` as well, over what was there.
    pub fn misdirect(&self, name: &str, from: usize, to: usize, len: usize) {
        let mut files = self.files();
        let Some(content) = files.names.get(name).copied().and_then(|id| files.contents.get_mut(&id)) else {
            return;
        };
        for bytes in [&mut content.durable, &mut content.current] {
            let len = len.min(bytes.len().saturating_sub(from.max(to)));
            if len > 0 {
                bytes.copy_within(from..from + len, to);
            }
        }
    }

    /// A copy of the disk as it is now, unsynced writes included.
    #[must_use]
    pub fn fork(&self) -> Self {
        let files = self.files();
        Self(Arc::new(Mutex::new(Files {
            contents: files.contents.clone(),
            names: files.names.clone(),
            durable_names: files.durable_names.clone(),
            unsynced_names: files.unsynced_names.clone(),
            next: files.next,
            ..Files::default()
        })))
    }
}

fn overwrite(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if target.len() < offset + bytes.len() {
        target.resize(offset + bytes.len(), 0);
    }
    target[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Files {
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.fail_at {
            Some(at) if self.operations > at => Err(io::Error::other("simulated disk failure")),
            _ => Ok(()),
        }
    }

    /// The directory changed.
    fn renamed(&mut self) {
        self.unsynced_names.push(self.names.clone());
    }

    fn content(&mut self, name: &str) -> io::Result<&mut Content> {
        let id = self.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.contents.get_mut(&id).expect("every name has a content"))
    }

    fn used(&self) -> usize {
        self.contents.values().map(|content| content.current.len()).sum()
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("a simulated disk is small")
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.files().content(name)?.current.clone())
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut files = self.files();
        let start = position(offset);
        let bytes = files.content(name)?.current.get(start..start + len).map(<[u8]>::to_vec);
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        if files.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let len = position(len);
        if files.capacity.is_some_and(|capacity| files.used() + len > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = files.next;
        files.next += 1;
        let zeros = vec![0; len];
        files
            .contents
            .insert(id, Content { durable: Vec::new(), current: zeros.clone(), pending: vec![(0, zeros)] });
        files.names.insert(name.to_owned(), id);
        files.renamed();
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        let (used, capacity) = (files.used(), files.capacity);
        let content = files.content(name)?;
        let start = position(offset);
        let growth = (start + bytes.len()).saturating_sub(content.current.len());
        if capacity.is_some_and(|capacity| growth > 0 && used + growth > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        overwrite(&mut content.current, start, bytes);
        content.pending.push((start, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        if files.fail_syncs {
            return Err(io::Error::other("simulated sync failure"));
        }
        files.syncs += 1;
        if files.lie {
            return Ok(());
        }
        let content = files.content(name)?;
        for (offset, bytes) in std::mem::take(&mut content.pending) {
            overwrite(&mut content.durable, offset, &bytes);
        }
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        if files.lie {
            return Ok(());
        }
        files.durable_names = files.names.clone();
        files.unsynced_names.clear();
        let named: BTreeSet<u64> = files.names.values().copied().collect();
        files.contents.retain(|id, _| named.contains(id));
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        let id = files.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.names.insert(to.to_owned(), id);
        files.renamed();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        files.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        files.renamed();
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut files = self.files();
        files.operate()?;
        let content = files.content(name)?;
        content.current.truncate(position(len));
        content.durable.truncate(position(len));
        content.pending.clear();
        Ok(())
    }
}
