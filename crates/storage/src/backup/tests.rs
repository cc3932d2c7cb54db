use super::*;
use crate::simulated::SimulatedDisk;
use crate::{DataDirectory, Identity, StoredBlock};
use quorate_types::{Block, Digest, Epoch, LedgerTime, PublicKey};

const LEDGER: LedgerId = LedgerId([7; 32]);

fn header(height: u64) -> Header {
    Header {
        ledger: LEDGER,
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        parent: Digest([1; 32]),
        time: LedgerTime(height),
        batch_digest: Digest([1; 32]),
        transactions_root: Digest([2; 32]),
        results_root: Digest([3; 32]),
        state_root: Digest([4; 32]),
        members_hash: Digest([5; 32]),
        transaction_count: 0,
    }
}

fn certificate(height: u64, kind: CertificateKind) -> BlockCertificate {
    let header = header_hash(&header(height));
    BlockCertificate { epoch: Epoch::ZERO, height: Seq::new(height), header, kind, signatures: Vec::new() }
}

fn state(height: u64) -> (StoredState, BlockCertificate) {
    let header_hash = header_hash(&header(height));
    let leaves = vec![(b"key".to_vec(), height.to_be_bytes().to_vec())];
    let state = StoredState { height: Seq::new(height), header_hash, leaves };
    (state, certificate(height, CertificateKind::Checkpoint))
}

/// Blocks up to `tip`, each with a certificate, in small files.
fn source(tip: u64) -> (SimulatedDisk, BlockStore<SimulatedDisk>) {
    let disk = SimulatedDisk::new();
    let mut store = BlockStore::open_with(disk.clone(), LEDGER, 1_000, Seq::ZERO).unwrap();
    grow(&mut store, tip);
    (disk, store)
}

fn grow(store: &mut BlockStore<SimulatedDisk>, tip: u64) {
    for height in store.tip().next().get()..=tip {
        let block = Block { header: header(height), batch: None };
        store.append(StoredBlock { block, results: Vec::new() }).unwrap();
        store.append_certificate(certificate(height, CertificateKind::Attest)).unwrap();
    }
    store.sync().unwrap();
}

fn copied(path: &Path, source: &SimulatedDisk, upto: u64) -> Result<Backup, BackupError> {
    let mut backup = Backup::open(path, LEDGER)?;
    backup.copy_blocks(source, Seq::new(upto), |_| {})?;
    Ok(backup)
}

#[test]
fn a_backup_takes_what_is_new_and_a_store_is_filled_from_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("copy");
    let (disk, mut blocks) = source(10);
    let (first, proof) = state(8);
    assert_eq!(copied(&path, &disk, 8).unwrap().finish(first, proof).unwrap(), header(8));
    grow(&mut blocks, 20);
    let backup = copied(&path, &disk, 16).unwrap();
    assert_eq!(backup.tip(), Seq::new(16), "blocks above the state are left out");
    let (second, proof) = state(16);
    backup.finish(second.clone(), proof.clone()).unwrap();
    let identity = Identity { ledger: LEDGER, vote: PublicKey([1; 32]), transport: PublicKey([2; 32]) };
    let data = place.path().join("data");
    let fill = |draft: &Path| restore(&path, draft, LEDGER);
    let filled: Result<_, Box<dyn std::error::Error>> =
        DataDirectory::recover_with(&data, "node", &identity, |draft| Ok(fill(draft)?));
    assert_eq!(filled.unwrap().1, Seq::new(16));
    let opened = DataDirectory::open(&data, std::slice::from_ref(&identity)).unwrap();
    assert!(!opened.may_vote(None), "L2: it does not know what was said before");
    let blocks = BlockStore::open(RealDisk::open(&opened.blocks()).unwrap(), LEDGER).unwrap();
    assert_eq!((blocks.first(), blocks.tip(), blocks.certified()), (Seq::new(1), Seq::new(16), Seq::new(16)));
    let StateFile::State(stored, Some(kept)) = read_state_file(&opened.state()).unwrap() else {
        panic!("a state")
    };
    assert_eq!((stored, kept.certificate), (second, proof.clone()));
    let (_, log) = SegmentedLog::open(RealDisk::open(&opened.log()).unwrap(), LEDGER).unwrap();
    let [Record::Anchor { base, stable, .. }] = &log.records[..] else { panic!("{:?}", log.records) };
    assert_eq!((base, stable), (&BaseProof::Checkpoint(proof.clone()), &BaseProof::Checkpoint(proof)));
}

#[test]
fn a_backup_of_pruned_blocks_begins_where_they_begin() {
    let place = tempfile::tempdir().unwrap();
    let (disk, mut blocks) = source(30);
    assert!(blocks.prune(Seq::new(20)).unwrap());
    let first = blocks.first();
    let backup = copied(&place.path().join("new"), &disk, 24).unwrap();
    assert_eq!((backup.blocks.first(), backup.tip()), (first, Seq::new(24)));
    assert!(first > Seq::new(1));
    // One that ends below has a gap between.
    let old = place.path().join("old");
    let (before, _) = source(5);
    copied(&old, &before, 5).unwrap();
    let gap = copied(&old, &disk, 24).unwrap_err();
    assert!(matches!(gap, BackupError::Gap { tip, first: at } if tip == Seq::new(5) && at == first), "{gap}");
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("copy");
    let (disk, _) = source(10);
    let finish = |(state, certificate)| copied(&path, &disk, 8).unwrap().finish(state, certificate);
    assert!(matches!(finish(state(9)), Err(BackupError::Short { .. })));
    let (mut other, proof) = state(8);
    other.header_hash = Digest([9; 32]);
    assert!(matches!(finish((other, proof)), Err(BackupError::OtherState(_))));
    let (fits, _) = state(8);
    let attested = certificate(8, CertificateKind::Attest);
    assert!(matches!(finish((fits, attested)), Err(BackupError::NoCheckpoint)));
    assert!(matches!(restore(&path, &path, LEDGER), Err(BackupError::NoCheckpoint)));
    finish(state(8)).unwrap();
    assert!(matches!(finish(state(4)), Err(BackupError::Older { .. })));
}
