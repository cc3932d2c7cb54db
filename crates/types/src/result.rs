//! What became of an included transaction: the leaf of the result tree (C1, M7).

use crate::bytes::TransactionId;
use crate::layout::{LayoutError, Reader, Writer};
use bincode::{Decode, Encode};

/// Why an operation, and with it the whole transaction, failed. The number was consumed; the failure is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum FailReason {
    /// The payload is not a list of operations, or the application is unknown.
    Malformed,
    /// A compare-and-set found another value.
    CasMismatch,
    /// A put-if-absent found the key present.
    KeyExists,
    /// An operation exceeds a limit (key, value, topic name).
    LimitExceeded,
    /// The application refused, for a reason in its output.
    Application,
}

/// Why an inclusion counts for nothing (C1): it is no outcome, changes nothing, and may be included again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum VoidReason {
    /// The sender is not registered.
    Unregistered,
    /// The block's time is after `valid_until`.
    Expired,
    /// `valid_until` is more than V after the block's time.
    ValidTooLong,
    /// The number is below the session's window: used.
    NumberBelowWindow,
    /// The number is above the session's window.
    NumberAboveWindow,
    /// The number was used before.
    NumberUsed,
    /// The sender has as many sessions as it may have.
    TooManySessions,
}

/// The result of one inclusion. `index` of an operation is zero-based.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum TransactionResult {
    /// Every operation took effect. `output` is the application's (for `kv`: [`crate::operation::OperationOutput`]s).
    Committed { output: Vec<u8> },
    /// No operation took effect; the number is consumed all the same.
    Failed { reason: FailReason, operation: u32, output: Vec<u8> },
    /// The inclusion counts for nothing.
    Void { reason: VoidReason },
}

macro_rules! byte_code {
    ($name:ident { $($variant:ident = $code:literal),* $(,)? }) => {
        impl $name {
            /// The byte that stands for it in layouts.
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code),* }
            }

            /// The reason that a byte stands for.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
byte_code!(FailReason { Malformed = 1, CasMismatch = 2, KeyExists = 3, LimitExceeded = 4, Application = 5 });
byte_code!(VoidReason {
    Unregistered = 1,
    Expired = 2,
    ValidTooLong = 3,
    NumberBelowWindow = 4,
    NumberAboveWindow = 5,
    NumberUsed = 6,
    TooManySessions = 7,
});

impl TransactionResult {
    /// The leaf of the result tree: id ‖ kind ‖ fields (docs/formats.md).
    pub fn leaf_bytes(&self, id: &TransactionId) -> Vec<u8> {
        let mut writer = Writer::untagged();
        writer.fixed(&id.0);
        match self {
            Self::Committed { output } => writer.u8(0).long(output),
            Self::Failed { reason, operation, output } => {
                writer.u8(1).u8(reason.code()).u32(*operation).long(output)
            }
            Self::Void { reason } => writer.u8(2).u8(reason.code()),
        };
        writer.finish()
    }

    /// Reads a leaf back.
    ///
    /// # Errors
    /// If the bytes are not exactly one leaf.
    pub fn from_leaf_bytes(bytes: &[u8]) -> Result<(TransactionId, Self), LayoutError> {
        let mut reader = Reader::new(bytes);
        let id = TransactionId(reader.array()?);
        let result = match reader.u8()? {
            0 => Self::Committed { output: reader.long()?.to_vec() },
            1 => Self::Failed {
                reason: FailReason::from_code(reader.u8()?).ok_or(LayoutError::Invalid("failure reason"))?,
                operation: reader.u32()?,
                output: reader.long()?.to_vec(),
            },
            2 => Self::Void {
                reason: VoidReason::from_code(reader.u8()?).ok_or(LayoutError::Invalid("void reason"))?,
            },
            _ => return Err(LayoutError::Invalid("result kind")),
        };
        reader.end()?;
        Ok((id, result))
    }

    /// Whether the inclusion consumed its number: committed or failed, not void (C1).
    pub fn is_outcome(&self) -> bool {
        !matches!(self, Self::Void { .. })
    }
}
