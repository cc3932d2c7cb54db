//! What is here of a state that is being fetched (T2), so that a transfer goes on after a kill where it was.
//!
//! One file of messages as they came, each after its length. Nothing of it is trusted when it is read: the parts are checked like those
//! that a peer sends, and so a damaged file costs no more than fetching again. That is why little is synced: a kill loses nothing, a power
//! cut a few parts.

use crate::disk::Disk;
use quorate_codec::{Caps, decode_message, encode_message};
use quorate_crypto::{Cache, CheckedMessage, Verified, Verifier, verify_all};
use quorate_types::{Members, Message};
use std::io;

const FILE: &str = "transfer";
const DRAFT: &str = "transfer.new";
/// Bytes that a power cut may cost.
const SYNC_EVERY: u64 = 2 << 20;
/// Bytes of the length before each message.
const LENGTH: usize = 4;

/// The file.
#[derive(Debug)]
pub struct TransferFile<D> {
    disk: D,
    /// Where the next message goes; `None`: there is no file.
    end: Option<u64>,
    /// Up to where it is synced.
    synced: u64,
}

impl<D: Disk> TransferFile<D> {
    /// The file on this disk, if there is one, and what can be read of it, unverified.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(disk: D, caps: &Caps) -> io::Result<(Self, Vec<Message>)> {
        let mut file = Self { disk, end: None, synced: 0 };
        if !file.has(FILE)? {
            return Ok((file, Vec::new()));
        }
        let (messages, end) = read(&file.disk.read(FILE)?, caps);
        file.end = Some(end);
        Ok((file, messages))
    }

    /// A transfer begins, or goes on with another state, of which this much is here already.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn begin(&mut self, messages: &[Message]) -> io::Result<()> {
        if self.has(DRAFT)? {
            self.disk.remove(DRAFT)?;
        }
        self.disk.create(DRAFT, 0)?;
        let bytes: Vec<u8> = messages.iter().flat_map(entry).collect();
        self.disk.write_at(DRAFT, 0, &bytes)?;
        self.disk.sync(DRAFT)?;
        self.disk.rename(DRAFT, FILE)?;
        self.disk.sync_directory()?;
        self.synced = bytes.len() as u64;
        self.end = Some(self.synced);
        Ok(())
    }

    /// One more part is here. Without a transfer that was begun, nothing happens.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn add(&mut self, message: &Message) -> io::Result<()> {
        let Some(end) = self.end else { return Ok(()) };
        let bytes = entry(message);
        self.disk.write_at(FILE, end, &bytes)?;
        let end = end + bytes.len() as u64;
        if end - self.synced.min(end) >= SYNC_EVERY {
            self.disk.sync(FILE)?;
            self.synced = end;
        }
        self.end = Some(end);
        Ok(())
    }

    /// The transfer is over.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn end(&mut self) -> io::Result<()> {
        self.end = None;
        for name in [FILE, DRAFT] {
            if self.has(name)? {
                self.disk.remove(name)?;
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> io::Result<bool> {
        Ok(self.disk.list()?.iter().any(|found| found == name))
    }
}

fn entry(message: &Message) -> Vec<u8> {
    let encoded = encode_message(message);
    let length = u32::try_from(encoded.len()).expect("a message fits a frame");
    [&length.to_be_bytes()[..], &encoded].concat()
}

/// The messages up to the first that is not whole, and where they end.
fn read(bytes: &[u8], caps: &Caps) -> (Vec<Message>, u64) {
    let mut messages = Vec::new();
    let mut at = 0;
    while let Some((length, rest)) = bytes[at..].split_first_chunk::<LENGTH>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some(Ok(message)) = rest.get(..length).map(|encoded| decode_message(encoded, caps)) else {
            break;
        };
        messages.push(message);
        at += LENGTH + length;
    }
    (messages, at as u64)
}

/// What of it bears verification; the rest must be fetched again.
pub fn verified(
    members: &Members,
    verifier: &dyn Verifier,
    messages: Vec<Message>,
) -> Vec<Verified<CheckedMessage>> {
    let cache = Cache::new(0);
    verify_all(members, verifier, &cache, messages).into_iter().filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests;
