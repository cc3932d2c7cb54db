use super::*;
use quorate_types::{CertificateKind, Epoch, LedgerId, LedgerTime, ReplicaId, Signature};

fn after(height: u64, header: u8) -> quorate_ledger::Checkpointed<'static> {
    quorate_ledger::Checkpointed { height: Seq::new(height), header_hash: Digest([header; 32]), proof: None }
}

fn changes(of: &[(&str, Option<&str>)]) -> Changes {
    let one = |(key, value): &(&str, Option<&str>)| {
        (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().into()))
    };
    of.iter().map(one).collect()
}

fn state(height: u64, leaves: &[(&str, &str)]) -> StoredState {
    let leaves = leaves.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()));
    StoredState { height: Seq::new(height), header_hash: Digest([7; 32]), leaves: leaves.collect() }
}

fn proof(height: u64) -> StateProof {
    let header = Header {
        ledger: LedgerId([7; 32]),
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
    };
    let (epoch, kind) = (Epoch::ZERO, CertificateKind::Checkpoint);
    let certificate = BlockCertificate {
        epoch,
        height: header.height,
        header: Digest([6; 32]),
        kind,
        signatures: vec![(ReplicaId::new(2), Signature([8; 64]))],
    };
    StateProof { header, certificate }
}

#[test]
fn a_state_is_what_was_committed_last() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state.redb");
    let mut store = RedbStateStore::open(&path).unwrap();
    assert_eq!((store.load().unwrap(), store.position().unwrap()), (None, None));
    store.commit(after(3, 3), &changes(&[("a", Some("1")), ("b", Some("2"))])).unwrap();
    store.commit(after(6, 7), &changes(&[("a", None), ("c", Some("3"))])).unwrap();
    drop(store);
    let store = RedbStateStore::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), Some(state(6, &[("b", "2"), ("c", "3")])));
    assert_eq!(store.position().unwrap(), Some(Seq::new(6)));
}

#[test]
fn a_state_is_replaced_whole() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state.redb");
    let mut store = RedbStateStore::open(&path).unwrap();
    store.commit(after(3, 3), &changes(&[("a", Some("1")), ("b", Some("2"))])).unwrap();
    assert_eq!(store.proof().unwrap(), None);
    store.replace(state(90, &[("b", "9"), ("z", "0")]), &proof(90)).unwrap();
    drop(store);
    let mut store = RedbStateStore::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), Some(state(90, &[("b", "9"), ("z", "0")])));
    store.commit(after(93, 7), &changes(&[("z", None)])).unwrap();
    assert_eq!(store.load().unwrap(), Some(state(93, &[("b", "9")])));
    assert_eq!(store.proof().unwrap(), None, "that was of another state");
    let proven = proof(96);
    let after = Checkpointed { proof: Some(&proven), ..after(96, 7) };
    store.commit(after, &changes(&[("a", Some("1"))])).unwrap();
    assert_eq!(store.proof().unwrap(), Some(proven));
}

#[test]
fn who_must_not_change_a_state_file_reads_it_or_is_told_why_not() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state.redb");
    assert_eq!(read_state_file(&path).unwrap(), StateFile::Empty);
    assert!(!path.exists(), "nothing was made");
    let mut store = RedbStateStore::open(&path).unwrap();
    assert_eq!(read_state_file(&path).unwrap(), StateFile::InUse);
    store.commit(after(3, 7), &changes(&[("a", Some("1"))])).unwrap();
    // As a killed node leaves it.
    let killed = place.path().join("killed.redb");
    std::fs::copy(&path, &killed).unwrap();
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(read_state_file(&path).unwrap(), StateFile::State(state(3, &[("a", "1")]), None));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "it was not touched");
    assert_eq!(read_state_file(&killed).unwrap(), StateFile::NotClosed);
    std::fs::write(&path, b"no database").unwrap();
    assert!(read_state_file(&path).is_err());
}
