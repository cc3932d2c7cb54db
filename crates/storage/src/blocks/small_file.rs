//! Files of one frame beside the block files, written whole or not at all.

use crate::disk::Disk;
use crate::frame::{Position, Seed};
use bincode::{Decode, Encode};
use quorate_types::LedgerId;
use std::io;

/// Block files are numbered from one.
const FILE: u64 = 0;

pub(super) fn damaged(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file {name} is damaged"))
}

/// What is in a file; `None` if it is not there.
///
/// # Errors
/// If the disk fails or the file is damaged.
pub(super) fn read<T: Decode<()>, D: Disk>(disk: &D, ledger: LedgerId, name: &str) -> io::Result<Option<T>> {
    if !disk.list()?.iter().any(|other| other == name) {
        return Ok(None);
    }
    let bytes = disk.read(name)?;
    let frame = Seed::new(ledger, FILE).read(&bytes, 0).filter(|frame| frame.end == bytes.len());
    let frame = frame.ok_or_else(|| damaged(name))?;
    quorate_codec::decode(frame.payload).map(Some).map_err(|_| damaged(name))
}

/// Puts this in the place of what the file held; durable when it returns.
///
/// # Errors
/// If the disk fails.
pub(super) fn write<T: Encode, D: Disk>(
    disk: &mut D,
    ledger: LedgerId,
    name: &str,
    content: &T,
) -> io::Result<()> {
    let mut frame = Vec::new();
    Seed::new(ledger, FILE).write(0, Position::default(), &quorate_codec::encode(content), &mut frame);
    let draft = format!("{name}.new");
    if disk.list()?.contains(&draft) {
        disk.remove(&draft)?;
    }
    disk.create(&draft, 0)?;
    disk.write_at(&draft, 0, &frame)?;
    disk.sync(&draft)?;
    disk.rename(&draft, name)?;
    disk.sync_directory()
}
