//! The gRPC service. Answers carry receipts; nothing here needs to be believed.

use crate::core_thread::CoreInput;
use crate::explain::describe;
use crate::membership::Readiness;
use crate::metrics::process_usage;
use crate::shared::{Closable, Published, Shared, post, wall_millis};
use crate::supply::SupplyInput;
use crate::verify::{Unverified, VerifyQueue};
use crossbeam_channel::Sender;
use futures_util::StreamExt;
use quorate_api::v1::ledger_server::Ledger;
use quorate_api::{certificate_to, header_to, receipt_to, transaction_from, transaction_to, v1};
use quorate_crypto::{HashedTransaction, MerkleTree, transaction_id};
use quorate_engine::{Answer, Event, receipt};
use quorate_pbft::Phase;
use quorate_proof::Receipt;
use quorate_storage::StoredBlock;
use quorate_storage::index::number_key;
use quorate_types::{
    BlockCertificate, ErrorCode, Header, Operation, Operations, PublicKey, Seq, SessionId, TransactionId,
    limits,
};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// For how long a stream is not read after one of its transactions was refused as too much, or did not verify.
const PAUSE: Duration = Duration::from_millis(50);
/// After so many signatures that do not verify a stream ends.
const MOST_JUNK: u32 = 64;
/// All calls that are no streams share what one stream may have waiting for verification.
const SINGLE_CALLS: u64 = 0;
/// The longest that a call may ask to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) verify: VerifyQueue,
    pub(crate) core: Sender<CoreInput>,
    pub(crate) supply: Sender<SupplyInput>,
    /// What it says READY with (G3).
    pub(crate) readiness: Arc<Readiness>,
}

/// A transaction on its way: its id, and the index key of its number.
struct Submitted {
    id: TransactionId,
    number: Vec<u8>,
}

type OutcomeStream = Pin<Box<dyn Stream<Item = Result<v1::Outcome, Status>> + Send>>;

/// Works with a store: a damaged one and a stopping node have their own answers.
fn with<T, R, E: std::fmt::Display>(
    store: &Closable<T>,
    work: impl FnOnce(&mut T) -> Result<R, E>,
) -> Result<R, Status> {
    match store.with(work) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Status::data_loss(error.to_string())),
        Err(_) => Err(Status::unavailable("this node stops")),
    }
}

fn refused(txid: TransactionId, code: ErrorCode, retry_after_ms: u32) -> v1::Outcome {
    let refused = v1::Refused { code: code.code().to_owned(), retry_after_ms };
    v1::Outcome { txid: txid.0.to_vec(), result: Some(v1::outcome::Result::Refused(refused)) }
}

fn unknown(txid: TransactionId, why: &str) -> v1::Outcome {
    let unknown = v1::Unknown { why: why.to_owned() };
    v1::Outcome { txid: txid.0.to_vec(), result: Some(v1::outcome::Result::Unknown(unknown)) }
}

fn answered(txid: TransactionId, answer: &Answer) -> v1::Outcome {
    let result = match answer {
        Answer::Outcome(outcome) => v1::outcome::Result::Receipt(receipt_to(&receipt(outcome))),
        Answer::Superseded(outcome) => v1::outcome::Result::Superseded(receipt_to(&receipt(outcome))),
        Answer::Refused(refusal) => return refused(txid, refusal.code, refusal.retry_after_ms),
    };
    v1::Outcome { txid: txid.0.to_vec(), result: Some(result) }
}

/// The receipt of a transaction in a stored block.
fn stored_receipt(
    stored: &StoredBlock,
    index: u32,
    (links, certificate): (Vec<Header>, BlockCertificate),
) -> Option<Receipt> {
    let batch = stored.block.batch.as_ref()?;
    let transaction = batch.transactions.get(index as usize)?.clone();
    let result = stored.results.get(index as usize)?.clone();
    let hashed: Vec<HashedTransaction> =
        batch.transactions.iter().cloned().map(HashedTransaction::new).collect();
    let leaves = hashed.iter().map(|hashed| [&hashed.id().0[..], &hashed.signed().signature.0[..]].concat());
    let transactions = MerkleTree::new(leaves);
    let results = MerkleTree::new(
        hashed.iter().zip(&stored.results).map(|(hashed, result)| result.leaf_bytes(&hashed.id())),
    );
    Some(Receipt {
        transaction,
        transaction_path: transactions.path(index)?,
        result,
        result_path: results.path(index)?,
        header: stored.block.header.clone(),
        links,
        handovers: Vec::new(),
        certificate,
    })
}

impl Service {
    /// Puts a transaction on its way; its outcome comes under the token. What is refused at once is returned.
    fn submit(
        &self,
        client: u64,
        wire: Option<v1::Transaction>,
        to: &mpsc::Sender<(u64, Answer)>,
    ) -> Result<(Submitted, u64), v1::Outcome> {
        let malformed = || refused(TransactionId([0; 32]), ErrorCode::MalformedTransaction, 0);
        let Some(Ok(transaction)) = wire.map(transaction_from) else { return Err(malformed()) };
        let id = transaction_id(&transaction.transaction);
        let parameters = &self.shared.trust.genesis().parameters;
        if transaction.transaction.ledger != self.shared.trust.ledger() {
            return Err(refused(id, ErrorCode::ForAnotherLedger, 0));
        }
        if !transaction.transaction.within_limits(parameters.max_transaction_bytes) {
            return Err(refused(id, ErrorCode::TooLarge, 0));
        }
        let number = {
            let transaction = &transaction.transaction;
            number_key(&transaction.sender, transaction.session, transaction.number)
        };
        let token = self.shared.waiters.register(to.clone());
        if self.verify.push(Unverified::Transaction { client, token, transaction }).is_err() {
            self.shared.waiters.forget(token);
            self.shared.metrics.refused("busy");
            return Err(refused(id, ErrorCode::Busy, 50));
        }
        Ok((Submitted { id, number }, token))
    }

    /// What a client is told. The core remembers outcomes of late; before it refuses what an older block decided, the store
    /// is asked.
    fn settle(&self, submitted: &Submitted, answer: &Answer) -> v1::Outcome {
        let id = submitted.id;
        let Answer::Refused(refusal) = answer else { return answered(id, answer) };
        if refusal.code == ErrorCode::Busy {
            return answered(id, answer);
        }
        match with(&self.shared.store, |store| store.number(&submitted.number)) {
            // The block may be one that this node has not any more, or never had.
            Ok(None) if refusal.code == ErrorCode::NumberUsed && self.is_pruned(Seq::new(1)) => {
                refused(id, ErrorCode::Pruned, 0)
            }
            Ok(None) => answered(id, answer),
            Ok(Some((height, index))) => match self.receipt_at(height, index) {
                Ok(Some(receipt)) => {
                    let of_this = transaction_id(&receipt.transaction.transaction) == id;
                    let receipt = receipt_to(&receipt);
                    let result = if of_this {
                        v1::outcome::Result::Receipt(receipt)
                    } else {
                        v1::outcome::Result::Superseded(receipt)
                    };
                    v1::Outcome { txid: id.0.to_vec(), result: Some(result) }
                }
                // Whoever does not take transactions tells nevertheless what became of those that it has.
                Ok(None) if refusal.code == ErrorCode::NotReady => answered(id, answer),
                Ok(None) if self.is_pruned(height) => refused(id, ErrorCode::Pruned, 0),
                // Decided, but not certified here yet.
                _ => refused(id, ErrorCode::Busy, 100),
            },
            Err(_) => refused(id, ErrorCode::NotReady, 100),
        }
    }

    fn forget(&self, token: u64) {
        self.shared.waiters.forget(token);
        post(&self.core, CoreInput::Event(Event::Forget { token }));
    }

    /// The outcome of a transaction whose block is stored and certified.
    fn stored_outcome(&self, id: &TransactionId) -> Result<Option<Receipt>, Status> {
        match with(&self.shared.store, |store| store.transaction(id))? {
            Some((height, index)) => self.receipt_at(height, index),
            None => Ok(None),
        }
    }

    /// Whether this block was removed here, or a fetched state stands in its place.
    fn is_pruned(&self, height: Seq) -> bool {
        with(&self.shared.blocks, |blocks| Ok::<_, std::io::Error>(blocks.first()))
            .is_ok_and(|first| height < first)
    }

    fn receipt_at(&self, height: Seq, index: u32) -> Result<Option<Receipt>, Status> {
        let most_links = self.shared.trust.genesis().parameters.most_links();
        let stored = with(&self.shared.blocks, |blocks| blocks.block(height))?;
        let proof = with(&self.shared.blocks, |blocks| blocks.proof(height, most_links))?;
        Ok(stored.zip(proof).and_then(|(stored, proof)| stored_receipt(&stored, index, proof)))
    }

    fn block(&self, height: Seq) -> Result<(Option<StoredBlock>, Option<BlockCertificate>), Status> {
        let stored = with(&self.shared.blocks, |blocks| blocks.block(height))?;
        Ok((stored, with(&self.shared.blocks, |blocks| blocks.certificate(height))?))
    }

    /// A block after the checkpoint may lack its certificate in the store for a moment: the waiter then gets it.
    async fn wait_for(&self, id: TransactionId, wait: Duration) -> v1::Outcome {
        let (sender, mut receiver) = mpsc::channel(1);
        let token = self.shared.waiters.register(sender);
        post(&self.core, CoreInput::Event(Event::Await { token, id }));
        match self.patiently(wait, receiver.recv()).await {
            Some(Some((_, answer))) => answered(id, &answer),
            _ => {
                self.forget(token);
                unknown(id, "no certified block has it yet")
            }
        }
    }

    /// Waits for so long, or until this run of the node is over.
    async fn patiently<T>(&self, wait: Duration, of: impl Future<Output = T>) -> Option<T> {
        let mut over = self.shared.over();
        tokio::select! {
            found = tokio::time::timeout(wait, of) => found.ok(),
            () = ended(&mut over) => None,
        }
    }

    fn status(&self, published: &Published) -> v1::Status {
        let shared = &self.shared;
        let members = shared.trust.members();
        let quorums = members.quorums();
        let status = &published.status;
        let peers = members
            .iter()
            .filter(|(member, _)| *member != shared.me)
            .map(|(member, named)| {
                let rtt = published.rtts.get(&member);
                v1::PeerStatus {
                    member: u32::from(member.get()),
                    name: named.name.clone(),
                    connected: rtt.is_some(),
                    rtt_us: rtt.map_or(0, |rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
                }
            })
            .collect();
        let (state, why) = describe(published, shared.may_vote);
        v1::Status {
            node: shared.member_name(shared.me).to_owned(),
            member: u32::from(shared.me.get()),
            ledger_id: shared.trust.ledger().0.to_vec(),
            ledger_name: shared.trust.genesis().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: status.epoch.get(),
            view: status.view.get(),
            active: status.active,
            primary: u32::from(status.primary.get()),
            members: u32::from(members.count()),
            faults: u32::from(quorums.faults()),
            quorum: u32::try_from(quorums.strong()).unwrap_or(u32::MAX),
            quorum_text: quorums.explain(),
            state: state.to_owned(),
            why,
            base: status.base.get(),
            stable: status.stable.get(),
            proposed: status.proposed.get(),
            committed: status.committed.get(),
            executed: status.executed.get(),
            certified: status.certified.get(),
            custody: status.custody as u64,
            peers,
            limits: Some(self.limits()),
            cpu_seconds: process_usage().0,
            wall_ms: wall_millis(),
            ledger_time_ms: self.shared.state.read().time().0,
            pid: u64::from(std::process::id()),
            crash_only: quorums.is_crash_only(),
            uptime_ms: u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            alarms: shared.alarm().into_iter().collect(),
        }
    }

    fn limits(&self) -> v1::Limits {
        let p = &self.shared.trust.genesis().parameters;
        v1::Limits {
            block_max_txs: p.block_max_transactions,
            block_max_bytes: p.block_max_bytes,
            max_tx_bytes: p.max_transaction_bytes,
            checkpoint_every: p.checkpoint_every,
            window: p.window,
            depth: p.depth,
            max_validity_ms: p.max_validity_ms,
            session_window: p.session_window,
            sessions_per_client: p.sessions_per_client,
            max_clock_skew_ms: p.max_clock_skew_ms,
        }
    }

    fn topic_entries(&self, read: &v1::read_local_request::TopicRead) -> Result<Vec<v1::TopicEntry>, Status> {
        let most = (read.limit as usize).min(limits::MAX_LIST_ENTRIES);
        let mut entries = Vec::new();
        for index in (read.from..).take(most) {
            let place = with(&self.shared.store, |store| store.topic_entry(&read.topic, index))?;
            let Some((height, at, operation)) = place else { break };
            let stored = with(&self.shared.blocks, |blocks| blocks.block(height))?;
            let transaction = stored
                .and_then(|stored| stored.block.batch)
                .and_then(|batch| batch.transactions.get(at as usize).cloned());
            let Some(transaction) = transaction else { break };
            let operations = Operations::from_payload(&transaction.transaction.payload).unwrap_or_default();
            let Some(Operation::Append { entry, .. }) = operations.0.get(operation as usize) else { break };
            entries.push(v1::TopicEntry {
                index,
                entry: entry.clone(),
                txid: transaction_id(&transaction.transaction).0.to_vec(),
                height: height.get(),
            });
        }
        Ok(entries)
    }
}

/// Resolves once this run of the node is over.
async fn ended(over: &mut watch::Receiver<bool>) {
    let _ = over.wait_for(|over| *over).await;
}

fn id_of(bytes: &[u8]) -> Result<TransactionId, Status> {
    let bytes = bytes.try_into().map_err(|_| Status::invalid_argument("txid must have 32 bytes"))?;
    Ok(TransactionId(bytes))
}

/// Resolves at this moment, or never.
async fn at(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[tonic::async_trait]
impl Ledger for Service {
    type SubmitStreamStream = OutcomeStream;

    async fn submit_stream(
        &self,
        request: Request<Streaming<v1::SubmitRequest>>,
    ) -> Result<Response<OutcomeStream>, Status> {
        let mut incoming = request.into_inner();
        let (answers, mut answered_tokens) = mpsc::channel(limits::SUBMITS_IN_FLIGHT * 2);
        let (outcomes, receiver) = mpsc::channel(limits::SUBMITS_IN_FLIGHT);
        let service = Self {
            shared: self.shared.clone(),
            verify: self.verify.clone(),
            core: self.core.clone(),
            supply: self.supply.clone(),
            readiness: self.readiness.clone(),
        };
        service.shared.metrics.stream_opened();
        let client = self.shared.next_client();
        let mut over = self.shared.over();
        tokio::spawn(async move {
            let mut in_flight = std::collections::BTreeMap::new();
            let mut open = true;
            let mut junk = 0;
            // Who is told that it is too fast, or sends junk, is not read for a while: its own flow control then holds it up.
            let mut resume: Option<tokio::time::Instant> = None;
            while open || !in_flight.is_empty() {
                tokio::select! {
                    () = at(resume), if resume.is_some() => resume = None,
                    next = incoming.next(), if open && resume.is_none() && in_flight.len() < limits::SUBMITS_IN_FLIGHT => match next {
                        Some(Ok(request)) => match service.submit(client, request.tx, &answers) {
                            Ok((submitted, token)) => {
                                in_flight.insert(token, submitted);
                            }
                            Err(outcome) => {
                                resume = Some(tokio::time::Instant::now() + PAUSE);
                                if outcomes.send(Ok(outcome)).await.is_err() {
                                    break;
                                }
                            }
                        },
                        _ => open = false,
                    },
                    Some((token, answer)) = answered_tokens.recv() => {
                        if let Answer::Refused(refusal) = &answer {
                            match refusal.code {
                                ErrorCode::Busy => resume = Some(tokio::time::Instant::now() + PAUSE),
                                ErrorCode::BadSignature => {
                                    junk += 1;
                                    resume = Some(tokio::time::Instant::now() + PAUSE);
                                }
                                _ => {}
                            }
                        }
                        if let Some(submitted) = in_flight.remove(&token)
                            && outcomes.send(Ok(service.settle(&submitted, &answer))).await.is_err()
                        {
                            break;
                        }
                    }
                    () = outcomes.closed() => break,
                    () = ended(&mut over) => break,
                }
                if junk >= MOST_JUNK {
                    let why = format!("{junk} transactions of this stream had signatures that do not verify");
                    let _ = outcomes.send(Err(Status::permission_denied(why))).await;
                    break;
                }
            }
            for token in in_flight.into_keys() {
                service.forget(token);
            }
            service.verify.forget(client);
            service.shared.metrics.stream_closed();
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn submit_and_wait(
        &self,
        request: Request<v1::SubmitAndWaitRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        let request = request.into_inner();
        let (sender, mut receiver) = mpsc::channel(1);
        let (submitted, token) = match self.submit(SINGLE_CALLS, request.tx, &sender) {
            Ok(accepted) => accepted,
            Err(outcome) => return Ok(Response::new(outcome)),
        };
        let wait = Duration::from_millis(u64::from(request.wait_ms)).min(LONGEST_WAIT);
        let outcome = match self.patiently(wait, receiver.recv()).await {
            Some(Some((_, answer))) => self.settle(&submitted, &answer),
            _ => {
                self.forget(token);
                unknown(submitted.id, "no certificate came in time")
            }
        };
        Ok(Response::new(outcome))
    }

    async fn get_outcome(
        &self,
        request: Request<v1::GetOutcomeRequest>,
    ) -> Result<Response<v1::Outcome>, Status> {
        let request = request.into_inner();
        let id = id_of(&request.txid)?;
        if let Some(receipt) = self.stored_outcome(&id)? {
            let result = Some(v1::outcome::Result::Receipt(receipt_to(&receipt)));
            return Ok(Response::new(v1::Outcome { txid: request.txid, result }));
        }
        if let Some((height, _)) = with(&self.shared.store, |store| store.transaction(&id))?
            && self.is_pruned(height)
        {
            return Ok(Response::new(refused(id, ErrorCode::Pruned, 0)));
        }
        let wait = Duration::from_millis(u64::from(request.wait_ms.max(50))).min(LONGEST_WAIT);
        Ok(Response::new(self.wait_for(id, wait).await))
    }

    async fn read_local(
        &self,
        request: Request<v1::ReadLocalRequest>,
    ) -> Result<Response<v1::ReadLocalResponse>, Status> {
        use v1::read_local_request::Query;
        if self.shared.status().phase == Phase::Halted {
            return Err(Status::failed_precondition(crate::explain::QUARANTINED));
        }
        let state = self.shared.state.read();
        let mut response = v1::ReadLocalResponse {
            height: state.height().get(),
            block_time_ms: state.time().0,
            ..v1::ReadLocalResponse::default()
        };
        let most = |limit: u32| (limit as usize).clamp(1, limits::MAX_LIST_ENTRIES);
        let entry = |key: Vec<u8>, stored: quorate_types::operation::StoredValue| v1::KvEntry {
            key,
            value: stored.value,
            height: stored.height,
            index: stored.index,
        };
        match request.into_inner().query {
            Some(Query::KvGet(key)) => {
                response.entries = state.kv_get(&key).map(|stored| entry(key, stored)).into_iter().collect();
            }
            Some(Query::KvList(list)) => {
                let after = Some(&list.after[..]).filter(|after| !after.is_empty());
                let found = state.kv_list(&list.prefix, after, most(list.limit));
                response.entries = found.into_iter().map(|(key, stored)| entry(key, stored)).collect();
            }
            Some(Query::Topic(topic)) => {
                let found = state.topic(&topic);
                response.topics = found.map(|leaf| topic_info(topic, leaf)).into_iter().collect();
            }
            Some(Query::TopicList(list)) => {
                let found = state.topics(&list.prefix, None, most(list.limit));
                response.topics = found.into_iter().map(|(topic, leaf)| topic_info(topic, leaf)).collect();
            }
            Some(Query::TopicRead(read)) => response.topic_entries = self.topic_entries(&read)?,
            Some(Query::Session(query)) => {
                let sender = query.sender[..].try_into().map(PublicKey);
                let sender = sender.map_err(|_| Status::invalid_argument("sender must have 32 bytes"))?;
                let held = state.session(sender, SessionId::new(query.session));
                response.session =
                    Some(v1::Session { exists: held.is_some(), low: held.map_or(0, |leaf| leaf.low.get()) });
            }
            None => return Err(Status::invalid_argument("no query")),
        }
        Ok(Response::new(response))
    }

    async fn get_block(&self, request: Request<v1::GetBlockRequest>) -> Result<Response<v1::Block>, Status> {
        let height = match request.into_inner().height {
            0 => with(&self.shared.blocks, |blocks| Ok::<_, std::io::Error>(blocks.tip()))?,
            height => Seq::new(height),
        };
        let (stored, certificate) = self.block(height)?;
        let stored = stored.ok_or_else(|| Status::not_found(format!("no block {height} here")))?;
        let header = &stored.block.header;
        let transactions = stored.block.batch.iter().flat_map(|batch| &batch.transactions);
        let txs = transactions
            .zip(&stored.results)
            .map(|(signed, result)| v1::BlockTransaction {
                tx: Some(transaction_to(signed)),
                result: result.leaf_bytes(&transaction_id(&signed.transaction)),
            })
            .collect();
        Ok(Response::new(v1::Block {
            header_hash: quorate_crypto::header_hash(header).0.to_vec(),
            header: Some(header_to(header)),
            certificate: certificate.as_ref().map(certificate_to),
            txs,
        }))
    }

    async fn get_status(
        &self,
        _request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::Status>, Status> {
        Ok(Response::new(self.status(&self.shared.published())))
    }

    async fn get_waits(&self, _request: Request<v1::GetWaitsRequest>) -> Result<Response<v1::Waits>, Status> {
        let (asked, answer) = oneshot::channel();
        post(&self.core, CoreInput::Explain(asked));
        let explanation = answer.await.map_err(|_| Status::unavailable("this node stops"))?;
        let status = self.status(&self.shared.published());
        Ok(Response::new(crate::explain::answer(status, explanation)))
    }

    async fn get_handovers(
        &self,
        request: Request<v1::GetHandoversRequest>,
    ) -> Result<Response<v1::Handovers>, Status> {
        self.handovers(request.into_inner().from_epoch).map(Response::new)
    }

    async fn get_members(
        &self,
        _request: Request<v1::GetMembersRequest>,
    ) -> Result<Response<v1::Members>, Status> {
        Ok(Response::new(self.members()))
    }

    async fn get_ready(&self, _request: Request<v1::GetReadyRequest>) -> Result<Response<v1::Ready>, Status> {
        Ok(Response::new(self.ready()))
    }

    async fn get_state(
        &self,
        request: Request<v1::GetStateRequest>,
    ) -> Result<Response<v1::StateMessage>, Status> {
        self.state_message(request.into_inner()).await.map(Response::new)
    }

    async fn get_genesis(
        &self,
        _request: Request<v1::GetGenesisRequest>,
    ) -> Result<Response<v1::Genesis>, Status> {
        Ok(Response::new(v1::Genesis { text: self.shared.genesis_text.clone() }))
    }
}

fn topic_info(topic: Vec<u8>, leaf: quorate_types::TopicLeaf) -> v1::TopicInfo {
    v1::TopicInfo { topic, length: leaf.length, hash: leaf.running_hash.0.to_vec() }
}
