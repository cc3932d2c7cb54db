use super::{LogError, SegmentedLog};
use crate::simulated::SimulatedDisk;
use quorate_pbft::Log;
use quorate_types::{
    Digest, Epoch, LedgerId, Record, ReplicaId, Seq, Signature, SignedStatement, Statement, View,
};

const LEDGER: LedgerId = LedgerId([7; 32]);
/// Small, so that a few records cross segments.
const SEGMENT: usize = 2_048;

fn record(seq: u64) -> Record {
    Record::Vote(SignedStatement {
        epoch: Epoch::ZERO,
        signer: ReplicaId::new(1),
        statement: Statement::Prepare { view: View::ZERO, seq: Seq::new(seq), digest: Digest([3; 32]) },
        signature: Signature([5; 64]),
    })
}

fn open(disk: &SimulatedDisk) -> Result<(SegmentedLog<SimulatedDisk>, Vec<Record>), LogError> {
    SegmentedLog::open_with(disk.clone(), LEDGER, SEGMENT).map(|(log, found)| (log, found.records))
}

/// A log of `count` records, each synced by itself.
fn written(count: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for seq in 0..count {
        log.append(&record(seq)).unwrap();
        log.sync().unwrap();
    }
    log.claim_idle().unwrap();
    disk
}

fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

#[test]
fn d1_what_was_synced_is_found_again_across_segments_and_openings() {
    let disk = written(40);
    disk.crash(|_| 0);
    let (mut log, found) = open(&disk).unwrap();
    assert_eq!(found, records(0..40));
    log.append(&record(40)).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(|_| 0);
    assert_eq!(open(&disk).unwrap().1, records(0..41));
}

#[test]
fn d4_a_flipped_bit_is_never_a_silently_shorter_history() {
    let disk = written(40);
    let mut refused = 0;
    for at in 0..200usize {
        let damaged = disk.fork();
        let names = crate::disk::Disk::list(&damaged).unwrap();
        let name = &names[at % names.len()];
        damaged.flip(name, at * 7 % SEGMENT, u8::try_from(at % 8).unwrap());
        match open(&damaged) {
            Ok((_, found)) => assert_eq!(found, records(0..40), "{name} at {}", at * 7 % SEGMENT),
            Err(LogError::Corrupt { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 100, "only {refused} of 200 positions were held against the log");
}

#[test]
fn d4_a_torn_tail_is_cut() {
    for kept in 0..60 {
        let disk = written(3);
        let (mut log, _) = open(&disk).unwrap();
        disk.fail_syncs();
        log.append(&record(3)).unwrap();
        assert!(log.sync().is_err());
        drop(log);
        disk.crash(|len| kept * len / 60);
        assert_eq!(open(&disk).unwrap().1, records(0..3), "{kept} of 60 parts of the write survive");
    }
}

#[test]
fn k3_a_compaction_is_all_or_nothing_at_every_disk_operation() {
    let counting = written(20);
    let before = counting.operations();
    open(&counting).unwrap().0.compact(&records(15..20)).unwrap();
    let operations = counting.operations() - before;
    // Nothing that is unsynced survives, all of it (a killed process), or the half.
    let ways: [fn(usize) -> usize; 3] = [|_| 0, |len| len, |len| len / 2];
    for (at, way) in (0..operations).flat_map(|at| ways.map(|way| (at, way))) {
        let disk = written(20);
        disk.fail_at(disk.operations() + at);
        if let Ok((mut log, _)) = open(&disk) {
            let _ = log.compact(&records(15..20));
        }
        disk.crash(way);
        let found = open(&disk).unwrap_or_else(|error| panic!("operation {at}: {error}")).1;
        assert!(
            found == records(0..20) || found == records(15..20),
            "operation {at}: {} records",
            found.len()
        );
    }
}

/// The spare becomes a segment by a rename that a crash may undo, though what was written into it stays. Taken as a segment of
/// the same number again, its frames would pass for records of this run.
#[test]
fn k3_frames_of_a_compaction_that_was_undone_are_no_records() {
    let compact = |disk: &SimulatedDisk| {
        let (mut log, _) = open(disk)?;
        // The second finds the spare that the first leaves.
        log.compact(&records(10..20))?;
        log.compact(&records(15..20))
    };
    let counting = written(20);
    let before = counting.operations();
    compact(&counting).unwrap();
    let operations = counting.operations() - before;
    // Of what is written all survives but the header, or the half; of what is renamed nothing.
    let ways: [fn(usize) -> usize; 4] =
        [|_| 0, |len| len, |len| len / 2, |len| if len < 20 { 0 } else { len }];
    for (at, way) in (0..operations).flat_map(|at| ways.map(|way| (at, way))) {
        let disk = written(20);
        disk.fail_at(disk.operations() + at);
        let _ = compact(&disk);
        disk.crash(way);
        for start in 0..3 {
            let found = open(&disk).unwrap_or_else(|error| panic!("operation {at}: {error}")).1;
            assert!(
                [0..20, 10..20, 15..20].map(records).contains(&found),
                "operation {at}, start {start}: {} records",
                found.len()
            );
            disk.crash(|len| len);
        }
    }
}

#[test]
fn d4_starts_that_were_killed_leave_nothing_that_looks_like_damage() {
    let counting = written(20);
    let before = counting.operations();
    drop(open(&counting).unwrap());
    let operations = counting.operations() - before;
    let ways: [fn(usize) -> usize; 3] = [|_| 0, |len| len, |len| len / 2];
    for (first, second) in (0..operations).flat_map(|a| (0..operations).map(move |b| (a, b))) {
        for way in ways {
            let disk = written(20);
            for at in [first, second] {
                disk.fail_at(disk.operations() + at);
                let _ = open(&disk);
                disk.crash(way);
            }
            let found =
                open(&disk).unwrap_or_else(|error| panic!("killed at {first} and {second}: {error}")).1;
            assert_eq!(found, records(0..20), "killed at {first} and {second}");
        }
    }
}

#[test]
fn d3_after_a_failure_nothing_is_written_any_more() {
    let disk = SimulatedDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    disk.fail_syncs();
    log.append(&record(0)).unwrap();
    assert!(matches!(log.sync(), Err(LogError::Disk(_))));
    assert!(matches!(log.append(&record(1)).and_then(|()| log.sync()), Err(LogError::Poisoned)));
}

#[test]
fn d5_a_log_of_another_ledger_is_not_read() {
    let disk = written(3);
    let other = SegmentedLog::open_with(disk, LedgerId([8; 32]), SEGMENT);
    assert!(!matches!(other, Ok((_, found)) if !found.records.is_empty()));
}

/// Removes a file, and says what opening then leads to.
fn open_without(disk: &SimulatedDisk, name: &str) -> Result<Vec<Record>, LogError> {
    let mut damaged = disk.fork();
    crate::disk::Disk::remove(&mut damaged, name).unwrap();
    open(&damaged).map(|(_, found)| found)
}

#[test]
fn d4_a_lost_segment_is_never_a_silently_shorter_history() {
    let disk = written(60);
    let names = crate::disk::Disk::list(&disk).unwrap();
    let (last, earlier) = names.split_last().unwrap();
    assert!(earlier.len() >= 3, "the log crosses segments");
    for name in earlier {
        let found = open_without(&disk, name);
        assert!(matches!(found, Err(LogError::Corrupt { .. })), "{name}: {found:?}");
    }
    // Without the last one nothing is left that tells of it.
    let found = open_without(&disk, last).unwrap();
    assert_eq!(found, records(0..found.len() as u64));
}

#[test]
fn d4_a_compacted_log_with_a_damaged_header_is_no_empty_log() {
    let disk = written(20);
    open(&disk).unwrap().0.compact(&records(15..20)).unwrap();
    let name = crate::disk::Disk::list(&disk).unwrap().into_iter().find(|name| name != super::SPARE).unwrap();
    disk.flip(&name, 5, 0);
    assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
}

#[test]
fn d4_a_segment_of_a_number_that_no_log_reaches_is_refused() {
    let mut disk = written(3);
    for number in [u64::MAX, 1 << 28] {
        let name = super::name_of(number);
        crate::disk::Disk::create(&mut disk, &name, 64).unwrap();
        assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
        crate::disk::Disk::remove(&mut disk, &name).unwrap();
    }
}
