//! Transactions and batches (M5, M6).

use crate::bytes::{LedgerId, PublicKey, Signature};
use crate::ids::{Number, SessionId};
use crate::layout::{LayoutError, Reader, Writer};
use crate::limits;
use crate::time::LedgerTime;
use bincode::{Decode, Encode};

/// What a client asks for (M6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Transaction {
    pub ledger: LedgerId,
    pub sender: PublicKey,
    pub session: SessionId,
    pub number: Number,
    /// The last moment of ledger time at which it may be executed, inclusive (C1).
    pub valid_until: LedgerTime,
    /// The application that interprets the payload; `kv` is built in.
    pub app: String,
    pub payload: Vec<u8>,
}

/// A transaction with its sender's signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct SignedTransaction {
    pub transaction: Transaction,
    pub signature: Signature,
}

impl Transaction {
    /// The domain tag of a transaction's signed bytes.
    pub const TAG: &'static str = "quorate/tx/v1";
    /// Bytes of the signed layout beside `app` and `payload`: the tag and its zero, then the fixed fields.
    pub const FIXED_BYTES: usize = 14 + 32 + 32 + 8 + 8 + 8 + 2 + 4;

    /// The signed bytes (M6); their hash is the transaction's id, known before it is signed.
    ///
    /// # Panics
    /// If `app` is longer than 65,535 bytes; [`Transaction::within_limits`] refuses that first.
    pub fn signed_bytes(&self) -> Vec<u8> {
        Writer::tagged(Self::TAG)
            .fixed(&self.ledger.0)
            .fixed(&self.sender.0)
            .u64(self.session.get())
            .u64(self.number.get())
            .u64(self.valid_until.0)
            .short(self.app.as_bytes())
            .long(&self.payload)
            .finish()
    }

    /// Reads the signed bytes back.
    ///
    /// # Errors
    /// If the bytes are not exactly one transaction: short, trailing bytes, wrong tag, name not UTF-8.
    pub fn from_signed_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        if reader.fixed(Self::TAG.len() + 1)? != [Self::TAG.as_bytes(), &[0]].concat() {
            return Err(LayoutError::Invalid("domain tag"));
        }
        let transaction = Self {
            ledger: LedgerId(reader.array()?),
            sender: PublicKey(reader.array()?),
            session: SessionId::new(reader.u64()?),
            number: Number::new(reader.u64()?),
            valid_until: LedgerTime(reader.u64()?),
            app: std::str::from_utf8(reader.short()?)
                .map_err(|_| LayoutError::Invalid("application name"))?
                .to_owned(),
            payload: reader.long()?.to_vec(),
        };
        reader.end()?;
        Ok(transaction)
    }

    /// The length of the signed bytes.
    pub fn signed_len(&self) -> usize {
        Self::FIXED_BYTES + self.app.len() + self.payload.len()
    }

    /// Whether the static limits hold, given the ledger's own limit on the size with signature (N2).
    pub fn within_limits(&self, max_transaction_bytes: u32) -> bool {
        self.app.len() <= limits::MAX_APP_BYTES
            && self.signed_len() + Signature::LEN <= max_transaction_bytes as usize
    }
}

impl SignedTransaction {
    /// Bytes it counts for in a batch and in custody: the signed bytes and the signature.
    pub fn size(&self) -> usize {
        self.transaction.signed_len() + Signature::LEN
    }
}

/// An ordered list of transactions with a proposed time (M5). An *empty* batch is an ordinary one without transactions;
/// the *null* batch is no `Batch` at all and exists only as its digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Batch {
    /// The primary's wall clock when it proposed.
    pub time: LedgerTime,
    pub transactions: Vec<SignedTransaction>,
}

impl Batch {
    /// The domain tag of a batch's digest.
    pub const TAG: &'static str = "quorate/batch/v1";
    /// The domain tag of the null batch's digest: its own domain, no body, no time (M5).
    pub const NULL_TAG: &'static str = "quorate/null-batch/v1";

    /// The canonical bytes whose hash is the batch's digest (M5): tag ‖ time ‖ count ‖ (id ‖ signature)*.
    ///
    /// An id binds every signed byte of its transaction, so ids and signatures bind the whole batch; the caller
    /// computes the ids, since this crate does not hash.
    pub fn digest_bytes(&self, ids: &[crate::TransactionId]) -> Vec<u8> {
        assert_eq!(ids.len(), self.transactions.len(), "one id for each transaction");
        let mut writer = Writer::tagged(Self::TAG);
        writer.u64(self.time.0).count(self.transactions.len());
        for (id, signed) in ids.iter().zip(&self.transactions) {
            writer.fixed(&id.0).fixed(&signed.signature.0);
        }
        writer.finish()
    }

    /// Bytes that count against the ledger's batch limit.
    pub fn size(&self) -> usize {
        self.transactions.iter().map(SignedTransaction::size).sum()
    }
}

#[cfg(test)]
mod tests;
