//! A whole ledger, block after block, against nothing but the genesis: what an auditor with a copy of the files can say.
//!
//! [`check_contents`] and [`check_certificate`] look at one block or certificate by itself, so that many may be looked at in
//! parallel; [`Chain`] then puts them in order. Executing the blocks again is not done here.

use crate::trust::{CertificateError, TrustRoot};
use quorate_crypto::{
    Ed25519Verifier, HashedBatch, Verifier, add_claims_of, header_hash, merkle_root, null_batch_digest,
};
use quorate_types::{
    Batch, Block, BlockCertificate, Digest, Epoch, Header, LedgerTime, ReplicaId, Seq, TransactionId,
    TransactionResult,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// What is wrong, and with which block. The blocks below it are good as far as certificates above them say so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {height}: {fault}")]
pub struct ChainError {
    pub height: Seq,
    pub fault: Fault,
}

/// Why a block is not one of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is of another ledger")]
    OtherLedger,
    #[error("it names other members than those who own the next block")]
    OtherMembers,
    #[error("it follows block {0}")]
    OutOfOrder(Seq),
    #[error("its header does not name the block before as its parent")]
    Parent,
    #[error("its time is not the later one of its batch and the block before")]
    Time,
    #[error("its transactions have another digest than its header says")]
    BatchDigest,
    #[error("its header counts {said} transactions, and it has {found} with {results} results")]
    Count { said: u32, found: usize, results: usize },
    #[error("its transactions have another root than its header says")]
    TransactionsRoot,
    #[error("its results have another root than its header says")]
    ResultsRoot,
    #[error("transaction {0} is for another ledger")]
    TransactionOfAnotherLedger(usize),
    #[error("transaction {0} is not signed by its sender, or by whoever it would make a member")]
    Signature(usize),
    #[error("transaction {0} has an outcome in it and in an earlier one")]
    Again(TransactionId),
    #[error("its certificate proves nothing: {0}")]
    Certificate(CertificateError),
    #[error("its certificate is of another header: the members signed a block that is not this one")]
    OtherCertified,
}

/// A block whose hashes, roots and signatures hold. Where it stands in the chain was not looked at.
#[derive(Clone, Debug)]
pub struct CheckedContents {
    header: Header,
    hash: Digest,
    /// `None` for the null batch (M5).
    batch: Option<Arc<HashedBatch>>,
    /// Transactions with an outcome here.
    outcomes: Vec<TransactionId>,
}

impl CheckedContents {
    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn batch(&self) -> Option<&Arc<HashedBatch>> {
        self.batch.as_ref()
    }
}

/// Everything about blocks that can be checked without their neighbours: ledger and members, the digest of the batch, both roots,
/// every client's signature, and those of who is to become a member (M4 to M7, G5). One result for each block, in order.
///
/// The signatures of all of them are checked in one call: hundreds together cost each less than half of what one costs.
pub fn check_contents(
    trust: &TrustRoot,
    blocks: &[(&Block, &[TransactionResult])],
) -> Vec<Result<CheckedContents, ChainError>> {
    let mut claims = Vec::new();
    // Of each claim, the place of its transaction in the block.
    let mut places = Vec::new();
    let checked: Vec<_> = blocks
        .iter()
        .map(|(block, results)| {
            let contents = check_hashes(trust, &block.header, block.batch.clone(), results)?;
            let start = claims.len();
            let transactions = contents.batch.iter().flat_map(|batch| batch.transactions()).enumerate();
            for (place, (_, signed)) in transactions {
                add_claims_of(signed, &mut claims);
                places.resize(claims.len(), place);
            }
            Ok((contents, start..claims.len()))
        })
        .collect();
    let verdicts = Ed25519Verifier.verify(&claims);
    let signed = |(contents, range): (CheckedContents, Range<usize>)| {
        let unsigned = range.into_iter().find(|at| !verdicts[*at]);
        match unsigned {
            None => Ok(contents),
            Some(at) => {
                Err(ChainError { height: contents.header.height, fault: Fault::Signature(places[at]) })
            }
        }
    };
    checked.into_iter().map(|checked| checked.and_then(signed)).collect()
}

/// All but the signatures.
fn check_hashes(
    trust: &TrustRoot,
    header: &Header,
    batch: Option<Arc<Batch>>,
    results: &[TransactionResult],
) -> Result<CheckedContents, ChainError> {
    let batch = batch.map(|batch| Arc::new(HashedBatch::new(batch)));
    if let Some(fault) = contents_fault(trust, header, batch.as_deref(), results) {
        return Err(ChainError { height: header.height, fault });
    }
    let ids = batch.iter().flat_map(|batch| batch.ids());
    let outcomes = ids.zip(results).filter(|(_, result)| result.is_outcome()).map(|(id, _)| *id).collect();
    Ok(CheckedContents { header: header.clone(), hash: header_hash(header), batch, outcomes })
}

fn contents_fault(
    trust: &TrustRoot,
    header: &Header,
    batch: Option<&HashedBatch>,
    results: &[TransactionResult],
) -> Option<Fault> {
    let ids = batch.map_or(&[][..], HashedBatch::ids);
    let transactions = || batch.iter().flat_map(|batch| batch.transactions());
    let counted = usize::try_from(header.transaction_count).is_ok_and(|said| said == ids.len());
    if header.ledger != trust.ledger() {
        return Some(Fault::OtherLedger);
    }
    if !trust.names_members(header) {
        return Some(Fault::OtherMembers);
    }
    if header.batch_digest != batch.map_or_else(null_batch_digest, HashedBatch::digest) {
        return Some(Fault::BatchDigest);
    }
    if !counted || results.len() != ids.len() {
        return Some(Fault::Count {
            said: header.transaction_count,
            found: ids.len(),
            results: results.len(),
        });
    }
    let leaves = transactions().map(|(id, signed)| [&id.0[..], &signed.signature.0[..]].concat());
    if header.transactions_root != merkle_root(leaves) {
        return Some(Fault::TransactionsRoot);
    }
    if header.results_root != merkle_root(ids.iter().zip(results).map(|(id, result)| result.leaf_bytes(id))) {
        return Some(Fault::ResultsRoot);
    }
    let foreign = transactions().position(|(_, signed)| signed.transaction.ledger != trust.ledger());
    foreign.map(Fault::TransactionOfAnotherLedger)
}

/// A certificate with enough valid signatures (M8). Which header it is of was not compared.
#[derive(Clone, Debug)]
pub struct CheckedCertificate {
    epoch: Epoch,
    height: Seq,
    header: Digest,
    signers: Vec<ReplicaId>,
}

/// Checks a certificate's signatures.
///
/// # Errors
/// If too few are valid.
pub fn check_certificate(
    trust: &TrustRoot,
    certificate: &BlockCertificate,
) -> Result<CheckedCertificate, ChainError> {
    check_certificates(trust, &[certificate]).pop().expect("one for one")
}

/// [`check_certificate`] of each, in order, for less than what they cost one by one.
pub fn check_certificates(
    trust: &TrustRoot,
    certificates: &[&BlockCertificate],
) -> Vec<Result<CheckedCertificate, ChainError>> {
    let checked = trust.check_certificates(certificates);
    let of = |(certificate, checked): (&&BlockCertificate, Result<Vec<ReplicaId>, CertificateError>)| {
        let (epoch, height) = (certificate.epoch, certificate.height);
        match checked {
            Ok(signers) => Ok(CheckedCertificate { epoch, height, header: certificate.header, signers }),
            Err(error) => Err(ChainError { height, fault: Fault::Certificate(error) }),
        }
    };
    certificates.iter().zip(checked).map(of).collect()
}

/// What was seen of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub transactions: u64,
    pub certificates: u64,
    /// Valid signatures in certificates.
    pub signatures: u64,
    /// The fewest in one certificate.
    pub fewest: usize,
}

/// The blocks from the genesis, or from a later block that is taken as proven, up to some height, each following from the one before.
///
/// It remembers 32 bytes of every block and of every transaction, to find one that happens twice (C1).
#[derive(Clone, Debug)]
pub struct Chain {
    time: LedgerTime,
    /// The height of the first of `hashes`.
    start: Seq,
    /// Of every block from there on.
    hashes: Vec<Digest>,
    outcomes: HashSet<TransactionId>,
    /// Certificates of blocks that have not come yet.
    early: BTreeMap<Seq, CheckedCertificate>,
    certified: Seq,
    signers: BTreeSet<(Epoch, ReplicaId)>,
    totals: Totals,
}

impl Chain {
    /// Nothing but block 0, whose header follows from the genesis.
    pub fn new(genesis: &Header) -> Self {
        Self::after(genesis)
    }

    /// Nothing but a block below which nothing is stored, and its certificate.
    ///
    /// # Errors
    /// If the block is of another ledger or other members, or the certificate is of another block.
    pub fn from_base(
        trust: &TrustRoot,
        header: &Header,
        certificate: CheckedCertificate,
    ) -> Result<Self, ChainError> {
        let fault = if header.ledger != trust.ledger() {
            Some(Fault::OtherLedger)
        } else if !trust.names_members(header) {
            Some(Fault::OtherMembers)
        } else if certificate.height != header.height {
            Some(Fault::OtherCertified)
        } else {
            None
        };
        match fault {
            Some(fault) => Err(ChainError { height: header.height, fault }),
            None => {
                let mut chain = Self::after(header);
                chain.certify(certificate)?;
                Ok(chain)
            }
        }
    }

    fn after(header: &Header) -> Self {
        Self {
            time: header.time,
            start: header.height,
            hashes: vec![header_hash(header)],
            outcomes: HashSet::new(),
            early: BTreeMap::new(),
            certified: Seq::ZERO,
            signers: BTreeSet::new(),
            totals: Totals::default(),
        }
    }

    /// The height of the last block.
    pub fn height(&self) -> Seq {
        self.start.plus(self.hashes.len() as u64 - 1)
    }

    /// The block that it begins with: 0 is the genesis.
    pub fn start(&self) -> Seq {
        self.start
    }

    /// The hash of the last block's header.
    pub fn head(&self) -> Digest {
        self.hash_at(self.height()).expect("there is a last one")
    }

    /// The hash of a block's header, if it came.
    pub fn hash_at(&self, height: Seq) -> Option<Digest> {
        self.hashes.get(usize::try_from(height.get().checked_sub(self.start.get())?).ok()?).copied()
    }

    /// Every block up to here is proven by a certificate of its own or of a block above it.
    pub fn certified(&self) -> Seq {
        self.certified
    }

    /// Who signed any certificate, in which epoch.
    pub fn signers(&self) -> &BTreeSet<(Epoch, ReplicaId)> {
        &self.signers
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Appends the next block.
    ///
    /// # Errors
    /// If it does not follow from the last one, holds what happened before, or a certificate of its height is of another.
    pub fn link(&mut self, block: &CheckedContents) -> Result<(), ChainError> {
        let header = &block.header;
        let fault = |fault| ChainError { height: header.height, fault };
        let height = self.height();
        if header.height != height.next() {
            return Err(fault(Fault::OutOfOrder(height)));
        }
        if header.parent != self.head() {
            return Err(fault(Fault::Parent));
        }
        let time = block.batch.as_ref().map_or(self.time, |batch| self.time.max(batch.batch().time));
        if header.time != time {
            return Err(fault(Fault::Time));
        }
        for id in &block.outcomes {
            if !self.outcomes.insert(*id) {
                return Err(fault(Fault::Again(*id)));
            }
        }
        self.time = time;
        self.hashes.push(block.hash);
        self.totals.transactions += block.batch.as_ref().map_or(0, |batch| batch.ids().len() as u64);
        match self.early.remove(&header.height) {
            Some(certificate) => self.certify(certificate),
            None => Ok(()),
        }
    }

    /// Takes a certificate, of a block that came or is still to come; one from before the start tells nothing.
    ///
    /// # Errors
    /// If it is of another header than the block that came.
    pub fn certify(&mut self, certificate: CheckedCertificate) -> Result<(), ChainError> {
        let height = certificate.height;
        if height < self.start {
            return Ok(());
        }
        let Some(hash) = self.hash_at(height) else {
            self.early.insert(height, certificate);
            return Ok(());
        };
        if hash != certificate.header {
            return Err(ChainError { height, fault: Fault::OtherCertified });
        }
        let totals = &mut self.totals;
        let valid = certificate.signers.len();
        totals.fewest = if totals.certificates == 0 { valid } else { totals.fewest.min(valid) };
        totals.certificates += 1;
        totals.signatures += valid as u64;
        self.certified = self.certified.max(height);
        let epoch = certificate.epoch;
        self.signers.extend(certificate.signers.into_iter().map(|signer| (epoch, signer)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
