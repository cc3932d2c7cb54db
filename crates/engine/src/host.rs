//! The host: admission, waiting clients, round trips, and the core in the middle.

use crate::action::{Action, Answer, Class, Refusal, class_of};
use crate::gateway::Gateway;
use crate::links::Links;
use crate::recent::{Consumed, Outcome, Recent};
use crate::transfer::{Fetched, Taken, Transfer};
use quorate_crypto::{CheckedMessage, HashedTransaction, Signer, Verified};
use quorate_ledger::{AdmissionControl, ExecutedBlock};
use quorate_pbft::{
    Config, Execution, Ignored, Input, Installed, Outbox, Phase, Recovered, Replica, ReplicaStatus, Verdict,
    Waits,
};
use quorate_types::probes::hit;
use quorate_types::{
    BlockCertificate, CertifiedBlock, ErrorCode, Message, Monotonic, Notice, Now, ReplicaId, Seq,
    TransactionId, limits,
};
use std::sync::Arc;
use std::time::Duration;

/// What a host is told at its start beside what the core is told.
#[derive(Clone, Debug)]
pub struct HostConfig {
    pub config: Config,
    /// As of the executed state at the start.
    pub admission: AdmissionControl,
}

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// A verified message of a connected peer.
    Message {
        from: ReplicaId,
        message: Verified<CheckedMessage>,
    },
    PeerUp(ReplicaId),
    PeerDown(ReplicaId),
    /// Clients submit transactions; each is answered under its token.
    Submits(Vec<(u64, Verified<HashedTransaction>)>),
    /// Someone waits for a transaction that was submitted earlier, here or elsewhere.
    Await {
        token: u64,
        id: TransactionId,
    },
    /// Nobody listens to this token any more.
    Forget {
        token: u64,
    },
    Executed(Arc<ExecutedBlock>),
    CheckpointDurable {
        seq: Seq,
    },
    /// A block's certificate was stored.
    Certified(BlockCertificate),
    BlocksRead {
        to: ReplicaId,
        blocks: Vec<Arc<CertifiedBlock>>,
    },
    /// The blocks that a peer asked for are gone; this is the first that is kept.
    BlocksGone {
        to: ReplicaId,
        first: Seq,
    },
    /// All that was given before [`Action::PrepareInstall`] is durable.
    InstallState {
        seq: Seq,
    },
    /// A fetched state is durable in place of the executed one.
    Installed {
        installed: Box<Installed>,
        /// As of that state.
        admission: AdmissionControl,
    },
    /// The parts of a checkpoint's state, or the leaves of one of them.
    StateRead {
        to: ReplicaId,
        message: Message,
    },
    /// The certificate of the last checkpoint of an epoch that a peer is still in.
    HandoverRead {
        to: ReplicaId,
        certificate: BlockCertificate,
    },
    /// The moment named by [`Host::next_deadline`] has come.
    Deadline,
}

/// What one event led to. The outbox must be released; the actions may be done at once.
#[derive(Debug, Default)]
#[must_use]
pub struct Turn {
    pub outbox: Outbox,
    pub actions: Vec<Action>,
    /// What the core thought of a peer's message, if it was one.
    pub verdict: Option<Verdict>,
}

/// Sees every input of the core and what it led to. `(now, input)*` determines everything, so this is enough to run the core
/// again elsewhere.
pub trait Recorder: std::fmt::Debug + Send {
    /// The core is about to take an input.
    fn input(&mut self, now: Now, input: &Input);

    /// What the last input led to.
    fn outcome(&mut self, verdict: &Verdict, outbox: &Outbox);
}

/// A replica with everything around it that does no IO.
#[derive(Debug)]
pub struct Host<S> {
    recorder: Option<Box<dyn Recorder>>,
    replica: Replica<S>,
    /// Where the replica stands since its last input.
    status: ReplicaStatus,
    admission: AdmissionControl,
    recent: Recent,
    gateway: Gateway,
    links: Links,
    transfer: Transfer,
    /// A state that was fetched and is not installed yet.
    fetched: Option<Box<Fetched>>,
}

/// How far away the next look is when nothing is planned.
const NOTHING_DUE: Duration = Duration::from_secs(1);

impl<S: Signer> Host<S> {
    /// Starts a replica from what was found on disk.
    pub fn start(config: HostConfig, signer: S, recovered: Recovered, now: Now) -> (Self, Turn) {
        let mut turn = Turn::default();
        let replica = Replica::start(config.config, signer, recovered, now, &mut turn.outbox);
        let host = Self {
            recorder: None,
            status: replica.status(),
            replica,
            admission: config.admission,
            recent: Recent::default(),
            gateway: Gateway::default(),
            links: Links::default(),
            transfer: Transfer::default(),
            fetched: None,
        };
        (host, turn)
    }

    /// From here on every input of the core is shown to this recorder.
    pub fn record_with(&mut self, recorder: Box<dyn Recorder>) {
        self.recorder = Some(recorder);
    }

    /// Total: any event in any state.
    pub fn handle(&mut self, now: Now, event: Event) -> Turn {
        let mut turn = Turn::default();
        match event {
            Event::Message { from, message } => self.on_message(now, from, message, &mut turn),
            Event::PeerUp(peer) => {
                self.links.connected(peer, true, now.monotonic);
                self.input(now, Input::PeerConnected { peer }, &mut turn);
            }
            Event::PeerDown(peer) => self.links.connected(peer, false, now.monotonic),
            Event::Submits(submits) => self.on_submits(now, submits, &mut turn),
            Event::Await { token, id } => self.on_await(token, id, &mut turn),
            Event::Forget { token } => self.gateway.forget(token),
            Event::Executed(block) => self.on_executed(now, block, &mut turn),
            Event::CheckpointDurable { seq } => self.input(now, Input::CheckpointDurable { seq }, &mut turn),
            Event::Certified(certificate) => self.on_certified(certificate, &mut turn),
            Event::BlocksRead { to, blocks } => {
                for block in blocks {
                    send(to, Message::Block(block), &mut turn);
                }
            }
            Event::InstallState { seq } => {
                let fetched = self.fetched.take_if(|fetched| fetched.header.height == seq);
                turn.actions.extend(fetched.map(Action::Install));
            }
            Event::Installed { installed, admission } => {
                self.on_installed(now, *installed, admission, &mut turn);
            }
            Event::BlocksGone { to, first } => send(to, Message::Notice(Notice::Pruned { first }), &mut turn),
            Event::StateRead { to, message } => send(to, message, &mut turn),
            Event::HandoverRead { to, certificate } => {
                send(to, Message::BlockCertificate(certificate), &mut turn);
            }
            Event::Deadline => self.input(now, Input::Deadline, &mut turn),
        }
        self.watch_primary(now, &mut turn);
        self.fetch_state(now, &mut turn);
        turn.actions.extend(self.transfer.take_records().map(Action::KeepTransfer));
        turn
    }

    /// Goes on with a transfer of which a host kept this much ([`Action::KeepTransfer`]).
    pub fn resume_transfer(&mut self, kept: Vec<Verified<CheckedMessage>>) {
        self.transfer.resume(kept.into_iter().map(Verified::into_inner).collect());
    }

    /// T1, T2: goes on with the transfer of a state, if one is needed.
    fn fetch_state(&mut self, now: Now, turn: &mut Turn) {
        let status = self.status;
        self.transfer.drop_superseded(status.committed);
        if self.fetched.take_if(|fetched| fetched.header.height <= status.committed).is_some() {
            self.transfer.over();
        }
        if let Some(seq) = self.fetched.as_ref().map(|fetched| fetched.header.height) {
            // Until base has reached it the core would only refuse.
            if seq <= status.base && !status.installing {
                let _ = self.core(now, Input::StateFetched { seq }, turn);
            }
            return;
        }
        if !status.needs_state || status.installing {
            return;
        }
        if let Some(fetched) = self.transfer.finish() {
            self.fetched = Some(Box::new(fetched));
            return self.fetch_state(now, turn);
        }
        let peers = self.links.connected_peers();
        for (peer, ask) in self.transfer.ask(now.monotonic, status.committed, &peers) {
            send(peer, ask, turn);
        }
    }

    fn on_installed(&mut self, now: Now, installed: Installed, admission: AdmissionControl, turn: &mut Turn) {
        self.admission = admission;
        self.recent = Recent::default();
        self.transfer.over();
        self.input(now, Input::Installed(Box::new(installed)), turn);
        // What became of their transactions meanwhile others know: asked again, they are told there.
        for token in self.gateway.take_all() {
            let answer = Answer::Refused(Refusal { code: ErrorCode::Busy, retry_after_ms: 100 });
            turn.actions.push(Action::Answer { token, answer });
        }
    }

    fn input(&mut self, now: Now, input: Input, turn: &mut Turn) {
        let verdict = self.core(now, input, turn);
        turn.verdict = Some(verdict);
    }

    fn core(&mut self, now: Now, input: Input, turn: &mut Turn) -> Verdict {
        let verdict = match &mut self.recorder {
            None => self.replica.handle(now, input, &mut turn.outbox),
            Some(recorder) => {
                recorder.input(now, &input);
                let mut outbox = Outbox::new();
                let verdict = self.replica.handle(now, input, &mut outbox);
                recorder.outcome(&verdict, &outbox);
                turn.outbox.then(outbox);
                verdict
            }
        };
        self.status = self.replica.status();
        verdict
    }

    fn on_message(&mut self, now: Now, from: ReplicaId, message: Verified<CheckedMessage>, turn: &mut Turn) {
        self.links.heard(from, now.monotonic);
        match &*message {
            CheckedMessage::Notice(Notice::Ping { number }) => {
                send(from, Message::Notice(Notice::Pong { number: *number }), turn);
            }
            CheckedMessage::Notice(Notice::Pong { number }) => {
                self.links.pong(from, *number, now.monotonic);
            }
            CheckedMessage::StateParts(_) | CheckedMessage::StateLeaves(_) => {
                let taken = match message.into_inner() {
                    CheckedMessage::StateParts(parts) => self.transfer.take_parts(from, *parts),
                    CheckedMessage::StateLeaves(leaves) => self.transfer.take_leaves(from, *leaves),
                    _ => Taken::Unasked,
                };
                turn.verdict = Some(match taken {
                    Taken::Used => Verdict::Accepted,
                    Taken::Unasked => Verdict::Ignored(Ignored::Unasked),
                    Taken::Lie => Verdict::Ignored(Ignored::Invalid),
                });
            }
            CheckedMessage::Forward(_) => {
                let useful = message.map(|message| self.useful_requests(now, message));
                self.input(now, Input::Message { from, message: useful }, turn);
            }
            _ => self.input(now, Input::Message { from, message }, turn),
        }
    }

    /// What a peer forwards is admitted by the same rule as what a client submits: a number that is used, or a sender that
    /// is not registered, could only be included in vain.
    fn useful_requests(&self, now: Now, message: CheckedMessage) -> CheckedMessage {
        match message {
            CheckedMessage::Forward(mut transactions) => {
                transactions.retain(|transaction| {
                    let admission = self.admission.check(&transaction.signed().transaction, now.wall);
                    admission.error_code().is_none()
                });
                CheckedMessage::Forward(transactions)
            }
            other => other,
        }
    }

    fn on_submits(&mut self, now: Now, submits: Vec<(u64, Verified<HashedTransaction>)>, turn: &mut Turn) {
        let mut requests = Vec::new();
        for (token, transaction) in submits {
            let id = transaction.id();
            if let Some(answer) = self.refuse(now, &transaction) {
                turn.actions.push(Action::Answer { token, answer });
                continue;
            }
            self.gateway.wait(token, id, Some(number_of(&transaction)));
            match self.recent.by_id(&id) {
                None => requests.push(transaction),
                Some(None) => {}
                Some(Some(outcome)) => self.answer(&id, &Answer::Outcome(outcome), turn),
            }
        }
        self.request(now, requests, turn);
    }

    /// One input for all; who does not fit into custody is told to come again (C5).
    fn request(&mut self, now: Now, requests: Vec<Verified<HashedTransaction>>, turn: &mut Turn) {
        let full = |verdict: &Verdict| *verdict == Verdict::Ignored(Ignored::CustodyFull);
        let custody = self.status;
        let roomy = custody.custody_bytes < limits::CUSTODY_BYTES / 2
            && custody.custody + requests.len() < limits::CUSTODY_REQUESTS_PER_SENDER;
        if roomy {
            if !requests.is_empty() {
                self.input(now, Input::Requests(requests), turn);
            }
            return;
        }
        for request in requests {
            let id = request.id();
            self.input(now, Input::Requests(vec![request]), turn);
            if turn.verdict.as_ref().is_some_and(full) {
                let refusal = Refusal { code: ErrorCode::Busy, retry_after_ms: 100 };
                self.answer(&id, &Answer::Refused(refusal), turn);
            }
        }
    }

    /// Why a transaction is not taken, if it is not.
    fn refuse(&self, now: Now, transaction: &HashedTransaction) -> Option<Answer> {
        let refused = |code, retry_after_ms| Some(Answer::Refused(Refusal { code, retry_after_ms }));
        match self.status.phase {
            Phase::Starting | Phase::Learner | Phase::Halted => return refused(ErrorCode::NotReady, 200),
            Phase::Normal | Phase::ViewChange | Phase::CatchingUp => {}
        }
        if !self.gateway.has_room() {
            return refused(ErrorCode::Busy, 100);
        }
        let code = self.admission.check(&transaction.signed().transaction, now.wall).error_code()?;
        // A used number may be used by this very transaction, or by another one whose receipt ends the question.
        if let Some(found) = self.recent.by_number(&number_of(transaction)) {
            hit("an answer comes from what was executed before");
            return match found {
                Some(outcome) if outcome.id == transaction.id() => Some(Answer::Outcome(outcome)),
                Some(outcome) => Some(Answer::Superseded(outcome)),
                None => None,
            };
        }
        refused(code, 0)
    }

    fn on_await(&mut self, token: u64, id: TransactionId, turn: &mut Turn) {
        match self.recent.by_id(&id) {
            Some(Some(outcome)) => {
                turn.actions.push(Action::Answer { token, answer: Answer::Outcome(outcome) });
            }
            _ if self.gateway.has_room() => self.gateway.wait(token, id, None),
            _ => {
                let answer = Answer::Refused(Refusal { code: ErrorCode::Busy, retry_after_ms: 100 });
                turn.actions.push(Action::Answer { token, answer });
            }
        }
    }

    fn on_executed(&mut self, now: Now, block: Arc<ExecutedBlock>, turn: &mut Turn) {
        self.admission.executed(&block);
        let execution = Execution {
            seq: block.header.height,
            header_hash: block.header_hash,
            time: block.header.time,
            consumed: block.consumed.clone(),
            outlook: block.outlook,
        };
        self.recent.add(block.sealed.clone());
        self.input(now, Input::Executed(execution), turn);
    }

    /// Who waits for a transaction of this block, or for one whose number it consumed, is answered.
    fn on_certified(&mut self, certificate: BlockCertificate, turn: &mut Turn) {
        let height = certificate.height;
        self.recent.certify(certificate);
        // Blocks below a checkpoint whose ATTESTs were lost may never have a certificate of their own (M8).
        let at_checkpoint = height.is_checkpoint(self.replica.parameters().checkpoint_every);
        let below = if at_checkpoint { self.recent.uncertified_below(height) } else { Vec::new() };
        for height in below.into_iter().rev().chain([height]) {
            self.answer_block(height, turn);
        }
    }

    fn answer_block(&mut self, height: Seq, turn: &mut Turn) {
        for (index, id, number) in self.recent.places_in(height) {
            let mut superseded = self.gateway.waiting_for_number(&number);
            superseded.retain(|other| *other != id);
            // Most transactions came by other gateways: nobody waits for them here.
            if superseded.is_empty() && !self.gateway.waits_for(&id) {
                continue;
            }
            let Some(outcome) = self.recent.outcome(height, index, id) else { continue };
            for other in superseded {
                self.answer(&other, &Answer::Superseded(outcome.clone()), turn);
            }
            self.answer(&id, &Answer::Outcome(outcome), turn);
        }
    }

    fn answer(&mut self, id: &TransactionId, answer: &Answer, turn: &mut Turn) {
        for token in self.gateway.take(id) {
            turn.actions.push(Action::Answer { token, answer: answer.clone() });
        }
    }

    /// PINGs, and V1's silence of the primary while requests wait.
    fn watch_primary(&mut self, now: Now, turn: &mut Turn) {
        let primary = self.status.primary;
        let backup_waits = self.backup_waits();
        for (peer, ping) in self.links.pings(now.monotonic, backup_waits.then_some(primary)) {
            send(peer, ping, turn);
        }
        let changed = self.links.silence_changed(primary, backup_waits, now.monotonic);
        if let Some(silent) = changed {
            let input = if silent { Input::PrimarySilent } else { Input::PrimaryHeard };
            let _ = self.core(now, input, turn);
        }
    }

    /// Whether requests wait here for another replica, the primary.
    fn backup_waits(&self) -> bool {
        let status = &self.status;
        status.waiting && status.active && status.primary != status.me
    }

    /// When [`Event::Deadline`] is due next. It does not move while nothing happens.
    pub fn next_deadline(&self, now: Now) -> Monotonic {
        let look = self.links.next_look(self.backup_waits());
        let fetching = self.transfer.next_deadline().filter(|_| self.status.needs_state);
        let due = self.replica.next_deadline().into_iter().chain(look).chain(fetching).min();
        due.unwrap_or(now.monotonic.plus(NOTHING_DUE))
    }

    /// Why this replica would refuse to sign a statement, if it would.
    pub fn objection(&self, statement: &quorate_types::Statement) -> Option<String> {
        self.replica.objection(statement)
    }

    /// Every collection that peers can make grow, with its size and its declared bound (INV-M1).
    pub fn sizes(&self) -> impl Iterator<Item = (&'static str, usize, usize)> + use<S> {
        self.replica.sizes()
    }

    /// What the replica waits for.
    pub fn waits(&self, now: Now) -> Waits {
        self.replica.waits(now.monotonic)
    }

    /// The block whose state is fetched, and how many of its parts are here, of how many.
    pub fn transfer(&self) -> Option<(Seq, usize, usize)> {
        self.transfer.progress()
    }

    /// Whether a peer is connected, and for how long nothing has come from it.
    pub fn link(&self, peer: ReplicaId, now: Now) -> (bool, Option<Duration>) {
        self.links.state(peer, now.monotonic)
    }

    pub fn status(&self) -> ReplicaStatus {
        self.status
    }

    /// How many peers are connected.
    pub fn connected(&self) -> usize {
        self.links.count_connected()
    }

    /// The smoothed round trip to a connected peer.
    pub fn rtt(&self, peer: ReplicaId) -> Option<Duration> {
        self.links.rtt(peer)
    }

    /// The outcome of a transaction, if its block is among the recent ones and certified.
    pub fn recent_outcome(&self, id: &TransactionId) -> Option<Outcome> {
        self.recent.by_id(id).flatten()
    }
}

fn number_of(transaction: &HashedTransaction) -> Consumed {
    let transaction = &transaction.signed().transaction;
    (transaction.sender, transaction.session, transaction.number)
}

fn send(to: ReplicaId, message: Message, turn: &mut Turn) {
    let class: Class = class_of(&message);
    turn.actions.push(Action::Send { to, message, class });
}
