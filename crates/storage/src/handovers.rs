//! How each epoch ended (G2). Kept for ever: one small file for each epoch, written whole or not at all.

use crate::disk::Disk;
use crate::frame::{Position, Seed};
use quorate_types::{CertificateKind, Epoch, Handover, LedgerId};
use std::io;

const DRAFT: &str = "handover.new";

pub(crate) fn name_of(epoch: Epoch) -> String {
    format!("{:016}.handover", epoch.get())
}

/// The ends of all epochs so far, as far as they were seen from here.
#[derive(Debug)]
pub struct Handovers<D> {
    disk: D,
    ledger: LedgerId,
}

impl<D: Disk> Handovers<D> {
    /// The handovers on this disk.
    pub fn new(disk: D, ledger: LedgerId) -> Self {
        Self { disk, ledger }
    }

    /// Keeps how an epoch ended; durable when it returns.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep(&mut self, handover: &Handover) -> io::Result<()> {
        let epoch = handover.header.epoch;
        let mut frame = Vec::new();
        let payload = quorate_codec::encode(handover);
        Seed::new(self.ledger, epoch.get()).write(0, Position::default(), &payload, &mut frame);
        if self.has(DRAFT)? {
            self.disk.remove(DRAFT)?;
        }
        self.disk.create(DRAFT, 0)?;
        self.disk.write_at(DRAFT, 0, &frame)?;
        self.disk.sync(DRAFT)?;
        self.disk.rename(DRAFT, &name_of(epoch))?;
        self.disk.sync_directory()
    }

    /// How an epoch ended, if that is known here.
    ///
    /// # Errors
    /// If the disk fails or the file is damaged.
    pub fn get(&self, epoch: Epoch) -> io::Result<Option<Handover>> {
        let name = name_of(epoch);
        if !self.has(&name)? {
            return Ok(None);
        }
        let bytes = self.disk.read(&name)?;
        let damaged = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("handovers/{name} is damaged; another replica's file will do"),
            )
        };
        let frame = Seed::new(self.ledger, epoch.get()).read(&bytes, 0);
        let frame = frame.filter(|frame| frame.end == bytes.len()).ok_or_else(damaged)?;
        let handover: Handover = quorate_codec::decode(frame.payload).map_err(|_| damaged())?;
        let Handover { header, certificate, next } = &handover;
        let fits = (header.ledger, header.epoch) == (self.ledger, epoch)
            && (certificate.epoch, certificate.height) == (epoch, header.height)
            && certificate.kind == CertificateKind::Checkpoint
            && next.after == header.height;
        if fits { Ok(Some(handover)) } else { Err(damaged()) }
    }

    /// How the epochs from this one on ended, as far as that is known here without a gap, at most so many.
    ///
    /// # Errors
    /// As [`Handovers::get`].
    pub fn from(&self, epoch: Epoch, most: usize) -> io::Result<Vec<Handover>> {
        let mut found = Vec::new();
        while found.len() < most
            && let Some(handover) = self.get(epoch.plus(found.len() as u64))?
        {
            found.push(handover);
        }
        Ok(found)
    }

    fn has(&self, name: &str) -> io::Result<bool> {
        Ok(self.disk.list()?.iter().any(|other| other == name))
    }
}

#[cfg(test)]
mod tests;
