//! How soon a primary must order what its backups hold (V12): delaying everything to just before the request timer costs it its
//! office. The bound is measured on decisions, which no f liars can draw out for more than f correct replicas: a quorum of the
//! others decides without them. Prime (Amir et al., DSN'08) and Aardvark (Clement et al., NSDI'09) bound a primary likewise.

use crate::outbox::Outbox;
use crate::replica::Replica;
use crate::timers::Timer;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::Signer;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{Monotonic, Now, Seq, Suspicion, TransactionId, View};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The bound in smoothed decision times, and in recent worst ones: the larger counts.
const SMOOTHED: u32 = 8;
const WORST: u32 = 4;
/// A proposal of so many transactions says that its primary works on a queue, and draws the bound out once more.
const BUSY: usize = 128;
/// Such proposals that are remembered.
const MOST_BUSY: usize = 64;
/// Decisions to be measured before the bound is used: few, since a primary that is slow from the start lets few happen.
const SAMPLES: u32 = 2;
/// The most that the bound is drawn out after views that ended for it.
const MOST_PATIENCE: u32 = 64;

/// What is known of how long a decision takes, and what the primary is timed for.
#[derive(Clone, Debug)]
pub(crate) struct Turnaround {
    /// A proposal whose way from here to its decision is timed.
    timed: Option<(View, Seq, Monotonic)>,
    samples: u32,
    smoothed: Duration,
    /// Of late: it fades.
    worst: Duration,
    /// When proposals of many transactions were accepted, the last of them.
    busy: VecDeque<Monotonic>,
    /// What the bound is multiplied by: twice as much after every view that ended for it, so that a load under which nobody is
    /// fast enough ends no more views.
    patience: u32,
    /// Since when the primary could have proposed.
    open_since: Option<Monotonic>,
    /// What the timer runs for, and since when: an expiry for anything else is stale.
    bound_to: Option<(View, Unordered, Monotonic)>,
    /// What it ran for still waits after the bound.
    pub(crate) overdue: bool,
}

/// What waits for the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unordered {
    /// The oldest request that is in no accepted proposal.
    Request(TransactionId),
    /// A slot that the primary passed over: what it proposed above it cannot be executed.
    Slot(Seq),
}

/// Replicas that differ in nothing but what they measured are one state to the model check, which knows no lengths of time.
impl PartialEq for Turnaround {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Turnaround {}

impl Hash for Turnaround {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Default for Turnaround {
    fn default() -> Self {
        Self {
            timed: None,
            samples: 0,
            smoothed: Duration::ZERO,
            worst: Duration::ZERO,
            busy: VecDeque::new(),
            patience: 1,
            open_since: None,
            bound_to: None,
            overdue: false,
        }
    }
}

impl Turnaround {
    fn sample(&mut self, took: Duration) {
        self.smoothed = if self.samples == 0 { took } else { (self.smoothed * 7 + took) / 8 };
        self.worst = took.max(self.worst * 15 / 16);
        self.samples = self.samples.saturating_add(1);
    }

    /// How long something may wait for the primary, once enough was measured and as long as the request timer would not expire
    /// sooner.
    fn bound(&self, since: Monotonic, least: Duration, timeout: Duration) -> Option<Duration> {
        let busy = self.busy.iter().filter(|at| **at >= since).count();
        let rounds = self.patience.saturating_add(u32::try_from(busy).unwrap_or(u32::MAX));
        let once = (self.smoothed * SMOOTHED).max(self.worst * WORST).max(least);
        let measured = once.saturating_mul(rounds);
        (self.samples >= SAMPLES && measured < timeout).then_some(measured)
    }

    /// A view ends because its primary was too slow for this replica.
    pub(crate) fn be_patient(&mut self) {
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
    }

    /// A primary has done well for long (V6).
    pub(crate) fn expect_more(&mut self) {
        self.patience = (self.patience / 2).max(1);
    }
}

impl<S: Signer> Replica<S> {
    /// V12: times one accepted proposal after the other to its decision, of those for which there are not enough COMMITs already.
    pub(crate) fn time_decision(&mut self, seq: Seq, transactions: usize, now: Now) {
        if transactions >= BUSY {
            self.turnaround.busy.push_back(now.monotonic);
            if self.turnaround.busy.len() > MOST_BUSY {
                self.turnaround.busy.pop_front();
            }
        }
        let (epoch, strong) = (self.epoch(), self.quorums().strong());
        let decided =
            |slot: &crate::slot::Slot| slot.decided.is_some() || slot.committed(epoch, seq, strong).is_some();
        if self.turnaround.timed.is_none() && !self.slots.get(&seq).is_some_and(decided) {
            self.turnaround.timed = Some((self.view, seq, now.monotonic));
        }
    }

    fn note_decision(&mut self, now: Now) {
        let Some((view, seq, at)) = self.turnaround.timed else { return };
        let slot = self.slots.get(&seq);
        if seq <= self.delivered || slot.is_some_and(|slot| slot.decided.is_some()) {
            self.turnaround.timed = None;
            // What a block brought, or another view, says nothing of how long votes take.
            let by_votes = slot.is_some_and(|slot| slot.commit_certificate.is_some());
            if view == self.view && self.active && by_votes {
                self.turnaround.sample(now.monotonic.since(at));
            }
        } else if view != self.view {
            self.turnaround.timed = None;
        }
    }

    /// V12: the timer runs for the oldest request that the primary could have proposed and did not.
    pub(crate) fn update_order_timer(&mut self, now: Now, out: &mut Outbox) {
        self.note_decision(now);
        let unordered = if self.may_expect_proposals() { self.unordered() } else { None };
        let open_since = self.turnaround.open_since.unwrap_or(now.monotonic);
        self.turnaround.open_since = unordered.and(Some(open_since));
        let bound_to = self.turnaround.bound_to;
        if unordered.map(|(what, _)| (self.view, what)) != bound_to.map(|(view, what, _)| (view, what)) {
            self.turnaround.bound_to = unordered.map(|(what, held)| {
                let since = held.map_or(now.monotonic, |held| held.max(open_since));
                (self.view, what, since)
            });
        }
        if self.turnaround.overdue && self.order_deadline().is_none_or(|at| at > now.monotonic) {
            self.turnaround.overdue = false;
            if self.suspicion == Some(Suspicion::Slow) {
                self.withdraw_suspicion(out);
            }
        }
        // The bound changes with every decision, and with it the deadline.
        match self.order_deadline().filter(|_| !self.turnaround.overdue) {
            Some(at) => self.timers.set(Timer::Order, at),
            None => self.timers.cancel(Timer::Order),
        }
    }

    fn order_deadline(&self) -> Option<Monotonic> {
        let (_, what, since) = self.turnaround.bound_to?;
        let tuning = &self.config.tuning;
        // The proposal may have been lost on its way here: repair comes first (R1).
        let repair = match what {
            Unordered::Request(_) => Duration::ZERO,
            Unordered::Slot(_) => tuning.stall + tuning.status_busy,
        };
        Some(since.plus(repair).plus(self.turnaround.bound(since, tuning.order_least, self.timeout)?))
    }

    /// V12: the primary let something wait for longer than many decisions take.
    pub(crate) fn on_order_timeout(&mut self, now: Now, out: &mut Outbox) -> Verdict {
        let unordered = if self.may_expect_proposals() { self.unordered() } else { None };
        let bound_to = self.turnaround.bound_to.map(|(view, what, _)| (view, what));
        if bound_to.is_none() || bound_to != unordered.map(|(what, _)| (self.view, what)) {
            return Verdict::Ignored(Ignored::Stale);
        }
        match self.order_deadline() {
            // The bound has grown since the timer was set.
            Some(later) if later > now.monotonic => self.timers.set(Timer::Order, later),
            Some(_) if !mutant("m59") => {
                hit("a primary orders too slowly");
                self.turnaround.overdue = true;
                self.suspect(Suspicion::Slow, out);
                self.forward_unordered(now, out);
            }
            _ => {}
        }
        Verdict::Accepted
    }

    /// Whether a correct primary would propose what waits: with DEPTH proposals under way it may not (N1).
    fn may_expect_proposals(&self) -> bool {
        if self.is_primary() || !self.may_time_primary() {
            return false;
        }
        let undecided = self.slots.range(self.delivered.next()..).filter(|(_, slot)| {
            slot.decided.is_none() && slot.offers.iter().any(|offer| offer.view == self.view)
        });
        let depth = usize::try_from(self.config.parameters.depth).unwrap_or(usize::MAX);
        undecided.take(depth).count() < depth
    }

    /// What waits for the primary, with the time since when it has been held if that is known.
    fn unordered(&self) -> Option<(Unordered, Option<Monotonic>)> {
        let next = self.delivered.next();
        let offered = |slot: &crate::slot::Slot| slot.decided.is_some() || !slot.offers.is_empty();
        let passed_over = !self.slots.get(&next).is_some_and(offered)
            && self.slots.range(next.next()..).any(|(_, slot)| offered(slot));
        if passed_over {
            return Some((Unordered::Slot(next), None));
        }
        let (id, since) = self.custody.oldest_ready()?;
        Some((Unordered::Request(id), Some(since)))
    }
}

#[cfg(test)]
mod tests;
