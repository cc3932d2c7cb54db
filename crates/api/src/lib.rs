//! The gRPC client API: generated code, and its conversions from and to the vocabulary.

mod convert;

/// Generated from `proto/quorate/v1/ledger.proto`.
#[allow(clippy::all, unreachable_pub, missing_docs, clippy::wildcard_imports)]
pub mod v1 {
    tonic::include_proto!("quorate.v1");
}

pub use convert::{
    Malformed, certificate_from, certificate_to, handover_from, handover_to, header_from, header_to,
    receipt_from, receipt_to, transaction_from, transaction_to,
};

/// The largest message either side accepts: the transactions and outputs of one block, with room for framing.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
