//! The payload of the built-in application `kv`: a list of operations, all of which take effect or none (M6).

use crate::layout::{LayoutError, Reader, Writer};
use crate::limits;

/// The name of the built-in application.
pub const APP: &str = "kv";

/// One operation. Keys and values are any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Sets a key.
    Put { key: Vec<u8>, value: Vec<u8> },
    /// Removes a key; succeeds also when it is absent.
    Delete { key: Vec<u8> },
    /// Reads a key at this place in the order.
    Get { key: Vec<u8> },
    /// Sets a key if it has the expected value (`None`: is absent); otherwise the transaction fails.
    Cas { key: Vec<u8>, expected: Option<Vec<u8>>, value: Vec<u8> },
    /// Sets a key that must be absent; otherwise the transaction fails.
    PutIfAbsent { key: Vec<u8>, value: Vec<u8> },
    /// Appends to a log topic; the output is the entry's index.
    Append { topic: Vec<u8>, entry: Vec<u8> },
}

/// The operations of one transaction; none is legal: `tx cancel` commits such a one (C3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operations(pub Vec<Operation>);

/// What one operation of a committed transaction returned. A failed transaction returns exactly one output, of the
/// operation that failed: the value it found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OperationOutput {
    /// Put, delete, cas, put-if-absent took effect; `existed` tells whether the key was present before.
    Done { existed: bool },
    /// The value a get found, with the height and index of the transaction that wrote it, or absence.
    Value(Option<StoredValue>),
    /// The index of an appended entry, zero-based.
    Appended { index: u64 },
}

/// A value with its revision: height and index of the last transaction that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredValue {
    pub value: Vec<u8>,
    pub height: u64,
    pub index: u32,
}

impl Operations {
    /// The payload bytes: count ‖ operations, each a kind byte and its fields (docs/formats.md).
    ///
    /// # Panics
    /// If a key or topic is longer than 65,535 bytes.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut writer = Writer::untagged();
        writer.count(self.0.len());
        for operation in &self.0 {
            match operation {
                Operation::Put { key, value } => writer.u8(1).short(key).long(value),
                Operation::Delete { key } => writer.u8(2).short(key),
                Operation::Get { key } => writer.u8(3).short(key),
                Operation::Cas { key, expected: Some(expected), value } => {
                    writer.u8(4).short(key).u8(1).long(expected).long(value)
                }
                Operation::Cas { key, expected: None, value } => writer.u8(4).short(key).u8(0).long(value),
                Operation::PutIfAbsent { key, value } => writer.u8(5).short(key).long(value),
                Operation::Append { topic, entry } => writer.u8(6).short(topic).long(entry),
            };
        }
        writer.finish()
    }

    /// Reads a payload. Total; limits on keys and topics are the application's to check.
    ///
    /// # Errors
    /// If the bytes are not exactly one list of at most [`limits::MAX_OPERATIONS`] operations.
    pub fn from_payload(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(limits::MAX_OPERATIONS, "operation count")?;
        let mut operations = Vec::new();
        for _ in 0..count {
            operations.push(Self::read_one(&mut reader)?);
        }
        reader.end()?;
        Ok(Self(operations))
    }

    fn read_one(reader: &mut Reader<'_>) -> Result<Operation, LayoutError> {
        Ok(match reader.u8()? {
            1 => Operation::Put { key: reader.short()?.to_vec(), value: reader.long()?.to_vec() },
            2 => Operation::Delete { key: reader.short()?.to_vec() },
            3 => Operation::Get { key: reader.short()?.to_vec() },
            4 => {
                let key = reader.short()?.to_vec();
                let expected = match reader.u8()? {
                    0 => None,
                    1 => Some(reader.long()?.to_vec()),
                    _ => return Err(LayoutError::Invalid("cas expectation")),
                };
                Operation::Cas { key, expected, value: reader.long()?.to_vec() }
            }
            5 => Operation::PutIfAbsent { key: reader.short()?.to_vec(), value: reader.long()?.to_vec() },
            6 => Operation::Append { topic: reader.short()?.to_vec(), entry: reader.long()?.to_vec() },
            _ => return Err(LayoutError::Invalid("operation kind")),
        })
    }
}

impl StoredValue {
    /// The bytes of a kv leaf in the state tree: height ‖ index ‖ value.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::untagged().u64(self.height).u32(self.index).long(&self.value).finish()
    }

    /// Reads a kv leaf.
    ///
    /// # Errors
    /// If the bytes are not exactly one leaf.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let stored = Self { height: reader.u64()?, index: reader.u32()?, value: reader.long()?.to_vec() };
        reader.end()?;
        Ok(stored)
    }
}

impl OperationOutput {
    /// The output bytes of a transaction: count ‖ outputs.
    pub fn list_to_bytes(outputs: &[OperationOutput]) -> Vec<u8> {
        let mut writer = Writer::untagged();
        writer.count(outputs.len());
        for output in outputs {
            match output {
                Self::Done { existed } => writer.u8(0).u8(u8::from(*existed)),
                Self::Value(None) => writer.u8(1),
                Self::Value(Some(stored)) => {
                    writer.u8(2).u64(stored.height).u32(stored.index).long(&stored.value)
                }
                Self::Appended { index } => writer.u8(3).u64(*index),
            };
        }
        writer.finish()
    }

    /// Reads the outputs of a transaction.
    ///
    /// # Errors
    /// If the bytes are not exactly one list of outputs.
    pub fn list_from_bytes(bytes: &[u8]) -> Result<Vec<OperationOutput>, LayoutError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(limits::MAX_OPERATIONS, "output count")?;
        let mut outputs = Vec::new();
        for _ in 0..count {
            outputs.push(match reader.u8()? {
                0 => Self::Done {
                    existed: match reader.u8()? {
                        0 => false,
                        1 => true,
                        _ => return Err(LayoutError::Invalid("output flag")),
                    },
                },
                1 => Self::Value(None),
                2 => Self::Value(Some(StoredValue {
                    height: reader.u64()?,
                    index: reader.u32()?,
                    value: reader.long()?.to_vec(),
                })),
                3 => Self::Appended { index: reader.u64()? },
                _ => return Err(LayoutError::Invalid("output kind")),
            });
        }
        reader.end()?;
        Ok(outputs)
    }
}
