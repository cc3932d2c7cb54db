//! Peer frames and log records: bytes to vocabulary and back. The one place that calls the serialisation library.
//!
//! Nothing signed or hashed is this crate's output (M1); what is decoded here is checked against caps (M4) and then
//! verified (`quorate_crypto::verify_all`).

mod caps;

pub use caps::Caps;

use bincode::config::{BigEndian, Configuration, Fixint, Limit, NoLimit};
use quorate_types::{Message, Record};

/// Why bytes are not a message or record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a frame of {0} bytes exceeds the cap of {1}")]
    TooLong(usize, usize),
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("{0} bytes are left over")]
    Trailing(usize),
    #[error("a list is longer than the protocol allows")]
    ListTooLong,
}

/// Memory that any decoding may claim: a backstop behind the caps.
const MEMORY: usize = 512 * 1024 * 1024;

type Reading<const LIMIT: usize> = Configuration<BigEndian, Fixint, Limit<LIMIT>>;
type Writing = Configuration<BigEndian, Fixint, NoLimit>;

const WRITING: Writing = bincode::config::standard().with_big_endian().with_fixed_int_encoding();

/// The bytes of a peer message.
///
/// # Panics
/// Never: encoding into memory cannot fail.
pub fn encode_message(message: &Message) -> Vec<u8> {
    bincode::encode_to_vec(message, WRITING).expect("encoding into memory")
}

/// Reads a peer message: at most the cap's bytes, every list within its bound, nothing left over.
///
/// # Errors
/// If the bytes are anything else.
pub fn decode_message(bytes: &[u8], caps: &Caps) -> Result<Message, DecodeError> {
    if bytes.len() > caps.frame {
        return Err(DecodeError::TooLong(bytes.len(), caps.frame));
    }
    let message: Message = decode(bytes)?;
    if caps.admit(&message) { Ok(message) } else { Err(DecodeError::ListTooLong) }
}

/// The bytes of a log record.
///
/// # Panics
/// Never: encoding into memory cannot fail.
pub fn encode_record(record: &Record) -> Vec<u8> {
    bincode::encode_to_vec(record, WRITING).expect("encoding into memory")
}

/// Reads a log record. The log's checksums stand before this, so its lists were once our own.
///
/// # Errors
/// If the bytes are not exactly one record.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    decode(bytes)
}

/// The bytes of any plain vocabulary value, for stores that keep it beside the log.
///
/// # Panics
/// Never: encoding into memory cannot fail.
pub fn encode<T: bincode::Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, WRITING).expect("encoding into memory")
}

/// Reads what [`encode`] wrote: exactly one value.
///
/// # Errors
/// If the bytes are anything else.
pub fn decode<T: bincode::Decode<()>>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, read) =
        read_within_memory(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if read == bytes.len() { Ok(value) } else { Err(DecodeError::Trailing(bytes.len() - read)) }
}

/// Reads a value, claiming at most about 256 bytes of memory for each byte, and 64 KiB for a few: a list's length is
/// checked against that before the list is allocated, so that a short frame that lies about it costs nothing. No value takes
/// more than some four bytes for each of its encoding. The library takes the limit as a constant, hence the steps.
fn read_within_memory<T: bincode::Decode<()>>(
    bytes: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    match bytes.len() {
        ..=4_096 => read_with::<T, { 64 * KIB }>(bytes),
        4_097..=65_536 => read_with::<T, MIB>(bytes),
        65_537..=1_048_576 => read_with::<T, { 16 * MIB }>(bytes),
        1_048_577..=16_777_216 => read_with::<T, { 256 * MIB }>(bytes),
        _ => read_with::<T, MEMORY>(bytes),
    }
}

fn read_with<T: bincode::Decode<()>, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    let reading: Reading<LIMIT> =
        bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit::<LIMIT>();
    bincode::decode_from_slice(bytes, reading)
}

#[cfg(test)]
mod tests;
