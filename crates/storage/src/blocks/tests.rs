use super::*;
use crate::simulated::SimulatedDisk;
use quorate_types::{CertificateKind, Digest, Epoch, LedgerTime};

const LEDGER: LedgerId = LedgerId([7; 32]);

fn block(height: u64) -> StoredBlock {
    let header = Header {
        ledger: LEDGER,
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        parent: Digest([u8::try_from(height).expect("small"); 32]),
        time: LedgerTime(height),
        batch_digest: Digest([1; 32]),
        transactions_root: Digest([2; 32]),
        results_root: Digest([3; 32]),
        state_root: Digest([4; 32]),
        members_hash: Digest([5; 32]),
        transaction_count: 0,
    };
    StoredBlock { block: Block { header, batch: None }, results: Vec::new() }
}

fn certificate(height: u64) -> BlockCertificate {
    BlockCertificate {
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        header: Digest([6; 32]),
        kind: CertificateKind::Attest,
        signatures: Vec::new(),
    }
}

fn open(disk: &SimulatedDisk) -> BlockStore<SimulatedDisk> {
    BlockStore::open(disk.clone(), LEDGER).unwrap()
}

/// Blocks 1 to `tip`, of which those in `certified` have certificates; synced.
fn store(disk: &SimulatedDisk, tip: u64, certified: &[u64]) -> BlockStore<SimulatedDisk> {
    let mut store = open(disk);
    for height in 1..=tip {
        store.append(block(height)).unwrap();
    }
    for height in certified {
        store.append_certificate(certificate(*height)).unwrap();
    }
    store.sync().unwrap();
    store
}

/// The heights of the blocks given from `from` on, each with its number of links and its certificate's height.
fn given(store: &BlockStore<SimulatedDisk>, from: u64, most: usize) -> Vec<(u64, usize, u64)> {
    let blocks = store.certified_blocks(Seq::new(from), most, usize::MAX, 3).unwrap();
    let of = |block: &CertifiedBlock| {
        for (at, link) in block.links.iter().enumerate() {
            assert_eq!(link.height.get(), block.block.header.height.get() + 1 + at as u64);
        }
        (block.block.header.height.get(), block.links.len(), block.certificate.height.get())
    };
    blocks.iter().map(of).collect()
}

#[test]
fn t1_blocks_are_given_up_to_the_last_certificate() {
    let disk = SimulatedDisk::new();
    let all: Vec<u64> = (1..=5).collect();
    let store = store(&disk, 7, &all);
    assert_eq!(given(&store, 2, 10), [(2, 0, 2), (3, 0, 3), (4, 0, 4), (5, 0, 5)]);
    assert_eq!(given(&store, 2, 2), [(2, 0, 2), (3, 0, 3)]);
    assert_eq!(given(&store, 6, 10), []);
    assert_eq!(given(&store, 0, 1), [(1, 0, 1)]);
    assert_eq!(store.certified_blocks(Seq::new(1), 10, 1, 3).unwrap().len(), 1, "the first is always given");
    assert_eq!((store.tip(), store.certified()), (Seq::new(7), Seq::new(5)));
}

#[test]
fn m8_blocks_without_a_certificate_come_with_links_to_the_next_one() {
    let disk = SimulatedDisk::new();
    let store = store(&disk, 9, &[1, 4, 8]);
    let expected = [(1, 0, 1), (2, 2, 4), (3, 1, 4), (4, 0, 4), (5, 3, 8), (6, 2, 8), (7, 1, 8), (8, 0, 8)];
    assert_eq!(given(&store, 1, 10), expected);
    assert_eq!(given(&store, 9, 10), []);
    assert_eq!(store.certified(), Seq::new(1));
    assert_eq!(store.certified_blocks(Seq::new(5), 10, usize::MAX, 2).unwrap(), [], "the way is too long");
    assert_eq!(given(&open(&disk), 1, 10), expected, "after a restart");
    let proof = |height, most| {
        let found = store.proof(Seq::new(height), most).unwrap();
        found.map(|(links, certificate)| (links.len(), certificate.height.get()))
    };
    assert_eq!(
        [proof(4, 3), proof(5, 3), proof(5, 2), proof(9, 3)],
        [Some((0, 4)), Some((3, 8)), None, None]
    );
}

#[test]
fn d1_unsynced_blocks_are_lost_or_whole_and_the_store_goes_on() {
    for kept in [0, 1, 40, 300, usize::MAX] {
        let disk = SimulatedDisk::new();
        let mut written = store(&disk, 3, &[1, 2, 3]);
        written.append(block(4)).unwrap();
        written.append(block(5)).unwrap();
        drop(written);
        disk.crash(|_| kept);
        let mut reopened = open(&disk);
        let tip = reopened.tip().get();
        assert!((3..=5).contains(&tip), "synced blocks stay");
        assert_eq!(reopened.certified(), Seq::new(3));
        for height in 1..=tip {
            assert_eq!(reopened.block(Seq::new(height)).unwrap(), Some(block(height)));
        }
        reopened.append(block(tip + 1)).unwrap();
        reopened.sync().unwrap();
        drop(reopened);
        disk.crash(|_| 0);
        assert_eq!(open(&disk).tip().get(), tip + 1);
    }
}

#[test]
#[should_panic(expected = "blocks are stored in order")]
fn a_gap_is_a_bug() {
    let _ = open(&SimulatedDisk::new()).append(block(2));
}

#[test]
fn d3_a_failed_sync_is_an_error() {
    let disk = SimulatedDisk::new();
    let mut store = store(&disk, 1, &[]);
    store.append(block(2)).unwrap();
    disk.fail_syncs();
    assert!(store.sync().is_err());
}

/// A crash lost the end of one file and kept the beginning of the next.
#[test]
fn d4_a_certificate_whose_block_was_lost_goes_with_it() {
    let disk = SimulatedDisk::new();
    let length = {
        let disk = SimulatedDisk::new();
        store(&disk, 1, &[]);
        Disk::read(&disk, &name_of(1)).unwrap().len()
    };
    let with_files =
        |disk: &SimulatedDisk| BlockStore::open_with(disk.clone(), LEDGER, 3 * length, Seq::ZERO).unwrap();
    let mut store = with_files(&disk);
    for height in 1..=2 {
        store.append(block(height)).unwrap();
    }
    store.append_certificate(certificate(1)).unwrap();
    store.sync().unwrap();
    // The third block ends the first file, its certificate begins the second.
    store.append(block(3)).unwrap();
    store.append_certificate(certificate(3)).unwrap();
    assert_eq!(store.file, 2);
    drop(store);
    let mut writes = 0;
    disk.crash(|len| {
        writes += 1;
        if len == length { 0 } else { len }
    });
    assert!(writes >= 2);
    let mut store = with_files(&disk);
    assert_eq!((store.tip(), store.certified()), (Seq::new(2), Seq::new(1)));
    assert_eq!(given(&store, 1, 10), [(1, 0, 1)], "no certificate speaks of what is not there");
    store.append(block(3)).unwrap();
    store.append_certificate(certificate(3)).unwrap();
    assert_eq!(given(&store, 1, 10), [(1, 0, 1), (2, 1, 3), (3, 0, 3)]);
}

/// What an auditor reads: heights of blocks, or of certificates as negative numbers.
fn read(disk: &SimulatedDisk) -> (Vec<i64>, Result<usize, String>) {
    let mut seen = Vec::new();
    let tail = audit::read_entries(disk, LEDGER, |entry, _| {
        seen.push(match entry {
            Entry::Block(stored) => stored.block.header.height.get().cast_signed(),
            Entry::Certificate(certificate) => -certificate.height.get().cast_signed(),
        });
        true
    });
    (seen, tail.map(|tail| tail.torn).map_err(|error| error.to_string()))
}

#[test]
fn an_audit_reads_everything_and_changes_nothing() {
    let disk = SimulatedDisk::new();
    let mut kept = store(&disk, 3, &[2]);
    assert_eq!(read(&disk), (vec![1, 2, 3, -2], Ok(0)));
    // While the node goes on writing.
    kept.append(block(4)).unwrap();
    assert_eq!(read(&disk).0, [1, 2, 3, -2, 4]);
    let operations = disk.operations();
    assert!(read(&disk).1.is_ok());
    assert_eq!(disk.operations(), operations, "nothing was written");
}

#[test]
fn an_audit_tells_a_torn_tail_from_damage() {
    let disk = SimulatedDisk::new();
    let mut kept = store(&disk, 3, &[]);
    let end = kept.offset;
    kept.append(block(4)).unwrap();
    let name = name_of(1);
    let whole = disk.read(&name).unwrap();
    disk.clone().truncate(&name, whole.len() as u64 - 1).unwrap();
    assert_eq!(read(&disk), (vec![1, 2, 3], Ok(whole.len() - 1 - end)));
    let disk = SimulatedDisk::new();
    let kept = store(&disk, 3, &[]);
    let second = kept.blocks[1].offset;
    disk.flip(&name, second + 40, 1);
    assert_eq!(read(&disk), (vec![1], Err(format!("{name} is damaged at byte {second}"))));
}

#[test]
fn an_audit_misses_a_file() {
    let disk = SimulatedDisk::new();
    let mut kept = store(&disk, 1, &[]);
    for height in 2..=3 {
        kept.offset = FILE_BYTES;
        kept.append(block(height)).unwrap();
    }
    assert_eq!(read(&disk), (vec![1, 2, 3], Ok(0)));
    disk.clone().remove(&name_of(2)).unwrap();
    assert_eq!(read(&disk), (vec![1], Err(format!("{} is missing", name_of(2)))));
}

/// Blocks 1 to `tip`, each in a file of its own, those in `certified` with their certificates beside them.
fn one_block_a_file(disk: &SimulatedDisk, tip: u64, certified: &[u64]) -> BlockStore<SimulatedDisk> {
    let mut store = open(disk);
    for height in 1..=tip {
        if height > 1 {
            store.offset = FILE_BYTES;
        }
        store.append(block(height)).unwrap();
        if certified.contains(&height) {
            store.append_certificate(certificate(height)).unwrap();
        }
    }
    store.sync().unwrap();
    store
}

fn stands(store: &BlockStore<SimulatedDisk>) -> (u64, u64, u64) {
    (store.first().get(), store.tip().get(), store.certified().get())
}

#[test]
fn old_blocks_are_removed_in_whole_files_down_to_a_certified_one() {
    let disk = SimulatedDisk::new();
    let mut store = one_block_a_file(&disk, 8, &[1, 2, 4, 5, 6]);
    assert!(!store.prune(Seq::new(1)).unwrap());
    assert_eq!(stands(&store), (1, 8, 2));
    // Block 3 has no certificate of its own, so the store cannot begin after it.
    assert!(store.prune(Seq::new(4)).unwrap());
    assert_eq!(stands(&store), (3, 8, 2));
    assert!(store.prune(Seq::new(7)).unwrap());
    assert!(!store.prune(Seq::new(7)).unwrap(), "there is nothing more to remove");
    assert_eq!(
        store.base().map(|base| (base.header.clone(), base.certificate.clone())),
        Some((block(6).block.header, certificate(6)))
    );
    for store in [&store, &open(&disk)] {
        assert_eq!(stands(store), (7, 8, 6));
        assert_eq!(store.block(Seq::new(6)).unwrap(), None);
        assert_eq!(store.header(Seq::new(6)).unwrap(), Some(block(6).block.header));
        assert_eq!(store.block(Seq::new(7)).unwrap(), Some(block(7)));
        assert_eq!(given(store, 1, 10), []);
    }
    assert!(!disk.list().unwrap().contains(&name_of(6)));
    assert_eq!(read(&disk), (vec![7, 8], Ok(0)));
    store.append(block(9)).unwrap();
    store.append_certificate(certificate(9)).unwrap();
    store.sync().unwrap();
    assert_eq!(
        (stands(&open(&disk)), given(&open(&disk), 7, 10)),
        ((7, 9, 6), vec![(7, 2, 9), (8, 1, 9), (9, 0, 9)])
    );
}

/// The file that is written to is never removed.
#[test]
fn the_newest_file_stays() {
    let disk = SimulatedDisk::new();
    let mut store = store(&disk, 3, &[1, 2, 3]);
    assert!(!store.prune(Seq::new(100)).unwrap());
    assert_eq!(stands(&store), (1, 3, 3));
}

#[test]
fn a_store_goes_on_after_a_block_that_it_never_had() {
    let disk = SimulatedDisk::new();
    let mut store = store(&disk, 3, &[1, 2, 3]);
    store.restart_after(block(20).block.header, certificate(20)).unwrap();
    assert_eq!((stands(&store), stands(&open(&disk))), ((21, 20, 20), (21, 20, 20)));
    store.append(block(21)).unwrap();
    store.append_certificate(certificate(21)).unwrap();
    store.sync().unwrap();
    let reopened = open(&disk);
    assert_eq!((stands(&reopened), given(&reopened, 21, 5)), ((21, 21, 21), vec![(21, 0, 21)]));
}

/// Seed 302278 of a harder drawing: the power cut that lost a block left the certificate behind it, and the next one brought it back, behind
/// another block, which a failing memory had made.
#[test]
fn k4_a_certificate_that_outlived_its_block_proves_no_other() {
    let disk = SimulatedDisk::new();
    let mut written = one_block_a_file(&disk, 3, &[1, 2, 3]);
    written.append(block(4)).unwrap();
    written.offset = FILE_BYTES;
    written.append_certificate(certificate(4)).unwrap();
    drop(written);
    // Of operations on the directory there are few, and a block has more bytes.
    let is_write = |size: usize| size > 8;
    let mut writes = 0;
    disk.crash(|size| {
        writes += usize::from(is_write(size));
        if is_write(size) && writes == 1 { 8 } else { size }
    });
    assert_eq!(writes, 2, "a block, and its certificate in the next file");
    let mut reopened = open(&disk);
    assert_eq!(reopened.tip(), Seq::new(3));
    let mut other = block(4);
    other.block.header.state_root = Digest([9; 32]);
    reopened.append(other.clone()).unwrap();
    drop(reopened);
    disk.crash(|size| if is_write(size) { size } else { 0 });
    let reopened = open(&disk);
    assert_eq!(reopened.block(Seq::new(4)).unwrap(), Some(other));
    assert_eq!((reopened.proven(), reopened.certificate(Seq::new(4)).unwrap()), (Seq::new(3), None));
}

/// Power is cut at every operation of the disk in turn: the store begins where it did or where it shall, and misses nothing after that.
#[test]
fn pruning_is_all_or_nothing() {
    let whole = SimulatedDisk::new();
    let before = whole.operations();
    drop(one_block_a_file(&whole, 6, &[1, 2, 3, 4, 5, 6]));
    let start = whole.operations() - before;
    let mut outcomes = std::collections::BTreeSet::new();
    for cut in 0..40 {
        let disk = SimulatedDisk::new();
        let mut store = one_block_a_file(&disk, 6, &[1, 2, 3, 4, 5, 6]);
        disk.fail_at(start + cut);
        let _ = store.prune(Seq::new(5));
        drop(store);
        disk.crash(|_| usize::try_from(cut).unwrap() % 3);
        let reopened = open(&disk);
        assert_eq!((reopened.tip(), reopened.certified()), (Seq::new(6), Seq::new(6)), "cut at {cut}");
        for height in reopened.first().get()..=6 {
            assert_eq!(reopened.block(Seq::new(height)).unwrap(), Some(block(height)), "cut at {cut}");
        }
        outcomes.insert(reopened.first().get());
    }
    assert_eq!(outcomes, [1, 5].into(), "both were seen");
}

#[test]
fn a_damaged_base_is_no_base() {
    let disk = SimulatedDisk::new();
    let mut store = one_block_a_file(&disk, 3, &[1, 2, 3]);
    store.prune(Seq::new(3)).unwrap();
    drop(store);
    disk.flip("base", 30, 1);
    let error = BlockStore::open(disk, LEDGER).unwrap_err();
    assert_eq!(error.to_string(), "the file base is damaged");
}

/// What was durable is never cut off as if its write had been interrupted: neither it nor what follows it would come back.
#[test]
fn d4_damage_below_what_was_durable_is_told_and_nothing_is_changed() {
    let disk = SimulatedDisk::new();
    let open = |durable| BlockStore::open_with(disk.clone(), LEDGER, 500, Seq::new(durable));
    let mut blocks = open(0).unwrap();
    for height in 1..=20 {
        blocks.append(block(height)).unwrap();
    }
    blocks.sync().unwrap();
    drop(blocks);
    let files = disk.list().unwrap();
    assert!(files.len() > 4, "{files:?}");
    let image: Vec<_> = files.iter().map(|name| disk.read(name).unwrap()).collect();
    let second = &files[1];
    let mut damaged = disk.clone();
    damaged.write_at(second, 40, &[0xFF; 4]).unwrap();
    let told = open(20).unwrap_err();
    assert_eq!(told.kind(), io::ErrorKind::InvalidData);
    assert!(told.to_string().contains(second.as_str()), "{told}");
    for (name, bytes) in files.iter().zip(&image).filter(|(name, _)| *name != second) {
        assert_eq!(disk.read(name).unwrap(), *bytes, "{name}");
    }
    // A file that is missing in their midst.
    damaged.remove(second).unwrap();
    let told = open(20).unwrap_err();
    assert!(told.to_string().contains(files[2].as_str()), "{told}");
    // Beyond what was durable it is a torn tail.
    assert_eq!(open(2).unwrap().tip(), Seq::new(2));
}

/// K4: power is cut at every operation of the disk in turn. Either nothing has happened yet, or what is disputed is known and the blocks
/// end below, or they still stand and are set aside again; the evidence is whole before anything is removed.
#[test]
fn k4_what_is_disputed_is_set_aside_and_stays_known() {
    let built = |disk: &SimulatedDisk| one_block_a_file(disk, 6, &[1, 2]);
    let whole = SimulatedDisk::new();
    drop(built(&whole));
    let start = whole.operations();
    let expected = Some(Disputed { from: Seq::new(4), to: Seq::new(6) });
    let mut outcomes = std::collections::BTreeSet::new();
    for cut in 0..40 {
        let disk = SimulatedDisk::new();
        let mut store = built(&disk);
        disk.fail_at(start + cut);
        let done = store.dispute(Seq::new(4)).is_ok();
        drop(store);
        disk.crash(|_| usize::try_from(cut).unwrap() % 3);
        let mut reopened = open(&disk);
        outcomes.insert((reopened.disputed().is_some(), reopened.tip().get()));
        assert!(reopened.tip() == Seq::new(6) || reopened.disputed() == expected, "cut at {cut}");
        if !done && reopened.tip() > Seq::new(3) {
            reopened.dispute(Seq::new(4)).unwrap();
        }
        assert_eq!((reopened.disputed(), stands(&reopened)), (expected, (1, 3, 2)), "cut at {cut}");
        for height in 4..=6 {
            let copy = format!("{}.disputed", name_of(height));
            let found = disk.read(&copy).unwrap();
            assert!(Seed::new(LEDGER, height).read(&found, 0).is_some(), "cut at {cut}: {copy}");
        }
        // What the members certify comes in their place.
        reopened.append(block(4)).unwrap();
        reopened.append_certificate(certificate(4)).unwrap();
        reopened.sync().unwrap();
        drop(reopened);
        let mut again = open(&disk);
        assert_eq!((again.disputed(), stands(&again)), (expected, (1, 4, 2)), "cut at {cut}");
        // Once more, further up: what was disputed before stays so.
        again.append(block(5)).unwrap();
        again.dispute(Seq::new(5)).unwrap();
        assert_eq!(open(&disk).disputed(), expected);
    }
    assert!(outcomes.contains(&(false, 6)) && outcomes.contains(&(true, 6)), "{outcomes:?}");
    assert!(outcomes.contains(&(true, 5)) && outcomes.contains(&(true, 3)), "{outcomes:?}");
}

#[test]
#[should_panic(expected = "what is certified is not disputed")]
fn k4_what_is_certified_is_not_disputed() {
    let mut store = store(&SimulatedDisk::new(), 5, &[4]);
    assert_eq!(store.proven(), Seq::new(4));
    let _ = store.dispute(Seq::new(3));
}
