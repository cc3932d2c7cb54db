//! Honest clients at honest gateways, which keep every receipt.

use crate::harness::PATIENCE;
use quorate_client::{Client, Ed25519Signer, Outcome, Receipt, Session};
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
    acknowledged: AtomicU64,
}

/// Clients under way, each with one transaction at a time, until they are stopped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinHandle<Vec<Receipt>>,
}

impl Load {
    /// Starts `count` clients with the testnet's own key and a session each.
    pub(crate) fn start(net: &Path, endpoints: Vec<String>, count: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let (theirs, net) = (shared.clone(), net.to_owned());
        let clients = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let key = Ed25519Signer::read_file(&net.join("keys/client.pem"), None).unwrap();
                let builder = Client::builder().genesis_file(net.join("genesis.toml")).unwrap();
                let builder = builder.endpoints(endpoints).timeout(3 * PATIENCE).valid_for(6 * PATIENCE);
                let client = builder.connect().await.unwrap();
                let tasks = (0..count).map(|index| {
                    let client = client.signing_as(key.clone(), Session::random());
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
        let acknowledged = || self.shared.acknowledged.load(Ordering::Relaxed);
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

/// One client: put after put, each of which must commit.
async fn one(client: Client, index: usize, shared: Arc<Shared>) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    while !shared.stopped.load(Ordering::Relaxed) {
        let (key, value) = (format!("client{index}/{}", receipts.len() % 8), receipts.len().to_string());
        match client.kv().put(key, value).await.unwrap() {
            Outcome::Committed(done) => receipts.push(done.receipt),
            other => panic!("client {index}: {other:?}"),
        }
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    receipts
}
