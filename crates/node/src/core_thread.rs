//! The core thread: owns the host, feeds it what was verified, and hands its turns to the log thread.

use crate::outward::Outward;
use crate::shared::{Published, wall_millis};
use crate::stall::{StallWatch, sentence};
use crate::verify::Checked;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use quorate_crypto::{HashedTransaction, Signer, Verified};
use quorate_engine::{Answer, Event, Host, Refusal, Turn, dispatch};
use quorate_pbft::{Outbox, Waits};
use quorate_types::{ErrorCode, Monotonic, Now, ReplicaId, Wall};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Inputs taken in one round before the replica's position is published again.
const ROUND: usize = 256;

pub(crate) enum CoreInput {
    Checked(Vec<Checked>),
    Event(Event),
    /// Somebody asks what the replica waits for.
    Explain(oneshot::Sender<Explanation>),
    /// Finish: the last turn is handed over, then the log thread is let go.
    Stop,
}

/// What the core thread tells of its waits.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    pub(crate) waits: Waits,
    /// Of every other member: whether it is connected, and for how long nothing has come from it.
    pub(crate) links: Vec<(ReplicaId, bool, Option<Duration>)>,
}

/// The two clocks of the process.
#[derive(Clone, Copy)]
pub(crate) struct Clocks {
    start: Instant,
}

impl Clocks {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { monotonic: Monotonic(micros), wall: Wall(wall_millis()) }
    }
}

pub(crate) struct CoreThread<S> {
    pub(crate) host: Host<S>,
    pub(crate) clocks: Clocks,
    pub(crate) input: Receiver<CoreInput>,
    pub(crate) log: Sender<Outbox>,
    pub(crate) outward: Outward,
}

impl<S: Signer> CoreThread<S> {
    /// Runs until told to stop.
    pub(crate) fn run(mut self, first: Turn) {
        self.hand_over(first);
        let mut stall = StallWatch::new(Instant::now());
        loop {
            let now = self.clocks.now();
            let wait = self.host.next_deadline(now).since(now.monotonic).min(Duration::from_secs(1));
            match self.input.recv_timeout(wait) {
                Ok(first) => {
                    if self.round(first) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = self.clocks.now();
            if self.host.next_deadline(now) <= now.monotonic {
                self.event(Event::Deadline);
            }
            self.publish();
            self.say_stall(&mut stall);
        }
    }

    /// Says why nothing is executed though requests wait.
    fn say_stall(&self, watch: &mut StallWatch) {
        let status = self.host.status();
        let Some(stalled) = watch.look(status.executed, status.waiting, Instant::now()) else { return };
        let members = self.outward.shared.trust.members();
        let names: Vec<&str> = members.iter().map(|(_, member)| member.name.as_str()).collect();
        let waits = self.host.waits(self.clocks.now());
        let why = sentence(&waits, &names, status.me, status.primary);
        let (seconds, requests) = (stalled.as_secs(), waits.requests);
        tracing::warn!(
            event = "stalled",
            seconds,
            requests,
            why,
            "nothing was executed for {seconds} s though requests wait: {why}"
        );
    }

    /// One input and what else waits; requests of clients go in together. Returns whether to stop.
    fn round(&mut self, first: CoreInput) -> bool {
        let mut submits = Vec::new();
        let waiting: Vec<CoreInput> = self.input.try_iter().take(ROUND).collect();
        for input in std::iter::once(first).chain(waiting) {
            match input {
                CoreInput::Checked(items) => {
                    for item in items {
                        self.checked(item, &mut submits);
                    }
                }
                CoreInput::Event(event) => self.event(event),
                CoreInput::Explain(to) => {
                    // Who asked may be gone.
                    let _ = to.send(self.explain());
                }
                CoreInput::Stop => return true,
            }
        }
        if !submits.is_empty() {
            self.event(Event::Submits(submits));
        }
        false
    }

    fn checked(&mut self, item: Checked, submits: &mut Vec<(u64, Verified<HashedTransaction>)>) {
        match item {
            Checked::Message { from, message } => self.event(Event::Message { from, message }),
            Checked::Transaction { token, transaction } => submits.push((token, transaction)),
            Checked::BadMessage { from, why } => {
                let name = self.outward.shared.member_name(from).to_owned();
                self.outward.shared.metrics.bad_message(&name);
                tracing::warn!(event = "bad_message", peer = name, %why, "{name} sent what does not verify: {why}");
            }
            Checked::BadTransaction { token, why } => {
                let code = match why {
                    quorate_crypto::Malformed::OtherLedger => ErrorCode::ForAnotherLedger,
                    quorate_crypto::Malformed::TooLarge => ErrorCode::TooLarge,
                    _ => ErrorCode::BadSignature,
                };
                let answer = Answer::Refused(Refusal { code, retry_after_ms: 0 });
                self.outward.shared.waiters.answer(token, answer);
            }
        }
    }

    fn explain(&self) -> Explanation {
        let now = self.clocks.now();
        let members = self.outward.shared.trust.members();
        let others = ReplicaId::all(members.count()).filter(|peer| *peer != self.outward.shared.me);
        let link = |peer| {
            let (connected, heard) = self.host.link(peer, now);
            (peer, connected, heard)
        };
        Explanation { waits: self.host.waits(now), links: others.map(link).collect() }
    }

    fn event(&mut self, event: Event) {
        let turn = self.host.handle(self.clocks.now(), event);
        self.hand_over(turn);
    }

    fn hand_over(&mut self, turn: Turn) {
        let Turn { mut outbox, actions, .. } = turn;
        for effect in outbox.leave_early(self.outward.shared.reserved()) {
            self.outward.perform(dispatch(effect));
        }
        for action in actions {
            self.outward.perform(action);
        }
        if !outbox.is_empty() {
            crate::shared::post(&self.log, outbox);
        }
    }

    fn publish(&self) {
        let shared = &self.outward.shared;
        let members = shared.trust.members();
        let status = self.host.status();
        let rtts = ReplicaId::all(members.count())
            .filter_map(|peer| self.host.rtt(peer).map(|rtt| (peer, rtt)))
            .collect();
        let connected = self.host.connected() + 1;
        shared.metrics.replica(&status, connected, members.quorums().strong(), members.count());
        shared.publish(Published { status, rtts, at: Instant::now() });
    }
}
