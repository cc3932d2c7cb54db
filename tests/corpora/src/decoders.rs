//! Decoders of peer frames, log records, stored values and fixed layouts. Each is total, claims memory in proportion to its
//! input, and is canonical: what it reads is written back to the same bytes.

use crate::member::{Ledger, ledger};
use crate::memory::bounded;
use crate::scheme::FakeVerifier;
use quorate_codec::{decode, decode_message, decode_record, encode, encode_message, encode_record};
use quorate_crypto::{Cache, verify_one};
use quorate_storage::StoredBlock;
use quorate_types::layout::LayoutError;
use quorate_types::operation::{OperationOutput, StoredValue};
use quorate_types::state::{SessionLeaf, StateKey, TopicLeaf};
use quorate_types::{
    Batch, Block, BlockCertificate, CertifiedBlock, Header, Operations, SignedStatement, SignedTransaction,
    Transaction, TransactionResult,
};
use std::fmt::Debug;

/// A frame of a peer: decoded within caps, then checked against the members as the verify pool does. What passes is the same
/// message still.
pub fn message(bytes: &[u8]) {
    let Ledger { members, caps, .. } = ledger();
    let Ok(message) = bounded(bytes, |bytes| decode_message(bytes, caps)) else { return };
    let again = encode_message(&message);
    assert_eq!(again, bytes, "a frame has one encoding");
    assert_eq!(decode_message(&again, caps).as_ref(), Ok(&message));
    let cache = Cache::new(64);
    if let Ok(verified) = verify_one(members, &FakeVerifier, &cache, message.clone()) {
        assert_eq!(verified.to_message(), message, "verification changes nothing");
    }
}

/// A record of the log, decoded and then checked against the members as recovery does.
pub fn record(bytes: &[u8]) {
    let Ok(record) = bounded(bytes, decode_record) else { return };
    let again = encode_record(&record);
    assert_eq!(again, bytes, "a record has one encoding");
    assert_eq!(decode_record(&again).as_ref(), Ok(&record));
    let cache = Cache::new(64);
    let _ = verify_one(&ledger().members, &FakeVerifier, &cache, record);
}

/// Values that stores keep by themselves; the first byte says which.
pub fn vocabulary(bytes: &[u8]) {
    macro_rules! one {
        ($kind:ty, $bytes:expr) => {{
            if let Ok(value) = bounded($bytes, decode::<$kind>) {
                let again = encode(&value);
                assert_eq!(again, $bytes, "a value has one encoding");
                assert_eq!(decode::<$kind>(&again).as_ref(), Ok(&value));
            }
        }};
    }
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => one!(StoredBlock, bytes),
        1 => one!(Block, bytes),
        2 => one!(Header, bytes),
        3 => one!(BlockCertificate, bytes),
        4 => one!(CertifiedBlock, bytes),
        5 => one!(SignedStatement, bytes),
        6 => one!(SignedTransaction, bytes),
        _ => one!(Batch, bytes),
    }
}

pub(crate) fn canonical<T: PartialEq + Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, LayoutError>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = bounded(bytes, &read) {
        let again = write(&value);
        assert_eq!(again, bytes, "{value:?} has one layout");
        assert_eq!(read(&again), Ok(value));
    }
}

/// Layouts that are signed or hashed; the first byte says which.
pub fn layouts(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => canonical(bytes, Transaction::from_signed_bytes, Transaction::signed_bytes),
        1 => canonical(bytes, Operations::from_payload, Operations::to_payload),
        2 => canonical(bytes, OperationOutput::list_from_bytes, |list| OperationOutput::list_to_bytes(list)),
        3 => canonical(bytes, StoredValue::from_bytes, StoredValue::to_bytes),
        4 => canonical(bytes, SessionLeaf::from_bytes, SessionLeaf::to_bytes),
        5 => canonical(bytes, TopicLeaf::from_bytes, TopicLeaf::to_bytes),
        6 => canonical(bytes, TransactionResult::from_leaf_bytes, |(id, result)| result.leaf_bytes(id)),
        _ => canonical(bytes, StateKey::review_from_bytes, |(due, sender, session)| {
            StateKey::Review(*due, *sender, *session).to_bytes()
        }),
    }
}
