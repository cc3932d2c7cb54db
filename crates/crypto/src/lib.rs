//! Keys, signatures, verification, digests and Merkle trees.
//!
//! `verify_all` is the only maker of [`Verified`]: what the protocol core accepts has passed it.

pub mod cache;
pub mod checked;
pub mod digest;
pub mod signer;
pub mod verify;

pub use cache::Cache;
pub use checked::{CheckedBlock, CheckedMessage, CheckedRecord, HashedBatch, HashedTransaction};
pub use digest::{
    base_proof_digest, genesis_ledger_id, header_hash, members_hash, null_batch_digest, prepared_set_digest,
    sha256, transaction_id, view_change_digest,
};
pub use signer::Signer;
pub use verify::{Attested, Claim, Malformed, Rule, Verified, Verifier, verify_all, verify_one};
