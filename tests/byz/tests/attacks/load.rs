//! Honest clients at honest gateways, which keep every receipt.

use crate::harness::PATIENCE;
use quorate_client::{Client, Ed25519Signer, Outcome, Receipt, Session};
use quorate_crypto::Signer as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// V6 for four to seven members: (n - q + 2) times the cap of 8 s is at most 32 s; the rest is for round trips.
const NEXT_COMMIT: Duration = Duration::from_secs(40);

/// What the clients and who started them share.
#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// How many of its transactions each client has seen acknowledged.
    acknowledged: Vec<AtomicU64>,
}

impl Shared {
    fn of(&self, client: usize) -> u64 {
        self.acknowledged[client].load(Ordering::Relaxed)
    }

    fn sum(&self) -> u64 {
        (0..self.acknowledged.len()).map(|client| self.of(client)).sum()
    }
}

/// Clients under way, each with one transaction at a time, until they are stopped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinHandle<Vec<Receipt>>,
}

impl Load {
    /// Starts `count` clients, each with a key of its own, by turns in the lower and the upper half: 16 censors the lower.
    pub(crate) fn start(net: &Path, endpoints: Vec<String>, count: usize) -> Self {
        let acknowledged = (0..count).map(|_| AtomicU64::default()).collect();
        let shared = Arc::new(Shared { stopped: AtomicBool::default(), acknowledged });
        let (theirs, net) = (shared.clone(), net.to_owned());
        let clients = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let builder = Client::builder().genesis_file(net.join("genesis.toml")).unwrap();
                let builder = builder.endpoints(endpoints).timeout(3 * PATIENCE).valid_for(6 * PATIENCE);
                let client = builder.connect().await.unwrap();
                let tasks = (0..count).map(|index| {
                    let client = client.signing_as(key_in_half(index % 2 == 0), Session::random());
                    tokio::spawn(one(client, index, theirs.clone()))
                });
                let mut receipts = Vec::new();
                for task in tasks.collect::<Vec<_>>() {
                    receipts.extend(task.await.unwrap());
                }
                receipts
            })
        });
        Self { shared, clients }
    }

    /// Waits until so many more transactions are acknowledged. However slow the machine, from one to the next it may take no
    /// longer than the bound of V6.
    pub(crate) fn progress(&self, more: u64) {
        self.until_risen(more, || self.shared.sum());
    }

    /// As [`Load::progress`], for each client: to be passed over while others are served is no progress.
    pub(crate) fn progress_of_everyone(&self, more: u64) {
        for client in 0..self.shared.acknowledged.len() {
            self.until_risen(more, || self.shared.of(client));
        }
    }

    fn until_risen(&self, more: u64, acknowledged: impl Fn() -> u64) {
        let from = acknowledged();
        let (mut last, mut since) = (from, Instant::now());
        while last < from + more {
            std::thread::sleep(Duration::from_millis(5));
            assert!(!self.clients.is_finished(), "a client failed");
            let now = acknowledged();
            if now > last {
                (last, since) = (now, Instant::now());
            }
            let so_far = last - from;
            assert!(since.elapsed() < NEXT_COMMIT, "{so_far} of {more}, then none for {NEXT_COMMIT:?}");
        }
    }

    /// Lets every client finish the transaction that it has under way; returns all receipts.
    pub(crate) fn stop(self) -> Vec<Receipt> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.clients.join().unwrap()
    }
}

/// A new key whose first byte is below 128, or not.
fn key_in_half(lower: bool) -> Ed25519Signer {
    let mut keys = std::iter::repeat_with(Ed25519Signer::generate);
    keys.find(|key| (key.public_key().0[0] < 128) == lower).unwrap()
}

/// One client: put after put, each of which must commit.
async fn one(client: Client, index: usize, shared: Arc<Shared>) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    while !shared.stopped.load(Ordering::Relaxed) {
        let (key, value) = (format!("client{index}/{}", receipts.len() % 8), receipts.len().to_string());
        match client.kv().put(key, value).await.unwrap() {
            Outcome::Committed(done) => receipts.push(done.receipt),
            other => panic!("client {index}: {other:?}"),
        }
        shared.acknowledged[index].fetch_add(1, Ordering::Relaxed);
    }
    receipts
}
