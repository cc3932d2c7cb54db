//! Block headers, certificates and certified blocks (M7, M8).

use crate::bytes::{Digest, LedgerId, Signature};
use crate::ids::{Epoch, ReplicaId, Seq};
use crate::layout::Writer;
use crate::statement::Statement;
use crate::time::LedgerTime;
use crate::transaction::Batch;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// The header of an executed block (M7). It names no view: one slot can commit in different views.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Header {
    pub ledger: LedgerId,
    pub epoch: Epoch,
    /// Equal to the sequence number; block 0 is the genesis.
    pub height: Seq,
    /// The hash of the header before; zero for block 0.
    pub parent: Digest,
    /// `max(parent's, batch's)` (N11).
    pub time: LedgerTime,
    pub batch_digest: Digest,
    /// RFC 6962 root over `id ‖ signature` of the transactions.
    pub transactions_root: Digest,
    /// RFC 6962 root over the result leaves.
    pub results_root: Digest,
    /// The state *after* the block.
    pub state_root: Digest,
    /// Hash of the member set that owns `height + 1`.
    pub members_hash: Digest,
    pub transaction_count: u32,
}

impl Header {
    /// The domain tag of a header's hash.
    pub const TAG: &'static str = "quorate/header/v1";

    /// The bytes whose hash is the header hash (docs/formats.md).
    pub fn hashed_bytes(&self) -> Vec<u8> {
        Writer::tagged(Self::TAG)
            .fixed(&self.ledger.0)
            .u64(self.epoch.get())
            .u64(self.height.get())
            .fixed(&self.parent.0)
            .u64(self.time.0)
            .fixed(&self.batch_digest.0)
            .fixed(&self.transactions_root.0)
            .fixed(&self.results_root.0)
            .fixed(&self.state_root.0)
            .fixed(&self.members_hash.0)
            .u32(self.transaction_count)
            .finish()
    }
}

/// What the state after a block asks of the blocks to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Outlook {
    /// The earliest ledger time at which it needs another block (K6).
    pub obligation: Option<LedgerTime>,
    /// The last block of the block's own epoch, if that is known: a change of the members was executed (G1).
    pub closes: Option<Seq>,
}

/// Which statement the signatures of a certificate are of: their signed bytes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum CertificateKind {
    Attest,
    Checkpoint,
}

/// q signatures on one header hash (M8), sorted by signer, each passing strict RFC 8032.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct BlockCertificate {
    pub epoch: Epoch,
    pub height: Seq,
    pub header: Digest,
    pub kind: CertificateKind,
    pub signatures: Vec<(ReplicaId, Signature)>,
}

impl BlockCertificate {
    /// The statement that every signature is of.
    pub fn statement(&self) -> Statement {
        match self.kind {
            CertificateKind::Attest => Statement::Attest { seq: self.height, header: self.header },
            CertificateKind::Checkpoint => Statement::Checkpoint { seq: self.height, header: self.header },
        }
    }
}

/// A block as it is stored and sent: header and batch. `batch` is `None` for the null batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Block {
    pub header: Header,
    pub batch: Option<Arc<Batch>>,
}

/// A block with the certificate that makes it transferable (N8, T1): its own, or that of a later block together with the
/// headers that link down from it (M8).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct CertifiedBlock {
    pub block: Block,
    /// The headers of the heights after this block up to the certificate's; empty if the certificate is the block's own.
    pub links: Vec<Header>,
    pub certificate: BlockCertificate,
}
