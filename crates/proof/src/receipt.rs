//! Receipts: a transaction, its result, and why a quorum of members stands behind both (C3, C4).

use crate::trust::{CertificateError, HandoverError, TrustRoot};
use quorate_crypto::{Claim, Ed25519Verifier, MerklePath, Rule, Verifier, last_linked, transaction_id};
use quorate_types::{
    BlockCertificate, Digest, Handover, Header, LedgerTime, ReplicaId, Seq, SignedTransaction, TransactionId,
    TransactionResult,
};

/// Everything that proves a transaction's outcome to whoever holds the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub transaction: SignedTransaction,
    /// Path of `id ‖ signature` under the header's transaction root.
    pub transaction_path: MerklePath,
    pub result: TransactionResult,
    /// Path of the result leaf under the header's result root.
    pub result_path: MerklePath,
    pub header: Header,
    /// The headers above it, up to the one that the certificate names; none if that is its own (M8).
    pub links: Vec<Header>,
    /// How the epochs before its own ended, from the first on: for whoever holds the genesis alone (G4).
    pub handovers: Vec<Handover>,
    /// q ATTESTs or CHECKPOINTs on the hash of the last header.
    pub certificate: BlockCertificate,
}

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("it is for ledger {found}, the genesis is of ledger {expected}")]
    OtherLedger { found: String, expected: String },
    #[error("the header names another member set than the genesis")]
    OtherMembers,
    #[error("it is of epoch {0}, and does not tell who its members are")]
    UnknownEpoch(u64),
    #[error("a change of the members does not hold: {0}")]
    Handover(HandoverError),
    #[error("the certificate is for another header")]
    OtherHeader,
    #[error("the headers between the block and the certificate are no chain")]
    BrokenChain,
    #[error("the certificate does not verify: {0}")]
    Certificate(CertificateError),
    #[error("the transaction's signature is not valid")]
    TransactionSignature,
    #[error("the transaction is not in the block")]
    NotInBlock,
    #[error("the result is not the one that the members signed")]
    OtherResult,
    #[error("the inclusion was void, which is no outcome")]
    NotAnOutcome,
    #[error("the file is not a receipt in canonical form: {0}")]
    Malformed(String),
}

/// What a receipt that verified says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    pub id: TransactionId,
    pub height: Seq,
    pub index: u32,
    /// The block's time.
    pub time: LedgerTime,
    /// Committed or failed; never void.
    pub result: TransactionResult,
    pub signers: Vec<ReplicaId>,
}

impl Receipt {
    /// Checks everything against the genesis alone.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn verify(&self, trust: &TrustRoot) -> Result<VerifiedReceipt, ReceiptError> {
        let followed = self.follow(trust)?;
        let trust = followed.as_ref().unwrap_or(trust);
        let verified = self.verify_without_certificate(trust)?;
        let signers = trust.check_certificate(&self.certificate).map_err(ReceiptError::Certificate)?;
        Ok(VerifiedReceipt { signers, ..verified })
    }

    /// What is trusted with what the receipt tells of later members, if it tells anything new.
    fn follow(&self, trust: &TrustRoot) -> Result<Option<TrustRoot>, ReceiptError> {
        if self.handovers.is_empty() {
            return Ok(None);
        }
        let mut followed = trust.clone();
        for handover in &self.handovers {
            followed.follow(handover).map_err(ReceiptError::Handover)?;
        }
        Ok(Some(followed))
    }

    /// Everything but the certificate's signatures, for a caller that has checked this very certificate before.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn verify_without_certificate(&self, trust: &TrustRoot) -> Result<VerifiedReceipt, ReceiptError> {
        let transaction = &self.transaction.transaction;
        for found in [&self.header.ledger, &transaction.ledger] {
            if *found != trust.ledger() {
                let (found, expected) = (found.to_string(), trust.ledger().to_string());
                return Err(ReceiptError::OtherLedger { found, expected });
            }
        }
        let last = self.links.last().unwrap_or(&self.header);
        if trust.members_of(last.epoch).is_none() {
            return Err(ReceiptError::UnknownEpoch(last.epoch.get()));
        }
        if !self.links.iter().chain([&self.header]).all(|header| trust.names_members(header)) {
            return Err(ReceiptError::OtherMembers);
        }
        let (height, hash) = self.chain(trust).ok_or(ReceiptError::BrokenChain)?;
        let certificate = &self.certificate;
        if (certificate.epoch, certificate.height, certificate.header) != (last.epoch, height, hash) {
            return Err(ReceiptError::OtherHeader);
        }
        self.verify_contents()
    }

    /// Height and hash of the last header, if each names the one before it as its parent and there are no more than need be.
    fn chain(&self, trust: &TrustRoot) -> Option<(Seq, Digest)> {
        let most = trust.genesis().parameters.most_links();
        if self.links.len() as u64 > most {
            return None;
        }
        last_linked(&self.header, &self.links)
    }

    fn verify_contents(&self) -> Result<VerifiedReceipt, ReceiptError> {
        let transaction = &self.transaction.transaction;
        let claim = Claim {
            key: transaction.sender,
            message: transaction.signed_bytes(),
            signature: self.transaction.signature,
            rule: Rule::Zip215,
        };
        if Ed25519Verifier.verify(&[claim]) != [true] {
            return Err(ReceiptError::TransactionSignature);
        }
        let id = transaction_id(transaction);
        let leaf = [&id.0[..], &self.transaction.signature.0[..]].concat();
        let count = self.header.transaction_count;
        let in_block = self.transaction_path.count == count
            && self.transaction_path.verify(&leaf, &self.header.transactions_root);
        if !in_block {
            return Err(ReceiptError::NotInBlock);
        }
        let same_place =
            self.result_path.index == self.transaction_path.index && self.result_path.count == count;
        if !same_place || !self.result_path.verify(&self.result.leaf_bytes(&id), &self.header.results_root) {
            return Err(ReceiptError::OtherResult);
        }
        if !self.result.is_outcome() {
            return Err(ReceiptError::NotAnOutcome);
        }
        Ok(VerifiedReceipt {
            id,
            height: self.header.height,
            index: self.transaction_path.index,
            time: self.header.time,
            result: self.result.clone(),
            signers: Vec::new(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
