use super::*;

fn one_of_each() -> Vec<Statement> {
    let (view, seq, digest) = (View::new(3), Seq::new(7), Digest([9; 32]));
    vec![
        Statement::PrePrepare { view, seq, digest },
        Statement::Prepare { view, seq, digest },
        Statement::Commit { view, seq, digest },
        Statement::Attest { seq, header: digest },
        Statement::Checkpoint { seq, header: digest },
        Statement::ViewChange { view, base: seq, base_proof: digest, prepared: digest },
        Statement::NewView {
            view,
            chosen: vec![(ReplicaId::new(1), digest)],
            min: seq,
            proposals: vec![digest],
        },
    ]
}

/// M1: no signature is valid in two kinds, ledgers or epochs.
#[test]
fn m1_signed_bytes_differ_by_kind_ledger_and_epoch() {
    let mut seen = std::collections::BTreeSet::new();
    for statement in one_of_each() {
        for ledger in [LedgerId([1; 32]), LedgerId([2; 32])] {
            for epoch in [Epoch::ZERO, Epoch::new(1)] {
                assert!(seen.insert(statement.signed_bytes(&ledger, epoch)), "{statement:?}");
            }
        }
    }
}

/// M1: a tag ends in a zero byte, so none is the beginning of another.
#[test]
fn m1_no_tag_is_a_prefix_of_another() {
    let ledger = LedgerId([0; 32]);
    let tags: Vec<Vec<u8>> =
        StatementKind::ALL.iter().map(|kind| [kind.tag().as_bytes(), &[0]].concat()).collect();
    for (at, statement) in one_of_each().iter().enumerate() {
        let bytes = statement.signed_bytes(&ledger, Epoch::ZERO);
        let matching: Vec<usize> = (0..tags.len()).filter(|index| bytes.starts_with(&tags[*index])).collect();
        assert_eq!(matching, vec![at]);
    }
}
