//! What a member's log has promised to keep, beside the log itself: a crash may lose what is not in here, and nothing else.

use quorate_pbft::Log;
use quorate_storage::{LogError, SegmentedLog, SimulatedDisk};
use quorate_types::{NewView, Record};
use std::sync::Arc;

/// The records of a log, as those who wrote them may count on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised {
    /// Synced: these survive any crash, in this order.
    durable: Vec<Record>,
    /// Written or about to be: a crash may keep the first few.
    appended: Vec<Record>,
    /// The compaction under way when the log failed: a crash leaves the old log or this one.
    replacing: Option<Vec<Record>>,
    /// NEW-VIEWs that were appended since they were last taken.
    new_views: Vec<Arc<NewView>>,
}

impl Promised {
    pub(crate) fn durable(&self) -> &[Record] {
        &self.durable
    }

    /// The NEW-VIEWs that the log was given since the last call.
    pub(crate) fn take_new_views(&mut self) -> Vec<Arc<NewView>> {
        std::mem::take(&mut self.new_views)
    }

    /// Compares with what was found after a crash, and goes on from there.
    ///
    /// # Errors
    /// If less was found than was promised (D1, D4).
    pub(crate) fn found(&mut self, records: &[Record]) -> Result<(), String> {
        let next = std::mem::replace(self, Self { durable: records.to_vec(), ..Self::default() });
        let kept = |promised: &[Record]| records.starts_with(promised);
        let replaced = next.replacing.as_deref().is_some_and(kept);
        if replaced || kept(&next.durable) {
            return Ok(());
        }
        let same = records.iter().zip(&next.durable).take_while(|(found, kept)| found == kept).count();
        let (all, found) = (next.durable.len(), records.len());
        Err(format!("of {all} durable records, the first {same} of {found} found are those"))
    }
}

/// A log that keeps account of what it promises.
pub(crate) struct WatchedLog<'l> {
    pub(crate) log: &'l mut SegmentedLog<SimulatedDisk>,
    pub(crate) promised: &'l mut Promised,
}

impl Log for WatchedLog<'_> {
    type Error = LogError;

    fn append(&mut self, record: &Record) -> Result<(), LogError> {
        self.log.append(record)?;
        if let Record::NewView(new_view) = record {
            self.promised.new_views.push(new_view.clone());
        }
        self.promised.appended.push(record.clone());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.log.sync()?;
        let appended = std::mem::take(&mut self.promised.appended);
        self.promised.durable.extend(appended);
        Ok(())
    }

    fn compact(&mut self, records: &[Record]) -> Result<(), LogError> {
        self.promised.replacing = Some(records.to_vec());
        self.log.compact(records)?;
        let new_views = self.promised.take_new_views();
        *self.promised = Promised { durable: records.to_vec(), new_views, ..Promised::default() };
        Ok(())
    }
}
