use super::*;

#[test]
fn a_session_leaf_reads_back_and_only_in_its_canonical_form() {
    let leaf = SessionLeaf { low: Number::new(7), last_activity: LedgerTime(9), used: vec![0b10, 0x80] };
    assert_eq!(SessionLeaf::from_bytes(&leaf.to_bytes()), Ok(leaf.clone()));
    for used in [vec![2, 0], vec![1], vec![2; 129]] {
        let other = SessionLeaf { used, ..leaf.clone() };
        assert!(SessionLeaf::from_bytes(&other.to_bytes()).is_err());
    }
}

#[test]
fn a_session_leaf_places_numbers_at_every_boundary_of_its_window() {
    let leaf = SessionLeaf { low: Number::new(10), last_activity: LedgerTime(0), used: vec![0b10, 0x80] };
    let state = |number| leaf.state_of(Number::new(number), 16);
    assert_eq!(state(9), NumberState::BelowLow);
    assert_eq!(state(10), NumberState::Unused);
    assert_eq!(state(11), NumberState::Used);
    assert_eq!(state(25), NumberState::Used);
    assert_eq!(state(26), NumberState::AboveWindow);
    assert_eq!(state(u64::MAX), NumberState::AboveWindow);
}

#[test]
fn keys_of_different_kinds_never_meet() {
    let key = PublicKey([0; 32]);
    let session = SessionId::new(0);
    let keys = [
        StateKey::Client(key),
        StateKey::Operator(key),
        StateKey::Session(key, session),
        StateKey::SessionCount(key),
        StateKey::Review(LedgerTime(0), key, session),
        StateKey::Kv(b"k"),
        StateKey::Topic(b"k"),
    ];
    let bytes: std::collections::BTreeSet<_> = keys.iter().map(StateKey::to_bytes).collect();
    assert_eq!(bytes.len(), keys.len());
    assert_eq!(StateKey::Kv(b"k").to_bytes(), [2, b'k', b'v', 1, b'k']);
    let review = StateKey::Review(LedgerTime(5), key, SessionId::new(6));
    assert_eq!(StateKey::review_from_bytes(&review.to_bytes()), Ok((LedgerTime(5), key, SessionId::new(6))));
}
