//! Blocks that a replica executed once, and on execution again otherwise (K4): those that were stored are set aside, as evidence, and those
//! that the members certify take their place. Of these heights the replica has spoken already, and says nothing any more.

use super::{BlockStore, name_of, small_file};
use crate::disk::Disk;
use bincode::{Decode, Encode};
use quorate_types::{LedgerId, Seq};
use std::io;

const NAME: &str = "disputed";
/// What the names of files end with that hold the blocks as they were.
const EVIDENCE: &str = ".disputed";

/// Of which heights a replica may have said what it would not say again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Disputed {
    pub from: Seq,
    /// The last one, included.
    pub to: Seq,
}

pub(super) fn read_disputed<D: Disk>(disk: &D, ledger: LedgerId) -> io::Result<Option<Disputed>> {
    small_file::read(disk, ledger, NAME)
}

impl<D: Disk> BlockStore<D> {
    /// Of which heights this replica says nothing any more.
    pub fn disputed(&self) -> Option<Disputed> {
        self.disputed
    }

    /// Sets the blocks from `height` on aside: the store ends below, and the files that held them are kept beside it under another name.
    /// Durable when it returns; a crash in between leaves them to be set aside again.
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    ///
    /// # Panics
    /// If there is no such block, or a certificate is stored that proves it.
    pub fn dispute(&mut self, height: Seq) -> io::Result<Disputed> {
        assert!(self.certificates.range(height..).next().is_none(), "what is certified is not disputed");
        let at = usize::try_from(height.above(self.below_first()) - 1).expect("blocks are in memory");
        let place = self.blocks[at];
        for file in place.file..=self.file {
            self.keep_as_evidence(&name_of(file))?;
        }
        let to = self.disputed.map_or(self.tip(), |earlier| earlier.to.max(self.tip()));
        let from = self.disputed.map_or(height, |earlier| earlier.from.min(height));
        let disputed = Disputed { from, to };
        small_file::write(&mut self.disk, self.ledger, NAME, &disputed)?;
        self.disputed = Some(disputed);
        // The newest first: whatever is left after a crash has no gap.
        for file in (place.file + 1..=self.file).rev() {
            self.disk.remove(&name_of(file))?;
        }
        self.disk.truncate(&name_of(place.file), place.offset as u64)?;
        self.disk.sync(&name_of(place.file))?;
        self.disk.sync_directory()?;
        self.blocks.truncate(at);
        self.certificates.retain(|_, other| (other.file, other.offset) < (place.file, place.offset));
        (self.file, self.offset) = (place.file, place.offset);
        self.certified = self.below_first();
        self.advance_certified();
        self.dirty.clear();
        Ok(disputed)
    }

    fn keep_as_evidence(&mut self, name: &str) -> io::Result<()> {
        let copy = format!("{name}{EVIDENCE}");
        if self.disk.list()?.contains(&copy) {
            self.disk.remove(&copy)?;
        }
        let bytes = self.disk.read(name)?;
        self.disk.create(&copy, 0)?;
        self.disk.write_at(&copy, 0, &bytes)?;
        self.disk.sync(&copy)
    }
}
