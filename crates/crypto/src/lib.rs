//! Keys, signatures, verification, digests and Merkle trees.
//!
//! `verify_all` is the only maker of [`Verified`]: what the protocol core accepts has passed it.

pub mod cache;
pub mod checked;
pub mod digest;
pub mod ed25519;
pub mod keys;
pub mod merkle;
pub mod signer;
pub mod sparse;
pub mod verify;

pub use cache::Cache;
pub use checked::{
    CheckedBlock, CheckedMessage, CheckedRecord, HashedBatch, HashedTransaction, add_claims_of,
};
pub use digest::{
    base_proof_digest, genesis_ledger_id, header_hash, last_linked, members_hash, null_batch_digest,
    prepared_set_digest, sha256, transaction_id, view_change_digest,
};
pub use ed25519::Ed25519Verifier;
pub use keys::{
    Ed25519Signer, KeyError, check_public_key, public_key_from_text, public_key_to_text, read_passphrase,
};
pub use merkle::{MerklePath, MerkleTree, merkle_root};
pub use signer::Signer;
pub use sparse::SparsePath;
pub use verify::{Attested, Claim, Malformed, Rule, Verified, Verifier, verify_all, verify_one};
