//! When the primary of a view is suspected, and what the request timer runs for (V1, V10).

use crate::outbox::{Outbox, Report};
use crate::replica::{Head, Replica, RequestTimer};
use crate::timers::Timer;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::Signer;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{Message, Notice, Now, Suspicion};

impl<S: Signer> Replica<S> {
    /// V1: suspects the primary of the current view. It is a state, told at once and repeated in STATUS.
    pub(crate) fn suspect(&mut self, suspicion: Suspicion, out: &mut Outbox) {
        let stronger = match self.suspicion {
            None => true,
            Some(Suspicion::Abstention) => suspicion != Suspicion::Abstention,
            Some(known) => suspicion == Suspicion::Misbehaviour && known != suspicion,
        };
        if !self.active || !self.can_vote() || !stronger {
            return;
        }
        self.suspicion = Some(suspicion);
        self.calm = 0;
        out.report(Report::Suspects { view: self.view, suspicion });
        out.broadcast(Message::Notice(Notice::Status(self.own_status())));
    }

    /// Whether it is the primary that is suspected: who abstains only says that it cannot help it (D7).
    pub(crate) fn doubts_primary(&self) -> bool {
        self.suspicion.is_some_and(|suspicion| suspicion != Suspicion::Abstention)
    }

    /// V1: progress for the oldest request withdraws what was no proof.
    pub(crate) fn withdraw_suspicion(&mut self, out: &mut Outbox) {
        let lasts = |suspicion| match suspicion {
            Suspicion::Misbehaviour => true,
            Suspicion::Abstention => self.is_abstaining(),
            Suspicion::RequestTimeout | Suspicion::Silence | Suspicion::BadTime => false,
            Suspicion::Slow => self.turnaround.overdue,
        };
        if self.suspicion.is_some_and(|suspicion| !lasts(suspicion)) {
            self.suspicion = None;
            hit("a suspicion is withdrawn");
            out.report(Report::SuspicionWithdrawn { view: self.view });
            out.broadcast(Message::Notice(Notice::Status(self.own_status())));
        }
    }

    pub(crate) fn on_primary_silent(&mut self, out: &mut Outbox) -> Verdict {
        if self.is_primary() || self.catching_up || self.custody.oldest().is_none() {
            return Verdict::Ignored(Ignored::Unasked);
        }
        self.suspect(Suspicion::Silence, out);
        Verdict::Accepted
    }

    pub(crate) fn on_primary_heard(&mut self, out: &mut Outbox) -> Verdict {
        if self.suspicion == Some(Suspicion::Silence) {
            self.withdraw_suspicion(out);
        }
        Verdict::Accepted
    }

    /// V10: the timer is bound to the oldest request and the view; an expiry for anything else is stale.
    pub(crate) fn on_request_timeout(&mut self, out: &mut Outbox) -> Verdict {
        let bound = self.timed_head().map(|head| RequestTimer { view: self.view, head });
        // Runs again if it leads to nothing now, or if another suspicion stands and is withdrawn later.
        let expired_for = self.request_timer_for.take();
        if bound.is_none() || bound != expired_for {
            return Verdict::Ignored(Ignored::Stale);
        }
        self.suspect(Suspicion::RequestTimeout, out);
        Verdict::Accepted
    }

    /// V10: restarted when another request becomes oldest and when a view becomes active.
    pub(crate) fn update_request_timer(&mut self, now: Now) {
        let due = |head: &Head| match head {
            Head::Request(_) | Head::Window(_) => true,
            Head::Obligation(time) => time.0 <= now.wall.0,
        };
        let wanted = self.timed_head().filter(due).map(|head| RequestTimer { view: self.view, head });
        if wanted == self.request_timer_for {
            return;
        }
        self.request_timer_for = wanted;
        if mutant("m13") && self.timers.is_set(Timer::Request) {
            return;
        }
        match wanted {
            // Checkpoints are no primary's business, but what the others lack to make one a NEW-VIEW tells all of them.
            Some(RequestTimer { head: Head::Window(_), .. }) => {
                let longest = self.config.parameters.view_timeout_max();
                self.timers.set(Timer::Request, now.monotonic.plus(longest));
            }
            Some(_) => self.timers.set(Timer::Request, now.monotonic.plus(self.timeout)),
            None => self.timers.cancel(Timer::Request),
        }
    }
}
