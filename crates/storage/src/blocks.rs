//! The block store: every executed block with its results, and its certificate when it has one. Written behind the log,
//! synced once per checkpoint (D1, K1).

pub mod audit;
mod base;
mod dispute;
mod small_file;

use crate::disk::Disk;
use crate::frame::{Position, Seed};
use bincode::{Decode, Encode};
use quorate_types::{Block, BlockCertificate, CertifiedBlock, Header, LedgerId, Seq, TransactionResult};
use std::collections::{BTreeMap, VecDeque};
use std::io;

pub use base::{Base, read_base};
pub use dispute::Disputed;

/// Bytes after which a new file is begun.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// About what a header takes in a message.
const HEADER_BYTES: usize = 256;

/// A block with the results of its transactions, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredBlock {
    pub block: Block,
    pub results: Vec<TransactionResult>,
}

/// What one frame of a block file holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Entry {
    Block(StoredBlock),
    Certificate(BlockCertificate),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    file: u64,
    offset: usize,
    length: usize,
}

/// The blocks from the first that is kept to the tip, without gaps.
#[derive(Debug)]
pub struct BlockStore<D> {
    disk: D,
    ledger: LedgerId,
    /// Bytes after which a new file is begun.
    file_bytes: usize,
    /// What lies below the first block, if that is not block 1.
    base: Option<Base>,
    disputed: Option<Disputed>,
    file: u64,
    offset: usize,
    blocks: Vec<Place>,
    certificates: BTreeMap<Seq, Place>,
    certified: Seq,
    /// Files written since the last sync.
    dirty: Vec<u64>,
    directory_dirty: bool,
}

fn name_of(file: u64) -> String {
    format!("{file:016}.blk")
}

/// The number of a block file by its name; other files are none of the store's.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".blk")?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

/// What the names of files end with that were damaged, and set aside.
const ASIDE: &str = ".damaged";

/// Sets all blocks aside that are on this disk: whoever wants to know what was in them finds them beside the new ones. What is
/// disputed stays known.
///
/// # Errors
/// If the disk fails.
pub fn set_aside<D: Disk>(disk: &mut D) -> io::Result<()> {
    for name in disk.list()?.iter().filter(|name| number_of(name).is_some() || *name == base::NAME) {
        disk.rename(name, &format!("{name}{ASIDE}"))?;
    }
    disk.sync_directory()
}

/// The number of the oldest block file that counts.
fn oldest_kept(base: &Option<Base>) -> u64 {
    base.as_ref().map_or(1, |base| base.first_file)
}

impl<D: Disk> BlockStore<D> {
    /// Opens the store. A torn tail is cut: the log and the peers have what it held.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(disk: D, ledger: LedgerId) -> io::Result<Self> {
        Self::open_with(disk, ledger, FILE_BYTES, Seq::ZERO)
    }

    /// [`BlockStore::open`] with files of another size, where the blocks up to `durable` are known to have been durable: what ends below
    /// that is no torn tail.
    ///
    /// # Errors
    /// As [`BlockStore::open`]; `InvalidData` if a file is damaged or missing. Nothing is then changed.
    pub fn open_with(disk: D, ledger: LedgerId, file_bytes: usize, durable: Seq) -> io::Result<Self> {
        let base = read_base(&disk, ledger)?;
        let mut files: Vec<u64> = disk.list()?.iter().filter_map(|name| number_of(name)).collect();
        files.sort_unstable();
        let mut store = Self {
            ledger,
            file_bytes,
            file: base.as_ref().map_or(1, |base| base.first_file),
            base,
            disputed: dispute::read_disputed(&disk, ledger)?,
            offset: 0,
            blocks: Vec::new(),
            certificates: BTreeMap::new(),
            certified: Seq::ZERO,
            dirty: Vec::new(),
            directory_dirty: false,
            disk,
        };
        store.certified = store.below_first();
        store.remove_files_before_base()?;
        files.retain(|file| *file >= store.file);
        let mut torn = false;
        for file in files {
            if torn {
                store.disk.remove(&name_of(file))?;
                continue;
            }
            let bytes = store.disk.read(&name_of(file))?;
            let end = store.scan(file, &bytes);
            (store.file, store.offset) = (file, end);
            if end < bytes.len() && store.tip() < durable {
                let (name, next) = (name_of(file), store.tip().next());
                let what = format!(
                    "block file {name} is damaged at byte {end}, or the one before is missing: no block {next}"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            if end < bytes.len() {
                // Durable at once: another power cut could bring back what stood here, behind what is written in its place.
                store.disk.truncate(&name_of(file), end as u64)?;
                store.disk.sync(&name_of(file))?;
                torn = true;
            }
        }
        if torn {
            store.disk.sync_directory()?;
        }
        store.advance_certified();
        Ok(store)
    }

    /// Indexes the intact frames of one file; returns where they end.
    fn scan(&mut self, file: u64, bytes: &[u8]) -> usize {
        let seed = Seed::new(self.ledger, file);
        let mut offset = 0;
        while let Some(frame) = seed.read(bytes, offset) {
            let place = Place { file, offset, length: frame.end - offset };
            match quorate_codec::decode::<Entry>(frame.payload) {
                Ok(Entry::Block(stored)) if stored.block.header.height == self.tip().next() => {
                    self.blocks.push(place);
                }
                // Written behind its block: without it what stands between them is lost, be it at the end of the file before.
                Ok(Entry::Certificate(certificate)) if certificate.height <= self.tip() => {
                    self.certificates.insert(certificate.height, place);
                }
                _ => break,
            }
            offset = frame.end;
        }
        offset
    }

    /// The height below the first block that is stored: zero, or that of the base.
    fn below_first(&self) -> Seq {
        self.base.as_ref().map_or(Seq::ZERO, |base| base.header.height)
    }

    /// The height of the first block that is stored, or would be.
    pub fn first(&self) -> Seq {
        self.below_first().next()
    }

    /// What lies below the first block, if that is not block 1.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// The height of the last block; that of the base, or zero, if there is none.
    pub fn tip(&self) -> Seq {
        self.below_first().plus(self.blocks.len() as u64)
    }

    /// The highest block that a certificate here proves, itself or by the headers up to another.
    pub fn proven(&self) -> Seq {
        self.certificates.keys().next_back().copied().unwrap_or(Seq::ZERO).max(self.below_first())
    }

    /// Every block up to this one has its certificate.
    pub fn certified(&self) -> Seq {
        self.certified
    }

    /// Removes whole files of blocks below `keep_from`, as far as what remains begins after a block with a certificate of its own.
    /// Returns whether anything was removed. Everything appended must be durable.
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    pub fn prune(&mut self, keep_from: Seq) -> io::Result<bool> {
        let last_of_file = |file: u64| self.blocks.partition_point(|place| place.file <= file);
        let Some(oldest) = self.blocks.first().map(|place| place.file) else { return Ok(false) };
        let mut found = None;
        for file in oldest..self.file {
            let last = self.below_first().plus(last_of_file(file) as u64);
            if last.next() > keep_from {
                break;
            }
            if let (Some(header), Some(certificate)) = (self.header(last)?, self.certificate(last)?) {
                found = Some(Base { header, certificate, first_file: file + 1 });
            }
        }
        let Some(base) = found else { return Ok(false) };
        let removed = usize::try_from(base.header.height.above(self.below_first())).unwrap_or(usize::MAX);
        self.begin_at(base)?;
        self.blocks.drain(..removed);
        self.certificates.retain(|_, place| place.file >= oldest_kept(&self.base));
        Ok(true)
    }

    /// Forgets all blocks: the store goes on after this one, which a certificate proves (T3). Durable when it returns.
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    ///
    /// # Panics
    /// If the block is not above the tip, or the certificate is of another one.
    pub fn restart_after(&mut self, header: Header, certificate: BlockCertificate) -> io::Result<()> {
        assert!(header.height > self.tip(), "what is stored is not given up for what is older");
        assert_eq!(certificate.height, header.height, "the certificate is of that very block");
        let first_file = self.file + 1;
        self.blocks.clear();
        self.certificates.clear();
        self.begin_at(Base { header, certificate, first_file })?;
        (self.file, self.offset) = (first_file, 0);
        Ok(())
    }

    fn begin_at(&mut self, base: Base) -> io::Result<()> {
        base::write_base(&mut self.disk, self.ledger, &base)?;
        self.base = Some(base);
        // What is below is proven by the base; above it there may be certificates already.
        self.certified = self.certified.max(self.below_first());
        self.advance_certified();
        self.remove_files_before_base()
    }

    fn remove_files_before_base(&mut self) -> io::Result<()> {
        let kept = oldest_kept(&self.base);
        let mut removed = false;
        for name in self.disk.list()? {
            if number_of(&name).is_some_and(|file| file < kept) {
                self.disk.remove(&name)?;
                removed = true;
            }
        }
        self.dirty.retain(|file| *file >= kept);
        if removed { self.disk.sync_directory() } else { Ok(()) }
    }

    fn advance_certified(&mut self) {
        while self.certificates.contains_key(&self.certified.next()) {
            self.certified = self.certified.next();
        }
    }

    fn write(&mut self, entry: &Entry) -> io::Result<Place> {
        if self.offset >= self.file_bytes {
            (self.file, self.offset) = (self.file + 1, 0);
        }
        let name = name_of(self.file);
        if self.offset == 0 {
            match self.disk.create(&name, 0) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.directory_dirty = true,
            }
        }
        let mut frame = Vec::new();
        let payload = quorate_codec::encode(entry);
        let claim = Position::default();
        Seed::new(self.ledger, self.file).write(self.offset, claim, &payload, &mut frame);
        self.disk.write_at(&name, self.offset as u64, &frame)?;
        let place = Place { file: self.file, offset: self.offset, length: frame.len() };
        self.offset += frame.len();
        if self.dirty.last() != Some(&self.file) {
            self.dirty.push(self.file);
        }
        Ok(place)
    }

    /// Appends the next block; not durable before [`BlockStore::sync`].
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    ///
    /// # Panics
    /// If it is not the next block.
    pub fn append(&mut self, stored: StoredBlock) -> io::Result<()> {
        assert_eq!(stored.block.header.height, self.tip().next(), "blocks are stored in order");
        let place = self.write(&Entry::Block(stored))?;
        self.blocks.push(place);
        Ok(())
    }

    /// Keeps the certificate of a block.
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    pub fn append_certificate(&mut self, certificate: BlockCertificate) -> io::Result<()> {
        let height = certificate.height;
        if self.certificates.contains_key(&height) {
            return Ok(());
        }
        let place = self.write(&Entry::Certificate(certificate))?;
        self.certificates.insert(height, place);
        self.advance_certified();
        Ok(())
    }

    /// Makes everything appended durable (K1).
    ///
    /// # Errors
    /// If the disk fails; the process must then stop (D3).
    pub fn sync(&mut self) -> io::Result<()> {
        for file in std::mem::take(&mut self.dirty) {
            self.disk.sync(&name_of(file))?;
        }
        if std::mem::take(&mut self.directory_dirty) {
            self.disk.sync_directory()?;
        }
        Ok(())
    }

    fn read(&self, place: Place) -> io::Result<Entry> {
        let bytes = self.disk.read_at(&name_of(place.file), place.offset as u64, place.length)?;
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, format!("block file {} is damaged", place.file));
        // A frame's checksum covers its offset, so it is read as if it stood there.
        let frame =
            Seed::new(self.ledger, place.file).read_alone(&bytes, place.offset).ok_or_else(damaged)?;
        quorate_codec::decode(frame).map_err(|_| damaged())
    }

    /// A block with its results.
    ///
    /// # Errors
    /// If the disk fails or the block is damaged.
    pub fn block(&self, height: Seq) -> io::Result<Option<StoredBlock>> {
        let at = height.get().checked_sub(self.first().get());
        let place = at.and_then(|at| self.blocks.get(usize::try_from(at).ok()?));
        match place.map(|place| self.read(*place)).transpose()? {
            Some(Entry::Block(stored)) => Ok(Some(stored)),
            _ => Ok(None),
        }
    }

    /// A block's header; the base has one too.
    ///
    /// # Errors
    /// If the disk fails or the block is damaged.
    pub fn header(&self, height: Seq) -> io::Result<Option<Header>> {
        if let Some(base) = self.base.as_ref().filter(|base| base.header.height == height) {
            return Ok(Some(base.header.clone()));
        }
        Ok(self.block(height)?.map(|stored| stored.block.header))
    }

    /// The certificate of a block, if it is stored.
    ///
    /// # Errors
    /// If the disk fails or the certificate is damaged.
    pub fn certificate(&self, height: Seq) -> io::Result<Option<BlockCertificate>> {
        match self.certificates.get(&height).map(|place| self.read(*place)).transpose()? {
            Some(Entry::Certificate(certificate)) => Ok(Some(certificate)),
            _ => Ok(None),
        }
    }

    /// What proves a block: its own certificate, or the next one above with the headers up to there, at most so many (M8).
    ///
    /// # Errors
    /// If the disk fails or is damaged.
    pub fn proof(&self, height: Seq, most_links: u64) -> io::Result<Option<(Vec<Header>, BlockCertificate)>> {
        let next = self.certificates.range(height..).next().map(|(at, _)| *at);
        let Some(at) = next.filter(|at| at.above(height) <= most_links) else { return Ok(None) };
        let mut links = VecDeque::new();
        self.extend_links(&mut links, height, at)?;
        Ok(self.certificate(at)?.map(|certificate| (links.into(), certificate)))
    }

    /// Blocks with certificates from `from` on, until none is certified, or the limits are reached; the first is always
    /// given. A block without a certificate of its own comes with the headers that link it to the next that has one (M8), if
    /// they are not too many.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn certified_blocks(
        &self,
        from: Seq,
        most: usize,
        most_bytes: usize,
        most_links: u64,
    ) -> io::Result<Vec<CertifiedBlock>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut height = from.max(Seq::new(1));
        let mut links = VecDeque::new();
        while found.len() < most && bytes < most_bytes {
            let Some(certified) = self.certificates.range(height..).next().map(|(at, _)| *at) else { break };
            let (Some(stored), Some(certificate)) = (self.block(height)?, self.certificate(certified)?)
            else {
                break;
            };
            if certified.above(height) > most_links {
                break;
            }
            self.extend_links(&mut links, height, certified)?;
            bytes += HEADER_BYTES * (1 + links.len());
            bytes += stored.block.batch.as_ref().map_or(0, |batch| batch.size());
            found.push(CertifiedBlock { block: stored.block, links: links.clone().into(), certificate });
            height = height.next();
        }
        Ok(found)
    }

    /// Makes `links` the headers of `height + 1 ..= last`, of which it may hold a part from the block before.
    fn extend_links(&self, links: &mut VecDeque<Header>, height: Seq, last: Seq) -> io::Result<()> {
        while links.front().is_some_and(|link| link.height <= height) {
            links.pop_front();
        }
        let mut next = links.back().map_or(height, |link| link.height).next();
        while next <= last {
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("block {next} is missing"));
            links.push_back(self.header(next)?.ok_or_else(damaged)?);
            next = next.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
