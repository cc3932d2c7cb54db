use super::*;

fn joiner() -> Joiner {
    Joiner {
        name: "eve".to_owned(),
        vote: PublicKey([1; 32]),
        transport: PublicKey([2; 32]),
        store: StoreId([3; 16]),
        peer: "10.0.0.5:7238".to_owned(),
        api: "http://10.0.0.5:7238".to_owned(),
        vote_proof: Signature([4; 64]),
        transport_proof: Signature([5; 64]),
    }
}

fn ready() -> Ready {
    Ready {
        vote: PublicKey([1; 32]),
        store: StoreId([3; 16]),
        height: Seq::new(77),
        signature: Signature([6; 64]),
    }
}

fn all() -> Vec<Governance> {
    let proposal = TransactionId([7; 32]);
    let change = |remove: Option<&str>, add| Change { remove: remove.map(str::to_owned), add, faults: 1 };
    vec![
        Governance::Propose { change: change(Some("bob"), Some(joiner())), ready: Some(ready()) },
        Governance::Propose { change: change(Some("bob"), None), ready: None },
        Governance::Propose { change: change(None, Some(joiner())), ready: None },
        Governance::Approve { proposal, ready: Some(ready()) },
        Governance::Approve { proposal, ready: None },
        Governance::Withdraw { proposal },
        Governance::Recover { ready: ready() },
    ]
}

#[test]
fn g1_payloads_read_back_and_nothing_else_does() {
    for asked in all() {
        let bytes = asked.to_payload();
        assert_eq!(Governance::from_payload(&bytes), Ok(asked));
        for end in 0..bytes.len() {
            assert!(Governance::from_payload(&bytes[..end]).is_err(), "{end} bytes of {bytes:?}");
        }
        assert!(Governance::from_payload(&[bytes, vec![0]].concat()).is_err());
    }
}

#[test]
fn g5_proofs_name_the_ledger_and_what_they_are_of() {
    let (one, other) = (LedgerId([1; 32]), LedgerId([2; 32]));
    let counts: Vec<usize> = all().iter().map(|asked| asked.proofs(&one).len()).collect();
    assert_eq!(counts, [3, 0, 2, 1, 0, 0, 1]);
    for asked in all() {
        for (here, there) in asked.proofs(&one).iter().zip(asked.proofs(&other)) {
            assert_ne!(here.1, there.1, "a proof of one ledger is none of another");
        }
    }
    let moved = Ready { height: Seq::new(78), ..ready() };
    assert_ne!(moved.signed_bytes(&one), ready().signed_bytes(&one));
    let renamed = Joiner { name: "mallory".to_owned(), ..joiner() };
    assert_ne!(renamed.signed_bytes(&one), joiner().signed_bytes(&one));
}

#[test]
fn leaves_of_the_state_read_back() {
    let Governance::Propose { change, .. } = all().remove(0) else { panic!("the first is a proposal") };
    let pending = Pending {
        change,
        proposer: PublicKey([8; 32]),
        until: LedgerTime(99),
        approvals: vec![PublicKey([8; 32]), PublicKey([9; 32])],
    };
    assert_eq!(Pending::from_bytes(&pending.to_bytes()), Ok(pending));
    let member = |name: &str, store| Member {
        name: name.to_owned(),
        vote: PublicKey([1; 32]),
        transport: PublicKey([2; 32]),
        store,
    };
    let seat = |member| Seat { member, peer: "a:1".to_owned(), api: String::new() };
    let seats = vec![seat(member("a", None)), seat(member("b", Some(StoreId([9; 16]))))];
    let set = MemberSet { after: Seq::new(128), faults: 0, seats };
    assert_eq!(MemberSet::from_bytes(&set.to_bytes()), Ok(set.clone()));
    let members = set.members(LedgerId([1; 32]), Epoch::new(3)).expect("two may be crash-only");
    assert_eq!((members.after(), members.count()), (Seq::new(128), 2));
}

#[test]
fn every_refusal_has_a_byte_of_its_own() {
    for refusal in Refusal::ALL {
        assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
    }
    assert_eq!(Refusal::from_code(0), None);
    assert_eq!(Refusal::from_code(200), None);
}
