//! Round trips to peers, and whether the primary is silent (V1).

use quorate_types::{Message, Monotonic, Notice, ReplicaId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a PING is sent to a primary that is not heard while requests wait.
const PING_EVERY: Duration = Duration::from_millis(25);
/// How often it is sent to each peer: round trips are measured, and a silent primary matters only when requests wait.
const PING_IDLE: Duration = Duration::from_secs(1);
/// The shortest silence that is suspicious, whatever the round trip: scheduling on a busy machine takes this long.
const SILENCE_FLOOR: Duration = Duration::from_millis(120);
/// So many times late, this replica was itself not running, and has nobody's silence to judge.
const OVERSLEPT: u32 = 2;
/// PINGs of one peer that are remembered until their PONG comes.
const UNANSWERED: usize = 64;
/// A worst round trip is forgotten after this long, and so is a PING without a PONG.
const RECENT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Link {
    connected: bool,
    heard: Option<Monotonic>,
    smoothed: Option<Duration>,
    worst: Duration,
    worst_at: Monotonic,
    /// When the last PING was sent.
    pinged: Option<Monotonic>,
    /// PINGs without a PONG yet, by number.
    waiting: BTreeMap<u64, Monotonic>,
}

/// What is measured of every peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    peers: BTreeMap<ReplicaId, Link>,
    next_number: u64,
    /// When this replica last looked at its links.
    looked: Monotonic,
    /// When it looked again after it had not for several times as long as it should.
    slept_until: Monotonic,
    silent: bool,
    /// Since when requests wait and the present primary is timed.
    watched: Option<(ReplicaId, Monotonic)>,
}

impl Links {
    pub(crate) fn connected(&mut self, peer: ReplicaId, connected: bool, now: Monotonic) {
        let link = self.peers.entry(peer).or_default();
        link.connected = connected;
        link.pinged = None;
        link.waiting.clear();
        if connected {
            link.heard = Some(now);
        }
    }

    pub(crate) fn connected_peers(&self) -> Vec<ReplicaId> {
        self.peers.iter().filter(|(_, link)| link.connected).map(|(peer, _)| *peer).collect()
    }

    pub(crate) fn count_connected(&self) -> usize {
        self.peers.values().filter(|link| link.connected).count()
    }

    /// Whether a peer is connected, and for how long nothing has come from it.
    pub(crate) fn state(&self, peer: ReplicaId, now: Monotonic) -> (bool, Option<Duration>) {
        let link = self.peers.get(&peer);
        (
            link.is_some_and(|link| link.connected),
            link.and_then(|link| link.heard).map(|heard| now.since(heard)),
        )
    }

    pub(crate) fn rtt(&self, peer: ReplicaId) -> Option<Duration> {
        self.peers.get(&peer).filter(|link| link.connected).and_then(|link| link.smoothed)
    }

    /// Any message of a peer is a sign of life.
    pub(crate) fn heard(&mut self, peer: ReplicaId, now: Monotonic) {
        self.peers.entry(peer).or_default().heard = Some(now);
    }

    pub(crate) fn pong(&mut self, peer: ReplicaId, number: u64, now: Monotonic) {
        let link = self.peers.entry(peer).or_default();
        let Some(sent) = link.waiting.remove(&number) else { return };
        let sample = now.since(sent);
        link.smoothed = Some(link.smoothed.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
        if sample >= link.worst || now.since(link.worst_at) > RECENT {
            (link.worst, link.worst_at) = (sample, now);
        }
    }

    /// PINGs that are due. `watched` is the primary whose silence matters now, if it does.
    pub(crate) fn pings(&mut self, now: Monotonic, watched: Option<ReplicaId>) -> Vec<(ReplicaId, Message)> {
        let mut pings = Vec::new();
        if now.since(self.looked) > PING_EVERY * OVERSLEPT {
            self.slept_until = now;
        }
        self.looked = now;
        for (peer, link) in self.peers.iter_mut().filter(|(_, link)| link.connected) {
            let due = link.pinged.is_none_or(|pinged| now >= pinged.plus(PING_IDLE));
            let quiet = |since: Option<Monotonic>| since.is_none_or(|since| now >= since.plus(PING_EVERY));
            let asked = watched == Some(*peer) && quiet(link.pinged) && quiet(link.heard);
            if !due && !asked {
                continue;
            }
            let number = self.next_number;
            self.next_number += 1;
            link.pinged = Some(now);
            link.waiting.retain(|_, sent| now.since(*sent) <= RECENT);
            // The oldest are kept: those of a peer that takes longer to answer than so many PINGs in a row are the ones that
            // tell how long it takes.
            if link.waiting.len() < UNANSWERED {
                link.waiting.insert(number, now);
            }
            pings.push((*peer, Message::Notice(Notice::Ping { number })));
        }
        pings
    }

    /// When to look again: at the latest when the next PING is due, and soon while the primary is `watched`. `None` without
    /// anything to look for.
    pub(crate) fn next_look(&self, watched: bool) -> Option<Monotonic> {
        let connected = self.peers.values().filter(|link| link.connected);
        let pings =
            connected.map(|link| link.pinged.map_or(Monotonic::default(), |pinged| pinged.plus(PING_IDLE)));
        pings.chain(watched.then_some(self.looked.plus(PING_EVERY))).min()
    }

    /// V1: whether the primary has become silent or is heard again: no PONG or other message for
    /// max(floor, 8 × smoothed round trip, 4 × recent worst) while requests wait and this replica runs.
    pub(crate) fn silence_changed(
        &mut self,
        primary: ReplicaId,
        waiting: bool,
        now: Monotonic,
    ) -> Option<bool> {
        if !waiting {
            self.watched = None;
            return std::mem::take(&mut self.silent).then_some(false);
        }
        let since = match self.watched {
            Some((watched, since)) if watched == primary => since,
            _ => {
                self.watched = Some((primary, now));
                self.silent = false;
                now
            }
        };
        let link = self.peers.entry(primary).or_default();
        let smoothed = link.smoothed.unwrap_or_default();
        let limit = SILENCE_FLOOR.max(smoothed * 8).max(link.worst * 4);
        let last = link.heard.map_or(since, |heard| heard.max(since)).max(self.slept_until);
        let silent = now.since(last) > limit;
        let changed = silent != self.silent;
        self.silent = silent;
        changed.then_some(silent)
    }
}

#[cfg(test)]
mod tests;
