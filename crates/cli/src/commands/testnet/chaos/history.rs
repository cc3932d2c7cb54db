//! What clients asked and were told, and what must hold of it.

use crate::failure::{Failure, Outcome};
use quorate_client::{Client, Session};
pub(super) use quorate_client::{Operation, Operations};
use quorate_crypto::{Ed25519Signer, header_hash};
use quorate_proof::TrustRoot;
use quorate_storage::RealDisk;
use quorate_storage::blocks::Entry;
use quorate_storage::blocks::audit::read_entries;
use quorate_types::{Digest, ErrorCode, Seq};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients that wait for their answers, each in a session of its own.
const CLIENTS: u32 = 16;
/// How long a client waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A transaction that was acknowledged with a receipt that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) asked: Duration,
    pub(super) answered: Duration,
    pub(super) height: Seq,
    pub(super) index: u32,
    pub(super) header: Digest,
}

/// What all clients saw.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Without an outcome within the clients' patience; what became of them nobody was told.
    pub(super) unknown: usize,
}

/// Clients that work until they are stopped.
pub(super) struct Workers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    history: Arc<Mutex<History>>,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Workers {
    pub(super) fn start(client: &Client, dir: &Path, load: u32) -> Outcome<Self> {
        let key = Ed25519Signer::read_file(&dir.join("keys/client.pem"), None)
            .map_err(|error| Failure::new(ErrorCode::BadKey).what(error.to_string()))?;
        let begin = Instant::now();
        let (stop, acknowledged, history) = (Arc::default(), Arc::default(), Arc::default());
        let workers = Self { stop, acknowledged, history, tasks: Mutex::default() };
        let mut tasks = Vec::new();
        let pause = Duration::from_secs(1) * CLIENTS / load.max(1);
        for number in 0..CLIENTS {
            let worker = Worker {
                client: client.signing_as(key.clone(), Session::random()),
                random: fastrand::Rng::with_seed(u64::from(number)),
                stop: workers.stop.clone(),
                acknowledged: workers.acknowledged.clone(),
                history: workers.history.clone(),
                begin,
            };
            tasks.push(tokio::spawn(worker.run(pause)));
        }
        Ok(Self { tasks: Mutex::new(tasks), ..workers })
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for what is under way.
    pub(super) async fn stop(&self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        futures_util::future::join_all(tasks).await;
        std::mem::take(&mut *self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Worker {
    client: Client,
    random: fastrand::Rng,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    history: Arc<Mutex<History>>,
    begin: Instant,
}

impl Worker {
    async fn run(mut self, pause: Duration) {
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let due = Instant::now() + pause;
            number += 1;
            self.one(number).await;
            tokio::time::sleep_until(due.into()).await;
        }
    }

    async fn one(&mut self, number: u64) {
        let operations = Operations(vec![super::operation(&mut self.random, number)]);
        let asked = self.begin.elapsed();
        let Ok(transaction) = self.client.sign(&operations) else { return };
        let outcome = self.client.submit_within(transaction, PATIENCE).await;
        let answered = self.begin.elapsed();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.as_ref().ok().and_then(quorate_client::Outcome::done) {
            Some(done) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                let (height, index) = (done.verified.height, done.verified.index);
                let header = header_hash(&done.receipt.header);
                history.acknowledged.push(Acknowledged { asked, answered, height, index, header });
            }
            None => history.unknown += 1,
        }
    }
}

impl History {
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(super) fn unknown(&self) -> usize {
        self.unknown
    }

    pub(super) fn longest_wait(&self) -> Duration {
        let waits = self.acknowledged.iter().map(|one| one.answered.saturating_sub(one.asked));
        waits.max().unwrap_or_default()
    }

    pub(super) fn positions_are_unique(&self) -> Result<(), String> {
        let mut places = BTreeSet::new();
        match self.acknowledged.iter().find(|one| !places.insert((one.height, one.index))) {
            Some(twice) => {
                Err(format!("two receipts are of transaction {} of block {}", twice.index, twice.height))
            }
            None => Ok(()),
        }
    }

    /// Whoever was answered before another asked has an earlier place.
    pub(super) fn real_time_is_kept(&self) -> Result<(), String> {
        let mut by_asked: Vec<&Acknowledged> = self.acknowledged.iter().collect();
        by_asked.sort_by_key(|one| one.asked);
        let mut under_way = BinaryHeap::new();
        let mut latest = None;
        for one in by_asked {
            let place = (one.height, one.index);
            while let Some(Reverse((answered, answered_place))) = under_way.peek().copied() {
                if answered >= one.asked {
                    break;
                }
                latest = latest.max(Some(answered_place));
                under_way.pop();
            }
            if let Some(before) = latest.filter(|before| *before > place) {
                return Err(format!(
                    "a transaction that was asked for at {:?} is at {place:?}, before one at {before:?} that was answered by then",
                    one.asked
                ));
            }
            under_way.push(Reverse((one.answered, place)));
        }
        Ok(())
    }

    /// Every receipt is of a block of this ledger.
    pub(super) fn nothing_is_lost(&self, blocks: &BTreeMap<Seq, Digest>) -> Result<(), String> {
        let first = blocks.first_key_value().map(|(first, _)| *first);
        // What was pruned can be told from the receipt alone.
        let kept = self.acknowledged.iter().filter(|one| Some(one.height) >= first);
        for one in kept {
            match blocks.get(&one.height) {
                Some(header) if *header == one.header => {}
                Some(_) => return Err(format!("block {} is not the one that a receipt is of", one.height)),
                None => return Err(format!("block {} of a receipt is missing", one.height)),
            }
        }
        Ok(())
    }
}

/// The header's hash of each block that a replica has stored.
pub(super) fn stored_headers(node: &Path, trust: &TrustRoot) -> Outcome<BTreeMap<Seq, Digest>> {
    let blocks = node.join("data/blocks");
    let disk = RealDisk::open(&blocks).map_err(|error| Failure::io(&blocks, &error))?;
    let mut found = BTreeMap::new();
    read_entries(&disk, trust.ledger(), |entry, _| {
        if let Entry::Block(stored) = entry {
            found.insert(stored.block.header.height, header_hash(&stored.block.header));
        }
        true
    })
    .map_err(|error| Failure::new(ErrorCode::LedgerInvalid).what(error.to_string()))?;
    Ok(found)
}

#[cfg(test)]
mod tests;
