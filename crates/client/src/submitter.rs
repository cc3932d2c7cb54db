//! Carries transactions to an outcome: one gateway at first, others while none comes (C2), the same bytes each time.

use crate::certificates::Certificates;
use crate::gateway::{Gateway, QUEUE, Said};
use crate::outcome::{Done, Outcome};
use quorate_api::{receipt_from, transaction_to, v1};
use quorate_crypto::{Claim, Ed25519Verifier, Rule, Verifier};
use quorate_proof::{Receipt, TrustRoot};
use quorate_types::{ErrorCode, Signature, SignedTransaction, TransactionId, TransactionResult, limits};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Without an outcome for so long, another gateway is asked too; doubled each time, up to the longest.
const PATIENCE: Duration = Duration::from_millis(1_000);
const LONGEST_PATIENCE: Duration = Duration::from_secs(8);
/// Of so many transactions one goes to another gateway than the preferred one, to see how fast that is: a gateway that delays
/// is not noticed by who asks no other, and whoever else holds a request times the primary (V12).
const SAMPLED: u64 = 16;
/// How often what waits is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// A gateway that went down is avoided for so long; doubled each time, up to the longest.
const FIRST_AVOID: Duration = Duration::from_millis(25);
const LONGEST_AVOID: Duration = Duration::from_secs(1);

pub(crate) enum Command {
    Submit {
        id: TransactionId,
        transaction: Arc<SignedTransaction>,
        reply: oneshot::Sender<Outcome>,
    },
    /// The caller's deadline passed: tell why, and stop.
    GiveUp {
        id: TransactionId,
        reply: oneshot::Sender<String>,
    },
}

struct Pending {
    transaction: Arc<SignedTransaction>,
    reply: oneshot::Sender<Outcome>,
    /// Gateways it is with, by when they were asked.
    with: BTreeMap<usize, Instant>,
    refused: BTreeMap<usize, ErrorCode>,
    /// When the next gateway is asked.
    again: Instant,
    patience: Duration,
    last: String,
}

struct Place {
    gateway: Gateway,
    requests: mpsc::Sender<v1::Transaction>,
    avoid_until: Instant,
    avoid: Duration,
    /// Answers of it that did not verify: it is asked last from then on.
    lies: u32,
    /// How long it took to a proven outcome, smoothed.
    latency: Option<Duration>,
}

impl Place {
    fn took(&mut self, sample: Duration) {
        self.latency = Some(self.latency.map_or(sample, |smoothed| (smoothed * 3 + sample) / 4));
    }
}

/// The task that owns what is under way.
pub(crate) struct Submitter {
    certificates: Arc<Certificates>,
    places: Vec<Place>,
    pending: HashMap<TransactionId, Vec<Pending>>,
    preferred: usize,
    /// Transactions so far.
    submitted: u64,
}

impl Submitter {
    /// Starts the task; it ends when the sender of commands is dropped.
    pub(crate) fn start(
        gateways: &[Gateway],
        preferred: usize,
        certificates: Arc<Certificates>,
    ) -> mpsc::Sender<Command> {
        let (commands, receiver) = mpsc::channel(limits::SUBMITS_IN_FLIGHT);
        let (said, sayings) = mpsc::channel(limits::SUBMITS_IN_FLIGHT);
        let places = gateways
            .iter()
            .enumerate()
            .map(|(index, gateway)| {
                let (requests, waiting) = mpsc::channel(QUEUE);
                tokio::spawn(gateway.clone().carry(index, waiting, said.clone(), certificates.clone()));
                let now = Instant::now();
                Place {
                    gateway: gateway.clone(),
                    requests,
                    avoid_until: now,
                    avoid: FIRST_AVOID,
                    lies: 0,
                    latency: None,
                }
            })
            .collect();
        let submitter = Self { certificates, places, pending: HashMap::new(), preferred, submitted: 0 };
        tokio::spawn(submitter.run(receiver, sayings));
        commands
    }

    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut sayings: mpsc::Receiver<(usize, Said)>,
    ) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some((index, said)) = sayings.recv() => match said {
                    Said::Outcome(outcome) => self.heard(index, *outcome),
                    Said::Down(why) => self.down(index, &why),
                },
                _ = look.tick() => self.look(),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Submit { id, transaction, reply } => {
                let mut pending = Pending {
                    transaction,
                    reply,
                    with: BTreeMap::new(),
                    refused: BTreeMap::new(),
                    again: Instant::now(),
                    patience: PATIENCE,
                    last: "no gateway has answered".to_owned(),
                };
                let first = self.first_asked();
                ask_another(&mut self.places, first, &mut pending);
                self.pending.entry(id).or_default().push(pending);
            }
            Command::GiveUp { id, reply } => {
                let mut why = String::new();
                if let Some(list) = self.pending.get_mut(&id) {
                    why = list.iter().map(|pending| pending.last.clone()).next_back().unwrap_or_default();
                    list.retain(|pending| !pending.reply.is_closed());
                    if list.is_empty() {
                        self.pending.remove(&id);
                    }
                }
                let _ = reply.send(why);
            }
        }
    }

    /// A gateway's stream ended: what was with it alone is sent elsewhere at once.
    fn down(&mut self, index: usize, why: &str) {
        let place = &mut self.places[index];
        place.avoid_until = Instant::now() + place.avoid;
        place.avoid = (place.avoid * 2).min(LONGEST_AVOID);
        let why = format!("{}: {why}", place.gateway.url);
        if self.preferred == index {
            self.preferred = best(&self.places, index, |_| true).unwrap_or(index);
        }
        for pending in self.pending.values_mut().flatten() {
            if pending.with.remove(&index).is_some() {
                pending.last.clone_from(&why);
                if pending.with.is_empty() {
                    ask_another(&mut self.places, self.preferred, pending);
                }
            }
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        for pending in self.pending.values_mut().flatten() {
            if now >= pending.again {
                if !pending.with.is_empty() {
                    pending.last = "the gateways asked so far have no certificate yet".to_owned();
                }
                ask_another(&mut self.places, self.preferred, pending);
            }
        }
    }

    fn heard(&mut self, index: usize, outcome: v1::Outcome) {
        let Ok(id) = outcome.txid[..].try_into().map(TransactionId) else { return self.lied(index) };
        let Some(list) = self.pending.get_mut(&id) else { return };
        self.places[index].avoid = FIRST_AVOID;
        match outcome.result {
            Some(v1::outcome::Result::Refused(refused)) => self.refused(index, id, &refused),
            Some(v1::outcome::Result::Unknown(unknown)) => {
                for pending in list {
                    pending.with.remove(&index);
                    pending.last.clone_from(&unknown.why);
                }
            }
            Some(v1::outcome::Result::Receipt(receipt)) => self.proven(index, id, receipt, false),
            Some(v1::outcome::Result::Superseded(receipt)) => self.proven(index, id, receipt, true),
            None => self.lied(index),
        }
    }

    fn proven(&mut self, index: usize, id: TransactionId, receipt: v1::Receipt, of_another: bool) {
        let Some(pending) = self.pending.get(&id).and_then(|list| list.first()) else { return };
        match judge(&self.certificates, &pending.transaction, id, receipt, of_another) {
            Ok(outcome) => {
                let now = Instant::now();
                // Who was asked too and has not answered takes at least as long.
                for (asked, since) in pending.with.clone() {
                    let place = &mut self.places[asked];
                    let sample = now - since;
                    if asked == index || place.latency.is_none_or(|known| known < sample) {
                        place.took(sample);
                    }
                }
                self.prefer_the_fastest();
                self.finish(id, &outcome);
            }
            Err(why) => {
                let why =
                    format!("{} sent a receipt that does not verify: {why}", self.places[index].gateway.url);
                self.lied(index);
                for pending in self.pending.get_mut(&id).into_iter().flatten() {
                    pending.with.remove(&index);
                    pending.last.clone_from(&why);
                    ask_another(&mut self.places, self.preferred, pending);
                }
            }
        }
    }

    /// Advice: weighed by how many gateways give it, unless it can be recomputed.
    fn refused(&mut self, index: usize, id: TransactionId, refused: &v1::Refused) {
        let Ok(code) = refused.code.parse::<ErrorCode>() else { return self.lied(index) };
        let Some(list) = self.pending.get_mut(&id) else { return };
        let Some(first) = list.first() else { return };
        if recomputed(&self.certificates.trust(), &first.transaction) == Some(code) {
            return self.finish(id, &Outcome::Rejected { id, code });
        }
        let pause = Duration::from_millis(u64::from(refused.retry_after_ms.max(20)));
        let passing = matches!(code, ErrorCode::Busy | ErrorCode::NotReady);
        let url = self.places[index].gateway.url.clone();
        for pending in &mut *list {
            pending.with.remove(&index);
            pending.last = format!("{url} refuses it: {} ({})", code.text().what, code.code());
            if !passing {
                pending.refused.insert(index, code);
            }
            pending.again = Instant::now() + pause;
        }
        if code == ErrorCode::NotReady {
            self.places[index].avoid_until = Instant::now() + Duration::from_millis(500);
            if self.preferred == index {
                self.preferred = best(&self.places, index, |_| true).unwrap_or(index);
            }
        }
        if passing {
            return;
        }
        let enough = match code {
            // One that keeps more blocks can answer.
            ErrorCode::Pruned => self.places.len(),
            _ => self.certificates.trust().members().quorums().weak().min(self.places.len()),
        };
        let Some(first) = self.pending.get(&id).and_then(|list| list.first()) else { return };
        let agreeing = first.refused.iter().filter(|(_, other)| **other == code);
        let gateways: Vec<String> =
            agreeing.map(|(other, _)| self.places[*other].gateway.url.clone()).collect();
        if gateways.len() >= enough || first.refused.len() == self.places.len() {
            self.finish(id, &Outcome::Refused { id, code, gateways });
        } else {
            for pending in self.pending.get_mut(&id).into_iter().flatten() {
                ask_another(&mut self.places, self.preferred, pending);
            }
        }
    }

    /// Normally the preferred gateway; now and then another one.
    fn first_asked(&mut self) -> usize {
        self.submitted += 1;
        let others = self.places.len() as u64 - 1;
        if others == 0 || !self.submitted.is_multiple_of(SAMPLED) {
            return self.preferred;
        }
        let step = 1 + self.submitted / SAMPLED % others;
        (self.preferred + usize::try_from(step).unwrap_or(0)) % self.places.len()
    }

    /// Another gateway is preferred if it takes less than half as long.
    fn prefer_the_fastest(&mut self) {
        let latency = |place: &Place| place.latency.unwrap_or(Duration::MAX);
        let honest = self.places.iter().enumerate().filter(|(_, place)| place.lies == 0);
        if let Some((fastest, place)) = honest.min_by_key(|(_, place)| latency(place))
            && latency(place).saturating_mul(2) < latency(&self.places[self.preferred])
        {
            self.preferred = fastest;
        }
    }

    fn finish(&mut self, id: TransactionId, outcome: &Outcome) {
        for pending in self.pending.remove(&id).into_iter().flatten() {
            // A caller that went away has no use for it.
            let _ = pending.reply.send(outcome.clone());
        }
    }

    fn lied(&mut self, index: usize) {
        self.places[index].lies += 1;
        if self.preferred == index {
            self.preferred = best(&self.places, index, |_| true).unwrap_or(index);
        }
    }
}

/// The gateway to ask: the preferred one, else the first after it that is not avoided, liars last.
fn best(places: &[Place], preferred: usize, may: impl Fn(usize) -> bool) -> Option<usize> {
    let now = Instant::now();
    let order = (0..places.len()).map(|step| (preferred + step) % places.len());
    order.filter(|index| may(*index)).min_by_key(|index| {
        let place = &places[*index];
        (
            place.lies,
            place.avoid_until > now,
            *index != preferred,
            (*index + places.len() - preferred) % places.len(),
        )
    })
}

/// Sends the same bytes to one more gateway; when all have it, to the first one again.
fn ask_another(places: &mut [Place], preferred: usize, pending: &mut Pending) {
    let fresh = best(places, preferred, |index| {
        !pending.with.contains_key(&index) && !pending.refused.contains_key(&index)
    });
    let index =
        fresh.or_else(|| pending.with.iter().min_by_key(|(_, asked)| **asked).map(|(index, _)| *index));
    let now = Instant::now();
    pending.again = now + pending.patience;
    pending.patience = (pending.patience * 2).min(LONGEST_PATIENCE);
    let Some(index) = index else { return };
    if places[index].avoid_until > now {
        // Every gateway left is resting: look again soon.
        pending.again = places[index].avoid_until;
    }
    match places[index].requests.try_send(transaction_to(&pending.transaction)) {
        Ok(()) => {
            pending.with.insert(index, now);
        }
        Err(_) => pending.again = now + LOOK,
    }
}

/// The reason for which these bytes can never be executed, if there is one (C3: signature, ledger, size).
pub(crate) fn recomputed(trust: &TrustRoot, signed: &SignedTransaction) -> Option<ErrorCode> {
    let transaction = &signed.transaction;
    if transaction.ledger != trust.ledger() {
        return Some(ErrorCode::ForAnotherLedger);
    }
    if !transaction.within_limits(trust.genesis().parameters.max_transaction_bytes) {
        return Some(ErrorCode::TooLarge);
    }
    (!signature_holds(signed)).then_some(ErrorCode::BadSignature)
}

fn signature_holds(signed: &SignedTransaction) -> bool {
    let transaction = &signed.transaction;
    let message = transaction.signed_bytes();
    let claim = Claim { key: transaction.sender, message, signature: signed.signature, rule: Rule::Zip215 };
    Ed25519Verifier.verify(&[claim]) == [true]
}

/// What a receipt proves about a transaction.
pub(crate) fn judge(
    certificates: &Certificates,
    sent: &SignedTransaction,
    id: TransactionId,
    receipt: v1::Receipt,
    of_another: bool,
) -> Result<Outcome, String> {
    let mut receipt: Receipt = receipt_from(receipt).map_err(|error| error.to_string())?;
    let verified = certificates.verify(&mut receipt).map_err(|error| error.to_string())?;
    let of_this = verified.id == id;
    if of_another {
        let (ours, theirs) = (&sent.transaction, &receipt.transaction.transaction);
        let same = (ours.sender, ours.session, ours.number) == (theirs.sender, theirs.session, theirs.number);
        if of_this || !same {
            return Err("it is not of another transaction with the same number".to_owned());
        }
        return Ok(Outcome::Superseded(Box::new(Done { receipt, verified })));
    }
    if !of_this {
        return Err("it is of another transaction".to_owned());
    }
    let committed = matches!(verified.result, TransactionResult::Committed { .. });
    let done = Box::new(Done { receipt, verified });
    Ok(if committed { Outcome::Committed(done) } else { Outcome::Failed(done) })
}

/// The bytes of a transaction file: the signed bytes, then the signature.
pub(crate) fn split_signature(bytes: &[u8]) -> Option<(&[u8], Signature)> {
    let (signed, signature) = bytes.split_at_checked(bytes.len().checked_sub(Signature::LEN)?)?;
    Some((signed, Signature(signature.try_into().ok()?)))
}
