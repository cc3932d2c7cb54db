//! The client: signs, submits, waits.

use crate::builder::Builder;
use crate::certificates::{Certificates, epoch_of};
use crate::error::ClientError;
use crate::gateway::Gateway;
use crate::kv::{Kv, Topic};
use crate::outcome::Outcome;
use crate::session::Session;
use crate::submitter::{Command, Submitter, judge, recomputed, split_signature};
use quorate_api::v1;
use quorate_crypto::{Ed25519Signer, Signer, transaction_id};
use quorate_proof::TrustRoot;
use quorate_types::{
    LedgerTime, Number, Operations, SessionId, SignedTransaction, Transaction, TransactionId, limits,
    operation,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Times that a client goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) timeout: Duration,
    pub(crate) valid_for: Duration,
    /// Added to the own clock when it is off (0 if it is within a minute of the gateways' median).
    pub(crate) clock_ahead_ms: i64,
}

/// A connection to one ledger through several gateways. Cheap to share: put it in an `Arc`, or clone it.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) gateways: Arc<Vec<Gateway>>,
    pub(crate) certificates: Arc<Certificates>,
    key: Option<Ed25519Signer>,
    session: Arc<Session>,
    pub(crate) times: Times,
    submitter: mpsc::Sender<Command>,
    in_flight: Arc<Semaphore>,
    pub(crate) preferred: usize,
}

pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads `hex(signed bytes ‖ signature)`.
pub(crate) fn transaction_from_hex(text: &str) -> Option<SignedTransaction> {
    let bytes = hex::decode(text).ok()?;
    let (signed, signature) = split_signature(&bytes)?;
    Some(SignedTransaction { transaction: Transaction::from_signed_bytes(signed).ok()?, signature })
}

impl Client {
    /// Starts putting a client together.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        gateways: Vec<Gateway>,
        preferred: usize,
        certificates: Arc<Certificates>,
        (key, session): (Option<Ed25519Signer>, Session),
        times: Times,
    ) -> Self {
        let submitter = Submitter::start(&gateways, preferred, certificates.clone());
        Self {
            gateways: Arc::new(gateways),
            certificates,
            key,
            session: Arc::new(session),
            times,
            submitter,
            in_flight: Arc::new(Semaphore::new(limits::SUBMITS_IN_FLIGHT)),
            preferred,
        }
    }

    /// A client over the same connections that signs with another key, under another session.
    #[must_use]
    pub fn signing_as(&self, key: Ed25519Signer, session: Session) -> Self {
        Self { key: Some(key), session: Arc::new(session), ..self.clone() }
    }

    /// What answers are checked against: the genesis, and the members of later epochs as far as they were needed yet.
    pub fn trust(&self) -> Arc<TrustRoot> {
        self.certificates.trust()
    }

    /// Where this client takes its numbers from.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The gateways, in the order in which they were given.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.gateways.iter().map(|gateway| gateway.url.as_str())
    }

    /// Milliseconds by which the gateways' clocks are ahead of this machine's, if by more than a minute; else 0.
    pub fn clock_ahead_ms(&self) -> i64 {
        self.times.clock_ahead_ms
    }

    /// Builds and signs a transaction of the application `kv` under the next number. If the session is kept in a file, the
    /// transaction is kept beside it before this returns.
    ///
    /// # Errors
    /// If there is no key, the session file cannot be written, or the transaction is too large.
    pub fn sign(&self, operations: &Operations) -> Result<SignedTransaction, ClientError> {
        self.sign_payload(operation::APP, operations.to_payload())
    }

    /// As [`Client::sign`], for any application.
    ///
    /// # Errors
    /// As [`Client::sign`].
    pub fn sign_payload(&self, app: &str, payload: Vec<u8>) -> Result<SignedTransaction, ClientError> {
        let key = self.key.as_ref().ok_or(ClientError::NoKey)?;
        // The size is checked before a number is taken: a number that is never used holds up its session's window.
        let most = self.trust().genesis().parameters.max_transaction_bytes;
        let probe = self.transaction(app, payload, (SessionId::ZERO, Number::ZERO), key);
        if !probe.within_limits(most) {
            let size = probe.signed_len() + 64;
            return Err(ClientError::TooLarge { what: "the transaction", size, most: most as usize });
        }
        let (session, number) = self.session.take()?;
        let signed = sign(Transaction { session, number, ..probe }, key);
        self.session.keep(transaction_id(&signed.transaction), &signed)?;
        Ok(signed)
    }

    fn transaction(
        &self,
        app: &str,
        payload: Vec<u8>,
        (session, number): (SessionId, Number),
        key: &Ed25519Signer,
    ) -> Transaction {
        let now = wall_ms().saturating_add_signed(self.times.clock_ahead_ms);
        let valid_for = u64::try_from(self.times.valid_for.as_millis()).unwrap_or(u64::MAX);
        Transaction {
            ledger: self.trust().ledger(),
            sender: key.public_key(),
            session,
            number,
            valid_until: LedgerTime(now.saturating_add(valid_for)),
            app: app.to_owned(),
            payload,
        }
    }

    /// Submits signed bytes and waits for their outcome, up to the client's timeout.
    ///
    /// # Errors
    /// Only if the client's task has ended.
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<Outcome, ClientError> {
        self.submit_within(transaction, self.times.timeout).await
    }

    /// As [`Client::submit`], with a timeout of its own.
    ///
    /// # Errors
    /// Only if the client's task has ended.
    pub async fn submit_within(
        &self,
        transaction: SignedTransaction,
        timeout: Duration,
    ) -> Result<Outcome, ClientError> {
        let id = transaction_id(&transaction.transaction);
        let outcome = self.carry(id, transaction, timeout).await?;
        if outcome.is_final()
            && let Some(pending) = self.session.pending()
        {
            pending.forget(&id);
        }
        if outcome.code() == Some(quorate_types::ErrorCode::NumberOutsideWindow) {
            // The window is held up by a number that was taken and never used.
            self.session.renew()?;
        }
        Ok(outcome)
    }

    async fn carry(
        &self,
        id: TransactionId,
        transaction: SignedTransaction,
        timeout: Duration,
    ) -> Result<Outcome, ClientError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let waited = async {
            let _permit = self.in_flight.acquire().await.map_err(|_| ClientError::Closed)?;
            let (reply, outcome) = oneshot::channel();
            let command = Command::Submit { id, transaction: Arc::new(transaction), reply };
            self.submitter.send(command).await.map_err(|_| ClientError::Closed)?;
            outcome.await.map_err(|_| ClientError::Closed)
        };
        match tokio::time::timeout_at(deadline, waited).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let (reply, why) = oneshot::channel();
                self.submitter.send(Command::GiveUp { id, reply }).await.map_err(|_| ClientError::Closed)?;
                let why = why.await.map_err(|_| ClientError::Closed)?;
                Ok(Outcome::Unknown { id, why })
            }
        }
    }

    /// Signs operations and submits them.
    ///
    /// # Errors
    /// As [`Client::sign`] and [`Client::submit`].
    pub async fn execute(&self, operations: &Operations) -> Result<Outcome, ClientError> {
        self.submit(self.sign(operations)?).await
    }

    /// Takes the number of a transaction with one that does nothing (C3): afterwards the other can never be executed, or
    /// its receipt comes back as superseding this one.
    ///
    /// # Errors
    /// If there is no key, or the client's task has ended.
    pub async fn cancel(&self, session: SessionId, number: Number) -> Result<Outcome, ClientError> {
        let key = self.key.as_ref().ok_or(ClientError::NoKey)?;
        let payload = Operations::default().to_payload();
        let transaction = self.transaction(operation::APP, payload, (session, number), key);
        self.submit(sign(transaction, key)).await
    }

    /// The outcome of a transaction that was submitted earlier, here or elsewhere; waits for it up to `wait`.
    ///
    /// # Errors
    /// If no gateway answers, or those that do send what does not verify.
    pub async fn outcome(&self, id: TransactionId, wait: Duration) -> Result<Outcome, ClientError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let mut last = ClientError::Unreachable("no gateway".to_owned());
        let mut unknown = None;
        for gateway in self.in_order() {
            let request = v1::GetOutcomeRequest { txid: id.0.to_vec(), wait_ms };
            let patience = wait + Duration::from_secs(2);
            let answer = tokio::time::timeout(patience, gateway.api().get_outcome(request)).await;
            let (endpoint, bad) = (gateway.url.clone(), |why: String| ClientError::Unreachable(why));
            match answer {
                Ok(Ok(answer)) => {
                    let answer = answer.into_inner();
                    self.certificates.learn(&mut gateway.api(), epoch_of(&answer)).await;
                    match answer.result {
                        Some(v1::outcome::Result::Receipt(receipt)) => match self.judge_alone(id, receipt) {
                            Ok(outcome) => {
                                if let Some(pending) = self.session.pending() {
                                    pending.forget(&id);
                                }
                                return Ok(outcome);
                            }
                            Err(why) => last = ClientError::BadAnswer { endpoint, why },
                        },
                        Some(v1::outcome::Result::Unknown(found)) => {
                            unknown = Some(Outcome::Unknown { id, why: found.why });
                            // The wait was for all gateways together.
                            break;
                        }
                        _ => last = ClientError::BadAnswer { endpoint, why: "no outcome in it".to_owned() },
                    }
                }
                Ok(Err(status)) => last = bad(format!("{endpoint}: {}", status.message())),
                Err(_) => last = bad(format!("{endpoint}: no answer")),
            }
        }
        unknown.ok_or(last)
    }

    fn judge_alone(&self, id: TransactionId, receipt: v1::Receipt) -> Result<Outcome, String> {
        let parsed = quorate_api::receipt_from(receipt.clone()).map_err(|error| error.to_string())?;
        judge(&self.certificates, &parsed.transaction, id, receipt, false)
    }

    /// The reason for which these bytes can never be executed on this ledger, whatever a node says; `None` if there is none.
    pub fn static_fault(&self, transaction: &SignedTransaction) -> Option<quorate_types::ErrorCode> {
        recomputed(&self.trust(), transaction)
    }

    /// Gateways, the one that connected best first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Gateway> {
        let count = self.gateways.len();
        (0..count).map(move |step| &self.gateways[(self.preferred + step) % count])
    }

    /// Keys and values.
    pub fn kv(&self) -> Kv<'_> {
        Kv::new(self)
    }

    /// A log topic.
    pub fn topic(&self, name: impl Into<Vec<u8>>) -> Topic<'_> {
        Topic::new(self, name.into())
    }
}

fn sign(transaction: Transaction, key: &Ed25519Signer) -> SignedTransaction {
    let signature = key.sign(&transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}
