//! What a replica waits for, as it sees it: for whoever asks why nothing commits.

use crate::replica::Replica;
use crate::timers::Timer;
use quorate_crypto::Signer;
use quorate_types::{Monotonic, ReplicaId, Seq, Suspicion, View};
use std::time::Duration;

/// What a replica waits for. A member that is in no list was not heard; one that is, may still be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Members whose votes decide.
    pub quorum: usize,
    /// Requests that are held and not executed, and for how long the oldest one that is in no slot has been.
    pub requests: usize,
    pub oldest: Option<Duration>,
    /// The lowest slot that is not executed, if something is to happen in it.
    pub slot: Option<SlotWait>,
    pub view_change: Option<ViewChangeWait>,
    /// Members that answered the HELLO of this start, while more must (D6).
    pub hello: Option<Vec<ReplicaId>>,
    /// The window is used up until this checkpoint is signed by a quorum, and who signed it (K2).
    pub checkpoint: Option<(Seq, Vec<ReplicaId>)>,
    /// The lowest executed block without a certificate, and who attested it.
    pub certificate: Option<(Seq, Vec<ReplicaId>)>,
    /// The block from which on blocks are fetched from peers (T1).
    pub fetching: Option<Seq>,
    /// Members that suspect the primary of this view, this one included, each with its reason if it told.
    pub suspicions: Vec<(ReplicaId, Suspicion)>,
    /// How long until timers expire that end a wait.
    pub timers: Vec<(WaitTimer, Duration)>,
}

/// How far a slot has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotWait {
    pub seq: Seq,
    pub step: SlotStep,
    /// Members whose votes of this step are held.
    pub by: Vec<ReplicaId>,
}

/// What a slot waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotStep {
    /// The primary's proposal.
    Proposal,
    /// The transactions of a proposal or decision whose digest is known.
    Body,
    /// PREPAREs of q−1 backups (N5).
    Prepares,
    /// COMMITs of a quorum (N7).
    Commits,
    /// Its own execution.
    Execution,
}

/// A view that is not open yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewChangeWait {
    pub view: View,
    /// Who must open it.
    pub primary: ReplicaId,
    /// Members whose VIEW-CHANGE for it or a later view is held.
    pub by: Vec<ReplicaId>,
    /// Its NEW-VIEW came, and cannot be checked yet: VIEW-CHANGEs or bodies that it names are missing.
    pub opened: bool,
}

/// A timer whose expiry ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WaitTimer {
    /// The primary is suspected (V10).
    Request,
    /// The primary is called slow (V12).
    Order,
    /// The next view is tried (V6).
    NewView,
    /// Another peer is asked for blocks (T1).
    Fetch,
}

impl<S: Signer> Replica<S> {
    /// What this replica waits for.
    pub fn waits(&self, now: Monotonic) -> Waits {
        let since = self.custody.oldest_ready().map(|(_, since)| now.since(since));
        Waits {
            quorum: self.quorums().strong(),
            requests: self.custody.len(),
            oldest: since,
            slot: self.slot_wait(),
            view_change: self.view_change_wait(),
            hello: self.hello_wait(),
            checkpoint: self.checkpoint_wait(),
            certificate: self.certificate_wait(),
            fetching: self.catching_up.then(|| self.executed.next()),
            suspicions: self.known_suspicions(),
            timers: self.waiting_timers(now),
        }
    }

    fn slot_wait(&self) -> Option<SlotWait> {
        let seq = self.executed.next();
        let wait = |step, by| Some(SlotWait { seq, step, by });
        if self.executed < self.delivered {
            return wait(SlotStep::Execution, Vec::new());
        }
        let expected = self.custody.len() > 0 || self.highest_proposed() >= seq || self.obligation.is_some();
        let Some(slot) = self.slots.get(&seq) else {
            return if expected { wait(SlotStep::Proposal, Vec::new()) } else { None };
        };
        if slot.wants_body(self.view, self.quorums().strong()).is_some() {
            return wait(SlotStep::Body, Vec::new());
        }
        let Some(offer) = slot.offers.iter().find(|offer| offer.view == self.view) else {
            return if expected { wait(SlotStep::Proposal, Vec::new()) } else { None };
        };
        let of = |votes: &std::collections::BTreeMap<ReplicaId, crate::slot::Vote>| -> Vec<ReplicaId> {
            let same = votes.iter().filter(|(_, vote)| vote.view == self.view && vote.digest == offer.digest);
            same.map(|(member, _)| *member).collect()
        };
        let prepared = slot.prepared.as_ref().is_some_and(|certificate| certificate.view == self.view);
        if prepared {
            wait(SlotStep::Commits, of(&slot.commits))
        } else {
            wait(SlotStep::Prepares, of(&slot.prepares))
        }
    }

    fn view_change_wait(&self) -> Option<ViewChangeWait> {
        if self.active {
            return None;
        }
        let held = self.view_changes.latest.iter().filter(|(_, view_change)| view_change.view() >= self.view);
        Some(ViewChangeWait {
            view: self.view,
            primary: self.primary(),
            by: held.map(|(member, _)| *member).collect(),
            opened: self.view_changes.pending.as_ref().is_some_and(|new_view| new_view.view() == self.view),
        })
    }

    fn hello_wait(&self) -> Option<Vec<ReplicaId>> {
        (!self.greeting.complete && !self.learner).then(|| self.greeting.answered().collect())
    }

    fn checkpoint_wait(&self) -> Option<(Seq, Vec<ReplicaId>)> {
        if self.delivered < self.window_end() {
            return None;
        }
        // The one that would move the window furthest.
        let signed = self.checkpoints.tallies.last_key_value();
        let none = || (self.delivered, Vec::new());
        Some(signed.map_or_else(none, |(seq, tally)| (*seq, tally.keys().copied().collect())))
    }

    fn certificate_wait(&self) -> Option<(Seq, Vec<ReplicaId>)> {
        let seq = self.attestations.certified().next();
        let by = || self.attestations.tallies.get(&seq).into_iter().flat_map(|tally| tally.keys().copied());
        (seq <= self.executed).then(|| (seq, by().collect()))
    }

    fn known_suspicions(&self) -> Vec<(ReplicaId, Suspicion)> {
        let own = self.suspicion.map(|suspicion| (self.me(), suspicion));
        self.peers.suspicions(self.view).chain(own).collect()
    }

    fn waiting_timers(&self, now: Monotonic) -> Vec<(WaitTimer, Duration)> {
        let left = |(name, timer)| Some((name, self.timers.at(timer)?.since(now)));
        [
            (WaitTimer::Request, Timer::Request),
            (WaitTimer::Order, Timer::Order),
            (WaitTimer::NewView, Timer::NewView),
            (WaitTimer::Fetch, Timer::Fetch),
        ]
        .into_iter()
        .filter_map(left)
        .collect()
    }
}

#[cfg(test)]
mod tests;
