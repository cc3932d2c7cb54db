use super::*;
use quorate_pbft::{SlotWait, ViewChangeWait};
use quorate_types::View;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn id(member: u16) -> ReplicaId {
    ReplicaId::new(member)
}

fn said(waits: &Waits) -> String {
    sentence(waits, &NAMES, id(1), id(0))
}

#[test]
fn only_what_stands_still_while_something_waits_is_said_and_not_all_the_time() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut watch = StallWatch::new(start);
    assert_eq!(watch.look(Seq::ZERO, true, at(4)), None);
    assert_eq!(watch.look(Seq::new(1), true, at(5)), None, "it moves");
    assert_eq!(watch.look(Seq::new(1), true, at(9)), None);
    assert_eq!(watch.look(Seq::new(1), true, at(10)), Some(Duration::from_secs(5)));
    assert_eq!(watch.look(Seq::new(1), true, at(39)), None, "it was said");
    assert_eq!(watch.look(Seq::new(1), true, at(40)), Some(Duration::from_secs(35)));
    assert_eq!(watch.look(Seq::new(1), false, at(41)), None, "nothing waits");
    assert_eq!(watch.look(Seq::new(1), true, at(45)), None);
    assert_eq!(watch.look(Seq::new(1), true, at(46)), Some(Duration::from_secs(5)));
}

#[test]
fn the_sentence_names_whose_statements_are_missing() {
    let waits = Waits { quorum: 3, ..Waits::default() };
    assert_eq!(said(&waits), "it has executed all that it knows of");
    let slot = |step, by: &[u16]| {
        let by = by.iter().map(|member| id(*member)).collect();
        said(&Waits { slot: Some(SlotWait { seq: Seq::new(7), step, by }), ..waits.clone() })
    };
    assert_eq!(slot(SlotStep::Proposal, &[]), "block 7 needs the proposal of a");
    assert_eq!(slot(SlotStep::Body, &[]), "block 7 lacks its transactions");
    assert_eq!(slot(SlotStep::Prepares, &[1]), "block 7 needs 2 PREPAREs: b sent one, c, d none");
    assert_eq!(slot(SlotStep::Commits, &[0, 1]), "block 7 needs 3 COMMITs: a, b sent one, c, d none");
    assert_eq!(slot(SlotStep::Execution, &[]), "block 7 is decided and not executed");
    let view = |by: &[u16]| {
        let by = by.iter().map(|member| id(*member)).collect();
        let wait = ViewChangeWait { view: View::new(2), primary: id(2), by, opened: false };
        said(&Waits { view_change: Some(wait), ..waits.clone() })
    };
    assert_eq!(view(&[1]), "view 2 needs 3 VIEW-CHANGEs: b sent one, a, c, d none");
    assert_eq!(view(&[1, 2, 3]), "view 2 needs the NEW-VIEW of c");
    let checkpoint = Waits { checkpoint: Some((Seq::new(8), vec![id(1)])), ..waits.clone() };
    assert_eq!(
        said(&checkpoint),
        "the window is full: checkpoint 8 is signed by b, not by a, c, d; it needs 3"
    );
    let hello = Waits { hello: Some(vec![id(0)]), ..waits };
    assert_eq!(said(&hello), "its HELLO was answered by a, not by c, d; it needs 2");
}
