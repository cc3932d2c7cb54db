use super::*;
use quorate_types::Digest;

fn after(height: u64, header: u8) -> quorate_ledger::Checkpointed<'static> {
    quorate_ledger::Checkpointed {
        height: Seq::new(height),
        header_hash: Digest([header; 32]),
        certificate: None,
    }
}

fn checkpoint(height: u64) -> BlockCertificate {
    let (epoch, height, header) = (Epoch::ZERO, Seq::new(height), Digest([1; 32]));
    BlockCertificate { epoch, height, header, kind: CertificateKind::Checkpoint, signatures: Vec::new() }
}

#[test]
fn d4_blocks_beyond_what_the_log_knows_of_say_that_it_lost_its_end() {
    let anchor = Record::Anchor {
        epoch: Epoch::ZERO,
        view: View::ZERO,
        active: true,
        base: BaseProof::Checkpoint(checkpoint(8)),
        stable: BaseProof::Genesis,
    };
    let fits = |records: &[Record], executed| not_cut_short(records, Seq::new(executed), 8).is_ok();
    assert!(fits(&[], 8) && !fits(&[], 9), "a log without a record");
    let mut records = vec![anchor];
    assert!(fits(&records, 16) && !fits(&records, 17));
    records.push(Record::Base(checkpoint(12)));
    assert!(fits(&records, 20) && !fits(&records, 21));
    records.push(Record::Stable(checkpoint(16)));
    assert!(fits(&records, 24) && !fits(&records, 25));
}

/// The state of a fetched checkpoint is durable, and power was cut before the blocks began after it.
#[test]
fn t3_an_install_that_was_cut_short_is_finished() {
    use crate::SimulatedDisk;
    use quorate_ledger::{MemoryStateStore, StateProof, StoredState};
    use quorate_types::{Header, LedgerId, LedgerTime};
    let ledger = LedgerId([7; 32]);
    let disk = SimulatedDisk::new();
    let open = || BlockStore::open(disk.clone(), ledger).unwrap();
    let header = Header {
        ledger,
        epoch: Epoch::ZERO,
        height: Seq::new(40),
        parent: Digest([1; 32]),
        time: LedgerTime(40),
        batch_digest: Digest([1; 32]),
        transactions_root: Digest([2; 32]),
        results_root: Digest([3; 32]),
        state_root: Digest([4; 32]),
        members_hash: Digest([5; 32]),
        transaction_count: 0,
    };
    let mut store = MemoryStateStore::new();
    assert!(!finish_install(&mut open(), &store).unwrap(), "there is nothing to finish");
    let state = StoredState { height: Seq::new(40), header_hash: Digest([9; 32]), leaves: Vec::new() };
    let proof = StateProof { header: header.clone(), certificate: checkpoint(40) };
    store.replace(state, &proof).unwrap();
    assert!(finish_install(&mut open(), &store).unwrap());
    let mut blocks = open();
    assert_eq!((blocks.first().get(), blocks.header(Seq::new(40)).unwrap()), (41, Some(header)));
    assert!(!finish_install(&mut blocks, &store).unwrap(), "once is enough");
    // A later state that was made here needs no such proof.
    store.commit(after(50, 8), &quorate_ledger::StateChanges::new()).unwrap();
    assert!(!finish_install(&mut open(), &store).unwrap());
}
