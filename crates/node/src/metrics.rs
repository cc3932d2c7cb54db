//! What `/metrics` shows, in the Prometheus text format: base units, prefix `quorate_`, no client labels.

use crate::room::Room;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use quorate_network::PeerStats;
use quorate_pbft::{Phase, ReplicaStatus};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TrafficLabel {
    peer: String,
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FileLabel {
    file: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Every metric of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    view: Gauge,
    is_primary: Gauge,
    state: Family<StateLabel, Gauge>,
    proposed: Gauge,
    prepared: Gauge,
    committed: Gauge,
    executed: Gauge,
    certified: Gauge,
    stable: Gauge,
    window_used: Gauge,
    members: Gauge,
    quorum: Gauge,
    connected: Gauge,
    view_timeout: Seconds,
    view_changes: Family<ReasonLabel, Counter>,
    evidence: Family<PeerLabel, Counter>,
    block_transactions: Histogram,
    block_bytes: Histogram,
    blocks: Counter,
    transactions: Family<OutcomeLabel, Counter>,
    custody: Gauge,
    custody_bytes: Gauge,
    refused: Family<ReasonLabel, Counter>,
    verify_batch: Histogram,
    verify_seconds: Histogram,
    sync_seconds: Family<FileLabel, Histogram>,
    log_flush_records: Histogram,
    storage_bytes: Family<KindLabel, Gauge>,
    storage_free: Gauge,
    peer_connected: Family<PeerLabel, Gauge>,
    peer_rtt: Family<PeerLabel, Seconds>,
    peer_messages: Family<TrafficLabel, Counter>,
    peer_bytes: Family<TrafficLabel, Counter>,
    peer_send_queue: Family<PeerLabel, Gauge>,
    peer_unsent: Family<PeerLabel, Counter>,
    bad_messages: Family<PeerLabel, Counter>,
    dropped_messages: Family<PeerLabel, Counter>,
    streams: Gauge,
    cpu_seconds: Seconds,
    resident_bytes: Gauge,
}

fn exponential(start: f64, factor: f64, count: u16) -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(start, factor, count))
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Seconds {
    let gauge = Seconds::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn histogram(registry: &mut Registry, name: &str, help: &str, histogram: Histogram) -> Histogram {
    registry.register(name, help, histogram.clone());
    histogram
}

macro_rules! family {
    ($registry:expr, $name:literal, $help:literal) => {{
        let family = Family::default();
        $registry.register($name, $help, family.clone());
        family
    }};
}

const STATES: [(&str, Phase); 6] = [
    ("starting", Phase::Starting),
    ("normal", Phase::Normal),
    ("view_change", Phase::ViewChange),
    ("catching_up", Phase::CatchingUp),
    ("learner", Phase::Learner),
    ("halted", Phase::Halted),
];

impl Metrics {
    /// Registers everything. `node` and `ledger` name the node in `quorate_ledger_info`.
    pub fn new(node: &str, ledger: &str, ledger_id: &str) -> Self {
        let mut owned = Registry::with_prefix("quorate");
        let r = &mut owned;
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION").to_owned())]);
        r.register("build", "version of the program", build);
        let info = Info::new(vec![
            ("ledger", ledger.to_owned()),
            ("id", ledger_id.to_owned()),
            ("node", node.to_owned()),
        ]);
        r.register("ledger", "which ledger and node this is", info);
        let sync_seconds =
            Family::<FileLabel, Histogram>::new_with_constructor(|| exponential(0.000_05, 2.0, 16));
        r.register("storage_fsync_duration_seconds", "duration of syncs", sync_seconds.clone());
        Self {
            view: gauge(r, "consensus_view", "current view"),
            is_primary: gauge(r, "consensus_is_primary", "1 if this node is the primary of its view"),
            state: family!(r, "consensus_state", "1 for the state that the node is in"),
            proposed: gauge(r, "consensus_sequence_proposed", "highest sequence number with a proposal"),
            prepared: gauge(r, "consensus_sequence_prepared", "highest prepared sequence number"),
            committed: gauge(r, "consensus_sequence_committed", "all up to this one are committed"),
            executed: gauge(r, "consensus_sequence_executed", "all up to this one are executed"),
            certified: gauge(
                r,
                "consensus_sequence_certified",
                "all blocks up to this one have certificates",
            ),
            stable: gauge(r, "consensus_stable_checkpoint", "stable checkpoint"),
            window_used: gauge(r, "consensus_window_used", "slots between base and the highest proposal"),
            members: gauge(r, "consensus_members", "members of the epoch"),
            quorum: gauge(r, "consensus_quorum_size", "signatures that commit"),
            connected: gauge(r, "consensus_connected_members", "members connected, this one included"),
            view_timeout: seconds(r, "consensus_view_timeout_seconds", "current timeout of view and request"),
            view_changes: family!(r, "consensus_view_changes", "view changes started here"),
            evidence: family!(r, "consensus_evidence", "proofs of misbehaviour found"),
            block_transactions: histogram(
                r,
                "block_txs",
                "transactions in an executed block",
                exponential(1.0, 2.0, 12),
            ),
            block_bytes: histogram(r, "block_bytes", "bytes of a block", exponential(128.0, 2.0, 15)),
            blocks: {
                let counter = Counter::default();
                r.register("blocks", "blocks executed since the start", counter.clone());
                counter
            },
            transactions: family!(r, "tx", "transactions executed, by outcome"),
            custody: gauge(r, "mempool_txs", "requests in custody"),
            custody_bytes: gauge(r, "mempool_bytes", "bytes in custody"),
            refused: family!(r, "mempool_rejected", "transactions refused at this gateway"),
            verify_batch: histogram(
                r,
                "crypto_verify_batch_size",
                "signatures in one verification call",
                exponential(1.0, 2.0, 12),
            ),
            verify_seconds: histogram(
                r,
                "crypto_verify_duration_seconds",
                "duration of one verification call",
                exponential(0.000_02, 2.0, 16),
            ),
            sync_seconds,
            log_flush_records: histogram(
                r,
                "storage_flush_turns",
                "turns of the core made durable by one sync",
                exponential(1.0, 2.0, 10),
            ),
            storage_bytes: family!(r, "storage_bytes", "bytes that the data directory takes"),
            storage_free: gauge(
                r,
                "storage_free_bytes",
                "bytes that the disk of the data directory has left",
            ),
            peer_connected: family!(r, "peer_connected", "1 if the peer is connected"),
            peer_rtt: family!(r, "peer_rtt_seconds", "round trip to the peer"),
            peer_messages: family!(r, "peer_messages", "messages to and from the peer"),
            peer_bytes: family!(r, "peer_bytes", "bytes of messages to and from the peer"),
            peer_send_queue: family!(r, "peer_send_queue", "messages that wait to be sent to the peer"),
            peer_unsent: family!(
                r,
                "peer_unsent_messages",
                "messages dropped because too many waited to be sent to the peer"
            ),
            bad_messages: family!(r, "peer_bad_messages", "messages that did not verify, by connection"),
            dropped_messages: family!(
                r,
                "peer_dropped_messages",
                "messages that came faster than the peer's share is verified, by connection"
            ),
            streams: gauge(r, "api_streams", "open SubmitStream calls"),
            cpu_seconds: seconds(r, "process_cpu_seconds", "user and system time of the process"),
            resident_bytes: gauge(r, "process_resident_memory_bytes", "resident memory"),
            registry: owned,
        }
    }

    /// The text that `/metrics` answers with.
    pub fn encode(&self) -> String {
        let (cpu, resident) = process_usage();
        self.cpu_seconds.set(cpu);
        self.resident_bytes.set(resident);
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// One call of the verifier.
    pub fn verified(&self, claims: usize, took: Duration) {
        self.verify_batch.observe(number(claims));
        self.verify_seconds.observe(took.as_secs_f64());
    }

    /// What the data directory takes.
    pub(crate) fn room(&self, room: &Room) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        for (kind, bytes) in room.taken {
            self.storage_bytes.get_or_create(&KindLabel { kind }).set(signed(bytes));
        }
        self.storage_free.set(signed(room.free));
    }

    /// One sync of `file`.
    pub fn synced(&self, file: &'static str, took: Duration) {
        self.sync_seconds.get_or_create(&FileLabel { file }).observe(took.as_secs_f64());
    }

    /// One sync of the log covered this many turns.
    pub fn flushed(&self, turns: usize) {
        self.log_flush_records.observe(number(turns));
    }

    /// An executed block.
    pub fn executed_block(&self, transactions: usize, bytes: usize) {
        self.blocks.inc();
        self.block_transactions.observe(number(transactions));
        self.block_bytes.observe(number(bytes));
    }

    /// One executed transaction.
    pub fn outcome(&self, outcome: &'static str) {
        self.transactions.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub fn view_change(&self, reason: &'static str) {
        self.view_changes.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counters of a peer begin at zero, so that a first increase is seen as one.
    pub fn expect_peer(&self, peer: &str) {
        let label = PeerLabel { peer: peer.to_owned() };
        let _ = self.evidence.get_or_create(&label);
        let _ = self.bad_messages.get_or_create(&label);
        let _ = self.dropped_messages.get_or_create(&label);
    }

    pub fn evidence(&self, peer: &str) {
        self.evidence.get_or_create(&PeerLabel { peer: peer.to_owned() }).inc();
    }

    pub fn bad_message(&self, peer: &str) {
        self.bad_messages.get_or_create(&PeerLabel { peer: peer.to_owned() }).inc();
    }

    pub fn dropped_message(&self, peer: &str) {
        self.dropped_messages.get_or_create(&PeerLabel { peer: peer.to_owned() }).inc();
    }

    pub fn peer(&self, peer: &str, stats: &PeerStats, rtt: Option<Duration>) {
        let label = PeerLabel { peer: peer.to_owned() };
        self.peer_connected.get_or_create(&label).set(i64::from(rtt.is_some()));
        if let Some(rtt) = rtt {
            self.peer_rtt.get_or_create(&label).set(rtt.as_secs_f64());
        }
        let waiting = i64::try_from(stats.frames_waiting).unwrap_or(i64::MAX);
        self.peer_send_queue.get_or_create(&label).set(waiting);
        raise(&self.peer_unsent.get_or_create(&label), stats.frames_dropped);
        let directions =
            [("sent", stats.frames_out, stats.bytes_out), ("received", stats.frames_in, stats.bytes_in)];
        for (direction, frames, bytes) in directions {
            let label = TrafficLabel { peer: peer.to_owned(), direction };
            raise(&self.peer_messages.get_or_create(&label), frames);
            raise(&self.peer_bytes.get_or_create(&label), bytes);
        }
    }

    pub fn stream_opened(&self) {
        self.streams.inc();
    }

    pub fn stream_closed(&self) {
        self.streams.dec();
    }

    /// Publishes where the replica stands.
    pub fn replica(&self, status: &ReplicaStatus, connected: usize, quorum: usize, members: u16) {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.view, status.view.get());
        set(&self.is_primary, u64::from(status.active && status.primary == status.me));
        for (name, phase) in STATES {
            let is = i64::from(phase == status.phase);
            self.state.get_or_create(&StateLabel { state: name }).set(is);
        }
        set(&self.proposed, status.proposed.get());
        set(&self.prepared, status.prepared.get());
        set(&self.committed, status.committed.get());
        set(&self.executed, status.executed.get());
        set(&self.certified, status.certified.get());
        set(&self.stable, status.stable.get());
        set(&self.window_used, status.proposed.above(status.base));
        set(&self.members, u64::from(members));
        set(&self.quorum, quorum as u64);
        set(&self.connected, connected as u64);
        self.view_timeout.set(Duration::from_millis(status.view_timeout_ms).as_secs_f64());
        set(&self.custody, status.custody as u64);
        set(&self.custody_bytes, status.custody_bytes as u64);
    }
}

/// Brings a counter up to what was counted elsewhere.
fn raise(counter: &Counter, counted: u64) {
    counter.inc_by(counted.saturating_sub(counter.get()));
}

/// A count as a histogram's number: exact below 2^53.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// CPU seconds and resident bytes of this process, from /proc; zero where there is none.
pub fn process_usage() -> (f64, i64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields after the last ')': state is the first, utime the 12th, stime the 13th, rss (pages) the 22nd.
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or(0);
    // USER_HZ is 100 on every Linux that this runs on.
    let ticks = Duration::from_millis((field(11) + field(12)) * 10);
    (ticks.as_secs_f64(), i64::try_from(field(21) * 4096).unwrap_or(i64::MAX))
}
