//! Putting a node together: identity, recovery from disk, threads, and a graceful stop.

use crate::api::Service;
use crate::config::{ConfigError, FileConfig, LogFormat};
use crate::core_thread::{Clocks, CoreInput, CoreThread};
use crate::execution::ExecutionInput;
use crate::faults::{Corruption, LogDisk};
use crate::member::{Keys, Member};
use crate::membership::Readiness;
use crate::metrics::Metrics;
use crate::outward::{Outgoing, Outward};
use crate::recording::{Beginning, FileRecorder, RecordingSigner};
use crate::shared::{Published, Shared, post};
use crate::stores::{self, Stores};
use crate::{execution, follow, http, inbound, log_thread, room, supply, verify};
use axum::serve::ListenerExt;
use crossbeam_channel::{Sender, bounded, unbounded};
use quorate_api::v1::ledger_server::LedgerServer;
use quorate_codec::Caps;
use quorate_crypto::{CheckedMessage, Ed25519Signer, Ed25519Verifier, KeyError, Verified};
use quorate_engine::{Host, HostConfig};
use quorate_ledger::Machine;
use quorate_network::{Network, NetworkError};
use quorate_pbft::{Config, Recovered, Tuning};
use quorate_proof::genesis_file::GenesisFileError;
use quorate_storage::backup::BackupError;
use quorate_storage::recovery::{Found, RecoveryError, open_epoch, recover};
use quorate_storage::{
    BlockStore, DataDirectory, DirectoryError, Handovers, LogError, RealDisk, RedbStateStore, SegmentedLog,
    TransferFile, transfer,
};
use quorate_types::{Epoch, ErrorCode, Members, Record, Seat};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What peers ask of a state and what is kept of one: more is dropped, and asked or fetched again.
const SUPPLY_QUEUE: usize = 64;
/// How long a stop may take before the process ends all the same.
const STOP: Duration = Duration::from_secs(3);
/// How long the stop before the next epoch may take.
const NEXT_EPOCH: Duration = Duration::from_secs(60);
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
    Backup(#[from] BackupError),
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
            // It was read, and is not what was written.
            Self::Disk(error) | Self::Recovery(RecoveryError::Disk(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                ErrorCode::StoreCorrupt
            }
            Self::Log(LogError::Disk(_) | LogError::Poisoned)
            | Self::Disk(_)
            | Self::Recovery(RecoveryError::Disk(_)) => ErrorCode::DiskFailed,
            Self::Backup(BackupError::Io(..)) => ErrorCode::Io,
            Self::Log(_) | Self::State(_) | Self::Recovery(_) | Self::Backup(_) => ErrorCode::StoreCorrupt,
            Self::Network(NetworkError::Bind(..)) | Self::Listen(..) => ErrorCode::PortInUse,
            Self::Network(NetworkError::Identity(_)) => ErrorCode::BadKey,
        }
    }
}

/// Everything found on disk, made ready.
struct Loaded {
    /// Whose it is, in the epoch that it is in.
    member: Member,
    metrics: Arc<Metrics>,
    directory: DataDirectory,
    log: SegmentedLog<LogDisk>,
    blocks: BlockStore<RealDisk>,
    store: RedbStateStore,
    machine: Machine,
    /// The log as it was found, if it is to be recorded.
    records: Vec<Record>,
    recovered: Recovered,
    handovers: Handovers<RealDisk>,
    transfer: TransferFile<RealDisk>,
    /// What is here of a state that was being fetched.
    kept: Vec<Verified<CheckedMessage>>,
}

fn load(config: &FileConfig, keys: &Keys, metrics: &mut Option<Arc<Metrics>>) -> Result<Loaded, NodeError> {
    let mut directory = DataDirectory::open(&config.node.dir, &keys.identities())?;
    let (ledger, genesis) = (keys.trust().ledger(), keys.trust().genesis());
    let new = || Arc::new(Metrics::new(directory.node(), &genesis.name, &ledger.to_string()));
    let metrics = metrics.get_or_insert_with(new).clone();
    let faults = &config.testnet;
    let log_disk = LogDisk::new(
        RealDisk::open(&directory.log()).map_err(NodeError::Disk)?,
        metrics.clone(),
        faults.slow_log_sync_ms,
        faults.fail_log_sync_after,
    );
    let (mut log, found) = SegmentedLog::open(log_disk, ledger)?;
    if found.cut_bytes > 0 {
        tracing::warn!(
            event = "torn_tail",
            bytes = found.cut_bytes,
            "the log ended in a torn write, which was cut"
        );
    }
    let Stores { mut blocks, state: store, machine } =
        stores::open(&directory, &config.storage, (genesis, ledger), &found.records)?;
    let handover_disk =
        directory.handovers().and_then(|path| RealDisk::open(&path)).map_err(NodeError::Disk)?;
    let mut handovers = Handovers::new(handover_disk, ledger);
    let Found { members, records } =
        open_epoch(&mut log, &mut handovers, &Ed25519Verifier, (&mut blocks, &machine), found.records)?;
    let member = seat(keys, &handovers, &members)?;
    directory.rebind(&member.identity())?;
    keys.promote(&member)?;
    let kept_records = if config.node.record.is_some() { records.clone() } else { Vec::new() };
    let window = genesis.parameters.window;
    let recovered = recover(&members, window, &Ed25519Verifier, records, &blocks, &machine)?;
    let transfer_disk =
        directory.transfer().and_then(|path| RealDisk::open(&path)).map_err(NodeError::Disk)?;
    let caps = Caps::new(&members, &genesis.parameters);
    let (transfer, kept) = TransferFile::open(transfer_disk, &caps).map_err(NodeError::Disk)?;
    let kept = transfer::verified(&members, &Ed25519Verifier, kept);
    let records = kept_records;
    Ok(Loaded {
        member,
        metrics,
        directory,
        log,
        blocks,
        store,
        machine,
        records,
        recovered,
        handovers,
        transfer,
        kept,
    })
}

/// Who this node is among the members of the epoch that its log is in, to whom the handovers lead from the genesis.
fn seat(keys: &Keys, handovers: &Handovers<RealDisk>, members: &Members) -> Result<Member, NodeError> {
    let mut trust = keys.trust().clone();
    let damaged = |why: String| NodeError::Recovery(RecoveryError::Corrupt(why));
    while trust.members().epoch() < members.epoch() {
        let epoch = trust.members().epoch();
        let handover = handovers.get(epoch).map_err(NodeError::Disk)?;
        let handover = handover.ok_or_else(|| damaged(format!("how epoch {epoch} ended is not here")))?;
        trust.follow(&handover).map_err(|error| damaged(format!("the end of epoch {epoch}: {error}")))?;
    }
    if trust.members() != members {
        let epoch: Epoch = members.epoch();
        return Err(damaged(format!("the state names other members of epoch {epoch} than its handover")));
    }
    keys.seat(trust)
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
    shared: Arc<Shared>,
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
    let mut config = config;
    let mut metrics = None;
    let mut ready = Some(ready);
    let mut stop = std::pin::pin!(stop);
    let listen = config.api.listen;
    let listener = std::net::TcpListener::bind(listen).map_err(|error| NodeError::Listen(listen, error))?;
    loop {
        let keys = Keys::load(&config)?;
        let own = listener.try_clone().map_err(|error| NodeError::Listen(listen, error))?;
        let started = start(&config, &keys, &mut metrics, own, outgoing.clone()).await;
        if let Err(NodeError::NotAMember { .. }) = &started
            && follow::catch_up(&config, &keys, stop.as_mut()).await?
        {
            continue;
        }
        let (node, server) = started?;
        // If the system chose the port, it stays the same in later epochs: peers know it.
        config.peer.listen.set_port(node.peer.port());
        if let Some(ready) = ready.take() {
            ready(&node);
        }
        tokio::spawn(follow::run(config.clone(), node.shared.clone()));
        let most = config.storage.max_disk_bytes();
        tokio::spawn(room::run(config.node.dir.clone(), most, node.shared.clone()));
        let mut over = node.shared.over();
        let stopped = tokio::select! {
            () = &mut stop => true,
            _ = over.wait_for(|over| *over) => false,
        };
        tracing::info!(event = if stopped { "stopping" } else { "epoch_over" }, "stopping");
        // Clients whose streams end ask here again or elsewhere. Who connects meanwhile waits for the next server, if there is one.
        node.shared.end();
        server.abort();
        node.stop(if stopped { STOP } else { NEXT_EPOCH }).await;
        if stopped {
            return Ok(());
        }
    }
}

/// Serves the client API until aborted. Connections end once the node is over.
fn serve(
    listener: tokio::net::TcpListener,
    app: axum::Router,
    mut over: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let done = async move {
            let _ = over.wait_for(|over| *over).await;
        };
        // Answers are small and awaited: without this each would wait for the other side's delayed acknowledgement.
        let listener = listener.tap_io(|tcp| {
            let _ = tcp.set_nodelay(true);
        });
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(done).await {
            tracing::error!(event = "api_ended", %error, "the client API ended: {error}");
        }
    })
}

impl RunningNode {
    /// The links to the other members.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Finishes what was released, and lets go of all files and sockets, or gives up after so long.
    async fn stop(self, patience: Duration) {
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
        let _ = tokio::time::timeout(patience, log_done).await;
        network.close().await;
    }
}

async fn start(
    config: &FileConfig,
    keys: &Keys,
    metrics: &mut Option<Arc<Metrics>>,
    listener: std::net::TcpListener,
    outgoing: Option<Arc<dyn Outgoing>>,
) -> Result<(RunningNode, tokio::task::JoinHandle<()>), NodeError> {
    let again = metrics.is_some();
    let loaded = load(config, keys, metrics)?;
    let (member, metrics) = (&loaded.member, loaded.metrics.clone());
    let genesis = member.trust.genesis();
    let others = member.trust.members().iter().filter(|(peer, _)| *peer != member.me);
    others.for_each(|(_, other)| metrics.expect_peer(&other.name));
    let members = Arc::new(member.trust.members().clone());
    if members.quorums().is_crash_only() {
        tracing::warn!(event = "crash_only", "crash-only cluster: {}", members.quorums().explain());
    }
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener))
        .map_err(|error| NodeError::Listen(config.api.listen, error))?;
    let api = listener.local_addr().map_err(|error| NodeError::Listen(config.api.listen, error))?;
    if !api.ip().is_loopback() {
        tracing::warn!(event = "plain_api", "the client API listens on {api} without TLS");
    }
    let caps = Caps::new(&members, &genesis.parameters);
    let network_config = quorate_network::Config {
        listen: config.peer.listen,
        me: member.me,
        members: members.clone(),
        transport: member.transport.clone(),
        addresses: addresses(config, member),
        caps: [caps.small_frame, caps.small_frame, caps.frame],
    };
    let (network, events) = start_network(network_config, again).await?;
    let peer = network.local_address();
    let (threads, service) =
        spawn_threads(config, loaded, (members, caps, keys.vote_keys()), (&network, events, outgoing))?;
    let core = service.core.clone();
    let shared = service.shared.clone();
    let limit = quorate_api::MAX_MESSAGE_BYTES;
    let ledger = LedgerServer::new(service).max_decoding_message_size(limit).max_encoding_message_size(limit);
    let app = http::add_routes(
        tonic::service::Routes::new(ledger).into_axum_router(),
        &shared,
        network.statistics(),
    );
    tracing::info!(event = "started", %api, %peer, "listening: api {api}, peers {peer}");
    let server = serve(listener, app, shared.over());
    Ok((RunningNode { api, peer, core, network, threads, shared }, server))
}

/// In the next epoch of a process the socket of the one before may take a moment to close: that port is ours, and waited for.
async fn start_network(
    config: quorate_network::Config,
    again: bool,
) -> Result<(Network, tokio::sync::mpsc::Receiver<quorate_network::Event>), NetworkError> {
    const PAUSE: Duration = Duration::from_millis(40);
    const SAID_EVERY: u32 = 100;
    let mut tries = 0_u32;
    loop {
        match Network::start(config.clone()) {
            Err(NetworkError::Bind(address, error)) if again => {
                if tries.is_multiple_of(SAID_EVERY) {
                    tracing::warn!(event = "port_in_use", %address, %error, "waiting for UDP {address}: {error}");
                }
                tries = tries.wrapping_add(1);
                tokio::time::sleep(PAUSE).await;
            }
            started => return started,
        }
    }
}

fn addresses(config: &FileConfig, member: &Member) -> Vec<String> {
    let overrides: &BTreeMap<String, String> = &config.peer.addresses;
    let genesis = &member.trust.genesis().members;
    let of_genesis = |name: &str| genesis.iter().find(|other| other.name == name).map(|other| &other.peer);
    let address = |seat: &Seat| {
        let name = &seat.member.name;
        let hint = Some(&seat.peer).filter(|peer| !peer.is_empty());
        overrides.get(name).or(hint).or_else(|| of_genesis(name)).cloned().unwrap_or_default()
    };
    member.trust.seats().seats.iter().map(address).collect()
}

fn spawn_threads(
    config: &FileConfig,
    loaded: Loaded,
    (members, caps, vote_keys): (Arc<Members>, Caps, Vec<Ed25519Signer>),
    (network, events, outgoing): (
        &Network,
        tokio::sync::mpsc::Receiver<quorate_network::Event>,
        Option<Arc<dyn Outgoing>>,
    ),
) -> Result<(Threads, Service), NodeError> {
    let Loaded {
        member,
        metrics,
        directory,
        log,
        blocks,
        store,
        machine,
        records,
        recovered,
        handovers,
        transfer,
        kept,
    } = loaded;
    let store_named = members.get(member.me).and_then(|own| own.store);
    let may_vote = directory.may_vote(store_named);
    if !may_vote {
        tracing::warn!(
            event = "not_voting",
            store = %directory.store_id(),
            "the members' agreement does not name this store: following without voting"
        );
    }
    let clocks = Clocks::start();
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| NodeError::Disk(std::io::Error::other(error)))?;
    let host_config = HostConfig {
        config: Config {
            me: member.me,
            members: (*members).clone(),
            may_vote,
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
            let beginning = Beginning {
                genesis_text,
                config: &host_config.config,
                seats: member.trust.seats(),
                now,
                records,
                recovered: &recovered,
            };
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
        (member.me, may_vote),
        metrics.clone(),
        (blocks, store, machine.shared_state()),
        handovers,
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
        supply: supply.clone(),
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
    let corruption = Corruption::of(config.testnet.corrupt_key.clone());
    let execution_thread = named("execution", move || {
        execution::run(machine, &execution_shared, &execution_input, &to_core, retain, corruption)
    });
    let thread = CoreThread { host, clocks, input: core_input, log: log_sender, outward };
    threads.push(named("core", move || thread.run(first)));
    let (supply_shared, to_core) = (shared.clone(), core.clone());
    threads.push(named("supply", move || supply::run(&supply_shared, &supply_input, &to_core, transfer)));
    let (inbound_shared, inbound_verify, to_core) = (shared.clone(), verify.clone(), core.clone());
    named("inbound", move || inbound::run(events, &inbound_shared, caps, &inbound_verify, &to_core));
    let readiness = Arc::new(Readiness::new(directory.store_id(), vote_keys, config.clone()));
    let service = Service { shared, verify, core, supply, readiness };
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
