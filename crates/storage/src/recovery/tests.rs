use super::*;
use quorate_types::Digest;

fn after(height: u64, header: u8) -> quorate_ledger::Checkpointed<'static> {
    quorate_ledger::Checkpointed { height: Seq::new(height), header_hash: Digest([header; 32]), proof: None }
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

/// Damaged blocks in whose place the stored state can stand are set aside; without such a state they are left as they are.
#[test]
fn d4_a_state_that_proves_itself_takes_the_place_of_damaged_blocks() {
    use crate::blocks::Entry;
    use crate::{SimulatedDisk, StoredBlock};
    use quorate_ledger::{MemoryStateStore, StateProof, StoredState};
    use quorate_types::{Block, Header, LedgerTime};
    let ledger = LedgerId([7; 32]);
    let header = |height: u64| Header {
        ledger,
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
    let block =
        |height| StoredBlock { block: Block { header: header(height), batch: None }, results: Vec::new() };
    let length = quorate_codec::encode(&Entry::Block(block(1))).len();
    let disk = SimulatedDisk::new();
    let open = |store: &MemoryStateStore, records: &[Record]| {
        open_blocks(|| Ok(disk.clone()), (ledger, 3 * length), store, records)
    };
    let mut store = MemoryStateStore::new();
    let (mut blocks, opened) = open(&store, &[]).unwrap();
    assert_eq!(opened, Opened::AsTheyWere);
    for height in 1..=10 {
        blocks.append(block(height)).unwrap();
    }
    blocks.sync().unwrap();
    drop(blocks);
    let first = disk.list().unwrap()[0].clone();
    disk.clone().write_at(&first, 30, &[0xFF; 4]).unwrap();
    let stable = [Record::Stable(checkpoint(8))];
    let refused = open(&store, &stable).unwrap_err();
    assert!(refused.to_string().contains(&first), "{refused}");
    let state = StoredState { height: Seq::new(8), header_hash: Digest([9; 32]), leaves: Vec::new() };
    store.replace(state, &StateProof { header: header(8), certificate: checkpoint(8) }).unwrap();
    // The log knows of a later checkpoint than the state.
    let later = [Record::Stable(checkpoint(9))];
    assert!(open(&store, &later).unwrap_err().to_string().contains(&first));
    assert!(!disk.list().unwrap().iter().any(|name| name.ends_with(".damaged")), "nothing was changed");
    let (blocks, opened) = open(&store, &stable).unwrap();
    assert!(matches!(&opened, Opened::SetAside(told) if told.contains(&first)), "{opened:?}");
    assert_eq!((blocks.first().get(), blocks.tip().get()), (9, 8));
    assert!(disk.list().unwrap().contains(&format!("{first}.damaged")));
    assert_eq!(open(&store, &stable).unwrap().1, Opened::AsTheyWere, "once is enough");
}
