use super::*;
use quorate_crypto::header_hash;
use quorate_ledger::{PartedState, tree::Tree};
use quorate_types::{CertificateKind, Digest, Epoch, LedgerId, LedgerTime};

const EXECUTED: Seq = Seq::ZERO;

fn id(member: u16) -> ReplicaId {
    ReplicaId::new(member)
}

fn at(millis: u64) -> Monotonic {
    Monotonic::default().plus(Duration::from_millis(millis))
}

/// A replica that has the state after block `height`, of 2,000 keys of which the first `changed` are not as in others.
struct Source {
    parts: StateParts,
    state: PartedState,
}

impl Source {
    fn of(height: u64, changed: u32) -> Self {
        let value = |key: u32| vec![u8::from(key < changed); 200];
        let leaves: Vec<_> = (0..2_000u32).map(|key| (key.to_be_bytes().to_vec(), value(key))).collect();
        let header = Header {
            ledger: LedgerId([1; 32]),
            epoch: Epoch::ZERO,
            height: Seq::new(height),
            parent: Digest([2; 32]),
            time: LedgerTime(height),
            batch_digest: Digest([3; 32]),
            transactions_root: Digest([4; 32]),
            results_root: Digest([5; 32]),
            state_root: Tree::from_leaves(leaves.clone()).root(),
            members_hash: Digest([6; 32]),
            transaction_count: 0,
        };
        let hash = header_hash(&header);
        let (epoch, kind) = (Epoch::ZERO, CertificateKind::Checkpoint);
        let certificate =
            BlockCertificate { epoch, height: header.height, header: hash, kind, signatures: Vec::new() };
        let state = PartedState::new(StoredState { height: header.height, header_hash: hash, leaves });
        Self { parts: StateParts { header, certificate, parts: state.parts().to_vec() }, state }
    }

    /// What it answers.
    fn answer(&self, message: &Message) -> Option<Message> {
        match message {
            Message::Notice(Notice::Fetch(Fetch::StateParts { above })) => {
                (self.state.height() > *above).then(|| Message::StateParts(Box::new(self.parts.clone())))
            }
            Message::Notice(Notice::Fetch(Fetch::StateLeaves { height, index }))
                if *height == self.state.height() =>
            {
                let leaves = self.state.leaves_of(*index as usize)?.clone();
                Some(Message::StateLeaves(Box::new(StateLeaves { height: *height, index: *index, leaves })))
            }
            _ => None,
        }
    }
}

fn take(transfer: &mut Transfer, from: ReplicaId, message: Message) -> Taken {
    match message {
        Message::StateParts(parts) => transfer.take_parts(from, *parts),
        Message::StateLeaves(leaves) => transfer.take_leaves(from, *leaves),
        other => panic!("{other:?}"),
    }
}

/// Runs a transfer; `answer` is what a member answers. Returns the state, when it came, and how many leaves were given.
fn run(
    transfer: &mut Transfer,
    answer: impl Fn(ReplicaId, &Message) -> Option<Message>,
) -> (Fetched, u64, usize) {
    let peers = [id(1), id(2), id(3)];
    let mut given = 0;
    for millis in (0..60_000).step_by(10) {
        for (to, message) in transfer.ask(at(millis), EXECUTED, &peers) {
            let Some(answer) = answer(to, &message) else { continue };
            given += usize::from(matches!(answer, Message::StateLeaves(_)));
            take(transfer, to, answer);
        }
        if let Some(fetched) = transfer.finish() {
            return (fetched, millis, given);
        }
    }
    panic!("it came to nothing: {:?}", transfer.progress());
}

fn sorted(fetched: Fetched) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut leaves = fetched.state.leaves;
    leaves.sort();
    leaves
}

#[test]
fn t2_a_state_comes_from_several_peers_each_part_once() {
    let source = Source::of(9, 0);
    let all = source.parts.parts.len();
    assert!(all >= 8, "{all} parts");
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let (fetched, _, given) = run(&mut Transfer::default(), |from, message| {
        asked.borrow_mut().insert(from);
        source.answer(message)
    });
    assert_eq!((given, asked.into_inner().len()), (all, 3));
    assert_eq!(
        (fetched.header.clone(), fetched.certificate.clone()),
        (source.parts.header, source.parts.certificate)
    );
    assert_eq!((fetched.state.height, sorted(fetched).len()), (Seq::new(9), 2_000));
}

/// One lies in every part: it is found out with the first, and asked for nothing more.
#[test]
fn t2_a_source_that_lies_is_dropped_at_its_first_lie() {
    let source = Source::of(9, 0);
    let lies = std::cell::Cell::new(0);
    let mut transfer = Transfer::default();
    let (fetched, _, given) = run(&mut transfer, |from, message| {
        let mut answer = source.answer(message)?;
        if let (true, Message::StateLeaves(leaves)) = (from == id(2), &mut answer) {
            leaves.leaves[0].1[0] ^= 1;
            lies.set(lies.get() + 1);
        }
        Some(answer)
    });
    let most = source.parts.parts.len() + lies.get();
    assert!(lies.get() <= AT_ONCE && given <= most, "{} lies, {given} parts", lies.get());
    assert_eq!(sorted(fetched).len(), 2_000);
}

#[test]
fn t2_a_source_that_falls_silent_is_passed_over() {
    let source = Source::of(9, 0);
    let (_, took, given) =
        run(&mut Transfer::default(), |from, message| source.answer(message).filter(|_| from != id(1)));
    assert_eq!(given, source.parts.parts.len(), "nothing is fetched twice");
    assert!(took <= 3 * 1_000, "{took} ms");
}

/// In the midst of it all sources go on to a later state: what did not change is not fetched again.
#[test]
fn t2_a_target_that_is_gone_is_replaced_and_what_still_matches_is_kept() {
    let (first, later) = (Source::of(9, 0), Source::of(18, 1));
    let all = first.parts.parts.len();
    let before = std::cell::Cell::new(0);
    let mut transfer = Transfer::default();
    let (fetched, _, given) = run(&mut transfer, |_, message| {
        if before.get() < all / 2 {
            let answer = first.answer(message)?;
            before.set(before.get() + usize::from(matches!(answer, Message::StateLeaves(_))));
            return Some(answer);
        }
        later.answer(message)
    });
    assert_eq!(fetched.header, later.parts.header);
    assert!((all..=all + 1).contains(&given), "{given} of {all}");
}

#[test]
fn what_nobody_asked_for_is_not_taken() {
    let source = Source::of(9, 0);
    let mut transfer = Transfer::default();
    assert_eq!(transfer.take_parts(id(1), source.parts.clone()), Taken::Unasked);
    let asked = transfer.ask(at(0), EXECUTED, &[id(1)]);
    assert_eq!(asked.len(), 1);
    assert_eq!(transfer.take_parts(id(2), source.parts.clone()), Taken::Unasked);
    assert_eq!(transfer.take_parts(id(1), source.parts.clone()), Taken::Used);
    let leaves = |height| StateLeaves { height: Seq::new(height), index: 0, leaves: Vec::new() };
    assert_eq!(transfer.take_leaves(id(1), leaves(9)), Taken::Unasked);
    transfer.ask(at(0), EXECUTED, &[id(1)]);
    assert_eq!(transfer.take_leaves(id(1), leaves(8)), Taken::Unasked);
    assert_eq!(transfer.take_leaves(id(1), leaves(9)), Taken::Lie);
    assert_eq!(transfer.ask(at(5_000), EXECUTED, &[id(1)]), [], "it is asked for nothing more");
    assert_eq!(transfer.progress().map(|(height, held, _)| (height, held)), Some((Seq::new(9), 0)));
    transfer.drop_superseded(Seq::new(9));
    assert_eq!(transfer.progress(), None, "the blocks came after all");
    assert_eq!(transfer.take_records().last(), Some(TransferRecord::End));
}

#[test]
fn it_looks_again_when_an_answer_is_overdue() {
    let mut transfer = Transfer::default();
    assert_eq!(transfer.next_deadline(), None);
    transfer.ask(at(7), EXECUTED, &[id(1), id(2)]);
    assert_eq!(transfer.next_deadline(), Some(at(1_007)));
    let asked: Vec<_> = transfer.ask(at(1_007), EXECUTED, &[id(1), id(2)]);
    assert_eq!(asked.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [id(2)], "another one is asked");
}

/// It answers at once, and with what is of no use: that does not make it be asked again at once.
#[test]
fn an_older_state_than_was_asked_for_is_not_taken() {
    let (older, source) = (Source::of(5, 1), Source::of(9, 0));
    let mut transfer = Transfer::default();
    transfer.ask(at(0), EXECUTED, &[id(1)]);
    transfer.take_parts(id(1), source.parts.clone());
    transfer.ask(at(0), EXECUTED, &[id(1)]);
    let asked = transfer.ask(at(1_000), EXECUTED, &[id(1)]);
    assert_eq!(asked, [(id(1), fetch(Fetch::StateParts { above: Seq::new(9) }))], "it was silent");
    assert_eq!(transfer.take_parts(id(1), older.parts), Taken::Unasked);
    assert_eq!(transfer.ask(at(1_001), EXECUTED, &[id(1)]), []);
    assert_eq!(transfer.progress().map(|(height, ..)| height), Some(Seq::new(9)));
}

/// What a host keeps, as a file does.
#[derive(Default)]
struct Kept(Vec<CheckedMessage>);

impl Kept {
    fn take(&mut self, transfer: &mut Transfer) {
        let checked = |message| match message {
            Message::StateParts(parts) => CheckedMessage::StateParts(parts),
            Message::StateLeaves(leaves) => CheckedMessage::StateLeaves(leaves),
            other => panic!("{other:?}"),
        };
        for record in transfer.take_records() {
            match record {
                TransferRecord::Begin(messages) => self.0 = messages.into_iter().map(checked).collect(),
                TransferRecord::Add(message) => self.0.push(checked(message)),
                TransferRecord::End => self.0.clear(),
            }
        }
    }
}

#[test]
fn t2_a_transfer_goes_on_after_a_restart_where_it_was() {
    let source = Source::of(9, 0);
    let all = source.parts.parts.len();
    let (mut transfer, mut kept) = (Transfer::default(), Kept::default());
    let mut given = 0;
    for millis in 0..4 {
        for (to, message) in transfer.ask(at(millis), EXECUTED, &[id(1), id(2)]) {
            let answer = source.answer(&message).unwrap();
            // Of what is asked for at once some is still on its way at the kill.
            if matches!(answer, Message::StateLeaves(_)) && given < all / 2 {
                given += 1;
                take(&mut transfer, to, answer);
            } else if matches!(answer, Message::StateParts(_)) {
                take(&mut transfer, to, answer);
            }
        }
        kept.take(&mut transfer);
    }
    assert_eq!(transfer.progress(), Some((Seq::new(9), all / 2, all)));
    let mut again = Transfer::default();
    again.resume(kept.0.clone());
    assert_eq!(again.progress(), transfer.progress());
    let (fetched, _, given) = run(&mut again, |_, message| source.answer(message));
    assert_eq!((given, sorted(fetched).len()), (all - all / 2, 2_000));

    // Killed once more, and nobody has that state any longer.
    let later = Source::of(12, 1);
    let mut again = Transfer::default();
    again.resume(kept.0);
    let (fetched, _, given) = run(&mut again, |_, message| later.answer(message));
    assert_eq!(fetched.state.height, Seq::new(12));
    assert!(given <= all - all / 2 + 1, "{given} of {all}");
}

#[test]
fn what_is_kept_without_its_parts_is_nothing() {
    let mut transfer = Transfer::default();
    transfer.resume(vec![CheckedMessage::StateLeaves(Box::new(StateLeaves {
        height: Seq::new(9),
        index: 0,
        leaves: vec![(vec![1], vec![2])],
    }))]);
    assert_eq!(transfer.progress(), None);
}

/// A network that takes longer than anyone's patience at first.
#[test]
fn t2_slow_answers_are_waited_for_in_the_end() {
    let source = Source::of(9, 0);
    let (mut transfer, peers) = (Transfer::default(), [id(1), id(2), id(3)]);
    let mut under_way: BTreeMap<u64, Vec<(ReplicaId, Message)>> = BTreeMap::new();
    for millis in (0..400_000).step_by(50) {
        for (to, message) in transfer.ask(at(millis), EXECUTED, &peers) {
            under_way
                .entry(millis + 2_800)
                .or_default()
                .extend(source.answer(&message).map(|answer| (to, answer)));
        }
        for (from, answer) in under_way.remove(&millis).into_iter().flatten() {
            take(&mut transfer, from, answer);
        }
        if transfer.finish().is_some() {
            return;
        }
    }
    panic!("it came to nothing: {:?}", transfer.progress());
}
