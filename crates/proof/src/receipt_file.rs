//! The portable form of a receipt: one JSON file. It is canonical: a file that parses but is not byte for byte what would be
//! written is refused, so that every byte of it is bound.

use crate::receipt::{Receipt, ReceiptError};
use quorate_crypto::MerklePath;
use quorate_types::{
    BlockCertificate, CertificateKind, Digest, Epoch, Handover, Header, LedgerTime, MemberSet, ReplicaId,
    Seq, Signature, SignedTransaction, Transaction, TransactionResult,
};
use serde::{Deserialize, Serialize};

/// The schema that the file names.
const SCHEMA: &str = "quorate.receipt.v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    transaction: String,
    signature: String,
    result: String,
    index: u32,
    transaction_path: Vec<String>,
    result_path: Vec<String>,
    header: HeaderFile,
    /// Left out if the certificate is of the header itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<HeaderFile>,
    /// Left out in the first epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handovers: Vec<HandoverFile>,
    certificate: CertificateFile,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HandoverFile {
    header: HeaderFile,
    certificate: CertificateFile,
    /// The leaf of the member set.
    next_members: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderFile {
    ledger: String,
    epoch: u64,
    height: u64,
    parent: String,
    time_ms: u64,
    batch_digest: String,
    transactions_root: String,
    results_root: String,
    state_root: String,
    members_hash: String,
    transaction_count: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateFile {
    kind: String,
    signatures: Vec<SignatureFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    member: u16,
    signature: String,
}

fn malformed(what: &str) -> ReceiptError {
    ReceiptError::Malformed(what.to_owned())
}

fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, ReceiptError> {
    text.parse().map_err(|_| malformed(what))
}

fn digests(texts: &[String], what: &str) -> Result<Vec<Digest>, ReceiptError> {
    if texts.len() > 32 {
        return Err(malformed(what));
    }
    texts.iter().map(|text| parse(text, what)).collect()
}

impl Receipt {
    /// The file's text.
    ///
    /// # Panics
    /// Never: every field has a text.
    pub fn to_json(&self) -> String {
        let text = |digests: &[Digest]| digests.iter().map(Digest::to_string).collect();
        let leaf = self.result.leaf_bytes(&quorate_crypto::transaction_id(&self.transaction.transaction));
        let file = File {
            schema: SCHEMA.to_owned(),
            transaction: hex::encode(self.transaction.transaction.signed_bytes()),
            signature: self.transaction.signature.to_string(),
            result: hex::encode(leaf),
            index: self.transaction_path.index,
            transaction_path: text(&self.transaction_path.siblings),
            result_path: text(&self.result_path.siblings),
            header: file_of(&self.header),
            links: self.links.iter().map(file_of).collect(),
            handovers: self
                .handovers
                .iter()
                .map(|handover| HandoverFile {
                    header: file_of(&handover.header),
                    certificate: certificate_file(&handover.certificate),
                    next_members: hex::encode(handover.next.to_bytes()),
                })
                .collect(),
            certificate: certificate_file(&self.certificate),
        };
        let mut json = serde_json::to_string_pretty(&file).expect("plain fields");
        json.push('\n');
        json
    }

    /// Reads a file. What it says is not verified by this.
    ///
    /// # Errors
    /// If the text is not exactly what [`Receipt::to_json`] writes for some receipt.
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        let file: File = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(malformed("schema"));
        }
        let receipt = Self::from_file(&file)?;
        if receipt.to_json() == text { Ok(receipt) } else { Err(malformed("not the canonical text")) }
    }

    fn from_file(file: &File) -> Result<Self, ReceiptError> {
        let bytes = |text: &str, what| hex::decode(text).map_err(|_| malformed(what));
        let transaction = Transaction::from_signed_bytes(&bytes(&file.transaction, "transaction")?)
            .map_err(|error| malformed(&error.to_string()))?;
        let (_, result) = TransactionResult::from_leaf_bytes(&bytes(&file.result, "result")?)
            .map_err(|error| malformed(&error.to_string()))?;
        let header = header_of(&file.header)?;
        let links = file.links.iter().map(header_of).collect::<Result<Vec<_>, _>>()?;
        let path = |siblings: &[String], what| {
            let siblings = digests(siblings, what)?;
            Ok(MerklePath { index: file.index, count: header.transaction_count, siblings })
        };
        Ok(Self {
            transaction: SignedTransaction { transaction, signature: parse(&file.signature, "signature")? },
            transaction_path: path(&file.transaction_path, "transaction_path")?,
            result,
            result_path: path(&file.result_path, "result_path")?,
            certificate: certificate_of(&file.certificate, links.last().unwrap_or(&header))?,
            handovers: file.handovers.iter().map(handover_of).collect::<Result<_, _>>()?,
            header,
            links,
        })
    }
}

fn certificate_file(certificate: &BlockCertificate) -> CertificateFile {
    let signed = |(member, signature): &(ReplicaId, Signature)| SignatureFile {
        member: member.get(),
        signature: signature.to_string(),
    };
    CertificateFile {
        kind: match certificate.kind {
            CertificateKind::Attest => "attest".to_owned(),
            CertificateKind::Checkpoint => "checkpoint".to_owned(),
        },
        signatures: certificate.signatures.iter().map(signed).collect(),
    }
}

fn handover_of(file: &HandoverFile) -> Result<Handover, ReceiptError> {
    let header = header_of(&file.header)?;
    let certificate = certificate_of(&file.certificate, &header)?;
    let next = hex::decode(&file.next_members).ok().and_then(|bytes| MemberSet::from_bytes(&bytes).ok());
    Ok(Handover { header, certificate, next: next.ok_or_else(|| malformed("next_members"))? })
}

fn file_of(header: &Header) -> HeaderFile {
    HeaderFile {
        ledger: header.ledger.to_string(),
        epoch: header.epoch.get(),
        height: header.height.get(),
        parent: header.parent.to_string(),
        time_ms: header.time.0,
        batch_digest: header.batch_digest.to_string(),
        transactions_root: header.transactions_root.to_string(),
        results_root: header.results_root.to_string(),
        state_root: header.state_root.to_string(),
        members_hash: header.members_hash.to_string(),
        transaction_count: header.transaction_count,
    }
}

fn header_of(file: &HeaderFile) -> Result<Header, ReceiptError> {
    Ok(Header {
        ledger: parse(&file.ledger, "ledger")?,
        epoch: Epoch::new(file.epoch),
        height: Seq::new(file.height),
        parent: parse(&file.parent, "parent")?,
        time: LedgerTime(file.time_ms),
        batch_digest: parse(&file.batch_digest, "batch_digest")?,
        transactions_root: parse(&file.transactions_root, "transactions_root")?,
        results_root: parse(&file.results_root, "results_root")?,
        state_root: parse(&file.state_root, "state_root")?,
        members_hash: parse(&file.members_hash, "members_hash")?,
        transaction_count: file.transaction_count,
    })
}

fn certificate_of(file: &CertificateFile, header: &Header) -> Result<BlockCertificate, ReceiptError> {
    let kind = match file.kind.as_str() {
        "attest" => CertificateKind::Attest,
        "checkpoint" => CertificateKind::Checkpoint,
        _ => return Err(malformed("certificate kind")),
    };
    let signatures = file
        .signatures
        .iter()
        .map(|signed| Ok((ReplicaId::new(signed.member), parse(&signed.signature, "certificate signature")?)))
        .collect::<Result<_, ReceiptError>>()?;
    Ok(BlockCertificate {
        epoch: header.epoch,
        height: header.height,
        header: quorate_crypto::header_hash(header),
        kind,
        signatures,
    })
}
