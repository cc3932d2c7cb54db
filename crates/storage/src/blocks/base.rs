//! Where a block store begins whose first blocks are gone: after a block that a certificate proves. One small file, written whole or
//! not at all, before any block file is removed.

use crate::disk::Disk;
use crate::frame::{Position, Seed};
use bincode::{Decode, Encode};
use quorate_types::{BlockCertificate, Header, LedgerId, Seq};
use std::io;

const NAME: &str = "base";
const DRAFT: &str = "base.new";
/// Block files are numbered from one.
const FILE: u64 = 0;

/// The last block below the first that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Base {
    pub header: Header,
    /// Of that very block.
    pub certificate: BlockCertificate,
    /// The number of the first block file that counts: those before are on their way out.
    pub(super) first_file: u64,
}

impl Base {
    /// The height of the first block that is stored.
    pub fn first(&self) -> Seq {
        self.header.height.next()
    }
}

/// The base of the store on this disk; `None` if it begins with block 1.
///
/// # Errors
/// If the disk fails or the file is damaged.
pub fn read_base<D: Disk>(disk: &D, ledger: LedgerId) -> io::Result<Option<Base>> {
    if !disk.list()?.iter().any(|name| name == NAME) {
        return Ok(None);
    }
    let bytes = disk.read(NAME)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file base is damaged");
    let frame = Seed::new(ledger, FILE).read(&bytes, 0).filter(|frame| frame.end == bytes.len());
    let base: Base = quorate_codec::decode(frame.ok_or_else(damaged)?.payload).map_err(|_| damaged())?;
    let whole = base.certificate.height == base.header.height && base.header.ledger == ledger;
    if whole { Ok(Some(base)) } else { Err(damaged()) }
}

/// Makes this the base; durable when it returns.
pub(super) fn write_base<D: Disk>(disk: &mut D, ledger: LedgerId, base: &Base) -> io::Result<()> {
    let mut frame = Vec::new();
    Seed::new(ledger, FILE).write(0, Position::default(), &quorate_codec::encode(base), &mut frame);
    if disk.list()?.iter().any(|name| name == DRAFT) {
        disk.remove(DRAFT)?;
    }
    disk.create(DRAFT, 0)?;
    disk.write_at(DRAFT, 0, &frame)?;
    disk.sync(DRAFT)?;
    disk.rename(DRAFT, NAME)?;
    disk.sync_directory()
}
