//! The write-ahead log: what was promised (D).
//!
//! Segments are preallocated and zero-filled, since a sync of a file that does not grow is cheaper. Each segment begins
//! with a header frame: *continue* names the segment before it and its end; *begin* starts a compacted log and says how
//! many records make it complete, so that a crash at any point leaves either the old log or the new one.

use crate::disk::Disk;
use crate::frame::{OVERHEAD, Position, Seed};
use quorate_codec::{decode_record, encode_record};
use quorate_pbft::Log;
use quorate_types::mutants::mutant;
use quorate_types::{LedgerId, Record};
use std::io;

/// Bytes of a segment; a larger flush gets a segment of its own size.
pub const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const SPARE: &str = "spare.log";
/// Bytes of records that may wait for the next sync: more are written without being asked for.
const MOST_PENDING: usize = 4 * 1024 * 1024;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed; the process must stop and must not try again (D3).
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// An earlier operation failed: what is on disk is not known any more (D3).
    #[error("the log failed earlier and may not be used any more")]
    Poisoned,
    /// A frame below the synced end does not match its checksum: a lost disk (D4).
    #[error("segment {segment} is damaged at byte {offset}, below what was synced")]
    Corrupt { segment: u64, offset: usize },
    /// A record does not decode though its checksum matches: written by another version.
    #[error("segment {segment} has a record at byte {offset} that this version cannot read: {why}")]
    Unreadable { segment: u64, offset: usize, why: String },
}

/// What opening a log found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecoveredLog {
    pub records: Vec<Record>,
    /// Bytes of a torn tail that were cut: written but never known synced. D6 covers what they may have been.
    pub cut_bytes: usize,
}

/// The log in segments on a disk.
#[derive(Debug)]
pub struct SegmentedLog<D> {
    disk: D,
    ledger: LedgerId,
    segment: u64,
    segment_bytes: usize,
    /// Where the next frame goes.
    offset: usize,
    /// Records that are appended and not written yet.
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
    /// Frames of the flush under way; they begin at `offset`.
    buffer: Vec<Vec<u8>>,
    synced: Position,
    poisoned: bool,
    /// Whether something was synced since the last idle claim.
    unclaimed: bool,
    segment_size: usize,
}

enum Header {
    Begin {
        records: u64,
    },
    /// Where the segment before it ends.
    Continue {
        end: Position,
    },
}

impl Header {
    fn to_bytes(&self) -> [u8; 9] {
        let (kind, number) = match self {
            Self::Begin { records } => (0, *records),
            Self::Continue { end } => (1, end.pack()),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = u64::from_be_bytes(bytes.get(1..)?.try_into().ok()?);
        match bytes[0] {
            0 => Some(Self::Begin { records: number }),
            1 => Some(Self::Continue { end: Position::unpack(number) }),
            _ => None,
        }
    }
}

fn name_of(segment: u64) -> String {
    format!("{segment:016}.log")
}

/// The number of a segment by the name of its file; other files are none of the log's.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".log")?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

struct Segment {
    number: u64,
    header: Header,
    /// The payloads after the header, with the offset of each.
    payloads: Vec<(usize, Vec<u8>)>,
    /// Where the intact frames end.
    end: usize,
    bytes: Vec<u8>,
}

/// How much of a torn frame stands behind the intact ones. What a recycled segment held before is no torn frame: it
/// claims positions of an older segment.
fn torn_bytes(segment: &Segment) -> usize {
    let tail = segment.bytes.get(segment.end..).unwrap_or_default();
    let Some(claim) = tail.get(4..12).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes) else {
        return 0;
    };
    if Position::unpack(claim).file != segment.number {
        return 0;
    }
    tail.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}

impl<D: Disk> SegmentedLog<D> {
    /// Opens the log, or begins one. What is found is never silently shorter than what was synced: a damaged frame below
    /// a later claim is an error; a torn tail is cut and its length reported.
    ///
    /// # Errors
    /// If the log is damaged or the disk fails.
    pub fn open(disk: D, ledger: LedgerId) -> Result<(Self, RecoveredLog), LogError> {
        Self::open_with(disk, ledger, SEGMENT_BYTES)
    }

    /// [`SegmentedLog::open`] with segments of another size, for tests and simulation.
    ///
    /// # Errors
    /// As [`SegmentedLog::open`].
    pub fn open_with(
        disk: D,
        ledger: LedgerId,
        segment_size: usize,
    ) -> Result<(Self, RecoveredLog), LogError> {
        let mut log = Self {
            disk,
            ledger,
            segment: 0,
            segment_bytes: 0,
            offset: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            buffer: Vec::new(),
            synced: Position::default(),
            poisoned: false,
            unclaimed: false,
            segment_size,
        };
        let recovered = log.recover();
        if matches!(recovered, Err(LogError::Corrupt { .. })) {
            quorate_types::probes::hit("a damaged log is refused");
        }
        Ok((log, recovered?))
    }

    fn recover(&mut self) -> Result<RecoveredLog, LogError> {
        let (segments, mut obsolete, highest) = self.read_segments()?;
        // A spare of an earlier run may have been a segment already, whose name a crash took back while its frames stayed: as
        // a segment of the same number they would be read again.
        if self.disk.list()?.iter().any(|name| name == SPARE) {
            obsolete.push(SPARE.to_owned());
        }
        let mut recovered = RecoveredLog::default();
        for (at, segment) in segments.iter().enumerate() {
            let written = match segments.get(at + 1).map(|next| &next.header) {
                None => None,
                Some(Header::Continue { end }) if end.file == segment.number => Some(end.offset),
                // A segment between the two is lost.
                Some(_) => return Err(LogError::Corrupt { segment: segment.number + 1, offset: 0 }),
            };
            self.check_end(segment, written, &mut recovered)?;
            for (offset, payload) in &segment.payloads {
                if written.is_some_and(|end| *offset >= end) || payload.is_empty() {
                    continue;
                }
                let unreadable = |error: quorate_codec::DecodeError| LogError::Unreadable {
                    segment: segment.number,
                    offset: *offset,
                    why: error.to_string(),
                };
                recovered.records.push(decode_record(payload).map_err(unreadable)?);
            }
        }
        if !obsolete.is_empty() {
            for name in obsolete {
                self.disk.remove(&name)?;
            }
            // Before a later segment exists: an unwritten one below it would look like damage.
            self.disk.sync_directory()?;
        }
        self.segment = highest;
        let header = match segments.last() {
            None => Header::Begin { records: 0 },
            Some(last) => Header::Continue { end: Position { file: last.number, offset: last.end } },
        };
        // A fresh segment at every start: what a torn tail left behind is never appended to.
        self.start_segment(&header, 0)?;
        self.flush()?;
        self.disk.sync_directory()?;
        Ok(recovered)
    }

    /// The segments of the current log in order, names of files that belong to it no more, the highest number seen.
    fn read_segments(&mut self) -> Result<(Vec<Segment>, Vec<String>, u64), LogError> {
        let mut numbers = self.segments_on_disk()?;
        numbers.sort_unstable();
        let highest = numbers.last().copied().unwrap_or(0);
        if highest >= Position::MOST_FILES {
            return Err(LogError::Corrupt { segment: highest, offset: 0 });
        }
        let mut segments: Vec<Segment> = Vec::new();
        let mut obsolete = Vec::new();
        // What is left of an older log whose removal was cut short: legal if a whole later one follows.
        let mut remains = Vec::new();
        for number in numbers {
            let last = number == highest;
            let alone = segments.is_empty() && remains.is_empty();
            match self.read_segment(number, alone)? {
                None if last => obsolete.push(name_of(number)),
                None => return Err(LogError::Corrupt { segment: number, offset: 0 }),
                Some(segment) => match segment.header {
                    Header::Begin { records } if (segment.payloads.len() as u64) < records => {
                        // An unfinished compaction, unless there is no older log to fall back on.
                        if segments.is_empty() || !last {
                            return Err(LogError::Corrupt { segment: number, offset: segment.end });
                        }
                        obsolete.push(name_of(number));
                    }
                    Header::Begin { .. } => {
                        let old = segments.drain(..).map(|old| old.number);
                        obsolete.extend(remains.drain(..).chain(old).map(name_of));
                        segments.push(segment);
                    }
                    Header::Continue { .. } if segments.is_empty() => remains.push(number),
                    Header::Continue { .. } => segments.push(segment),
                },
            }
        }
        match remains.first() {
            Some(number) => Err(LogError::Corrupt { segment: *number, offset: 0 }),
            None => Ok((segments, obsolete, highest)),
        }
    }

    /// A segment, or nothing if its header was never whole. `alone`: nothing is before it, so that its header was written by
    /// itself, or by a compaction that was whole before the log before it was removed; frames behind a damaged one are then
    /// what is left of synced ones.
    fn read_segment(&self, number: u64, alone: bool) -> Result<Option<Segment>, LogError> {
        let bytes = self.disk.read(&name_of(number))?;
        let seed = Seed::new(self.ledger, number);
        let Some(first) = seed.read(&bytes, 0) else {
            let claimed = seed.highest_claim_after(&bytes, 0);
            return match claimed {
                Some(claim) if alone || claim > (Position { file: number, offset: 0 }) => {
                    Err(LogError::Corrupt { segment: number, offset: 0 })
                }
                _ => Ok(None),
            };
        };
        let corrupt = LogError::Corrupt { segment: number, offset: 0 };
        let header = Header::from_bytes(first.payload).ok_or(corrupt)?;
        let mut end = first.end;
        let mut payloads = Vec::new();
        while let Some(frame) = seed.read(&bytes, end) {
            payloads.push((end, frame.payload.to_vec()));
            end = frame.end;
        }
        Ok(Some(Segment { number, header, payloads, end, bytes }))
    }

    /// D4: whether the intact frames reach as far as anyone claimed.
    fn check_end(
        &self,
        segment: &Segment,
        written: Option<usize>,
        recovered: &mut RecoveredLog,
    ) -> Result<(), LogError> {
        let corrupt = Err(LogError::Corrupt { segment: segment.number, offset: segment.end });
        match written {
            Some(written) if segment.end < written => corrupt,
            Some(_) => Ok(()),
            None => {
                let seed = Seed::new(self.ledger, segment.number);
                let here = Position { file: segment.number, offset: segment.end };
                let claimed = seed.highest_claim_after(&segment.bytes, segment.end);
                if claimed.is_some_and(|claim| claim > here) && !mutant("m20") {
                    return corrupt;
                }
                let torn = torn_bytes(segment);
                if torn > 0 {
                    quorate_types::probes::hit("a torn tail is cut");
                }
                recovered.cut_bytes += torn;
                Ok(())
            }
        }
    }

    /// Begins the next segment with its header; `need` is how many bytes will follow at once.
    fn start_segment(&mut self, header: &Header, need: usize) -> Result<(), LogError> {
        self.segment += 1;
        let name = name_of(self.segment);
        let size = self.segment_size.max(need + OVERHEAD + 16);
        let spare = size == self.segment_size && self.disk.list()?.iter().any(|name| name == SPARE);
        if spare {
            self.disk.rename(SPARE, &name)?;
        } else {
            self.disk.create(&name, size as u64)?;
        }
        self.segment_bytes = size;
        self.offset = 0;
        let seed = Seed::new(self.ledger, self.segment);
        let mut frame = Vec::new();
        seed.write(0, self.synced, &header.to_bytes(), &mut frame);
        self.buffer.insert(0, frame);
        Ok(())
    }

    /// Writes and syncs what waits, in this segment.
    fn flush(&mut self) -> Result<(), LogError> {
        let bytes = self.buffer.concat();
        self.buffer.clear();
        let name = name_of(self.segment);
        self.disk.write_at(&name, self.offset as u64, &bytes)?;
        self.disk.sync(&name)?;
        self.offset += bytes.len();
        self.synced = Position { file: self.segment, offset: self.offset };
        self.unclaimed = true;
        Ok(())
    }

    fn write_records(&mut self, payloads: Vec<Vec<u8>>) -> Result<(), LogError> {
        let need: usize = payloads.iter().map(|payload| payload.len() + OVERHEAD).sum();
        if self.offset + need > self.segment_bytes {
            let end = Position { file: self.segment, offset: self.offset };
            self.start_segment(&Header::Continue { end }, need)?;
            self.flush()?;
            self.disk.sync_directory()?;
        }
        self.push_frames(&payloads);
        self.flush()
    }

    fn write_pending(&mut self) -> Result<(), LogError> {
        self.pending_bytes = 0;
        let payloads = std::mem::take(&mut self.pending);
        if payloads.is_empty() { Ok(()) } else { self.write_records(payloads) }
    }

    fn push_frames(&mut self, payloads: &[Vec<u8>]) {
        let seed = Seed::new(self.ledger, self.segment);
        let mut at = self.offset + self.buffer.iter().map(Vec::len).sum::<usize>();
        for payload in payloads {
            let mut frame = Vec::with_capacity(payload.len() + OVERHEAD);
            seed.write(at, self.synced, payload, &mut frame);
            at += frame.len();
            self.buffer.push(frame);
        }
    }

    /// Runs one operation; after a failure the log may never be used again (D3).
    fn guarded<T>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let result = operation(self);
        self.poisoned = result.is_err();
        result
    }

    /// Claims everything synced so far, so that later damage anywhere in it is told from a torn tail. Called when the log
    /// has been idle, and at a graceful stop.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn claim_idle(&mut self) -> Result<(), LogError> {
        if !self.unclaimed {
            return Ok(());
        }
        self.guarded(|log| log.write_records(vec![Vec::new()]))?;
        self.unclaimed = false;
        Ok(())
    }

    fn compact_to(&mut self, records: &[Record]) -> Result<(), LogError> {
        let payloads: Vec<Vec<u8>> = records.iter().map(encode_record).collect();
        let need = payloads.iter().map(|payload| payload.len() + OVERHEAD).sum();
        let old: Vec<u64> = self.segments_on_disk()?;
        self.pending.clear();
        self.pending_bytes = 0;
        self.start_segment(&Header::Begin { records: payloads.len() as u64 }, need)?;
        self.push_frames(&payloads);
        self.flush()?;
        self.disk.sync_directory()?;
        // From here on the new log is complete; what is left of the old one is removed, one file kept as a spare.
        for number in old {
            let name = name_of(number);
            let sized = self.disk.read_at(&name, self.segment_size as u64 - 1, 1).is_ok()
                && self.disk.read_at(&name, self.segment_size as u64, 1).is_err();
            if sized {
                self.disk.rename(&name, SPARE)?;
            } else {
                self.disk.remove(&name)?;
            }
        }
        self.disk.sync_directory()?;
        Ok(())
    }

    fn segments_on_disk(&self) -> Result<Vec<u64>, LogError> {
        let names = self.disk.list()?;
        Ok(names.iter().filter_map(|name| number_of(name)).collect())
    }
}

impl<D: Disk> Log for SegmentedLog<D> {
    type Error = LogError;

    fn append(&mut self, record: &Record) -> Result<(), LogError> {
        self.guarded(|log| {
            let payload = encode_record(record);
            log.pending_bytes += payload.len();
            log.pending.push(payload);
            // Records that nobody waits for (D7) would make whoever waits next wait for all of them.
            if log.pending_bytes > MOST_PENDING { log.write_pending() } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.guarded(|log| log.write_pending())
    }

    fn compact(&mut self, records: &[Record]) -> Result<(), LogError> {
        self.guarded(|log| log.compact_to(records))
    }
}

#[cfg(test)]
mod tests;
