//! M4: bytes that can be read are the only bytes that mean what they mean.

use super::Violation;
use quorate_codec::encode_message;
use quorate_types::{Message, ReplicaId};

/// Whether a message that was read from bytes of a liar is written as those bytes.
pub(crate) fn canonical(from: ReplicaId, bytes: &[u8], message: &Message) -> Result<(), Violation> {
    if encode_message(message) == bytes {
        return Ok(());
    }
    let what = format!("{from} sent {} bytes that are read, and written otherwise: {message:?}", bytes.len());
    Err(Violation { property: "M4 canonical encoding", what })
}
