use crate::testing::{Ledger, genesis, key};
use quorate_types::{
    Change, Epoch, FailReason, Governance, Joiner, LedgerTime, NamedKey, Number, PublicKey, Ready, Refusal,
    Seq, SessionId, Signature, SignedTransaction, StoreId, Transaction, TransactionId, TransactionResult,
    governance, limits,
};
use std::collections::BTreeMap;

const K: u64 = 4;
/// Operators of the test ledger; two of them must approve.
const OPERATORS: [u8; 3] = [10, 11, 12];

struct Council {
    ledger: Ledger,
    /// The next number of each sender.
    numbers: BTreeMap<u8, u64>,
}

impl Council {
    fn new() -> Self {
        let mut genesis = genesis();
        genesis.operators = OPERATORS.map(|id| NamedKey { name: format!("o{id}"), key: key(id) }).into();
        genesis.approvals = 2;
        (genesis.parameters.checkpoint_every, genesis.parameters.window) = (K, 2 * K);
        Self { ledger: Ledger::of(genesis, crate::built_in_applications()), numbers: BTreeMap::new() }
    }

    fn height(&self) -> Seq {
        self.ledger.machine.height()
    }

    fn transaction(&mut self, sender: u8, asked: &Governance) -> SignedTransaction {
        let number = self.numbers.entry(sender).or_default();
        *number += 1;
        let transaction = Transaction {
            ledger: quorate_crypto::genesis_ledger_id(&self.ledger.genesis),
            sender: key(sender),
            session: SessionId::new(u64::from(sender)),
            number: Number::new(*number - 1),
            valid_until: LedgerTime(self.ledger.time() + 500),
            app: governance::APP.to_owned(),
            payload: asked.to_payload(),
        };
        SignedTransaction { transaction, signature: Signature([sender; 64]) }
    }

    /// Executes it in a block of its own; its id and what became of it.
    fn ask(&mut self, sender: u8, asked: &Governance) -> (TransactionId, Result<(), Refusal>) {
        let signed = self.transaction(sender, asked);
        let id = quorate_crypto::transaction_id(&signed.transaction);
        let block = self.ledger.block(self.ledger.time(), vec![signed]);
        let result = match &block.results[0] {
            TransactionResult::Committed { output } if output.is_empty() => Ok(()),
            TransactionResult::Failed { reason: FailReason::Application, output, .. } => {
                Err(Refusal::from_code(output[0]).expect("a refusal"))
            }
            other => panic!("neither done nor refused: {other:?}"),
        };
        (id, result)
    }

    fn ready(&self, joiner: &Joiner) -> Option<Ready> {
        let signature = Signature([0; 64]);
        Some(Ready { vote: joiner.vote, store: joiner.store, height: self.height(), signature })
    }

    /// Two operators agree on a change.
    fn decide(&mut self, change: Change) -> Result<(), Refusal> {
        let (proposal, proposed) = self.ask(10, &Governance::Propose { change: change.clone(), ready: None });
        proposed?;
        let ready = change.add.as_ref().and_then(|joiner| self.ready(joiner));
        self.ask(11, &Governance::Approve { proposal, ready }).1
    }

    fn names(&self, epoch: u64) -> Option<(u64, Vec<String>)> {
        let members = self.ledger.machine.members(Epoch::new(epoch))?;
        let names = members.iter().map(|(_, member)| member.name.clone()).collect();
        Some((members.after().get(), names))
    }

    /// Empty blocks up to and including this one.
    fn fill(&mut self, to: u64) {
        while self.height() < Seq::new(to) {
            let _ = self.ledger.block(self.ledger.time(), Vec::new());
        }
    }
}

fn joiner(name: &str, id: u8) -> Joiner {
    Joiner {
        name: name.to_owned(),
        vote: key(id),
        transport: key(id + 1),
        store: StoreId([id; 16]),
        peer: "host:1".to_owned(),
        api: "http://host:1".to_owned(),
        vote_proof: Signature([0; 64]),
        transport_proof: Signature([0; 64]),
    }
}

fn add(joiner: Joiner) -> Change {
    Change { remove: None, add: Some(joiner), faults: 1 }
}

fn replace(name: &str, joiner: Joiner) -> Change {
    Change { remove: Some(name.to_owned()), add: Some(joiner), faults: 1 }
}

#[test]
fn g1_a_change_closes_the_epoch_with_the_next_checkpoint() {
    let mut council = Council::new();
    let genesis_hash = council.ledger.machine.state().header_hash();
    council.decide(add(joiner("eve", 50))).expect("two approve");
    assert_eq!(council.height(), Seq::new(2));
    assert_eq!(council.names(1).expect("it is known").0, K);
    assert_eq!(council.ledger.machine.outlook().closes, Some(Seq::new(K)));
    assert!(council.ledger.machine.outlook().obligation.is_some(), "K6: the epoch needs blocks to end");
    let before = council.ledger.block(council.ledger.time(), Vec::new());
    let last = council.ledger.block(council.ledger.time(), Vec::new());
    let first = council.ledger.block(council.ledger.time(), Vec::new());
    let epochs = [&before, &last, &first].map(|block| block.header.epoch.get());
    assert_eq!(epochs, [0, 0, 1], "slots above the last one belong to the next epoch");
    // M7: a header names the members that own the block after it.
    assert_eq!(last.header.members_hash, first.header.members_hash);
    assert_ne!(before.header.members_hash, last.header.members_hash);
    assert_eq!(council.names(1).expect("they reign").1, ["r0", "r1", "r2", "r3", "eve"]);
    let outlook = council.ledger.machine.outlook();
    assert_eq!((outlook.closes, outlook.obligation), (None, None));
    assert_ne!(council.ledger.machine.state().header_hash(), genesis_hash);
}

#[test]
fn g1_a_change_executed_in_a_checkpoint_closes_the_epoch_there() {
    let mut council = Council::new();
    council.fill(K - 2);
    council.decide(add(joiner("eve", 50))).expect("two approve");
    assert_eq!(council.height(), Seq::new(K));
    assert_eq!(council.names(1).expect("known").0, K);
    assert_eq!(council.ledger.machine.epoch(), Epoch::new(1));
}

#[test]
fn g1_one_change_at_a_time_and_four_in_a_row() {
    let mut council = Council::new();
    council.decide(replace("r0", joiner("a", 50))).expect("the first");
    assert_eq!(council.decide(replace("r1", joiner("b", 60))), Err(Refusal::ChangePending));
    for (epoch, (name, id)) in [("b", 60), ("c", 70), ("d", 80)].into_iter().enumerate() {
        council.fill((council.height().get() + 1).next_multiple_of(K));
        council.decide(replace(&format!("r{}", epoch + 1), joiner(name, id))).expect("one after the other");
    }
    assert_eq!(council.names(4).expect("the fourth").1, ["a", "b", "c", "d"], "each in the place of another");
    // The state goes on telling who the members were.
    assert_eq!(council.names(0).expect("the first").1, ["r0", "r1", "r2", "r3"]);
}

#[test]
fn g0_operators_decide_and_each_counts_once() {
    let mut council = Council::new();
    let change = Change { remove: Some("r3".to_owned()), add: None, faults: 0 };
    assert_eq!(council.decide(change), Err(Refusal::CrashOnly));
    let change = add(joiner("eve", 50));
    let propose = Governance::Propose { change: change.clone(), ready: None };
    assert_eq!(council.ask(1, &propose).1, Err(Refusal::NotAnOperator));
    let (proposal, proposed) = council.ask(10, &propose);
    assert_eq!(proposed, Ok(()));
    let ready = council.ready(&joiner("eve", 50));
    let approve = Governance::Approve { proposal, ready };
    assert_eq!(council.ask(10, &approve).1, Err(Refusal::AlreadyApproved));
    assert_eq!(council.ask(1, &approve).1, Err(Refusal::NotAnOperator));
    assert_eq!(council.ask(11, &Governance::Withdraw { proposal }).1, Err(Refusal::NotTheProposer));
    assert_eq!(council.ask(10, &Governance::Withdraw { proposal }).1, Ok(()));
    assert_eq!(council.ask(11, &approve).1, Err(Refusal::NoSuchProposal));
    assert!(council.names(1).is_none());
}

#[test]
fn g0_a_proposal_lapses_by_ledger_time() {
    let mut council = Council::new();
    let change = add(joiner("eve", 50));
    let (proposal, _) = council.ask(10, &Governance::Propose { change, ready: None });
    let later = council.ledger.time() + limits::PROPOSAL_LASTS_MS + 1;
    let _ = council.ledger.block(later, Vec::new());
    let ready = council.ready(&joiner("eve", 50));
    assert_eq!(council.ask(11, &Governance::Approve { proposal, ready }).1, Err(Refusal::NoSuchProposal));
    assert_eq!(council.ledger.machine.state().proposals().count(), 1);
    let change = add(joiner("mallory", 60));
    assert_eq!(council.ask(10, &Governance::Propose { change, ready: None }).1, Ok(()));
    let kept: Vec<String> = council
        .ledger
        .machine
        .state()
        .proposals()
        .filter_map(|(_, pending)| Some(pending.change.add?.name))
        .collect();
    assert_eq!(kept, ["mallory"], "what lapsed is gone");
}

#[test]
fn g0_proposals_are_bounded() {
    let mut council = Council::new();
    for id in 0..limits::MAX_PROPOSALS {
        let change = add(joiner(&format!("m{id}"), 20));
        assert_eq!(council.ask(10, &Governance::Propose { change, ready: None }).1, Ok(()));
    }
    let propose = Governance::Propose { change: add(joiner("eve", 20)), ready: None };
    assert_eq!(council.ask(10, &propose).1, Err(Refusal::TooManyProposals));
}

#[test]
fn g3_who_joins_must_have_followed_until_lately() {
    let mut council = Council::new();
    council.fill(3 * K);
    let eve = joiner("eve", 50);
    let (proposal, _) = council.ask(10, &Governance::Propose { change: add(eve.clone()), ready: None });
    let good = council.ready(&eve).expect("made");
    let old = Ready { height: Seq::new(K), ..good };
    let future = Ready { height: council.height().plus(10), ..good };
    let others = Ready { vote: key(51), ..good };
    let elsewhere = Ready { store: StoreId([9; 16]), ..good };
    for ready in [None, Some(old), Some(future), Some(others), Some(elsewhere)] {
        let refused = council.ask(11, &Governance::Approve { proposal, ready }).1;
        assert_eq!(refused, Err(Refusal::NotReady), "{ready:?}");
    }
    assert_eq!(council.ask(11, &Governance::Approve { proposal, ready: Some(good) }).1, Ok(()));
}

#[test]
fn g3_what_cannot_be_a_member_set_is_refused() {
    let mut council = Council::new();
    let without = |name: &str, faults| Change { remove: Some(name.to_owned()), add: None, faults };
    let named = |name: &str| add(joiner(name, 50));
    let shared = Joiner { vote: key(100), ..joiner("eve", 50) };
    let client = Joiner { transport: key(1), ..joiner("eve", 50) };
    let one = Joiner { transport: key(50), ..joiner("eve", 50) };
    let far = Joiner { peer: "x".repeat(limits::MAX_ADDRESS_BYTES + 1), ..joiner("eve", 50) };
    let cases = [
        (Change { remove: None, add: None, faults: 1 }, Refusal::Empty),
        (without("nobody", 1), Refusal::NoSuchMember),
        (without("r0", 1), Refusal::BadQuorum),
        (without("r0", 0), Refusal::CrashOnly),
        (named("r0"), Refusal::BadName),
        (named(""), Refusal::BadName),
        (named(&"x".repeat(limits::MAX_NAME_BYTES + 1)), Refusal::BadName),
        (add(shared), Refusal::KeyInUse),
        (add(client), Refusal::KeyInUse),
        (add(one), Refusal::KeyInUse),
        (add(far), Refusal::BadAddress),
    ];
    for (change, refusal) in cases {
        assert_eq!(council.decide(change.clone()), Err(refusal), "{change:?}");
    }
    assert!(council.names(1).is_none());
}

#[test]
fn g4_keys_of_former_members_never_come_back() {
    let mut council = Council::new();
    council.decide(replace("r0", joiner("a", 50))).expect("r0 leaves");
    council.fill(K);
    let back = Joiner { vote: key(100), transport: key(200), ..joiner("r0", 60) };
    assert_eq!(council.decide(replace("r1", back)), Err(Refusal::KeyInUse));
    // A member may rotate one key and keep the other, and its store.
    let rotated = Joiner { vote: key(70), ..joiner("a", 50) };
    council.decide(replace("a", rotated.clone())).expect("a rotates its vote key");
    council.fill((council.height().get() + 1).next_multiple_of(K));
    let again = Joiner { vote: key(50), ..rotated };
    assert_eq!(council.decide(replace("a", again)), Err(Refusal::KeyInUse), "not to a key of before");
}

#[test]
fn l2_a_member_goes_on_with_another_store() {
    let mut council = Council::new();
    let store = |council: &Council, epoch| {
        let members = council.ledger.machine.members(Epoch::new(epoch)).expect("known");
        members.by_vote_key(&key(102)).and_then(|id| members.get(id).expect("a member").store)
    };
    let ready = |council: &Council, vote: PublicKey, id: u8| Ready {
        vote,
        store: StoreId([id; 16]),
        height: council.height(),
        signature: Signature([0; 64]),
    };
    assert_eq!(store(&council, 0), None);
    let stranger = ready(&council, key(99), 1);
    assert_eq!(council.ask(1, &Governance::Recover { ready: stranger }).1, Err(Refusal::NoSuchMember));
    // Any client may bring it: what counts is the signature of the member's key.
    let first = ready(&council, key(102), 1);
    assert_eq!(council.ask(1, &Governance::Recover { ready: first }).1, Ok(()));
    council.fill(K);
    assert_eq!(store(&council, 1), Some(StoreId([1; 16])));
    let again = ready(&council, key(102), 1);
    assert_eq!(council.ask(1, &Governance::Recover { ready: again }).1, Err(Refusal::KeyInUse));
    let second = ready(&council, key(102), 2);
    assert_eq!(council.ask(1, &Governance::Recover { ready: second }).1, Ok(()));
    council.fill((council.height().get() + 1).next_multiple_of(K));
    assert_eq!(store(&council, 2), Some(StoreId([2; 16])));
    assert_eq!(store(&council, 1), Some(StoreId([1; 16])));
}

#[test]
fn a_payload_that_is_none_fails_and_changes_nothing() {
    let mut council = Council::new();
    let mut signed = council.transaction(10, &Governance::Withdraw { proposal: TransactionId([0; 32]) });
    signed.transaction.payload.push(0);
    let root = council.ledger.machine.state().member_set(Epoch::ZERO);
    let block = council.ledger.block(council.ledger.time(), vec![signed]);
    let malformed =
        TransactionResult::Failed { reason: FailReason::Malformed, operation: 0, output: Vec::new() };
    assert_eq!(block.results[0], malformed);
    assert_eq!(council.ledger.machine.state().member_set(Epoch::ZERO), root);
}
