use super::*;
use quorate_types::{BaseProof, BlockCertificate, CertificateKind, Digest, Epoch, View};

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
