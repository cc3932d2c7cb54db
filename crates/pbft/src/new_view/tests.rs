use super::{choose, conclude, follows, is_valid};
use crate::testing::{id, members, parameters, signed};
use quorate_crypto::null_batch_digest;
use quorate_types::{
    BaseProof, BlockCertificate, CertificateKind, Digest, Epoch, PreparedCertificate, ReplicaId, Seq,
    Signature, Statement, View, ViewChange,
};
use std::sync::Arc;

/// The view that all these change to, and its primary among four.
const VIEW: u64 = 6;
const PRIMARY: u16 = 2;

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn entry(view: u64, seq: u64, byte: u8) -> PreparedCertificate {
    PreparedCertificate {
        epoch: Epoch::ZERO,
        view: View::new(view),
        seq: Seq::new(seq),
        digest: digest(byte),
        proposal: Signature([0; 64]),
        prepares: Vec::new(),
    }
}

fn base(height: u64) -> BaseProof {
    if height == 0 {
        return BaseProof::Genesis;
    }
    BaseProof::Checkpoint(BlockCertificate {
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        header: digest(99),
        kind: CertificateKind::Checkpoint,
        signatures: Vec::new(),
    })
}

fn change_to(
    view: u64,
    sender: u16,
    base_proof: BaseProof,
    prepared: Vec<PreparedCertificate>,
) -> Arc<ViewChange> {
    let statement = Statement::ViewChange {
        view: View::new(view),
        base: base_proof.base(),
        base_proof: digest(0),
        prepared: digest(0),
    };
    Arc::new(ViewChange { statement: signed(sender, statement), base_proof, prepared })
}

fn change(sender: u16, height: u64, prepared: Vec<PreparedCertificate>) -> Arc<ViewChange> {
    change_to(VIEW, sender, base(height), prepared)
}

/// The NEW-VIEW that says what these lead to, and whether it is taken from this signer.
fn taken(signer: u16, named: &[Arc<ViewChange>], alter: impl FnOnce(&mut Statement)) -> bool {
    let conclusion = conclude(named);
    let mut statement = Statement::NewView {
        view: View::new(VIEW),
        chosen: named.iter().map(|named| (named.statement.signer, digest(0))).collect(),
        min: conclusion.min.base(),
        proposals: conclusion.proposals,
    };
    alter(&mut statement);
    follows(&statement, id(signer), &members(4), &parameters(), named).is_some()
}

fn three() -> Vec<Arc<ViewChange>> {
    vec![
        change(0, 0, vec![entry(1, 1, 1), entry(3, 2, 2)]),
        change(1, 0, vec![entry(5, 2, 3)]),
        change(3, 0, vec![entry(4, 4, 4)]),
    ]
}

#[test]
fn v7_the_highest_view_wins_holes_are_null_and_min_is_the_highest_base() {
    let conclusion = conclude(&three());
    assert_eq!(conclusion.min.base(), Seq::ZERO);
    assert_eq!(conclusion.proposals, [digest(1), digest(3), null_batch_digest(), digest(4)]);
    // Bases differ: O begins above the highest, whatever older entries say below it.
    let apart = [
        change(0, 4, vec![entry(2, 6, 6)]),
        change(1, 0, vec![entry(3, 1, 1), entry(3, 4, 4)]),
        change(3, 0, Vec::new()),
    ];
    let conclusion = conclude(&apart);
    assert_eq!(conclusion.min.base(), Seq::new(4));
    assert_eq!(conclusion.proposals, [null_batch_digest(), digest(6)]);
    assert_eq!(conclusion.last(), Seq::new(6));
}

#[test]
fn v8_a_new_view_names_exactly_q_distinct_senders() {
    let all = three();
    assert!(taken(PRIMARY, &all, |_| {}));
    assert!(!taken(0, &all, |_| {}), "it is by the primary of its view");
    assert!(!taken(PRIMARY, &all[..2], |_| {}), "q of them");
    let more = [&all[..], &[change(2, 0, Vec::new())]].concat();
    assert!(!taken(PRIMARY, &more, |_| {}), "exactly q");
    for repeated in [vec![0, 0, 0], vec![0, 0, 1], vec![0, 1, 1]] {
        let named: Vec<_> = repeated.iter().map(|at: &usize| all[*at].clone()).collect();
        assert!(!taken(PRIMARY, &named, |_| {}), "{repeated:?}: one VIEW-CHANGE counts once");
    }
    // The same sender with another VIEW-CHANGE is still the same sender.
    let twice = [all[0].clone(), change(0, 0, Vec::new()), all[2].clone()];
    assert!(!taken(PRIMARY, &twice, |_| {}));
    let unsorted = [all[1].clone(), all[0].clone(), all[2].clone()];
    assert!(!taken(PRIMARY, &unsorted, |_| {}));
}

#[test]
fn v8_view_changes_of_other_views_and_epochs_found_no_new_view() {
    let all = three();
    for view in [0, VIEW - 1, VIEW + 1, u64::MAX] {
        let stale = change_to(view, 3, base(0), Vec::new());
        assert!(!taken(PRIMARY, &[all[0].clone(), all[1].clone(), stale], |_| {}), "of view {view}");
    }
    let mut other = (*change(3, 0, Vec::new())).clone();
    other.statement.epoch = Epoch::new(1);
    assert!(!taken(PRIMARY, &[all[0].clone(), all[1].clone(), Arc::new(other)], |_| {}), "of epoch 1");
    let invalid = change(3, 0, vec![entry(VIEW, 1, 1)]);
    assert!(!taken(PRIMARY, &[all[0].clone(), all[1].clone(), invalid], |_| {}), "an invalid one");
}

#[test]
fn v8_o_and_min_are_computed_again() {
    type Alter = fn(&mut Digest, &mut Seq, &mut Vec<Digest>);
    let alterations: [(&str, Alter); 6] = [
        ("the lower view's digest", |_, _, proposals| proposals[1] = digest(2)),
        ("a slot left out", |_, _, proposals| proposals.truncate(3)),
        ("a slot more", |_, _, proposals| proposals.push(null_batch_digest())),
        ("null for what was prepared", |null, _, proposals| proposals[0] = *null),
        ("a batch in a hole", |_, _, proposals| proposals[2] = digest(7)),
        ("another base", |_, min, _| *min = Seq::new(4)),
    ];
    for (what, alter) in alterations {
        let altered = taken(PRIMARY, &three(), |statement| {
            if let Statement::NewView { min, proposals, .. } = statement {
                alter(&mut null_batch_digest(), min, proposals);
            }
        });
        assert!(!altered, "{what}");
    }
}

#[test]
fn v3_a_view_change_keeps_its_bounds() {
    let valid = |change: &ViewChange| is_valid(change, &members(4), &parameters());
    let window = parameters().window;
    assert!(valid(&change(0, 4, vec![entry(0, 5, 1), entry(5, 4 + window, 2)])));
    for (what, wrong) in [
        ("at its base", change(0, 4, vec![entry(0, 4, 1)])),
        ("beyond the window", change(0, 4, vec![entry(0, 5 + window, 1)])),
        ("of its own view", change(0, 4, vec![entry(VIEW, 5, 1)])),
        ("of a later view", change(0, 4, vec![entry(u64::MAX, 5, 1)])),
        ("at the last slot there is", change(0, 4, vec![entry(0, u64::MAX, 1)])),
        ("twice", change(0, 4, vec![entry(0, 5, 1), entry(1, 5, 1)])),
        ("out of order", change(0, 4, vec![entry(0, 6, 1), entry(0, 5, 1)])),
        ("above a base between checkpoints", change(0, 6, Vec::new())),
        ("at the end of all numbers", change(0, u64::MAX, vec![entry(0, u64::MAX, 1)])),
    ] {
        assert!(!valid(&wrong), "an entry {what}");
    }
}

#[test]
fn v7_a_certificate_whose_body_nobody_holds_does_not_halt_the_view_change() {
    let liar = change(0, 0, vec![entry(5, 1, 9)]);
    let honest = [change(1, 0, Vec::new()), change(PRIMARY, 0, Vec::new()), change(3, 0, Vec::new())];
    let holds = |_: Seq, digest: &Digest| *digest == null_batch_digest();
    let first = [&[liar][..], &honest[..2]].concat();
    assert_eq!(choose(id(PRIMARY), &first, 3, holds), Err(vec![(Seq::new(1), digest(9))]), "it is asked for");
    let chosen = choose(id(PRIMARY), &[&first[..], &honest[2..]].concat(), 3, holds).unwrap();
    let senders: Vec<ReplicaId> = chosen.iter().map(|change| change.statement.signer).collect();
    assert_eq!(senders, [id(1), id(PRIMARY), id(3)]);
}
