//! Digests: SHA-256 over the layouts of `quorate-types`.

use quorate_types::mutants::mutant;
use quorate_types::{
    BaseProof, Batch, Digest, Genesis, Header, LedgerId, Members, PreparedCertificate, Seq, Transaction,
    TransactionId, ViewChange, layout::Writer,
};
use sha2::{Digest as _, Sha256};

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The id of a transaction: the hash of its signed bytes (M6).
pub fn transaction_id(transaction: &Transaction) -> TransactionId {
    TransactionId(sha256(&transaction.signed_bytes()).0)
}

/// The hash of a header (M7).
pub fn header_hash(header: &Header) -> Digest {
    sha256(&header.hashed_bytes())
}

/// The hash of a member set as it stands in headers (M7).
pub fn members_hash(members: &Members) -> Digest {
    sha256(&members.hashed_bytes())
}

/// Height and hash of the last header, if each of the links names the one before it as its parent (M8).
pub fn last_linked(header: &Header, links: &[Header]) -> Option<(Seq, Digest)> {
    links.iter().try_fold((header.height, header_hash(header)), |(height, hash), link| {
        let follows = link.ledger == header.ledger && link.height == height.next() && link.parent == hash;
        follows.then(|| (link.height, header_hash(link)))
    })
}

/// The ledger id of a genesis (M1).
pub fn genesis_ledger_id(genesis: &Genesis) -> LedgerId {
    LedgerId(sha256(&genesis.canonical_bytes()).0)
}

/// The digest that stands for the null batch (M5).
pub fn null_batch_digest() -> Digest {
    if mutant("m26") {
        let empty = Batch { time: quorate_types::LedgerTime(0), transactions: Vec::new() };
        return crate::HashedBatch::new(std::sync::Arc::new(empty)).digest();
    }
    sha256(&Writer::tagged(Batch::NULL_TAG).finish())
}

/// H(C) of a VIEW-CHANGE (V2).
pub fn base_proof_digest(proof: &BaseProof) -> Digest {
    sha256(&proof.hashed_bytes())
}

/// H(P) of a VIEW-CHANGE (V2).
pub fn prepared_set_digest(prepared: &[PreparedCertificate]) -> Digest {
    sha256(&ViewChange::prepared_bytes(prepared))
}

/// The digest by which a NEW-VIEW names a VIEW-CHANGE (V7).
pub fn view_change_digest(view_change: &ViewChange, ledger: &LedgerId) -> Digest {
    sha256(&view_change.digest_bytes(ledger))
}

#[cfg(test)]
mod tests;
