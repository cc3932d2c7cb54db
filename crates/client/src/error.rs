//! What keeps a client from asking at all; what becomes of a transaction is an [`crate::Outcome`].

use crate::session::SessionError;
use quorate_crypto::KeyError;
use quorate_proof::genesis_file::GenesisFileError;
use quorate_types::ErrorCode;

/// Why a client cannot be built, or a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    #[error("{0}: {1}")]
    GenesisFile(String, GenesisFileError),
    #[error("genesis: {0}")]
    Genesis(String),
    #[error("no genesis was given to check answers against")]
    NoTrustRoot,
    #[error("no endpoint was given, and the genesis names none")]
    NoEndpoint,
    #[error("{0:?} is no endpoint of the form HOST:PORT or http://HOST:PORT")]
    Endpoint(String),
    #[error("no key was given to sign with")]
    NoKey,
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("no gateway answers: {0}")]
    Unreachable(String),
    #[error(
        "every gateway that answers belongs to another ledger than the genesis ({expected}); {endpoint} has {found}"
    )]
    OtherLedger { endpoint: String, found: String, expected: String },
    #[error("the clock of this machine and those of the gateways are {0} s apart")]
    Clock(u64),
    #[error("{what} is {size} bytes; at most {most} are allowed")]
    TooLarge { what: &'static str, size: usize, most: usize },
    #[error("{endpoint}: {why}")]
    BadAnswer { endpoint: String, why: String },
    #[error("{0}")]
    NotFound(String),
    #[error("the client was closed")]
    Closed,
}

impl ClientError {
    /// The code under which people find it explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io(..) | Self::Session(SessionError::Io(..)) => ErrorCode::Io,
            Self::Session(_) | Self::Endpoint(_) => ErrorCode::BadInput,
            Self::GenesisFile(..) | Self::Genesis(_) => ErrorCode::BadGenesis,
            Self::NoTrustRoot => ErrorCode::NoTrustRoot,
            Self::NoEndpoint => ErrorCode::NoEndpoint,
            Self::Key(KeyError::Permissions(..)) => ErrorCode::Permissions,
            Self::NoKey | Self::Key(_) => ErrorCode::BadKey,
            Self::Unreachable(_) | Self::Closed => ErrorCode::Unreachable,
            Self::OtherLedger { .. } => ErrorCode::WrongLedger,
            Self::Clock(_) => ErrorCode::Clock,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::BadAnswer { .. } => ErrorCode::AnswerInvalid,
            Self::NotFound(_) => ErrorCode::NotFound,
        }
    }
}
