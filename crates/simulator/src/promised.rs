//! What a member's log has promised to keep, beside the log itself: a crash may lose what is not in here, and nothing else.

use quorate_pbft::Log;
use quorate_storage::{LogError, SegmentedLog, SimulatedDisk};
use quorate_types::{NewView, Record};
use std::sync::Arc;

/// What a log that was opened lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It was to be durable: the log or the disk is to blame.
    Promised(String),
    /// The disk is to blame, and the log should have noticed (D4).
    Damaged(String),
}

/// The records of a log, as those who wrote them may count on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised {
    /// Synced: these survive any crash, in this order.
    durable: Vec<Record>,
    /// Written or about to be: a crash may keep the first few.
    appended: Vec<Record>,
    /// Of the durable ones, so many stand below what a later flush claims: damage there may not pass for a torn tail (D4).
    claimed: usize,
    /// So many bytes of the log were spoilt since: after one it may be refused, or come back without its unclaimed end. After
    /// more the flush that claims an earlier one may be spoilt with it, and both look like one torn tail.
    spoilt: usize,
    /// The compaction under way when the log failed: a crash leaves the old log or this one.
    pub(crate) replacing: Option<Vec<Record>>,
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
    pub(crate) fn found(&mut self, records: &[Record]) -> Result<(), Lost> {
        let claimed = records.len();
        let next = std::mem::replace(self, Self { durable: records.to_vec(), claimed, ..Self::default() });
        if next.spoilt > 0 {
            return next.not_cut_short(records);
        }
        let kept = |promised: &[Record]| records.starts_with(promised);
        let replaced = next.replacing.as_deref().is_some_and(kept);
        if replaced || kept(&next.durable) {
            return Ok(());
        }
        let same = records.iter().zip(&next.durable).take_while(|(found, kept)| found == kept).count();
        let (all, found) = (next.durable.len(), records.len());
        Err(Lost::Promised(format!("of {all} durable records, the first {same} of {found} found are those")))
    }
}

impl Promised {
    /// So many bytes of the log are no longer what was written.
    pub(crate) fn damage(&mut self, bytes: usize) {
        self.spoilt += bytes;
    }

    fn not_cut_short(&self, records: &[Record]) -> Result<(), Lost> {
        let written: Vec<&Record> = self.durable.iter().chain(&self.appended).collect();
        let replacing: Vec<&Record> = self.replacing.iter().flatten().collect();
        let begins = |whole: &[&Record]| {
            whole.len() >= records.len() && whole.iter().zip(records).all(|(wrote, found)| *wrote == found)
        };
        if !begins(&written) && !begins(&replacing) {
            return Err(Lost::Damaged("a damaged log is opened with records that nobody wrote".to_owned()));
        }
        let claimed = &self.durable[..self.claimed];
        let replaced = self.replacing.as_deref() == Some(records);
        if self.spoilt > 1 || replaced || records.starts_with(claimed) {
            return Ok(());
        }
        let (all, found) = (claimed.len(), records.len());
        let what = format!("a damaged log is opened with {found} records, though it claims {all}");
        Err(Lost::Damaged(what))
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
        if !appended.is_empty() {
            self.promised.claimed = self.promised.durable.len();
        }
        self.promised.durable.extend(appended);
        Ok(())
    }

    fn compact(&mut self, records: &[Record]) -> Result<(), LogError> {
        self.promised.replacing = Some(records.to_vec());
        self.log.compact(records)?;
        let new_views = self.promised.take_new_views();
        // A compacted log says how many records make it whole.
        let claimed = records.len();
        *self.promised = Promised { durable: records.to_vec(), claimed, new_views, ..Promised::default() };
        Ok(())
    }
}
