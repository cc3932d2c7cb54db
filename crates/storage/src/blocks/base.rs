//! Where a block store begins whose first blocks are gone: after a block that a certificate proves. One small file, written whole or
//! not at all, before any block file is removed.

use super::small_file;
use crate::disk::Disk;
use bincode::{Decode, Encode};
use quorate_types::{BlockCertificate, Header, LedgerId, Seq};
use std::io;

pub(super) const NAME: &str = "base";

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
    let Some(base) = small_file::read::<Base, D>(disk, ledger, NAME)? else { return Ok(None) };
    let whole = base.certificate.height == base.header.height && base.header.ledger == ledger;
    if whole { Ok(Some(base)) } else { Err(small_file::damaged(NAME)) }
}

/// Makes this the base; durable when it returns.
pub(super) fn write_base<D: Disk>(disk: &mut D, ledger: LedgerId, base: &Base) -> io::Result<()> {
    small_file::write(disk, ledger, NAME, base)
}
