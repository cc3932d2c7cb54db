//! Many clients at once, which keep every receipt.

use crate::harness::{Net, PATIENCE};
use quorate_client::{Client, Outcome, Receipt, Session};
use quorate_crypto::Ed25519Signer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients under way, each with one transaction at a time, until they are stopped.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: JoinHandle<Vec<Receipt>>,
}

impl Load {
    /// Starts `count` clients with the testnet's own key and a session each.
    pub(crate) fn start(net: &Net<'_>, count: usize) -> Self {
        Self::start_at(net, count, Vec::new())
    }

    /// [`Load::start`], with these gateways instead of those that the genesis tells of, if there are any.
    pub(crate) fn start_at(net: &Net<'_>, count: usize, gateways: Vec<String>) -> Self {
        let (stopped, acknowledged) = (Arc::default(), Arc::default());
        let dir = net.dir();
        let shared = (Arc::clone(&stopped), Arc::clone(&acknowledged));
        let clients = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let key = Ed25519Signer::read_file(&dir.join("keys/client.pem"), None).unwrap();
                let builder = Client::builder().genesis_file(dir.join("genesis.toml")).unwrap();
                let builder = builder.timeout(4 * PATIENCE).valid_for(8 * PATIENCE);
                let builder = if gateways.is_empty() { builder } else { builder.endpoints(gateways) };
                let client = builder.connect().await.unwrap();
                let tasks = (0..count).map(|index| {
                    let client = client.signing_as(key.clone(), Session::random());
                    tokio::spawn(one(client, index, shared.clone()))
                });
                let mut receipts = Vec::new();
                for task in tasks.collect::<Vec<_>>() {
                    receipts.extend(task.await.unwrap());
                }
                receipts
            })
        });
        Self { stopped, acknowledged, clients }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more transactions are acknowledged; returns how long that took.
    pub(crate) fn progress(&self, more: u64) -> Duration {
        let (start, from) = (Instant::now(), self.acknowledged());
        while self.acknowledged() < from + more {
            assert!(!self.clients.is_finished(), "a client failed");
            assert!(start.elapsed() < 2 * PATIENCE, "{} of {more} acknowledged", self.acknowledged() - from);
            std::thread::sleep(Duration::from_millis(5));
        }
        start.elapsed()
    }

    /// Lets every client finish the transaction that it has under way; returns all receipts.
    pub(crate) fn stop(self) -> Vec<Receipt> {
        self.stopped.store(true, Ordering::Relaxed);
        self.clients.join().unwrap()
    }
}

/// One client: put after put, each of which must commit.
async fn one(client: Client, index: usize, shared: (Arc<AtomicBool>, Arc<AtomicU64>)) -> Vec<Receipt> {
    let (stopped, acknowledged) = shared;
    let mut receipts = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let (key, value) = (format!("client{index}/{}", receipts.len() % 8), receipts.len().to_string());
        match client.kv().put(key, value).await.unwrap() {
            Outcome::Committed(done) => receipts.push(done.receipt),
            other => panic!("client {index}: {other:?}"),
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    receipts
}
