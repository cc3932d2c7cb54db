use super::*;
use crate::SimulatedDisk;
use quorate_types::{BlockCertificate, Digest, Header, LedgerTime, MemberSet, Seq};

const LEDGER: LedgerId = LedgerId([7; 32]);

fn handover(epoch: u64) -> Handover {
    let header = Header {
        ledger: LEDGER,
        epoch: Epoch::new(epoch),
        height: Seq::new(4 * (epoch + 1)),
        parent: Digest([1; 32]),
        time: LedgerTime(40),
        batch_digest: Digest([1; 32]),
        transactions_root: Digest([2; 32]),
        results_root: Digest([3; 32]),
        state_root: Digest([4; 32]),
        members_hash: Digest([5; 32]),
        transaction_count: 0,
    };
    let certificate = BlockCertificate {
        epoch: header.epoch,
        height: header.height,
        header: quorate_crypto::header_hash(&header),
        kind: CertificateKind::Checkpoint,
        signatures: Vec::new(),
    };
    let next = MemberSet { after: header.height, faults: 1, seats: Vec::new() };
    Handover { header, certificate, next }
}

#[test]
fn g2_the_end_of_each_epoch_is_kept_and_can_be_written_again() {
    let disk = SimulatedDisk::new();
    let mut handovers = Handovers::new(disk.clone(), LEDGER);
    assert_eq!(handovers.get(Epoch::ZERO).unwrap(), None);
    for epoch in [0, 1, 0] {
        handovers.keep(&handover(epoch)).unwrap();
    }
    disk.crash(|_| 0);
    let handovers = Handovers::new(disk, LEDGER);
    assert_eq!(handovers.get(Epoch::ZERO).unwrap(), Some(handover(0)));
    assert_eq!(handovers.get(Epoch::new(1)).unwrap(), Some(handover(1)));
    assert_eq!(handovers.get(Epoch::new(2)).unwrap(), None);
    assert_eq!(handovers.from(Epoch::ZERO, 8).unwrap(), [handover(0), handover(1)]);
    assert_eq!(handovers.from(Epoch::ZERO, 1).unwrap(), [handover(0)]);
}

#[test]
fn d4_a_damaged_handover_is_refused_by_name() {
    let disk = SimulatedDisk::new();
    let mut handovers = Handovers::new(disk.clone(), LEDGER);
    handovers.keep(&handover(0)).unwrap();
    let name = name_of(Epoch::ZERO);
    let whole = disk.read(&name).unwrap();
    let mut raw = disk.clone();
    for (at, byte) in (0..).zip(&whole) {
        raw.write_at(&name, at, &[byte ^ 1]).unwrap();
        let error = handovers.get(Epoch::ZERO).expect_err("a flipped bit");
        assert!(error.to_string().contains(&name), "{error}");
        raw.write_at(&name, at, &[*byte]).unwrap();
    }
    // That of another epoch under this name.
    raw.rename(&name, &name_of(Epoch::new(1))).unwrap();
    assert!(handovers.get(Epoch::new(1)).is_err());
}
