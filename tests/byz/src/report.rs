//! How often a liar lied, by number of the way: a run in which nobody lied shows nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct Report {
    path: Option<PathBuf>,
    lies: Mutex<BTreeMap<u16, u64>>,
    /// Held while the file is replaced: the last report may come while a task writes one.
    writing: Mutex<()>,
}

impl Report {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, lies: Mutex::default(), writing: Mutex::default() }
    }

    fn lies(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another lie of this kind.
    pub(crate) fn lied(&self, way: u16) {
        *self.lies().entry(way).or_default() += 1;
    }

    /// The lies of these kinds so far.
    pub(crate) fn stands_at(&self, lies: &BTreeMap<u16, u64>) {
        self.lies().extend(lies);
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "lies": *self.lies() }).to_string()
    }

    /// Replaces the file, so that whoever reads it finds all of it.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = path.with_extension("new");
        std::fs::write(&new, self.to_json())?;
        std::fs::rename(&new, path)
    }
}
