//! What one node says: labelled local, and blocks with their certificates.

use crate::client::Client;
use crate::error::ClientError;
use quorate_api::v1::ledger_client::LedgerClient;
use quorate_api::{certificate_from, header_from, transaction_from, v1};
use quorate_crypto::{MerkleTree, header_hash, transaction_id};
use quorate_types::{
    BlockCertificate, Digest, Header, ReplicaId, SignedTransaction, TransactionId, TransactionResult,
};
use std::time::Duration;
use tonic::transport::Channel;

/// How long one node has for a read before another is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer of one node, as current as that node and not proven (X3).
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRead {
    /// Who answered.
    pub endpoint: String,
    pub answer: v1::ReadLocalResponse,
}

/// A block whose transactions and results match its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBlock {
    pub header: Header,
    pub hash: Digest,
    pub transactions: Vec<(TransactionId, SignedTransaction, TransactionResult)>,
    /// The certificate and who signed it; `None` while fewer than q members have attested the block.
    pub certificate: Option<(BlockCertificate, Vec<ReplicaId>)>,
}

impl Client {
    /// What the first node that answers has executed. It may be behind, and it may lie.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn read_local(&self, query: v1::read_local_request::Query) -> Result<LocalRead, ClientError> {
        let mut why = String::new();
        for gateway in self.in_order() {
            let request = v1::ReadLocalRequest { query: Some(query.clone()) };
            match tokio::time::timeout(PATIENCE, gateway.api().read_local(request)).await {
                Ok(Ok(answer)) => {
                    return Ok(LocalRead { endpoint: gateway.url.clone(), answer: answer.into_inner() });
                }
                Ok(Err(status)) => why = format!("{}: {}", gateway.url, status.message()),
                Err(_) => why = format!("{}: no answer", gateway.url),
            }
        }
        Err(ClientError::Unreachable(why))
    }

    /// Where every gateway stands, by its own account.
    pub async fn status(&self) -> Vec<(String, Result<v1::Status, String>)> {
        self.ask_all(
            |mut api: LedgerClient<Channel>| async move { api.get_status(v1::GetStatusRequest {}).await },
        )
        .await
    }

    /// What every gateway waits for, by its own account.
    pub async fn waits(&self) -> Vec<(String, Result<v1::Waits, String>)> {
        self.ask_all(
            |mut api: LedgerClient<Channel>| async move { api.get_waits(v1::GetWaitsRequest {}).await },
        )
        .await
    }

    /// Who the members are, by the account of the gateway that is furthest: to be checked by what comes of it, not to be trusted.
    ///
    /// # Errors
    /// If no gateway answers.
    pub async fn members(&self) -> Result<v1::Members, ClientError> {
        let asked = self
            .ask_all(|mut api: LedgerClient<Channel>| async move {
                api.get_members(v1::GetMembersRequest {}).await
            })
            .await;
        let mut why = String::new();
        let mut best: Option<v1::Members> = None;
        for (url, answer) in asked {
            match answer {
                Ok(found) => {
                    if best.as_ref().is_none_or(|best| best.height < found.height) {
                        best = Some(found);
                    }
                }
                Err(error) => why = format!("{url}: {error}"),
            }
        }
        best.ok_or(ClientError::Unreachable(why))
    }

    /// The READYs of every gateway that says one.
    pub async fn readies(&self) -> Vec<(String, Result<v1::Ready, String>)> {
        self.ask_all(
            |mut api: LedgerClient<Channel>| async move { api.get_ready(v1::GetReadyRequest {}).await },
        )
        .await
    }

    /// The hash of each gateway's own header of one block, as that gateway gives it: to be compared, not to be trusted.
    pub async fn hashes_at(&self, height: u64) -> Vec<(String, Result<Digest, String>)> {
        let asked = self
            .ask_all(|mut api: LedgerClient<Channel>| async move {
                api.get_block(v1::GetBlockRequest { height }).await
            })
            .await;
        let hash = |answer: v1::Block| {
            let header =
                header_from(&answer.header.ok_or("no header")?).map_err(|error| error.to_string())?;
            Ok(header_hash(&header))
        };
        asked.into_iter().map(|(url, answer)| (url, answer.and_then(hash))).collect()
    }

    /// Asks every gateway at once. The answers are in the order of the gateways.
    async fn ask_all<T, F>(
        &self,
        ask: impl Fn(LedgerClient<Channel>) -> F,
    ) -> Vec<(String, Result<T, String>)>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let ask = &ask;
        let asked = self.gateways.iter().map(|gateway| async move {
            (gateway.url.clone(), gateway.ask(Duration::from_secs(2), ask).await)
        });
        futures_util::future::join_all(asked).await
    }

    /// A block, checked: its transactions and results under its roots, its certificate against the genesis. Height 0 asks
    /// for the newest.
    ///
    /// # Errors
    /// If no node has it, or those that answer send what does not verify.
    pub async fn block(&self, height: u64) -> Result<FoundBlock, ClientError> {
        let mut last = ClientError::Unreachable(String::new());
        for gateway in self.in_order() {
            let endpoint = gateway.url.clone();
            let request = v1::GetBlockRequest { height };
            match tokio::time::timeout(PATIENCE, gateway.api().get_block(request)).await {
                Ok(Ok(answer)) => {
                    let wire = answer.into_inner();
                    let epoch = wire.header.as_ref().map_or(0, |header| header.epoch);
                    self.certificates.learn(&mut gateway.api(), epoch).await;
                    match self.check_block(wire, height) {
                        Ok(block) => return Ok(block),
                        Err(why) => last = ClientError::BadAnswer { endpoint, why },
                    }
                }
                Ok(Err(status)) if status.code() == tonic::Code::NotFound => {
                    last = ClientError::NotFound(format!("{endpoint}: {}", status.message()));
                }
                Ok(Err(status)) => {
                    last = ClientError::Unreachable(format!("{endpoint}: {}", status.message()))
                }
                Err(_) => last = ClientError::Unreachable(format!("{endpoint}: no answer")),
            }
        }
        Err(last)
    }

    fn check_block(&self, wire: v1::Block, height: u64) -> Result<FoundBlock, String> {
        let header = header_from(&wire.header.ok_or("no header")?).map_err(|error| error.to_string())?;
        if header.ledger != self.trust().ledger() || (height != 0 && header.height.get() != height) {
            return Err("it is another block than the one asked for".to_owned());
        }
        let mut transactions = Vec::new();
        for included in wire.txs {
            let signed =
                transaction_from(included.tx.ok_or("no transaction")?).map_err(|error| error.to_string())?;
            let (_, result) =
                TransactionResult::from_leaf_bytes(&included.result).map_err(|error| error.to_string())?;
            transactions.push((transaction_id(&signed.transaction), signed, result));
        }
        let ids = transactions.iter().map(|(id, signed, _)| [&id.0[..], &signed.signature.0[..]].concat());
        let results = transactions.iter().map(|(id, _, result)| result.leaf_bytes(id));
        let roots = (MerkleTree::new(ids).root(), MerkleTree::new(results).root());
        if roots != (header.transactions_root, header.results_root) {
            return Err("its transactions are not those of its header".to_owned());
        }
        let hash = header_hash(&header);
        let certificate = match &wire.certificate {
            None => None,
            Some(certificate) => {
                let certificate = certificate_from(certificate).map_err(|error| error.to_string())?;
                if certificate.header != hash || certificate.height != header.height {
                    return Err("its certificate is for another header".to_owned());
                }
                let signers = self.certificates.signers(&certificate).map_err(|error| error.to_string())?;
                Some((certificate, signers))
            }
        };
        Ok(FoundBlock { header, hash, transactions, certificate })
    }
}
