//! What became of a transaction (C3).

use quorate_proof::{Receipt, VerifiedReceipt};
use quorate_types::{ErrorCode, FailReason, OperationOutput, TransactionId, TransactionResult};

/// A receipt that verified against the genesis, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub receipt: Receipt,
    pub verified: VerifiedReceipt,
}

impl Done {
    /// What the operations returned; empty if the output is not that of the application `kv`.
    pub fn outputs(&self) -> Vec<OperationOutput> {
        let (TransactionResult::Committed { output } | TransactionResult::Failed { output, .. }) =
            &self.verified.result
        else {
            return Vec::new();
        };
        OperationOutput::list_from_bytes(output).unwrap_or_default()
    }

    /// Why the transaction failed, and which operation (zero-based); `None` if it committed.
    pub fn failure(&self) -> Option<(FailReason, u32)> {
        match &self.verified.result {
            TransactionResult::Failed { reason, operation, .. } => Some((*reason, *operation)),
            _ => None,
        }
    }
}

/// What became of a transaction (C3). Every variant but `Refused` and `Unknown` is final and proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every operation took effect.
    Committed(Box<Done>),
    /// No operation took effect; the number is consumed.
    Failed(Box<Done>),
    /// Another transaction with the same sender, session and number was executed: its receipt. This one never will be.
    Superseded(Box<Done>),
    /// It can never be executed, for a reason that this client recomputed from the bytes alone.
    Rejected { id: TransactionId, code: ErrorCode },
    /// So many gateways as can hold one correct member refuse it as things stand: advice, not proof.
    Refused { id: TransactionId, code: ErrorCode, gateways: Vec<String> },
    /// The caller's deadline passed. It may still commit until `valid_until`; sending the same bytes again is safe.
    Unknown { id: TransactionId, why: String },
}

impl Outcome {
    /// The code under which people find it explained; `None` for a committed transaction.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Committed(_) => None,
            Self::Failed(done) => Some(match done.failure().map(|(reason, _)| reason) {
                Some(FailReason::CasMismatch) => ErrorCode::CasMismatch,
                Some(FailReason::KeyExists) => ErrorCode::KeyExists,
                Some(FailReason::LimitExceeded) => ErrorCode::LimitExceeded,
                Some(FailReason::Application) => ErrorCode::ApplicationFailed,
                Some(FailReason::Malformed) | None => ErrorCode::MalformedOperations,
            }),
            Self::Superseded(_) => Some(ErrorCode::Superseded),
            Self::Rejected { code, .. } | Self::Refused { code, .. } => Some(*code),
            Self::Unknown { .. } => Some(ErrorCode::Unknown),
        }
    }

    /// Whether nothing can change it any more, and it is proven.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Unknown { .. })
    }

    /// The verified receipt, if there is one.
    pub fn done(&self) -> Option<&Done> {
        match self {
            Self::Committed(done) | Self::Failed(done) | Self::Superseded(done) => Some(done),
            _ => None,
        }
    }
}
