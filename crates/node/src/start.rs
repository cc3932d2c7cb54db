//! Putting a node together: identity, recovery from disk, threads, and a graceful stop.

use crate::api::Service;
use crate::config::{ConfigError, FileConfig, LogFormat};
use crate::core_thread::{Clocks, CoreInput, CoreThread};
use crate::execution::{ExecutionInput, index_entries};
use crate::faults::LogDisk;
use crate::metrics::Metrics;
use crate::outward::{Outgoing, Outward};
use crate::recording::{Beginning, FileRecorder, RecordingSigner};
use crate::shared::{Published, Shared, post};
use crate::{execution, http, inbound, log_thread, supply, verify};
use axum::serve::ListenerExt;
use crossbeam_channel::{Sender, bounded, unbounded};
use quorate_api::v1::ledger_server::LedgerServer;
use quorate_codec::Caps;
use quorate_crypto::{CheckedMessage, Ed25519Signer, Ed25519Verifier, KeyError, Signer, Verified};
use quorate_engine::{Host, HostConfig};
use quorate_ledger::Machine;
use quorate_network::{Network, NetworkError};
use quorate_pbft::{Config, Recovered, Tuning};
use quorate_proof::TrustRoot;
use quorate_proof::genesis_file::{self, GenesisFileError};
use quorate_storage::recovery::{RecoveryError, finish_install, recover, replay};
use quorate_storage::{
    BlockStore, DataDirectory, DirectoryError, Identity, LogError, RealDisk, RedbStateStore, SegmentedLog,
    TransferFile, transfer,
};
use quorate_types::{ErrorCode, Members, Record, ReplicaId, StoreId};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// What peers ask of a state and what is kept of one: more is dropped, and asked or fetched again.
const SUPPLY_QUEUE: usize = 64;
/// Turns that may wait for the log: the core thread waits beyond that.
const LOG_QUEUE: usize = 1_024;

/// Why a node does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    GenesisFile(PathBuf, GenesisFileError),
    #[error("{0}: {1}")]
    Genesis(PathBuf, String),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("the {which} key of {directory} belongs to no member, or to another than its other key")]
    NotAMember { which: &'static str, directory: PathBuf },
    #[error("{0}")]
    Directory(#[from] DirectoryError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("{0}")]
    Disk(std::io::Error),
    #[error("{0}")]
    State(String),
    #[error("{0}")]
    Recovery(#[from] RecoveryError),
    #[error("{0}")]
    Network(#[from] NetworkError),
    #[error("cannot listen on TCP {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

impl NodeError {
    /// The code under which people find it explained.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Config(_) => ErrorCode::BadConfig,
            Self::Read(..) => ErrorCode::Io,
            Self::GenesisFile(..) | Self::Genesis(..) | Self::Recovery(RecoveryError::Ledger(_)) => {
                ErrorCode::BadGenesis
            }
            Self::Key(KeyError::Permissions(..)) => ErrorCode::Permissions,
            Self::Key(_) => ErrorCode::BadKey,
            Self::NotAMember { .. } => ErrorCode::NotAMember,
            Self::Directory(error) => error.code(),
            Self::Log(LogError::Disk(_) | LogError::Poisoned)
            | Self::Disk(_)
            | Self::Recovery(RecoveryError::Disk(_)) => ErrorCode::DiskFailed,
            Self::Log(_) | Self::State(_) | Self::Recovery(_) => ErrorCode::StoreCorrupt,
            Self::Network(NetworkError::Bind(..)) | Self::Listen(..) => ErrorCode::PortInUse,
            Self::Network(NetworkError::Identity(_)) => ErrorCode::BadKey,
        }
    }
}

/// A member's keys and the genesis that names them.
pub struct Member {
    pub trust: TrustRoot,
    pub genesis_text: String,
    pub me: ReplicaId,
    vote: Ed25519Signer,
    transport: Ed25519Signer,
}

impl Member {
    fn identity(&self) -> Identity {
        Identity {
            ledger: self.trust.ledger(),
            vote: self.vote.public_key(),
            transport: self.transport.public_key(),
        }
    }

    fn name(&self) -> String {
        self.trust.members().get(self.me).map(|member| member.name.clone()).unwrap_or_default()
    }
}

/// Reads genesis and key files and finds the member that they belong to.
///
/// # Errors
/// If a file is unusable, or the keys are no member's.
pub fn load_member(config: &FileConfig) -> Result<Member, NodeError> {
    let path = &config.node.genesis;
    let genesis_text = std::fs::read_to_string(path).map_err(|error| NodeError::Read(path.clone(), error))?;
    let genesis =
        genesis_file::parse(&genesis_text).map_err(|error| NodeError::GenesisFile(path.clone(), error))?;
    let trust = TrustRoot::from_genesis(genesis)
        .map_err(|error| NodeError::Genesis(path.clone(), error.to_string()))?;
    let directory = &config.node.keys;
    let words =
        config.node.key_passphrase_file.as_deref().map(quorate_crypto::read_passphrase).transpose()?;
    let read = |file: &str| {
        Ed25519Signer::read_file(&directory.join(file), words.as_ref().map(|words| words.as_str()))
    };
    let (vote, transport) = (read("vote.pem")?, read("transport.pem")?);
    let refused = |which| NodeError::NotAMember { which, directory: directory.clone() };
    let me = trust.members().by_vote_key(&vote.public_key()).ok_or_else(|| refused("vote"))?;
    if trust.members().by_transport_key(&transport.public_key()) != Some(me) {
        return Err(refused("transport"));
    }
    Ok(Member { trust, genesis_text, me, vote, transport })
}

/// Makes the data directory of a new member. `run` never does.
///
/// # Errors
/// If there is one already, or the disk fails.
pub fn init(config: &FileConfig) -> Result<StoreId, NodeError> {
    let member = load_member(config)?;
    Ok(DataDirectory::init(&config.node.dir, &member.name(), &member.identity())?)
}

/// Everything found on disk, made ready.
struct Loaded {
    directory: DataDirectory,
    log: SegmentedLog<LogDisk>,
    blocks: BlockStore<RealDisk>,
    store: RedbStateStore,
    machine: Machine,
    /// The log as it was found, if it is to be recorded.
    records: Vec<Record>,
    recovered: Recovered,
    transfer: TransferFile<RealDisk>,
    /// What is here of a state that was being fetched.
    kept: Vec<Verified<CheckedMessage>>,
}

fn load(config: &FileConfig, member: &Member, metrics: &Arc<Metrics>) -> Result<Loaded, NodeError> {
    let directory = DataDirectory::open(&config.node.dir, &member.identity())?;
    let ledger = member.trust.ledger();
    let faults = &config.testnet;
    let log_disk = LogDisk::new(
        RealDisk::open(&directory.log()).map_err(NodeError::Disk)?,
        metrics.clone(),
        faults.slow_log_sync_ms,
        faults.fail_log_sync_after,
    );
    let (log, found) = SegmentedLog::open(log_disk, ledger)?;
    if found.cut_bytes > 0 {
        tracing::warn!(
            event = "torn_tail",
            bytes = found.cut_bytes,
            "the log ended in a torn write, which was cut"
        );
    }
    let block_disk = RealDisk::open(&directory.blocks()).map_err(NodeError::Disk)?;
    let mut blocks = BlockStore::open_with(block_disk, ledger, config.storage.block_file_bytes())
        .map_err(NodeError::Disk)?;
    let mut store =
        RedbStateStore::open(&directory.state()).map_err(|error| NodeError::State(error.to_string()))?;
    if finish_install(&mut blocks, &store)? {
        tracing::info!(
            event = "install_finished",
            "finished the install of a fetched state that a stop had cut short"
        );
    }
    let machine = replay(member.trust.genesis(), &blocks, &mut store, |store, block| {
        store.index_block(block.header.height, index_entries(block.header.height, block.transactions()));
    })?;
    let records = if config.node.record.is_some() { found.records.clone() } else { Vec::new() };
    let window = member.trust.genesis().parameters.window;
    let recovered =
        recover(member.trust.members(), window, &Ed25519Verifier, found.records, &blocks, &machine)?;
    let transfer_disk =
        directory.transfer().and_then(|path| RealDisk::open(&path)).map_err(NodeError::Disk)?;
    let caps = Caps::new(member.trust.members(), &member.trust.genesis().parameters);
    let (transfer, kept) = TransferFile::open(transfer_disk, &caps).map_err(NodeError::Disk)?;
    let kept = transfer::verified(member.trust.members(), &Ed25519Verifier, kept);
    Ok(Loaded { directory, log, blocks, store, machine, records, recovered, transfer, kept })
}

/// A node that runs; dropping it does not stop it.
pub struct RunningNode {
    /// Where the client API listens.
    pub api: SocketAddr,
    /// Where peers connect.
    pub peer: SocketAddr,
    core: Sender<CoreInput>,
    network: Network,
    threads: Threads,
}

/// The threads to wait for at a stop, and the lock on their files.
struct Threads {
    /// The log and the core.
    ordered: Vec<JoinHandle<()>>,
    /// Told to stop last, when nobody is left to ask it for anything.
    execution: (Sender<ExecutionInput>, JoinHandle<()>),
    directory: DataDirectory,
}

/// Runs a node until `stop` resolves, then stops it gracefully: what was released leaves, the log claims its end.
///
/// # Errors
/// If the node cannot start. A failing disk ends the process instead (exit 74).
pub async fn run(
    config: FileConfig,
    ready: impl FnOnce(&RunningNode),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), NodeError> {
    run_with(config, None, ready, stop).await
}

/// [`run`] with something that stands where messages leave.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: FileConfig,
    outgoing: Option<Arc<dyn Outgoing>>,
    ready: impl FnOnce(&RunningNode),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), NodeError> {
    let member = load_member(&config)?;
    let (node, router) = start(&config, member, outgoing).await?;
    let listener = router.0;
    let app = router.1;
    ready(&node);
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let server = tokio::spawn(async move {
        let done = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        // Answers are small and awaited: without this each would wait for the other side's delayed acknowledgement.
        let listener = listener.tap_io(|tcp| {
            let _ = tcp.set_nodelay(true);
        });
        axum::serve(listener, app).with_graceful_shutdown(done).await
    });
    stop.await;
    tracing::info!(event = "stopping", "stopping");
    let _ = stopping.send(true);
    // Open streams of clients would hold the server up; they reconnect elsewhere.
    server.abort();
    node.stop().await;
    Ok(())
}

impl RunningNode {
    /// The links to the other members.
    pub fn network(&self) -> &Network {
        &self.network
    }

    async fn stop(self) {
        post(&self.core, CoreInput::Stop);
        drop(self.core);
        let network = self.network.clone();
        let threads = self.threads;
        let log_done = tokio::task::spawn_blocking(move || {
            for thread in threads.ordered {
                let _ = thread.join();
            }
            post(&threads.execution.0, ExecutionInput::Stop);
            let _ = threads.execution.1.join();
            drop(threads.directory);
        });
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), log_done).await;
        network.close().await;
    }
}

async fn start(
    config: &FileConfig,
    member: Member,
    outgoing: Option<Arc<dyn Outgoing>>,
) -> Result<(RunningNode, (tokio::net::TcpListener, axum::Router)), NodeError> {
    let genesis = member.trust.genesis();
    let ledger_id = member.trust.ledger().to_string();
    let metrics = Arc::new(Metrics::new(&member.name(), &genesis.name, &ledger_id));
    let others = member.trust.members().iter().filter(|(peer, _)| *peer != member.me);
    others.for_each(|(_, other)| metrics.expect_peer(&other.name));
    let loaded = load(config, &member, &metrics)?;
    let members = Arc::new(member.trust.members().clone());
    if members.quorums().is_crash_only() {
        tracing::warn!(event = "crash_only", "crash-only cluster: {}", members.quorums().explain());
    }
    let listener = tokio::net::TcpListener::bind(config.api.listen)
        .await
        .map_err(|error| NodeError::Listen(config.api.listen, error))?;
    let api = listener.local_addr().map_err(|error| NodeError::Listen(config.api.listen, error))?;
    if !api.ip().is_loopback() {
        tracing::warn!(event = "plain_api", "the client API listens on {api} without TLS");
    }
    let caps = Caps::new(&members, &genesis.parameters);
    let (network, events) = Network::start(quorate_network::Config {
        listen: config.peer.listen,
        me: member.me,
        members: members.clone(),
        transport: member.transport.clone(),
        addresses: addresses(config, &member),
        caps: [caps.small_frame, caps.small_frame, caps.frame],
    })?;
    let peer = network.local_address();
    let (threads, service) =
        spawn_threads(config, member, loaded, (metrics, members, caps), (&network, events, outgoing))?;
    let core = service.core.clone();
    let shared = service.shared.clone();
    let limit = quorate_api::MAX_MESSAGE_BYTES;
    let ledger = LedgerServer::new(service).max_decoding_message_size(limit).max_encoding_message_size(limit);
    let app =
        http::add_routes(tonic::service::Routes::new(ledger).into_axum_router(), &shared, network.clone());
    tracing::info!(event = "started", %api, %peer, "listening: api {api}, peers {peer}");
    Ok((RunningNode { api, peer, core, network, threads }, (listener, app)))
}

fn addresses(config: &FileConfig, member: &Member) -> Vec<String> {
    let overrides: &BTreeMap<String, String> = &config.peer.addresses;
    let genesis = member.trust.genesis();
    genesis.members.iter().map(|other| overrides.get(&other.name).unwrap_or(&other.peer).clone()).collect()
}

fn spawn_threads(
    config: &FileConfig,
    member: Member,
    loaded: Loaded,
    (metrics, members, caps): (Arc<Metrics>, Arc<Members>, Caps),
    (network, events, outgoing): (
        &Network,
        tokio::sync::mpsc::Receiver<quorate_network::Event>,
        Option<Arc<dyn Outgoing>>,
    ),
) -> Result<(Threads, Service), NodeError> {
    let Loaded { directory, log, blocks, store, machine, records, recovered, transfer, kept } = loaded;
    let clocks = Clocks::start();
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| NodeError::Disk(std::io::Error::other(error)))?;
    let host_config = HostConfig {
        config: Config {
            me: member.me,
            members: (*members).clone(),
            parameters: member.trust.genesis().parameters.clone(),
            tuning: Tuning::default(),
            nonce,
        },
        admission: machine.state().admission_control(),
    };
    let now = clocks.now();
    let mut signer = RecordingSigner { signer: member.vote.clone(), made: None };
    let recorder = match &config.node.record {
        None => None,
        Some(directory) => {
            let made = signer.made.insert(std::sync::Arc::default()).clone();
            let genesis_text = &member.genesis_text;
            let beginning =
                Beginning { genesis_text, config: &host_config.config, now, records, recovered: &recovered };
            let recorder = FileRecorder::begin(directory, &beginning, made)
                .map_err(|error| NodeError::Read(directory.clone(), error))?;
            Some(recorder)
        }
    };
    let (mut host, first) = Host::start(host_config, signer, recovered, now);
    if let Some(mut recorder) = recorder {
        recorder.started(&first.outbox);
        host.record_with(Box::new(recorder));
    }
    host.resume_transfer(kept);
    if let Some((height, held, all)) = host.transfer() {
        tracing::info!(
            event = "transfer_resumed",
            %height,
            held,
            all,
            "{held} of {all} parts of the state after block {height} are here"
        );
    }
    let published = Published { status: host.status(), rtts: BTreeMap::new(), at: Instant::now() };
    let shared = Arc::new(Shared::new(
        member.trust,
        member.genesis_text,
        member.me,
        metrics.clone(),
        (blocks, store, machine.shared_state()),
        published,
    ));
    // The core thread's inputs are bounded by what feeds them: the verify queue, the window, the waiters.
    let (core, core_input) = unbounded();
    let (execution, execution_input) = unbounded();
    let (log_sender, turns) = bounded(LOG_QUEUE);
    let (supply, supply_input) = bounded(SUPPLY_QUEUE);
    let outward = Outward {
        shared: shared.clone(),
        network: network.clone(),
        execution: execution.clone(),
        core: core.clone(),
        supply,
        outgoing,
    };
    let to_core = core.clone();
    let output = move |items| post(&to_core, CoreInput::Checked(items));
    let (verify, _) = verify::start(cores(config.threads.verify), members, metrics, output);
    let mut threads = Vec::new();
    let log_outward = outward.clone();
    threads.push(named("log", move || log_thread::run(log, &turns, &log_outward)));
    let (execution_shared, to_core) = (shared.clone(), core.clone());
    let retain = config.storage.retain_blocks;
    let execution_thread = named("execution", move || {
        execution::run(machine, &execution_shared, &execution_input, &to_core, retain)
    });
    let thread = CoreThread { host, clocks, input: core_input, log: log_sender, outward };
    threads.push(named("core", move || thread.run(first)));
    let (supply_shared, to_core) = (shared.clone(), core.clone());
    threads.push(named("supply", move || supply::run(&supply_shared, &supply_input, &to_core, transfer)));
    let (inbound_shared, inbound_verify, to_core) = (shared.clone(), verify.clone(), core.clone());
    named("inbound", move || inbound::run(events, &inbound_shared, caps, &inbound_verify, &to_core));
    let service = Service { shared, verify, core };
    Ok((Threads { ordered: threads, execution: (execution, execution_thread), directory }, service))
}

fn cores(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        configured => configured,
    }
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).expect("the system gives a thread")
}

/// Sets up log lines on stderr as configured.
///
/// # Errors
/// If the level is not understood.
pub fn init_logging(config: &FileConfig, terminal: bool) -> Result<(), String> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&config.log.level).map_err(|error| error.to_string())?;
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).with_target(false).try_init()
    };
    result.map_err(|error| error.to_string())
}

/// Whether a path holds a data directory.
pub fn is_initialised(path: &Path) -> bool {
    path.join("META.toml").exists()
}
