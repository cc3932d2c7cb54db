//! The verify pool: workers drain their queue into one batch call, so batches are of one when idle and large when busy,
//! without a knob. Nothing reaches the core thread that has not passed here. Each source has its share (C5).

use crate::fair_queue::{FairQueue, Source, Weight};
use crate::metrics::Metrics;
use quorate_crypto::{
    Attested, Cache, CheckedMessage, Claim, Ed25519Verifier, HashedTransaction, Malformed, Verified,
    Verifier, verify_all,
};
use quorate_types::{Members, Message, ReplicaId, SignedTransaction};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Signatures of one batch, about: bounds how long the first one waits for the last.
const MOST_PER_BATCH: usize = 256;
/// So many items left waiting make a second worker take some while the first verifies.
const WORTH_A_WORKER: usize = 64;
/// Signatures remembered in each generation of the cache: several windows' worth.
const CACHE: usize = 65_536;

/// Something to verify.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// A peer's message, of so many bytes.
    Message { from: ReplicaId, message: Message, bytes: usize },
    /// A client's transaction, with its connection and the token under which its outcome is answered.
    Transaction { client: u64, token: u64, transaction: SignedTransaction },
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

impl Unverified {
    fn source(&self) -> Source {
        match self {
            Self::Message { from, .. } => Source::Peer(from.get()),
            Self::Transaction { client, .. } => Source::Client(*client),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Transaction { transaction, .. } => Weight { cost: 1, bytes: transaction.size() },
            Self::Message { message, bytes, .. } => {
                let mut signatures = 0;
                message.for_each_signature(|_| signatures += 1);
                // Reading it costs something too.
                Weight { cost: signatures.max(1), bytes: *bytes }
            }
        }
    }
}

/// Where to put what must be verified. The pool ends with the last handle.
#[derive(Clone)]
pub(crate) struct VerifyQueue {
    handle: Arc<Handle>,
}

struct Handle {
    queue: Arc<FairQueue<Unverified>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl VerifyQueue {
    /// Never waits: who sends faster than its share is verified loses what does not fit.
    ///
    /// # Errors
    /// The item, if too much of its source waits, or the node stops.
    pub(crate) fn push(&self, item: Unverified) -> Result<(), Unverified> {
        let (source, weight) = (item.source(), item.weight());
        self.handle.queue.push(source, weight, item)
    }

    /// A client's connection is gone.
    pub(crate) fn forget(&self, client: u64) {
        self.handle.queue.forget(Source::Client(client));
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
    let queue = Arc::new(FairQueue::new());
    let cache = Arc::new(Cache::new(CACHE));
    let turn = Arc::new(Mutex::new(()));
    let workers = (0..threads.max(1))
        .map(|number| {
            let (queue, members, cache) = (queue.clone(), members.clone(), cache.clone());
            let (metrics, output, turn) = (metrics.clone(), output.clone(), turn.clone());
            std::thread::Builder::new()
                .name(format!("verify-{number}"))
                .spawn(move || work(&queue, &turn, &members, &cache, &metrics, output))
                .expect("the system gives a thread")
        })
        .collect();
    (VerifyQueue { handle: Arc::new(Handle { queue }) }, workers)
}

fn work(
    queue: &FairQueue<Unverified>,
    turn: &Mutex<()>,
    members: &Members,
    cache: &Cache,
    metrics: &Metrics,
    output: impl Fn(Vec<Checked>),
) {
    let verifier = MeasuredVerifier { metrics };
    loop {
        let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        queue.wait();
        gather(queue);
        let Some(batch) = queue.take(MOST_PER_BATCH) else { return };
        // While few wait, the others let them gather: one large batch costs half of what many small ones do.
        let turn = Some(turn).filter(|_| queue.len() < WORTH_A_WORKER);
        let sent_by: Vec<Source> = batch.iter().map(|(source, _)| *source).collect();
        let (sources, items): (Vec<Sender>, Vec<Item>) =
            batch.into_iter().map(|(_, item)| split(item)).unzip();
        let start = Instant::now();
        let results = verify_all(members, &verifier, cache, items);
        let took = start.elapsed();
        drop(turn);
        for (source, _) in sent_by.into_iter().zip(&results).filter(|(_, result)| result.is_err()) {
            queue.sent_junk(source, took);
        }
        output(sources.into_iter().zip(results).map(join).collect());
    }
}

/// Lets threads that are ready to add something do so, as long as they do. Idle, it costs a system call.
fn gather(queue: &FairQueue<Unverified>) {
    const ROUNDS: usize = 16;
    let mut waiting = queue.len();
    for _ in 0..ROUNDS {
        std::thread::yield_now();
        let now = queue.len();
        if now == waiting || now >= MOST_PER_BATCH {
            return;
        }
        waiting = now;
    }
}

/// Whom the result concerns.
enum Sender {
    Peer(ReplicaId),
    /// Who waits under this token.
    Client(u64),
}

fn split(item: Unverified) -> (Sender, Item) {
    match item {
        Unverified::Message { from, message, bytes: _ } => (Sender::Peer(from), Item::Message(message)),
        Unverified::Transaction { client: _, token, transaction } => {
            (Sender::Client(token), Item::Transaction(transaction))
        }
    }
}

fn join((sender, result): (Sender, Result<Verified<CheckedItem>, Malformed>)) -> Checked {
    match (sender, result) {
        (Sender::Peer(from), Err(why)) => Checked::BadMessage { from, why },
        (Sender::Client(token), Err(why)) => Checked::BadTransaction { token, why },
        (Sender::Peer(from), Ok(item)) => Checked::Message { from, message: item.map(message_of) },
        (Sender::Client(token), Ok(item)) => {
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
