//! Conversions. From the wire they are total: anything malformed is an error that names the field.

use crate::v1;
use quorate_crypto::MerklePath;
use quorate_proof::Receipt;
use quorate_types::{
    BlockCertificate, CertificateKind, Digest, Epoch, Handover, Header, LedgerId, LedgerTime, MemberSet,
    Number, PublicKey, ReplicaId, Seq, SessionId, Signature, SignedTransaction, Transaction,
    TransactionResult, limits,
};

/// A field of a message is missing or malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed(what))
}

fn digest(bytes: &[u8], what: &'static str) -> Result<Digest, Malformed> {
    array(bytes, what).map(Digest)
}

/// A transaction as the wire carries it.
pub fn transaction_to(signed: &SignedTransaction) -> v1::Transaction {
    let transaction = &signed.transaction;
    v1::Transaction {
        ledger_id: transaction.ledger.0.to_vec(),
        sender: transaction.sender.0.to_vec(),
        session: transaction.session.get(),
        number: transaction.number.get(),
        valid_until_ms: transaction.valid_until.0,
        app: transaction.app.clone(),
        payload: transaction.payload.clone(),
        signature: signed.signature.0.to_vec(),
    }
}

/// A transaction from the wire.
///
/// # Errors
/// If a field has the wrong length.
pub fn transaction_from(wire: v1::Transaction) -> Result<SignedTransaction, Malformed> {
    if wire.app.len() > limits::MAX_APP_BYTES {
        return Err(Malformed("app"));
    }
    let transaction = Transaction {
        ledger: LedgerId(array(&wire.ledger_id, "ledger_id")?),
        sender: PublicKey(array(&wire.sender, "sender")?),
        session: SessionId::new(wire.session),
        number: Number::new(wire.number),
        valid_until: LedgerTime(wire.valid_until_ms),
        app: wire.app,
        payload: wire.payload,
    };
    Ok(SignedTransaction { transaction, signature: Signature(array(&wire.signature, "signature")?) })
}

/// A header as the wire carries it.
pub fn header_to(header: &Header) -> v1::Header {
    v1::Header {
        ledger_id: header.ledger.0.to_vec(),
        height: header.height.get(),
        parent: header.parent.0.to_vec(),
        tx_root: header.transactions_root.0.to_vec(),
        result_root: header.results_root.0.to_vec(),
        state_root: header.state_root.0.to_vec(),
        members_hash: header.members_hash.0.to_vec(),
        time_ms: header.time.0,
        tx_count: header.transaction_count,
        batch_digest: header.batch_digest.0.to_vec(),
        epoch: header.epoch.get(),
    }
}

/// A header from the wire.
///
/// # Errors
/// If a field has the wrong length.
pub fn header_from(wire: &v1::Header) -> Result<Header, Malformed> {
    Ok(Header {
        ledger: LedgerId(array(&wire.ledger_id, "ledger_id")?),
        epoch: Epoch::new(wire.epoch),
        height: Seq::new(wire.height),
        parent: digest(&wire.parent, "parent")?,
        time: LedgerTime(wire.time_ms),
        batch_digest: digest(&wire.batch_digest, "batch_digest")?,
        transactions_root: digest(&wire.tx_root, "tx_root")?,
        results_root: digest(&wire.result_root, "result_root")?,
        state_root: digest(&wire.state_root, "state_root")?,
        members_hash: digest(&wire.members_hash, "members_hash")?,
        transaction_count: wire.tx_count,
    })
}

/// A certificate as the wire carries it.
pub fn certificate_to(certificate: &BlockCertificate) -> v1::Certificate {
    v1::Certificate {
        height: certificate.height.get(),
        header_hash: certificate.header.0.to_vec(),
        epoch: certificate.epoch.get(),
        kind: match certificate.kind {
            CertificateKind::Attest => v1::certificate::Kind::Attest.into(),
            CertificateKind::Checkpoint => v1::certificate::Kind::Checkpoint.into(),
        },
        votes: certificate
            .signatures
            .iter()
            .map(|(member, signature)| v1::Vote {
                member: u32::from(member.get()),
                signature: signature.0.to_vec(),
            })
            .collect(),
    }
}

/// A certificate from the wire. Whether it proves anything is not said by this.
///
/// # Errors
/// If a field has the wrong length or an unknown value.
pub fn certificate_from(wire: &v1::Certificate) -> Result<BlockCertificate, Malformed> {
    if wire.votes.len() > usize::from(limits::MAX_MEMBERS) {
        return Err(Malformed("votes"));
    }
    let vote = |vote: &v1::Vote| {
        let member = u16::try_from(vote.member).map_err(|_| Malformed("member"))?;
        Ok((ReplicaId::new(member), Signature(array(&vote.signature, "vote")?)))
    };
    Ok(BlockCertificate {
        epoch: Epoch::new(wire.epoch),
        height: Seq::new(wire.height),
        header: digest(&wire.header_hash, "header_hash")?,
        kind: match v1::certificate::Kind::try_from(wire.kind) {
            Ok(v1::certificate::Kind::Attest) => CertificateKind::Attest,
            Ok(v1::certificate::Kind::Checkpoint) => CertificateKind::Checkpoint,
            _ => return Err(Malformed("certificate kind")),
        },
        signatures: wire.votes.iter().map(vote).collect::<Result<_, Malformed>>()?,
    })
}

/// The end of an epoch as the wire carries it.
pub fn handover_to(handover: &Handover) -> v1::Handover {
    v1::Handover {
        header: Some(header_to(&handover.header)),
        certificate: Some(certificate_to(&handover.certificate)),
        next_members: handover.next.to_bytes(),
    }
}

/// The end of an epoch from the wire. Whether it holds is not said by this.
///
/// # Errors
/// If a field is missing, has the wrong length or cannot be read.
pub fn handover_from(wire: &v1::Handover) -> Result<Handover, Malformed> {
    Ok(Handover {
        header: header_from(wire.header.as_ref().ok_or(Malformed("header"))?)?,
        certificate: certificate_from(wire.certificate.as_ref().ok_or(Malformed("certificate"))?)?,
        next: MemberSet::from_bytes(&wire.next_members).map_err(|_| Malformed("next_members"))?,
    })
}

fn path_to(path: &MerklePath) -> v1::Path {
    v1::Path {
        index: path.index,
        count: path.count,
        siblings: path.siblings.iter().map(|sibling| sibling.0.to_vec()).collect(),
    }
}

fn path_from(wire: Option<&v1::Path>) -> Result<MerklePath, Malformed> {
    let wire = wire.ok_or(Malformed("path"))?;
    if wire.siblings.len() > 32 {
        return Err(Malformed("path"));
    }
    Ok(MerklePath {
        index: wire.index,
        count: wire.count,
        siblings: wire.siblings.iter().map(|sibling| digest(sibling, "path")).collect::<Result<_, _>>()?,
    })
}

/// A receipt as the wire carries it.
pub fn receipt_to(receipt: &Receipt) -> v1::Receipt {
    let id = quorate_crypto::transaction_id(&receipt.transaction.transaction);
    v1::Receipt {
        tx: Some(transaction_to(&receipt.transaction)),
        tx_path: Some(path_to(&receipt.transaction_path)),
        result: receipt.result.leaf_bytes(&id),
        result_path: Some(path_to(&receipt.result_path)),
        header: Some(header_to(&receipt.header)),
        certificate: Some(certificate_to(&receipt.certificate)),
        links: receipt.links.iter().map(header_to).collect(),
    }
}

/// A receipt from the wire. It is not verified by this.
///
/// # Errors
/// If a part is missing or malformed.
pub fn receipt_from(wire: v1::Receipt) -> Result<Receipt, Malformed> {
    let transaction_path = path_from(wire.tx_path.as_ref())?;
    let result_path = path_from(wire.result_path.as_ref())?;
    if wire.links.len() as u64 > limits::MAX_LINKS {
        return Err(Malformed("links"));
    }
    let (_, result) = TransactionResult::from_leaf_bytes(&wire.result).map_err(|_| Malformed("result"))?;
    Ok(Receipt {
        transaction: transaction_from(wire.tx.ok_or(Malformed("tx"))?)?,
        transaction_path,
        result,
        result_path,
        header: header_from(wire.header.as_ref().ok_or(Malformed("header"))?)?,
        links: wire.links.iter().map(header_from).collect::<Result<_, _>>()?,
        // Whoever keeps the receipt adds them: a client asks for them once, not with each receipt.
        handovers: Vec::new(),
        certificate: certificate_from(wire.certificate.as_ref().ok_or(Malformed("certificate"))?)?,
    })
}
