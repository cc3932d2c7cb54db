//! Falling behind and catching up by certified blocks (K5, T1), until a state is needed.

use crate::outbox::{Outbox, Report};
use crate::replica::Replica;
use crate::timers::Timer;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::Signer;
use quorate_types::{Fetch, Message, Notice, Now, ReplicaId, Seq, Status, limits};
use std::time::Duration;

impl<S: Signer> Replica<S> {
    /// K5, T1: base is, or must soon be, above what is executed: blocks with certificates close the gap.
    pub(crate) fn start_catching_up(&mut self, to: Seq, out: &mut Outbox) {
        if !self.catching_up {
            self.catching_up = true;
            out.report(Report::CatchingUp { from: self.executed, to });
        }
    }

    fn is_behind(&self) -> bool {
        let end = self.window_end();
        let beyond = self.checkpoints.beyond.values().filter(|seq| **seq > end).count();
        self.base.base() > self.executed || beyond >= self.quorums().weak()
    }

    /// Sends the next FETCH of blocks if one is due, and notices the end of a transfer.
    pub(crate) fn catch_up(&mut self, now: Now, out: &mut Outbox) {
        const SOON: Duration = Duration::from_millis(10);
        if self.halted {
            return;
        }
        if self.catching_up && !self.is_behind() {
            self.catching_up = false;
            out.report(Report::CaughtUp { at: self.executed });
        }
        let wanted = self.catching_up || self.peers.fetch.hint.is_some();
        if std::mem::take(&mut self.peers.fetch.progressed) && wanted {
            self.timers.set_no_later(Timer::Fetch, now.monotonic.plus(SOON));
        }
        if wanted && !self.timers.is_set(Timer::Fetch) {
            self.fetch_blocks(now, out);
        }
    }

    pub(crate) fn on_fetch_timer(&mut self, now: Now, out: &mut Outbox) {
        if !self.halted && (self.catching_up || self.peers.fetch.hint.is_some()) {
            self.fetch_blocks(now, out);
        }
    }

    /// Asks a peer that has more, each time another one, unless execution has enough to do.
    fn fetch_blocks(&mut self, now: Now, out: &mut Outbox) {
        self.timers.set(Timer::Fetch, now.monotonic.plus(self.config.tuning.fetch));
        if self.is_before_epoch() || self.delivered.above(self.executed) > limits::FETCH_BLOCKS as u64 {
            return;
        }
        let from = if self.lacks_certificates() {
            self.attestations.certified().next()
        } else {
            self.delivered.next()
        };
        // One that has not these blocks any more hints at later ones, again and again: the others would never be asked.
        let hint = self.peers.fetch.hint.take().filter(|peer| !self.peers.lacks(*peer, from));
        // Nor is one asked twice in a row that hints and gives nothing.
        let fruitless = self.peers.fetch.asked.filter(|_| !self.peers.fetch.brought);
        let hint = hint.filter(|peer| Some(*peer) != fruitless);
        if let Some(peer) = hint.or_else(|| self.next_source(from)) {
            (self.peers.fetch.asked, self.peers.fetch.brought) = (Some(peer), false);
            out.send(peer, Message::Notice(Notice::Fetch(Fetch::Blocks { from })));
        }
    }

    fn lacks_certificates(&self) -> bool {
        self.attestations.certified() < self.executed && !self.catching_up
    }

    /// T1: blocks that a peer no longer has are asked of others; so many say so that one of them is honest, and the state is worth
    /// fetching instead.
    pub(crate) fn on_pruned(&mut self, from: ReplicaId, first: Seq) -> Verdict {
        if !self.catching_up && self.peers.fetch.hint.is_none() && !self.lacks_certificates() {
            return Verdict::Ignored(Ignored::Unasked);
        }
        self.peers.pruned.insert(from, first);
        Verdict::Accepted
    }

    /// Whether the next block to execute is gone at so many members that one of them is honest.
    pub(crate) fn needs_state(&self) -> bool {
        if self.is_before_epoch() {
            return self.catching_up;
        }
        let next = self.delivered.next();
        let gone = self.peers.pruned.values().filter(|first| **first > next).count();
        self.catching_up && gone >= self.quorums().weak()
    }

    /// Whether it has not even the blocks of epochs before this one: their certificates are of keys that nobody need know any more.
    fn is_before_epoch(&self) -> bool {
        self.delivered < self.config.members.after()
    }

    fn next_source(&mut self, from: Seq) -> Option<ReplicaId> {
        let n = self.n();
        for _ in 0..n {
            let peer = ReplicaId::new(self.peers.fetch.next_peer % n);
            self.peers.fetch.next_peer = (self.peers.fetch.next_peer + 1) % n;
            let has = |status: &Status| status.certified.max(status.stable) >= from;
            let has = self.peers.status.get(&peer).is_none_or(has);
            if peer != self.me() && has && !self.peers.lacks(peer, from) {
                return Some(peer);
            }
        }
        None
    }
}
