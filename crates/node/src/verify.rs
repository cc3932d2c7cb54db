//! The verify pool: workers drain their queue into one batch call, so batches are of one when idle and large when busy,
//! without a knob. Nothing reaches the core thread that has not passed here.

use crate::metrics::Metrics;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use quorate_crypto::{
    Attested, Cache, CheckedMessage, Claim, Ed25519Verifier, HashedTransaction, Malformed, Verified,
    Verifier, verify_all,
};
use quorate_types::{Members, Message, ReplicaId, SignedTransaction};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Items of one batch at most: bounds how long the first one waits for the last.
const MOST_PER_BATCH: usize = 256;
/// So many items left waiting make a second worker take some while the first verifies.
const WORTH_A_WORKER: usize = 64;
/// Items that may wait for verification before senders are told to wait.
const QUEUE: usize = 4_096;
/// Signatures remembered in each generation of the cache: several windows' worth.
const CACHE: usize = 65_536;

/// Something to verify.
#[derive(Debug)]
pub(crate) enum Unverified {
    Message {
        from: ReplicaId,
        message: Message,
    },
    /// A client's transaction, with the token under which its outcome is answered.
    Transaction {
        token: u64,
        transaction: SignedTransaction,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Checked {
    Message {
        from: ReplicaId,
        message: Verified<CheckedMessage>,
    },
    Transaction {
        token: u64,
        transaction: Verified<HashedTransaction>,
    },
    /// A peer's message that does not verify: its sender is at fault.
    BadMessage {
        from: ReplicaId,
        why: Malformed,
    },
    BadTransaction {
        token: u64,
        why: Malformed,
    },
}

enum Item {
    Message(Message),
    Transaction(SignedTransaction),
}

enum CheckedItem {
    Message(CheckedMessage),
    Transaction(HashedTransaction),
}

impl Attested for Item {
    type Checked = CheckedItem;

    fn check(self, members: &Members, claims: &mut Vec<Claim>) -> Result<CheckedItem, Malformed> {
        match self {
            Self::Message(message) => message.check(members, claims).map(CheckedItem::Message),
            Self::Transaction(transaction) => {
                transaction.check(members, claims).map(CheckedItem::Transaction)
            }
        }
    }
}

/// Where to put what must be verified.
#[derive(Clone, Debug)]
pub(crate) struct VerifyQueue {
    sender: Sender<Unverified>,
}

impl VerifyQueue {
    /// Waits for room: back-pressure on the connection that the item came from.
    pub(crate) fn push(&self, item: Unverified) {
        // An error means that the pool has ended, which happens only at a stop.
        let _ = self.sender.send(item);
    }

    /// Gives the item back if there is no room now.
    ///
    /// # Errors
    /// If the queue is full or the pool has ended.
    pub(crate) fn try_push(&self, item: Unverified) -> Result<(), Unverified> {
        self.sender.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) | TrySendError::Disconnected(item) => item,
        })
    }
}

/// Starts `threads` workers; they end when every queue handle is dropped.
///
/// # Panics
/// If the system refuses a thread.
pub(crate) fn start(
    threads: usize,
    members: Arc<Members>,
    metrics: Arc<Metrics>,
    output: impl Fn(Vec<Checked>) + Clone + Send + 'static,
) -> (VerifyQueue, Vec<JoinHandle<()>>) {
    let (sender, receiver) = bounded(QUEUE);
    let cache = Arc::new(Cache::new(CACHE));
    let turn = Arc::new(Mutex::new(()));
    let workers = (0..threads.max(1))
        .map(|number| {
            let (receiver, members, cache) = (receiver.clone(), members.clone(), cache.clone());
            let (metrics, output, turn) = (metrics.clone(), output.clone(), turn.clone());
            std::thread::Builder::new()
                .name(format!("verify-{number}"))
                .spawn(move || work(&receiver, &turn, &members, &cache, &metrics, output))
                .expect("the system gives a thread")
        })
        .collect();
    (VerifyQueue { sender }, workers)
}

fn work(
    receiver: &Receiver<Unverified>,
    turn: &Mutex<()>,
    members: &Members,
    cache: &Cache,
    metrics: &Metrics,
    output: impl Fn(Vec<Checked>),
) {
    let verifier = MeasuredVerifier { metrics };
    loop {
        let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(first) = receiver.recv() else { return };
        gather(receiver);
        let mut batch = vec![first];
        batch.extend(receiver.try_iter().take(MOST_PER_BATCH - 1));
        // While few wait, the others let them gather: one large batch costs half of what many small ones do.
        let turn = Some(turn).filter(|_| receiver.len() < WORTH_A_WORKER);
        let (sources, items): (Vec<Source>, Vec<Item>) = batch.into_iter().map(split).unzip();
        let results = verify_all(members, &verifier, cache, items);
        drop(turn);
        output(sources.into_iter().zip(results).map(join).collect());
    }
}

/// Lets threads that are ready to add something do so, as long as they do. Idle, it costs a system call.
fn gather(receiver: &Receiver<Unverified>) {
    const ROUNDS: usize = 16;
    let mut waiting = receiver.len();
    for _ in 0..ROUNDS {
        std::thread::yield_now();
        let now = receiver.len();
        if now == waiting || now >= MOST_PER_BATCH {
            return;
        }
        waiting = now;
    }
}

enum Source {
    Peer(ReplicaId),
    Client(u64),
}

fn split(item: Unverified) -> (Source, Item) {
    match item {
        Unverified::Message { from, message } => (Source::Peer(from), Item::Message(message)),
        Unverified::Transaction { token, transaction } => {
            (Source::Client(token), Item::Transaction(transaction))
        }
    }
}

fn join((source, result): (Source, Result<Verified<CheckedItem>, Malformed>)) -> Checked {
    match (source, result) {
        (Source::Peer(from), Err(why)) => Checked::BadMessage { from, why },
        (Source::Client(token), Err(why)) => Checked::BadTransaction { token, why },
        (Source::Peer(from), Ok(item)) => Checked::Message { from, message: item.map(message_of) },
        (Source::Client(token), Ok(item)) => {
            Checked::Transaction { token, transaction: item.map(transaction_of) }
        }
    }
}

fn message_of(item: CheckedItem) -> CheckedMessage {
    match item {
        CheckedItem::Message(message) => message,
        CheckedItem::Transaction(_) => unreachable!("a peer's item is a message"),
    }
}

fn transaction_of(item: CheckedItem) -> HashedTransaction {
    match item {
        CheckedItem::Transaction(transaction) => transaction,
        CheckedItem::Message(_) => unreachable!("a client's item is a transaction"),
    }
}

/// Ed25519, with the size and duration of each call measured.
struct MeasuredVerifier<'a> {
    metrics: &'a Metrics,
}

impl Verifier for MeasuredVerifier<'_> {
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let start = Instant::now();
        let verdicts = Ed25519Verifier.verify(claims);
        self.metrics.verified(claims.len(), start.elapsed());
        verdicts
    }
}
