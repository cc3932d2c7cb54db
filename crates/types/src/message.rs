//! What travels between replicas: statements with what rides along (M1), certificates, bodies, and notices (M2).

use crate::bytes::{Digest, LedgerId, Signature};
use crate::header::{BlockCertificate, CertifiedBlock, Header};
use crate::ids::{Epoch, ReplicaId, Seq, View};
use crate::layout::Writer;
use crate::notice::Notice;
use crate::state::StatePart;
use crate::statement::{SignedStatement, Statement};
use crate::transaction::{Batch, SignedTransaction};
use bincode::{Decode, Encode};
use std::sync::Arc;

/// A PRE-PREPARE with its batch. Never of the null batch: that one needs no body and exists only in O.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Proposal {
    pub pre_prepare: SignedStatement,
    pub batch: Arc<Batch>,
}

/// The proposal by the view's primary and q−1 PREPAREs by distinct backups (N5): the whole prepared certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct PreparedCertificate {
    pub epoch: Epoch,
    pub view: View,
    pub seq: Seq,
    pub digest: Digest,
    /// The primary's signature on the PRE-PREPARE.
    pub proposal: Signature,
    /// Sorted by signer.
    pub prepares: Vec<(ReplicaId, Signature)>,
}

/// q COMMITs by distinct members (N8), sorted by signer: transferable with the body.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct CommitCertificate {
    pub epoch: Epoch,
    pub view: View,
    pub seq: Seq,
    pub digest: Digest,
    pub commits: Vec<(ReplicaId, Signature)>,
}

/// C of a VIEW-CHANGE: what proves its base (V2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum BaseProof {
    /// The base is block 0.
    Genesis,
    /// q CHECKPOINTs (K2).
    Checkpoint(BlockCertificate),
    /// The base is the last block before the epoch, which each of its members knows (G2).
    Opening(Seq),
}

/// A VIEW-CHANGE with C and P (V2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ViewChange {
    pub statement: SignedStatement,
    pub base_proof: BaseProof,
    /// One for each slot above base with a prepared certificate, of the highest view; strictly increasing.
    pub prepared: Vec<PreparedCertificate>,
}

/// A NEW-VIEW (V7) with the new primary's PRE-PREPARE signature for each slot of O and, for those who lack them, the
/// VIEW-CHANGEs it names. Receivers that hold these already get an empty list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct NewView {
    pub statement: SignedStatement,
    /// One for each entry of O: the PRE-PREPARE of that slot and digest in the new view.
    pub proposals: Vec<Signature>,
    pub view_changes: Vec<Arc<ViewChange>>,
}

/// What a certified state consists of (T2): a block of which a certificate is held, and the parts of the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct StateParts {
    pub header: Header,
    /// Of that very block.
    pub certificate: BlockCertificate,
    /// All subtrees at one depth, in order: a power of two of them. Their root is the header's.
    pub parts: Vec<StatePart>,
}

/// The keys and values of one part of the state after a block (T2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct StateLeaves {
    pub height: Seq,
    /// Into [`StateParts::parts`].
    pub index: u32,
    pub leaves: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Everything one replica may send another after the preface.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Message {
    Proposal(Proposal),
    /// PREPARE, COMMIT, ATTEST or CHECKPOINT.
    Vote(SignedStatement),
    ViewChange(Arc<ViewChange>),
    NewView(Arc<NewView>),
    CommitCertificate(CommitCertificate),
    /// A block's or a checkpoint's certificate without its block.
    BlockCertificate(BlockCertificate),
    /// A batch that was asked for by digest (V9).
    Body(Arc<Batch>),
    /// A block with its certificate (T1).
    Block(Arc<CertifiedBlock>),
    /// Requests in custody (C2).
    Forward(Vec<SignedTransaction>),
    /// Two statements of one signer that contradict each other: it convinces every receiver (V1).
    Evidence(Box<(SignedStatement, SignedStatement)>),
    Notice(Notice),
    StateParts(Box<StateParts>),
    StateLeaves(Box<StateLeaves>),
}

impl Message {
    /// Shows every signature that it stands on: those of its transactions, of its certificates, and its own.
    pub fn for_each_signature(&self, mut visit: impl FnMut(&Signature)) {
        match self {
            Self::Proposal(proposal) => {
                visit(&proposal.pre_prepare.signature);
                of_clients(&proposal.batch.transactions, &mut visit);
            }
            Self::Body(batch) => of_clients(&batch.transactions, &mut visit),
            Self::Forward(transactions) => of_clients(transactions, &mut visit),
            Self::Block(block) => {
                block.block.batch.iter().for_each(|batch| of_clients(&batch.transactions, &mut visit));
                of_members(&block.certificate.signatures, &mut visit);
            }
            Self::ViewChange(view_change) => view_change.for_each_signature(&mut visit),
            Self::NewView(new_view) => {
                visit(&new_view.statement.signature);
                new_view.proposals.iter().for_each(&mut visit);
                new_view.view_changes.iter().for_each(|named| named.for_each_signature(&mut visit));
            }
            Self::CommitCertificate(certificate) => of_members(&certificate.commits, &mut visit),
            Self::BlockCertificate(certificate) => of_members(&certificate.signatures, &mut visit),
            Self::Evidence(pair) => {
                [&pair.0, &pair.1].into_iter().for_each(|signed| visit(&signed.signature))
            }
            Self::Vote(signed) => visit(&signed.signature),
            Self::StateParts(state) => of_members(&state.certificate.signatures, &mut visit),
            // A HELLO's votes are few.
            Self::Notice(_) | Self::StateLeaves(_) => {}
        }
    }
}

fn of_clients(transactions: &[SignedTransaction], visit: &mut impl FnMut(&Signature)) {
    transactions.iter().for_each(|signed| visit(&signed.signature));
}

fn of_members(signatures: &[(ReplicaId, Signature)], visit: &mut impl FnMut(&Signature)) {
    signatures.iter().for_each(|(_, signature)| visit(signature));
}

impl ViewChange {
    fn for_each_signature(&self, visit: &mut impl FnMut(&Signature)) {
        visit(&self.statement.signature);
        if let BaseProof::Checkpoint(certificate) = &self.base_proof {
            of_members(&certificate.signatures, visit);
        }
        for certificate in &self.prepared {
            visit(&certificate.proposal);
            of_members(&certificate.prepares, visit);
        }
    }
}

impl PreparedCertificate {
    /// The PRE-PREPARE that `proposal` signs.
    pub fn pre_prepare(&self) -> Statement {
        Statement::PrePrepare { view: self.view, seq: self.seq, digest: self.digest }
    }

    /// The PREPARE that each of `prepares` signs.
    pub fn prepare(&self) -> Statement {
        Statement::Prepare { view: self.view, seq: self.seq, digest: self.digest }
    }

    fn write(&self, writer: &mut Writer) {
        writer.u64(self.epoch.get()).u64(self.view.get()).u64(self.seq.get()).fixed(&self.digest.0);
        writer.fixed(&self.proposal.0);
        write_signatures(writer, &self.prepares);
    }
}

impl CommitCertificate {
    /// The COMMIT that each signature is of.
    pub fn commit(&self) -> Statement {
        Statement::Commit { view: self.view, seq: self.seq, digest: self.digest }
    }
}

fn write_signatures(writer: &mut Writer, signatures: &[(ReplicaId, Signature)]) {
    writer.count(signatures.len());
    for (signer, signature) in signatures {
        writer.u16(signer.get()).fixed(&signature.0);
    }
}

impl BaseProof {
    /// The domain tag of H(C).
    pub const TAG: &'static str = "quorate/base-proof/v1";

    /// The bytes whose hash is H(C).
    pub fn hashed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::tagged(Self::TAG);
        match self {
            Self::Genesis => {
                writer.u8(0);
            }
            Self::Checkpoint(certificate) => {
                writer.u8(1).u64(certificate.epoch.get()).u64(certificate.height.get());
                writer.fixed(&certificate.header.0).u8(match certificate.kind {
                    crate::CertificateKind::Attest => 0,
                    crate::CertificateKind::Checkpoint => 1,
                });
                write_signatures(&mut writer, &certificate.signatures);
            }
            Self::Opening(after) => {
                writer.u8(2).u64(after.get());
            }
        }
        writer.finish()
    }

    /// The sequence number it proves.
    pub fn base(&self) -> Seq {
        match self {
            Self::Genesis => Seq::ZERO,
            Self::Checkpoint(certificate) => certificate.height,
            Self::Opening(after) => *after,
        }
    }
}

impl ViewChange {
    /// The domain tag of H(P).
    pub const PREPARED_TAG: &'static str = "quorate/prepared-set/v1";
    /// The domain tag of the digest by which a NEW-VIEW names a VIEW-CHANGE.
    pub const DIGEST_TAG: &'static str = "quorate/view-change-digest/v1";

    /// The bytes whose hash is H(P).
    pub fn prepared_bytes(prepared: &[PreparedCertificate]) -> Vec<u8> {
        let mut writer = Writer::tagged(Self::PREPARED_TAG);
        writer.count(prepared.len());
        for certificate in prepared {
            certificate.write(&mut writer);
        }
        writer.finish()
    }

    /// The bytes whose hash names this VIEW-CHANGE in a NEW-VIEW. H(C) and H(P) are among the signed bytes.
    pub fn digest_bytes(&self, ledger: &LedgerId) -> Vec<u8> {
        Writer::tagged(Self::DIGEST_TAG)
            .u16(self.statement.signer.get())
            .long(&self.statement.statement.signed_bytes(ledger, self.statement.epoch))
            .finish()
    }

    /// The view it asks for.
    pub fn view(&self) -> View {
        self.statement.statement.view().unwrap_or(View::ZERO)
    }
}

impl NewView {
    /// The view it opens.
    pub fn view(&self) -> View {
        self.statement.statement.view().unwrap_or(View::ZERO)
    }
}
