use super::*;
use quorate_types::{LedgerId, Signature, Transaction};

const NOW: Monotonic = Monotonic(0);

fn transaction(sender: u8, number: u64, size: usize) -> HashedTransaction {
    HashedTransaction::new(SignedTransaction {
        transaction: Transaction {
            ledger: LedgerId([0; 32]),
            sender: PublicKey([sender; 32]),
            session: SessionId::new(1),
            number: Number::new(number),
            valid_until: LedgerTime(100 + number),
            app: "kv".to_owned(),
            payload: vec![sender; size],
        },
        signature: Signature([0; 64]),
    })
}

/// Custody of these (sender, number), in this order.
fn custody(requests: &[(u8, u64)]) -> Custody {
    let mut custody = Custody::default();
    for (sender, number) in requests {
        custody.admit(transaction(*sender, *number, 4), None, NOW).unwrap();
    }
    custody
}

fn names(batch: &[HashedTransaction]) -> Vec<(u8, u64)> {
    let name = |one: &HashedTransaction| {
        (one.signed().transaction.sender.0[0], one.signed().transaction.number.get())
    };
    batch.iter().map(name).collect()
}

#[test]
fn n1_senders_take_turns_and_each_oldest_first() {
    let mut custody = custody(&[(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (2, 1)]);
    let cut = custody.cut(Seq::new(1), 4, usize::MAX);
    assert_eq!(names(&cut), [(1, 0), (2, 0), (3, 0), (1, 1)]);
    let cut = custody.cut(Seq::new(2), 10, usize::MAX);
    assert_eq!(names(&cut), [(1, 2), (2, 1)], "the oldest, then the turn goes on where it was");
    assert!(!custody.has_ready());
    assert_eq!(custody.len(), 6, "what is in a slot stays in custody");
}

#[test]
fn v10_the_oldest_is_passed_over_by_no_turn_of_senders() {
    let mut custody = custody(&[(1, 0), (2, 0), (3, 0)]);
    // In view after view the first request is in a slot that the view change empties: its sender goes to the end of the turn.
    for view in 0..3 {
        assert_eq!(names(&custody.cut(Seq::new(1), 1, usize::MAX)), [(1, 0)], "view {view}");
        custody.unmark_all();
    }
    assert_eq!(names(&custody.cut(Seq::new(1), 3, usize::MAX)), [(1, 0), (2, 0), (3, 0)]);
}

#[test]
fn n1_a_cut_ends_where_the_next_does_not_fit() {
    let mut custody = custody(&[(1, 0), (2, 0), (3, 0)]);
    let size = transaction(1, 0, 4).signed().size();
    assert_eq!(names(&custody.cut(Seq::new(1), 10, 2 * size)), [(1, 0), (2, 0)]);
    assert_eq!(names(&custody.cut(Seq::new(2), 10, 2 * size)), [(3, 0)]);
}

#[test]
fn n2_one_number_is_at_most_once_in_a_batch() {
    let mut custody = Custody::default();
    custody.admit(transaction(1, 0, 4), None, NOW).unwrap();
    custody.admit(transaction(1, 0, 5), None, NOW).unwrap();
    assert_eq!(names(&custody.cut(Seq::new(1), 10, usize::MAX)), [(1, 0)]);
    assert_eq!(names(&custody.cut(Seq::new(2), 10, usize::MAX)), [(1, 0)], "the other comes later");
}

#[test]
fn c2_a_consumed_number_takes_every_request_for_it_along() {
    let mut custody = Custody::default();
    custody.admit(transaction(1, 0, 4), None, NOW).unwrap();
    custody.admit(transaction(1, 0, 5), None, NOW).unwrap();
    custody.admit(transaction(1, 1, 4), None, NOW).unwrap();
    custody.remove_number(&(PublicKey([1; 32]), SessionId::new(1), Number::new(0)));
    assert_eq!(custody.len(), 1);
    custody.remove(&transaction(1, 1, 4).id());
    assert_eq!((custody.len(), custody.bytes(), custody.oldest()), (0, 0, None));
    assert_eq!(custody, Custody { next_order: 3, ..Custody::default() }, "nothing is left of them");
}

#[test]
fn f15_what_expired_holds_up_nobody() {
    let mut custody = custody(&[(1, 0), (2, 7)]);
    custody.remove_expired(LedgerTime(100));
    assert_eq!(custody.len(), 2, "valid_until is inclusive");
    custody.remove_expired(LedgerTime(101));
    assert_eq!(custody.oldest(), Some((transaction(2, 7, 4).id(), None)));
}

#[test]
fn v10_a_view_change_frees_what_was_in_slots() {
    let mut custody = custody(&[(1, 0), (2, 0)]);
    custody.cut(Seq::new(5), 10, usize::MAX);
    let oldest = transaction(1, 0, 4).id();
    assert_eq!(custody.oldest(), Some((oldest, Some(Seq::new(5)))));
    custody.unmark_all();
    assert_eq!(custody.oldest(), Some((oldest, None)));
    assert_eq!(names(&custody.cut(Seq::new(5), 10, usize::MAX)), [(1, 0), (2, 0)]);
}

#[test]
fn quotas_hold_for_senders_and_for_peers_but_not_for_proposals() {
    let mut custody = Custody::default();
    let most = limits::CUSTODY_REQUESTS_PER_SENDER as u64;
    for number in 0..most {
        custody.admit(transaction(1, number, 4), None, NOW).unwrap();
    }
    assert_eq!(custody.admit(transaction(1, most, 4), None, NOW), Err(Ignored::CustodyFull));
    assert_eq!(custody.admit(transaction(1, 0, 4), None, NOW), Err(Ignored::Duplicate));
    assert_eq!(custody.admit(transaction(2, 0, 4), None, NOW), Ok(()), "another sender has its own quota");
    custody.adopt(transaction(1, most, 4), Seq::new(1), NOW);
    assert_eq!(custody.len(), limits::CUSTODY_REQUESTS_PER_SENDER + 2, "an accepted proposal is taken in");
    let mut custody = Custody::default();
    let peer = Some(ReplicaId::new(1));
    for number in 0..limits::CUSTODY_REQUESTS_PER_PEER {
        let sender = u8::try_from(number / 1_000).unwrap();
        custody.admit(transaction(sender, number as u64, 4), peer, NOW).unwrap();
    }
    assert_eq!(custody.admit(transaction(99, 0, 4), peer, NOW), Err(Ignored::CustodyFull));
    assert_eq!(custody.admit(transaction(99, 0, 4), Some(ReplicaId::new(2)), NOW), Ok(()));
}

#[test]
fn c2_what_waits_is_forwarded_again_when_it_is_due() {
    let mut custody = custody(&[(1, 0), (2, 0)]);
    let later = NOW.plus(std::time::Duration::from_millis(10));
    assert_eq!(custody.forward_overdue(NOW, later, 1).len(), 1);
    assert_eq!(custody.forward_overdue(NOW, later, 9).len(), 1, "the first was forwarded just now");
    assert!(custody.forward_overdue(NOW, later, 9).is_empty());
    assert_eq!(custody.forward_overdue(later, later, 9).len(), 2);
}

/// C5: who floods gets its share of a batch, and alone all of it.
#[test]
fn c5_one_sender_does_not_make_batches_as_large_as_it_likes() {
    let mut custody = Custody::default();
    for number in 0..900 {
        custody.admit(transaction(1, number, 4), None, NOW).unwrap();
    }
    for client in 2..10 {
        custody.admit(transaction(client, 0, 4), None, NOW).unwrap();
    }
    let batch = custody.cut(Seq::new(1), 2_000, usize::MAX);
    let of = |client: u8, batch: &[HashedTransaction]| {
        batch.iter().filter(|one| one.signed().transaction.sender == PublicKey([client; 32])).count()
    };
    assert_eq!((of(1, &batch), batch.len()), (56, 64), "512 over nine senders");
    assert_eq!(
        (custody.ready_by_order.len(), custody.worth()),
        (844, 0),
        "what is held back is worth no block of its own"
    );
    custody.admit(transaction(3, 1, 4), None, NOW).unwrap();
    assert_eq!(custody.worth(), 1);
    assert!((2..10).all(|client| of(client, &batch) == 1));
    assert_eq!(custody.cut(Seq::new(2), 2_000, usize::MAX).len(), 257, "512 over two senders");
    assert_eq!(custody.cut(Seq::new(3), 2_000, usize::MAX).len(), 588, "nobody else waits");
}
