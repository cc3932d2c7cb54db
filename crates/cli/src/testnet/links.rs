//! The links of a testnet as a network that can be made worse: each pair of replicas talks through a UDP socket of the supervisor, which
//! holds back, loses, doubles and slows what goes in either direction as it is told.
//!
//! Packets are QUIC's, sealed and numbered, so nothing is changed in them. Only the lower index dials, and so one socket serves a pair.

use crate::testnet::layout::Testnet;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// The largest packet that UDP carries.
const MOST_BYTES: usize = 65_536;
/// Connections of one dialler that are remembered: one for each of its latest starts.
const REMEMBERED: usize = 8;
/// What a slow link holds back before it loses: as long as a router's buffer would.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// What happens to the packets from one replica to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rule {
    pub(crate) delay_ms: u64,
    /// Up to so much more, for each packet anew: packets overtake each other.
    pub(crate) jitter_ms: u64,
    /// Of a hundred packets, so many are lost.
    pub(crate) loss_percent: f64,
    pub(crate) duplicate_percent: f64,
    /// Bytes a second; 0 for as many as come.
    pub(crate) rate: u64,
    /// Nothing passes.
    pub(crate) cut: bool,
}

/// What became of the packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) lost: u64,
    pub(crate) held: u64,
    pub(crate) doubled: u64,
}

/// One direction, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkState {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) rule: Rule,
    pub(crate) counts: Counts,
}

#[derive(Default)]
struct Direction {
    rule: Rule,
    counts: Counts,
    /// When the last byte is through, at the rate of the rule.
    busy_until: Option<Instant>,
}

/// What a packet is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    /// After so much time, once or twice.
    Passes {
        after: Duration,
        twice: bool,
    },
}

impl Direction {
    fn decide(&mut self, now: Instant, bytes: usize, random: &mut fastrand::Rng) -> Fate {
        let chance = |random: &mut fastrand::Rng, percent: f64| random.f64() * 100.0 < percent;
        let queued = self.busy_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if self.rule.cut || chance(random, self.rule.loss_percent) || queued > LONGEST_QUEUE {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        let mut after = Duration::from_millis(self.rule.delay_ms);
        if self.rule.jitter_ms > 0 {
            after += Duration::from_micros(random.u64(0..=self.rule.jitter_ms * 1_000));
        }
        if self.rule.rate > 0 {
            let takes = Duration::from_secs_f64(bytes as f64 / self.rule.rate as f64);
            self.busy_until = Some(now + queued + takes);
            after += queued + takes;
        }
        let twice = chance(random, self.rule.duplicate_percent);
        self.counts.passed += 1;
        self.counts.held += u64::from(!after.is_zero());
        self.counts.doubled += u64::from(twice);
        Fate::Passes { after, twice }
    }
}

struct Table {
    directions: BTreeMap<(usize, usize), Direction>,
    random: fastrand::Rng,
}

/// The links of a running testnet.
#[derive(Clone)]
pub(crate) struct Links {
    table: Arc<Mutex<Table>>,
    /// Where the first of a pair dials the second.
    addresses: Arc<BTreeMap<(usize, usize), SocketAddr>>,
    names: Arc<Vec<String>>,
}

impl Links {
    /// Opens a socket for each pair.
    pub(crate) async fn start(testnet: &Testnet) -> io::Result<Self> {
        let places = &testnet.node;
        let all = || 0..places.len();
        let directions = all().flat_map(|from| {
            all().filter(move |to| *to != from).map(move |to| ((from, to), Direction::default()))
        });
        let table = Table { directions: directions.collect(), random: fastrand::Rng::new() };
        let table = Arc::new(Mutex::new(table));
        let mut addresses = BTreeMap::new();
        for first in all() {
            for second in first + 1..places.len() {
                let socket = Arc::new(UdpSocket::bind((places[first].peer.ip(), 0)).await?);
                addresses.insert((first, second), socket.local_addr()?);
                let line = Line { table: table.clone(), first, second, target: places[second].peer };
                tokio::spawn(line.carry(socket));
            }
        }
        let names = places.iter().map(|place| place.name.clone()).collect();
        Ok(Self { table, addresses: Arc::new(addresses), names: Arc::new(names) })
    }

    /// The addresses of the others for one replica, as its environment gives them to it.
    pub(crate) fn environment(&self, node: usize) -> (&'static str, String) {
        let dialled = self.addresses.iter().filter(|((first, _), _)| *first == node);
        let entries: Vec<String> =
            dialled.map(|((_, second), place)| format!("{} = \"{place}\"", self.names[*second])).collect();
        ("QUORATE_PEER__ADDRESSES", format!("{{ {} }}", entries.join(", ")))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// What these directions do from now on.
    pub(crate) fn set(&self, directions: &[(usize, usize)], rule: Rule) -> Result<(), String> {
        let mut table = self.lock();
        if let Some((from, to)) = directions.iter().find(|pair| !table.directions.contains_key(pair)) {
            return Err(format!("there is no link from {from} to {to}"));
        }
        for pair in directions {
            if let Some(direction) = table.directions.get_mut(pair) {
                direction.rule = rule;
                direction.busy_until = None;
            }
        }
        Ok(())
    }

    /// Everything passes again.
    pub(crate) fn heal(&self) {
        for direction in self.lock().directions.values_mut() {
            direction.rule = Rule::default();
            direction.busy_until = None;
        }
    }

    pub(crate) fn states(&self) -> Vec<LinkState> {
        let table = self.lock();
        let state = |((from, to), direction): (&(usize, usize), &Direction)| LinkState {
            from: *from,
            to: *to,
            rule: direction.rule,
            counts: direction.counts,
        };
        table.directions.iter().map(state).collect()
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Whoever panicked with it left it whole.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pair of replicas, of which the first dials.
#[derive(Clone)]
struct Line {
    table: Arc<Mutex<Table>>,
    first: usize,
    second: usize,
    target: SocketAddr,
}

impl Line {
    /// Carries packets until the supervisor ends. An error of a socket is the other side not being there: QUIC sends again.
    async fn carry(self, socket: Arc<UdpSocket>) {
        let mut diallers: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut order = Vec::new();
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            let Ok((bytes, source)) = socket.recv_from(&mut buffer).await else { continue };
            let onward = match diallers.get(&source) {
                Some(onward) => onward.clone(),
                None => {
                    let Ok(onward) = self.connect().await else { continue };
                    tokio::spawn(self.clone().carry_back(onward.clone(), socket.clone(), source));
                    diallers.insert(source, onward.clone());
                    order.push(source);
                    if order.len() > REMEMBERED {
                        diallers.remove(&order.remove(0));
                    }
                    onward
                }
            };
            let packet = buffer[..bytes].to_vec();
            self.pass((self.first, self.second), packet, onward, None).await;
        }
    }

    async fn connect(&self) -> io::Result<Arc<UdpSocket>> {
        let onward = UdpSocket::bind((self.target.ip(), 0)).await?;
        onward.connect(self.target).await?;
        Ok(Arc::new(onward))
    }

    /// What the second answers. Ends when nobody remembers the dialler any more.
    async fn carry_back(self, onward: Arc<UdpSocket>, socket: Arc<UdpSocket>, dialler: SocketAddr) {
        let mut buffer = vec![0; MOST_BYTES];
        // One handle is the table's, one is this one's.
        while Arc::strong_count(&onward) > 1 {
            let wait = tokio::time::timeout(Duration::from_secs(5), onward.recv(&mut buffer));
            if let Ok(Ok(bytes)) = wait.await {
                let packet = buffer[..bytes].to_vec();
                self.pass((self.second, self.first), packet, socket.clone(), Some(dialler)).await;
            }
        }
    }

    async fn pass(
        &self,
        pair: (usize, usize),
        packet: Vec<u8>,
        socket: Arc<UdpSocket>,
        to: Option<SocketAddr>,
    ) {
        let fate = {
            let mut guard = lock(&self.table);
            let Table { directions, random } = &mut *guard;
            let Some(direction) = directions.get_mut(&pair) else { return };
            direction.decide(Instant::now(), packet.len(), random)
        };
        let Fate::Passes { after, twice } = fate else { return };
        let send = async move {
            for _ in 0..=usize::from(twice) {
                // A closed socket loses it, as networks do.
                let _ = match to {
                    None => socket.send(&packet).await,
                    Some(to) => socket.send_to(&packet, to).await,
                };
            }
        };
        if after.is_zero() {
            return send.await;
        }
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            send.await;
        });
    }
}

#[cfg(test)]
mod tests;
