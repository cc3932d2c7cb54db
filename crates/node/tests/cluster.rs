//! Four nodes in one process, each with its own threads, sockets and data directory: commit, stop, start again.

use quorate_api::v1::ledger_client::LedgerClient;
use quorate_api::{receipt_from, transaction_to, v1};
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_node::{FileConfig, init, run};
use quorate_proof::{Receipt, TrustRoot, genesis_file};
use quorate_types::{
    Genesis, LedgerTime, Number, Operation, Operations, SessionId, SignedTransaction, Transaction,
    genesis::{GenesisMember, NamedKey, Parameters, RegistryMode},
};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Each test has loopback addresses of its own, so that its ports are nobody else's.
fn addresses(test: u8) -> Vec<SocketAddr> {
    (1..=4)
        .map(|node| {
            let any = SocketAddr::from(([127, 71, test, node], 0));
            UdpSocket::bind(any).unwrap().local_addr().unwrap()
        })
        .collect()
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

struct Cluster {
    directory: tempfile::TempDir,
    trust: TrustRoot,
    client: Ed25519Signer,
    peers: Vec<SocketAddr>,
    running: Vec<(SocketAddr, oneshot::Sender<()>, JoinHandle<()>)>,
}

fn make_keys(base: &Path, peers: &[SocketAddr]) -> Vec<GenesisMember> {
    peers
        .iter()
        .enumerate()
        .map(|(index, peer)| {
            let keys = base.join(format!("node{index}"));
            std::fs::create_dir(&keys).unwrap();
            let (vote, transport) = (Ed25519Signer::generate(), Ed25519Signer::generate());
            vote.write_file(&keys.join("vote.pem"), None).unwrap();
            transport.write_file(&keys.join("transport.pem"), None).unwrap();
            GenesisMember {
                name: format!("node{index}"),
                vote: vote.public_key(),
                transport: transport.public_key(),
                peer: peer.to_string(),
                api: String::new(),
            }
        })
        .collect()
}

impl Cluster {
    async fn new(test: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let peers = addresses(test);
        let client = Ed25519Signer::generate();
        let genesis = Genesis {
            name: "test".to_owned(),
            created: LedgerTime(now_ms()),
            app: "kv".to_owned(),
            faults: 1,
            allow_crash_only: false,
            parameters: Parameters { checkpoint_every: 8, window: 16, ..Parameters::default() },
            members: make_keys(directory.path(), &peers),
            clients: vec![NamedKey { name: "client".to_owned(), key: client.public_key() }],
            operators: Vec::new(),
            approvals: 3,
            registry: RegistryMode::Closed,
        };
        std::fs::write(directory.path().join("genesis.toml"), genesis_file::print(&genesis)).unwrap();
        let trust = TrustRoot::from_genesis(genesis).unwrap();
        let mut cluster = Self { directory, trust, client, peers, running: Vec::new() };
        for index in 0..4 {
            init(&cluster.config(index)).unwrap();
        }
        cluster.start().await;
        cluster
    }

    fn config(&self, index: usize) -> FileConfig {
        let base = self.directory.path();
        let mut config = FileConfig::default();
        config.node.dir = base.join(format!("node{index}/data"));
        config.node.genesis = base.join("genesis.toml");
        config.node.keys = base.join(format!("node{index}"));
        config.api.listen = SocketAddr::new(self.peers[index].ip(), 0);
        config.peer.listen = self.peers[index];
        config.threads.verify = 1;
        config
    }

    async fn start(&mut self) {
        for index in 0..4 {
            let config = self.config(index);
            let (ready, is_ready) = oneshot::channel();
            let (stop, stopped) = oneshot::channel::<()>();
            let node = tokio::spawn(async move {
                let ready = |node: &quorate_node::RunningNode| ready.send(node.api).unwrap();
                let stopped = async move { stopped.await.unwrap_or(()) };
                run(config, ready, stopped).await.unwrap();
            });
            self.running.push((is_ready.await.unwrap(), stop, node));
        }
    }

    async fn stop(&mut self) {
        for (_, stop, node) in self.running.drain(..) {
            stop.send(()).unwrap();
            node.await.unwrap();
        }
    }

    async fn api(&self, index: usize) -> LedgerClient<tonic::transport::Channel> {
        LedgerClient::connect(format!("http://{}", self.running[index].0)).await.unwrap()
    }

    fn put(&self, number: u64) -> SignedTransaction {
        let key = format!("key{number}").into_bytes();
        let operations = Operations(vec![Operation::Put { key, value: b"value".to_vec() }]);
        let transaction = Transaction {
            ledger: self.trust.ledger(),
            sender: self.client.public_key(),
            session: SessionId::new(7),
            number: Number::new(number),
            valid_until: LedgerTime(now_ms() + 60_000),
            app: "kv".to_owned(),
            payload: operations.to_payload(),
        };
        let signature = self.client.sign(&transaction.signed_bytes());
        SignedTransaction { transaction, signature }
    }
}

async fn commit(
    api: &mut LedgerClient<tonic::transport::Channel>,
    transaction: &SignedTransaction,
) -> Receipt {
    // A gateway that still starts says so, and that it may be asked again.
    loop {
        let request = v1::SubmitAndWaitRequest { tx: Some(transaction_to(transaction)), wait_ms: 20_000 };
        let outcome = api.submit_and_wait(request).await.unwrap().into_inner();
        match outcome.result.unwrap() {
            v1::outcome::Result::Receipt(receipt) => return receipt_from(receipt).unwrap(),
            v1::outcome::Result::Refused(refused) if refused.code == "Q0503" => {
                tokio::task::yield_now().await
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_survive_a_stop_of_all_nodes() {
    let mut cluster = Cluster::new(1).await;
    let mut transactions = Vec::new();
    for number in 0..40 {
        let transaction = cluster.put(number);
        let mut api = cluster.api(usize::try_from(number % 4).unwrap()).await;
        let receipt = commit(&mut api, &transaction).await;
        receipt.verify(&cluster.trust).unwrap();
        transactions.push((transaction, receipt));
    }
    let (first, receipt) = &transactions[0];
    let again = commit(&mut cluster.api(3).await, first).await;
    assert_eq!(again.header, receipt.header, "the same bytes have the same outcome");

    cluster.stop().await;
    cluster.start().await;

    let mut api = cluster.api(2).await;
    let receipt = commit(&mut api, &cluster.put(40)).await;
    receipt.verify(&cluster.trust).unwrap();
    let last = &transactions.last().unwrap().1;
    assert!(receipt.header.height > last.header.height, "the ledger goes on where it was");
    let key = v1::read_local_request::Query::KvGet(b"key17".to_vec());
    let read = api.read_local(v1::ReadLocalRequest { query: Some(key) }).await.unwrap().into_inner();
    assert_eq!(read.entries[0].value, b"value");
    cluster.stop().await;
}
