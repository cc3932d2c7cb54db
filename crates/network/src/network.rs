//! The endpoint: dialling, accepting, and the table of peers.

use crate::identity::{Identity, IdentityError, key_of};
use crate::link::{HANDSHAKE, serve};
use crate::preface::Preface;
use crate::queue::SendQueue;
use bytes::Bytes;
use quinn::{Connection, Endpoint, TransportConfig, VarInt};
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_types::{Members, ReplicaId};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// Handshakes under way at a time.
const HANDSHAKES: usize = 64;
/// Events that may wait for the node before readers wait.
const EVENTS: usize = 1_024;

/// Which stream of a link a frame takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    Votes = 0,
    Proposals = 1,
    Bulk = 2,
}

impl Stream {
    pub(crate) const ALL: [Stream; 3] = [Self::Votes, Self::Proposals, Self::Bulk];
}

/// What an endpoint is told.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub me: ReplicaId,
    pub members: Arc<Members>,
    pub transport: Ed25519Signer,
    /// `host:port` of each member, in order; the own one is not used.
    pub addresses: Vec<String>,
    /// The largest frame of each stream, in bytes.
    pub caps: [usize; 3],
}

/// Why an endpoint cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("cannot listen on UDP {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
    #[error("{0}")]
    Identity(#[from] IdentityError),
}

/// Something that happened on the network.
#[derive(Debug)]
pub enum Event {
    PeerUp {
        peer: ReplicaId,
        name: String,
        version: String,
    },
    PeerDown {
        peer: ReplicaId,
        reason: String,
    },
    Frame {
        peer: ReplicaId,
        stream: Stream,
        bytes: Bytes,
    },
    /// Someone was refused: no member, another ledger, or a broken handshake.
    Refused {
        address: SocketAddr,
        reason: String,
    },
}

/// What was measured of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    pub connected: bool,
    pub frames_in: u64,
    pub bytes_in: u64,
    pub frames_out: u64,
    pub bytes_out: u64,
    pub frames_waiting: usize,
    /// Because too many waited already.
    pub frames_dropped: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Peer {
    pub(crate) queues: [SendQueue; 3],
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    connection: Mutex<(u64, Option<Connection>)>,
}

pub(crate) struct Shared {
    pub(crate) preface: Preface,
    pub(crate) caps: [usize; 3],
    pub(crate) peers: Vec<Peer>,
    pub(crate) events: mpsc::Sender<Event>,
    identity: Identity,
    me: ReplicaId,
    members: Arc<Members>,
    addresses: Vec<String>,
    /// Set once: loops that dial end.
    closing: watch::Sender<bool>,
}

impl Shared {
    fn connection(&self, peer: ReplicaId) -> std::sync::MutexGuard<'_, (u64, Option<Connection>)> {
        self.peers[peer.index()].connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this the peer's connection; the newest wins. Returns its generation.
    pub(crate) fn adopt(&self, peer: ReplicaId, connection: Connection) -> u64 {
        let mut current = self.connection(peer);
        for queue in &self.peers[peer.index()].queues {
            queue.close();
            queue.open();
        }
        current.0 += 1;
        if let Some(old) = current.1.replace(connection) {
            old.close(2u8.into(), b"replaced by a newer connection");
        }
        current.0
    }

    /// The connection of this generation ended; whether it was still the peer's.
    pub(crate) fn release(&self, peer: ReplicaId, generation: u64) -> bool {
        let mut current = self.connection(peer);
        if current.0 != generation {
            return false;
        }
        current.1 = None;
        for queue in &self.peers[peer.index()].queues {
            queue.close();
        }
        true
    }
}

/// A handle on the endpoint; clones are handles on the same one.
#[derive(Clone)]
pub struct Network {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

impl Network {
    /// Listens, and dials every member with a higher index, again and again.
    ///
    /// # Errors
    /// If the address cannot be bound or the transport key is not usable.
    pub fn start(config: Config) -> Result<(Self, mpsc::Receiver<Event>), NetworkError> {
        let identity = Identity::new(&config.transport, config.members.clone(), config.me)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(identity.server()?));
        server.transport_config(transport(&config.caps));
        let endpoint = bind(&config, server).map_err(|error| NetworkError::Bind(config.listen, error))?;
        let (events, receiver) = mpsc::channel(EVENTS);
        let name = config.members.get(config.me).map(|member| member.name.clone()).unwrap_or_default();
        let shared = Arc::new(Shared {
            preface: Preface::own(*config.members.ledger(), &name),
            caps: config.caps,
            peers: config.members.iter().map(|_| Peer::default()).collect(),
            events,
            identity,
            me: config.me,
            members: config.members,
            addresses: config.addresses,
            closing: watch::Sender::new(false),
        });
        let network = Self { endpoint: endpoint.clone(), shared: shared.clone() };
        tokio::spawn(accept(endpoint.clone(), shared.clone()));
        for peer in ReplicaId::all(shared.members.count()).filter(|peer| *peer > shared.me) {
            tokio::spawn(dial(endpoint.clone(), shared.clone(), peer));
        }
        Ok((network, receiver))
    }

    /// The bound address.
    ///
    /// # Panics
    /// If the system has forgotten the socket's address.
    pub fn local_address(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("a bound socket has an address")
    }

    /// Queues a frame for a peer. Lost if the peer is not connected or its queue is full: STATUS repairs it.
    pub fn send(&self, peer: ReplicaId, stream: Stream, frame: Bytes) {
        if let Some(to) = self.shared.peers.get(peer.index()) {
            to.queues[stream as usize].push(stream, frame);
        }
    }

    /// Queues a frame for every other member.
    pub fn broadcast(&self, stream: Stream, frame: &Bytes) {
        for peer in ReplicaId::all(self.shared.members.count()).filter(|peer| *peer != self.shared.me) {
            self.send(peer, stream, frame.clone());
        }
    }

    /// What is measured of peers, for whoever must not keep the socket open.
    pub fn statistics(&self) -> Statistics {
        Statistics(self.shared.clone())
    }

    /// What was measured of a peer.
    pub fn stats(&self, peer: ReplicaId) -> PeerStats {
        self.statistics().of(peer)
    }

    /// Closes every connection and stops listening.
    pub async fn close(&self) {
        let _ = self.shared.closing.send(true);
        self.endpoint.close(0u8.into(), b"stopping");
        let _ = tokio::time::timeout(Duration::from_millis(500), self.endpoint.wait_idle()).await;
    }
}

/// What is measured of peers. It outlives the network.
#[derive(Clone)]
pub struct Statistics(Arc<Shared>);

impl Statistics {
    /// What was measured of a peer.
    pub fn of(&self, peer: ReplicaId) -> PeerStats {
        let Some(held) = self.0.peers.get(peer.index()) else { return PeerStats::default() };
        let mut stats = PeerStats {
            connected: self.0.connection(peer).1.is_some(),
            frames_in: held.frames_in.load(Ordering::Relaxed),
            bytes_in: held.bytes_in.load(Ordering::Relaxed),
            bytes_out: held.bytes_out.load(Ordering::Relaxed),
            ..PeerStats::default()
        };
        for (waiting, taken, dropped) in held.queues.iter().map(SendQueue::counts) {
            stats.frames_waiting += waiting;
            stats.frames_out += taken;
            stats.frames_dropped += dropped;
        }
        stats
    }
}

/// The endpoint. What its connection ids and stateless resets (RFC 9000, 10.3) are made from is derived from the transport
/// key, so that a restarted process can tell peers at once that their connection to the one before is gone. Otherwise a
/// member that waits to be dialled would be missed until the idle timeout.
fn bind(config: &Config, server: quinn::ServerConfig) -> std::io::Result<Endpoint> {
    let secret = quorate_crypto::sha256(&config.transport.sign(b"quorate/stateless-reset/v1").0).0;
    let (reset, ids) = secret.split_at(24);
    let ids = u64::from_be_bytes(ids.try_into().expect("eight of thirty-two bytes"));
    let mut endpoint =
        quinn::EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, reset)));
    endpoint.cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(ids)));
    let socket = std::net::UdpSocket::bind(config.listen)?;
    Endpoint::new(endpoint, Some(server), socket, Arc::new(quinn::TokioRuntime))
}

/// Small limits: memory that a peer can make us hold is bounded by the receive window.
fn transport(caps: &[usize; 3]) -> Arc<TransportConfig> {
    let largest = caps.iter().max().copied().unwrap_or(1 << 20);
    let window = u32::try_from(largest.clamp(2 << 20, 64 << 20)).unwrap_or(64 << 20);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(1u8.into())
        .max_concurrent_uni_streams(3u8.into())
        .stream_receive_window(VarInt::from_u32(window))
        .receive_window(VarInt::from_u32(window.saturating_mul(2)))
        .send_window(u64::from(window) * 2)
        .keep_alive_interval(Some(Duration::from_secs(2)))
        .initial_rtt(Duration::from_millis(10))
        .max_idle_timeout(Some(VarInt::from_u32(10_000).into()));
    Arc::new(transport)
}

/// Accepts connections of members with lower indices; everyone else is refused in the TLS verifier or here.
async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let address = incoming.remote_address();
            let connected = tokio::time::timeout(HANDSHAKE, incoming).await;
            let reason = match connected {
                Ok(Ok(connection)) => match member_of(&connection, &shared) {
                    Some(peer) if peer < shared.me => {
                        drop(permit);
                        serve(shared, peer, connection, false).await;
                        return;
                    }
                    _ => {
                        connection.close(1u8.into(), b"the lower index dials");
                        "it should wait to be dialled".to_owned()
                    }
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no handshake in time".to_owned(),
            };
            let _ = shared.events.send(Event::Refused { address, reason }).await;
        });
    }
}

fn member_of(connection: &Connection, shared: &Shared) -> Option<ReplicaId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let [key] = identity.as_slice() else { return None };
    shared.members.by_transport_key(&key_of(key.as_ref())?)
}

/// Dials one member until the endpoint closes, backing off with jitter from 50 ms to 2 s.
async fn dial(endpoint: Endpoint, shared: Arc<Shared>, peer: ReplicaId) {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);
    let mut pause = FIRST;
    let mut closing = shared.closing.subscribe();
    while !*closing.borrow() {
        // Whoever still looks up a name or shakes hands would keep the socket open.
        let connected = tokio::select! {
            connected = connect(&endpoint, &shared, peer) => connected,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        if let Some(connection) = connected {
            let start = tokio::time::Instant::now();
            serve(shared.clone(), peer, connection, true).await;
            if start.elapsed() > LONGEST {
                pause = FIRST;
            }
        }
        let jitter = Duration::from_micros(u64::from(shared.me.get()) * 7_919 % 20_000);
        let _ = tokio::time::timeout(pause + jitter, closing.wait_for(|closing| *closing)).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn connect(endpoint: &Endpoint, shared: &Shared, peer: ReplicaId) -> Option<Connection> {
    let address = shared.addresses.get(peer.index())?;
    let address = tokio::net::lookup_host(address).await.ok()?.next()?;
    let mut config = quinn::ClientConfig::new(Arc::new(shared.identity.client(peer).ok()?));
    config.transport_config(transport(&shared.caps));
    let connecting = endpoint.connect_with(config, address, "quorate").ok()?;
    tokio::time::timeout(HANDSHAKE, connecting).await.ok()?.ok()
}
