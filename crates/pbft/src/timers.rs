//! Deadlines are state: a fixed enumeration of timers in an array. The host asks for the next one.

use quorate_types::Monotonic;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The oldest request in custody was not executed in time (V10).
    Request,
    /// No NEW-VIEW came in time (V6).
    NewView,
    /// The next STATUS (R1).
    Status,
    /// The next FORWARD to all (C2).
    Forward,
    /// The next HELLO (D6).
    Hello,
    /// The next look at obligations (K6).
    Tick,
    /// The next FETCH of blocks (T1).
    Fetch,
    /// What gathers for the next batch has gathered long enough (N1).
    Gather,
    /// The primary did not order in time what it could have (V12).
    Order,
}

impl Timer {
    const ALL: [Timer; 9] = [
        Self::Request,
        Self::NewView,
        Self::Status,
        Self::Forward,
        Self::Hello,
        Self::Tick,
        Self::Fetch,
        Self::Gather,
        Self::Order,
    ];
}

/// One optional deadline for each timer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Timers {
    deadlines: [Option<Monotonic>; Timer::ALL.len()],
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Monotonic) {
        self.deadlines[timer as usize] = Some(at);
    }

    /// Sets a timer unless it would only come later than it does now.
    pub(crate) fn set_no_later(&mut self, timer: Timer, at: Monotonic) {
        let current = self.deadlines[timer as usize];
        self.deadlines[timer as usize] = Some(current.map_or(at, |current| current.min(at)));
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = None;
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize].is_some()
    }

    pub(crate) fn at(&self, timer: Timer) -> Option<Monotonic> {
        self.deadlines[timer as usize]
    }

    pub(crate) fn next(&self) -> Option<Monotonic> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes one timer that is due, so that a stale expiry cannot be delivered twice (V10).
    pub(crate) fn take_due(&mut self, now: Monotonic) -> Option<Timer> {
        let due = |timer: &Timer| self.deadlines[*timer as usize].is_some_and(|at| at <= now);
        let timer = Timer::ALL.into_iter().find(due)?;
        self.cancel(timer);
        Some(timer)
    }
}
