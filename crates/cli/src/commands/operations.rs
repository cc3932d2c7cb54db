//! The transaction file: `{"operations":[{"put":{"key":"…","value":"…"}}]}`.

use crate::failure::{Failure, Outcome};
use quorate_client::{Operation, Operations};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    operations: Vec<OperationFile>,
}

/// Text, or any bytes as `{"hex":"…"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Hex(HexBytes),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HexBytes {
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum OperationFile {
    Put { key: Bytes, value: Bytes },
    PutIfAbsent { key: Bytes, value: Bytes },
    Get { key: Bytes },
    Delete { key: Bytes },
    Cas { key: Bytes, expect: Option<Bytes>, value: Bytes },
    Append { topic: Bytes, entry: Bytes },
}

impl Bytes {
    fn read(self) -> Outcome<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Hex(HexBytes { hex }) => hex::decode(&hex)
                .map_err(|error| Failure::input(format!("{hex:?} is not hexadecimal"), error.to_string())),
        }
    }
}

impl OperationFile {
    fn read(self) -> Outcome<Operation> {
        Ok(match self {
            Self::Put { key, value } => Operation::Put { key: key.read()?, value: value.read()? },
            Self::PutIfAbsent { key, value } => {
                Operation::PutIfAbsent { key: key.read()?, value: value.read()? }
            }
            Self::Get { key } => Operation::Get { key: key.read()? },
            Self::Delete { key } => Operation::Delete { key: key.read()? },
            Self::Cas { key, expect, value } => Operation::Cas {
                key: key.read()?,
                expected: expect.map(Bytes::read).transpose()?,
                value: value.read()?,
            },
            Self::Append { topic, entry } => Operation::Append { topic: topic.read()?, entry: entry.read()? },
        })
    }
}

/// Reads a transaction file.
pub(crate) fn parse(text: &str) -> Outcome<Operations> {
    let file: File = serde_json::from_str(text).map_err(|error| {
        Failure::input("the transaction file cannot be read", error.to_string())
            .fix("its form: quorate schema transaction")
    })?;
    file.operations.into_iter().map(OperationFile::read).collect::<Outcome<_>>().map(Operations)
}
