use super::Script;
use crate::partitions::Partition;
use quorate_types::{
    Digest, Epoch, Message, Notice, ReplicaId, Seq, Signature, SignedStatement, Statement, View,
};

fn id(number: u16) -> ReplicaId {
    ReplicaId::new(number)
}

fn vote(signer: u16, statement: Statement) -> Message {
    Message::Vote(SignedStatement {
        epoch: Epoch::ZERO,
        signer: id(signer),
        statement,
        signature: Signature([0; 64]),
    })
}

fn prepare(view: u64, byte: u8) -> Statement {
    Statement::Prepare { view: View::new(view), seq: Seq::new(1), digest: Digest([byte; 32]) }
}

/// Member 0 is twinned by 4: proposals, PREPAREs and COMMITs of view 0, then those of view 1.
fn script() -> Script {
    let phases =
        |labels: [[u8; 5]; 3]| labels.iter().map(|labels| Partition::labelled(labels)).collect::<Vec<_>>();
    let views = [
        phases([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 1, 2, 0, 1]]),
        phases([[0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]),
    ];
    Script::new(&views, (4, &[id(0)]), (1_000, 500))
}

#[test]
fn each_phase_has_its_parts() {
    let script = script();
    let delivers = |from, to, message: &Message| script.delivers(1_100, (id(from), id(to)), message);
    let first = vote(1, prepare(0, 1));
    assert!(delivers(1, 2, &first) && !delivers(1, 3, &first) && delivers(3, 4, &first));
    let commit = vote(1, Statement::Commit { view: View::ZERO, seq: Seq::new(1), digest: Digest([1; 32]) });
    assert!(!delivers(1, 2, &commit) && delivers(1, 4, &commit) && delivers(3, 0, &commit));
    // Beyond the script nothing is kept back.
    assert!(delivers(1, 3, &vote(1, prepare(2, 1))));
}

#[test]
fn what_has_no_view_follows_the_present_one_and_crosses_when_its_time_is_over() {
    let mut script = script();
    let ping = Message::Notice(Notice::Ping { number: 1 });
    assert!(script.delivers(1_100, (id(1), id(3)), &ping));
    script.entered(2_000, View::new(1));
    assert!(!script.delivers(2_500, (id(1), id(3)), &ping));
    assert!(script.delivers(2_501, (id(1), id(3)), &ping));
    assert!(!script.is_over());
    script.entered(3_000, View::new(2));
    assert!(script.is_over() && script.delivers(3_000, (id(1), id(3)), &vote(1, prepare(0, 1))));
}

#[test]
fn a_conflict_is_two_statements_of_a_twinned_member_that_correct_ones_get() {
    let mut script = script();
    script.arrives(id(1), &vote(0, prepare(0, 1)));
    script.arrives(id(2), &vote(0, prepare(0, 1)));
    script.arrives(id(4), &vote(0, prepare(0, 2)));
    script.arrives(id(2), &vote(1, prepare(0, 2)));
    assert_eq!(script.conflicts(), 0);
    script.arrives(id(2), &vote(0, prepare(0, 2)));
    script.arrives(id(3), &vote(0, prepare(0, 2)));
    assert_eq!(script.conflicts(), 1);
}
