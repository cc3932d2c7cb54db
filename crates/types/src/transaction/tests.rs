use super::*;

fn example() -> Transaction {
    Transaction {
        ledger: LedgerId([1; 32]),
        sender: PublicKey([2; 32]),
        session: SessionId::new(3),
        number: Number::new(4),
        valid_until: LedgerTime(5),
        app: "kv".into(),
        payload: vec![6, 7],
    }
}

#[test]
fn m6_signed_bytes_round_trip_and_have_the_stated_length() {
    let bytes = example().signed_bytes();
    assert_eq!(bytes.len(), example().signed_len());
    assert_eq!(Transaction::from_signed_bytes(&bytes), Ok(example()));
}

/// M4: no trailing bytes, and every shorter text is refused.
#[test]
fn m4_trailing_and_missing_bytes_are_refused() {
    let mut bytes = example().signed_bytes();
    for len in 0..bytes.len() {
        assert!(Transaction::from_signed_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
    bytes.push(0);
    assert_eq!(Transaction::from_signed_bytes(&bytes), Err(LayoutError::Trailing));
}

#[test]
fn limits_count_the_signature() {
    let exact = u32::try_from(example().signed_len() + Signature::LEN).expect("small");
    assert!(example().within_limits(exact));
    assert!(!example().within_limits(exact - 1));
}
