//! Recovery of the log (D4): from files that something happened to, it refuses, or finds a prefix of what was written that
//! reaches at least as far as what is left claims to be synced.

use crate::cursor::Cursor;
use crate::disks::{Files, disk_of, edit, files_of};
use quorate_codec::decode_record;
use quorate_crypto::sha256;
use quorate_pbft::Log;
use quorate_storage::{SegmentedLog, SimulatedDisk};
use quorate_types::{
    BaseProof, Batch, Digest, Epoch, LedgerId, LedgerTime, Record, ReplicaId, Seq, Signature,
    SignedStatement, Statement, View,
};
use std::sync::{Arc, OnceLock};

const LEDGER: LedgerId = LedgerId([7; 32]);
/// Small, so that a few records cross segments.
const SEGMENT: usize = 2_048;

/// A place in the log: segment and offset.
type Position = (u64, usize);

/// A frame as the format document describes it.
struct Frame {
    at: Position,
    end: usize,
    claim: Position,
    payload: Vec<u8>,
    /// Whether it is the first of its segment.
    header: bool,
}

/// A log as it was written.
struct Image {
    files: Files,
    frames: Vec<Frame>,
    /// The records in order, with their places.
    records: Vec<(Position, Record)>,
}

fn record(number: u64) -> Record {
    if number.is_multiple_of(5) {
        return Record::Body(Arc::new(Batch { time: LedgerTime(number), transactions: Vec::new() }));
    }
    let statement =
        Statement::Prepare { view: View::new(number / 7), seq: Seq::new(number), digest: Digest([3; 32]) };
    let signer = ReplicaId::new(1);
    Record::Vote(SignedStatement { epoch: Epoch::ZERO, signer, statement, signature: Signature([5; 64]) })
}

fn open(disk: &SimulatedDisk) -> SegmentedLog<SimulatedDisk> {
    SegmentedLog::open_with(disk.clone(), LEDGER, SEGMENT).expect("an intact log opens").0
}

fn write(log: &mut SegmentedLog<SimulatedDisk>, numbers: std::ops::Range<u64>, per_sync: u64) {
    for number in numbers {
        log.append(&record(number)).expect("the disk works");
        if number % per_sync == per_sync - 1 {
            log.sync().expect("the disk works");
        }
    }
    log.sync().expect("the disk works");
}

/// Logs that were left behind in different ways.
fn disks() -> [SimulatedDisk; 7] {
    let one_by_one = SimulatedDisk::new();
    let mut log = open(&one_by_one);
    write(&mut log, 0..40, 1);
    let idle = one_by_one.fork();
    open(&idle).claim_idle().expect("the disk works");
    let in_groups = SimulatedDisk::new();
    write(&mut open(&in_groups), 0..40, 4);
    let restarted = SimulatedDisk::new();
    write(&mut open(&restarted), 0..3, 1);
    write(&mut open(&restarted), 3..20, 2);
    write(&mut open(&restarted), 20..22, 1);
    write(&mut open(&restarted), 22..40, 3);
    let compacted = in_groups.fork();
    let kept: Vec<Record> = (30..36).map(record).collect();
    open(&compacted).compact(&kept).expect("the disk works");
    let further = in_groups.fork();
    let mut log = open(&further);
    log.compact(&[Record::Anchor {
        epoch: Epoch::ZERO,
        view: View::ZERO,
        active: true,
        base: BaseProof::Genesis,
        stable: BaseProof::Genesis,
    }])
    .expect("the disk works");
    write(&mut log, 41..60, 2);
    let torn = in_groups.fork();
    let mut log = open(&torn);
    write(&mut log, 40..42, 1);
    torn.fail_syncs();
    log.append(&record(42)).expect("nothing is written yet");
    assert!(log.sync().is_err());
    torn.crash(|len| len / 2);
    [one_by_one, idle, in_groups, restarted, compacted, further, torn]
}

fn images() -> &'static [Image] {
    static IMAGES: OnceLock<Vec<Image>> = OnceLock::new();
    IMAGES.get_or_init(|| disks().iter().map(|disk| Image::of(files_of(disk))).collect())
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok()
}

fn unpack(packed: u64) -> Position {
    (packed >> 36, usize::try_from(packed & ((1 << 36) - 1)).expect("36 bits"))
}

/// The frame at an offset of a segment, if it is whole: length ‖ claim ‖ payload ‖ checksum.
fn frame_at(bytes: &[u8], segment: u64, offset: usize) -> Option<Frame> {
    let head = bytes.get(offset..offset + 12)?;
    let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
    let claim = u64::from_be_bytes(head[4..].try_into().ok()?);
    let payload = bytes.get(offset + 12..offset + 12 + length)?;
    let end = offset + 12 + length + 16;
    let place = [segment.to_be_bytes(), (offset as u64).to_be_bytes()].concat();
    let bound = [&b"quorate/frame/v1\0"[..], &LEDGER.0, &place, head, payload].concat();
    let whole = bytes.get(end - 16..end)? == &sha256(&bound).0[..16];
    let written = length > 0 || claim > 0;
    (whole && written).then(|| Frame {
        at: (segment, offset),
        end,
        claim: unpack(claim),
        payload: payload.to_vec(),
        header: offset == 0,
    })
}

impl Image {
    fn of(files: Files) -> Self {
        let mut frames = Vec::new();
        for (name, bytes) in &files {
            let Some(segment) = number_of(name) else { continue };
            let mut offset = 0;
            while let Some(frame) = frame_at(bytes, segment, offset) {
                offset = frame.end;
                frames.push(frame);
            }
        }
        let records = frames
            .iter()
            .filter(|frame| !frame.header && !frame.payload.is_empty())
            .map(|frame| (frame.at, decode_record(&frame.payload).expect("it was written so")))
            .collect();
        Self { files, frames, records }
    }

    /// How many records must be found, or the log be refused, given what is left of its frames: those below any claim; those
    /// of the segments before one that continues them; and those of a compaction, if any of it is left, since the log before
    /// it is gone.
    fn claimed(&self, files: &Files) -> usize {
        let left = |frame: &&Frame| {
            let name = format!("{:016}.log", frame.at.0);
            let range = frame.at.1..frame.end;
            files.get(&name).is_some_and(|bytes| bytes.get(range.clone()) == self.files[&name].get(range))
        };
        let below = |end: Position| self.records.iter().filter(|(at, _)| *at < end).count();
        let claims = self.frames.iter().filter(left).map(|frame| {
            let segment = frame.at.0;
            let first = self.frames.iter().find(|first| first.header && first.at.0 == segment);
            let header = &first.expect("a segment begins with its header").payload;
            let number = u64::from_be_bytes(header[1..9].try_into().expect("nine bytes"));
            let by_header = match header[0] {
                0 => usize::try_from(number).expect("few records"),
                _ if frame.header => below((segment, 0)),
                _ => 0,
            };
            below(frame.claim).max(by_header)
        });
        claims.max().unwrap_or(0)
    }
}

/// The first byte chooses a log, the rest is what happens to its files.
pub fn log(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let image = &images()[cursor.below(images().len())];
    let mut files = image.files.clone();
    while !cursor.is_empty() {
        edit(&mut files, ".log", &mut cursor);
    }
    let disk = disk_of(&files);
    let Ok((mut log, found)) = SegmentedLog::open_with(disk.clone(), LEDGER, SEGMENT) else { return };
    let written: Vec<&Record> =
        image.records.iter().map(|(_, record)| record).take(found.records.len()).collect();
    assert!(found.records.iter().eq(written), "what is found was written, in this order, from the beginning");
    let claimed = image.claimed(&files);
    assert!(
        found.records.len() >= claimed,
        "D4: {} records are found, {claimed} are known to have been synced",
        found.records.len()
    );
    // What opened goes on as a log does.
    let next = record(99);
    log.append(&next).and_then(|()| log.sync()).expect("the disk works");
    drop(log);
    let (_, again) =
        SegmentedLog::open_with(disk, LEDGER, SEGMENT).expect("it has just been opened and written");
    assert_eq!(again.records.split_last(), Some((&next, &found.records[..])));
}
