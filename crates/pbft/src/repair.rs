//! Repair of loss and catching up by blocks (R, T1): who lacks something says so in STATUS, and peers send what they
//! have of their own, certificates, and bodies.

use crate::outbox::{Effect, Outbox};
use crate::replica::Replica;
use crate::slot::{Slot, bit, bitmap};
use crate::timers::Timer;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::{CheckedMessage, Signer};
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, Digest, Fetch, Message, Monotonic, NewView, Notice, Now, Proposal, ReplicaId, Seq, Signature,
    SignedStatement, SlotStatus, Statement, StatementKind, Status, Suspicion, View, limits,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// ATTESTs or certificates sent for one STATUS; a larger gap is closed by blocks.
const ATTESTS_PER_STATUS: usize = 16;

/// What a statement, a signature of a certificate or a header counts in the budget of repairs, in bytes.
const STATEMENT: usize = 256;

/// What is known of peers, and what was asked of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peers {
    /// The latest STATUS of each.
    pub(crate) status: BTreeMap<ReplicaId, Status>,
    /// When each was last sent repairs.
    repaired: BTreeMap<ReplicaId, Monotonic>,
    /// What each was given for its FETCHes in the interval that began then, in bytes.
    fetched: BTreeMap<ReplicaId, (Monotonic, usize)>,
    /// When certified blocks were last sent to each without being asked for.
    supplied: BTreeMap<ReplicaId, Monotonic>,
    /// Messages of views or slots not yet reached, few for each peer (R2).
    future: BTreeMap<ReplicaId, VecDeque<CheckedMessage>>,
    /// The highest PRE-PREPARE, PREPARE or COMMIT of each, for its HELLO (D6).
    pub(crate) highest_vote: BTreeMap<ReplicaId, SignedStatement>,
    /// The highest VIEW-CHANGE or NEW-VIEW of each, for its HELLO (D6).
    pub(crate) highest_view: BTreeMap<ReplicaId, SignedStatement>,
    /// The first block that each still has, of those that said they lack what was asked for.
    pub(crate) pruned: BTreeMap<ReplicaId, Seq>,
    pub(crate) asked_for_body: BTreeMap<Seq, Digest>,
    pub(crate) fetch: BlockFetch,
}

/// The one FETCH of blocks under way (T1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct BlockFetch {
    /// Whom to ask next.
    pub(crate) next_peer: u16,
    /// A block arrived since the last FETCH.
    pub(crate) progressed: bool,
    /// A peer's stable checkpoint is above what is executed here: its slots can no longer be repaired one by one.
    pub(crate) hint: Option<ReplicaId>,
    /// Who was asked last.
    pub(crate) asked: Option<ReplicaId>,
    /// A block came since.
    pub(crate) brought: bool,
}

/// The least time between two repairs of one peer.
const PAUSE: Duration = Duration::from_millis(20);

impl Peers {
    /// The most messages kept for any one peer (R2).
    pub(crate) fn most_future(&self) -> usize {
        self.future.values().map(VecDeque::len).max().unwrap_or(0)
    }

    /// Whether a peer has said that it has this block no more.
    pub(crate) fn lacks(&self, peer: ReplicaId, block: Seq) -> bool {
        self.pruned.get(&peer).is_some_and(|first| *first > block)
    }

    pub(crate) fn forget_pruned(&mut self) {
        self.pruned.clear();
    }

    pub(crate) fn pruned_count(&self) -> usize {
        self.pruned.len()
    }

    /// Peers in this view that suspect its primary.
    pub(crate) fn suspicions(&self, view: View) -> impl Iterator<Item = (ReplicaId, Suspicion)> + '_ {
        let of_view = self.status.iter().filter(move |(_, status)| status.view == view);
        of_view.filter_map(|(peer, status)| Some((*peer, status.suspicion?)))
    }

    /// Whether this peer's latest STATUS suspects the primary of `view` (V1).
    pub(crate) fn suspects(&self, peer: ReplicaId, view: View) -> bool {
        self.status.get(&peer).is_some_and(|status| status.view == view && status.suspicion.is_some())
    }
}

/// The bytes of a NEW-VIEW with what it names, about.
fn size_of(new_view: &NewView) -> usize {
    let certificates = new_view.view_changes.iter().flat_map(|view_change| &view_change.prepared);
    let signatures: usize = certificates.map(|certificate| 1 + certificate.prepares.len()).sum();
    STATEMENT * (1 + new_view.proposals.len() + new_view.view_changes.len() + signatures)
}

impl<S: Signer> Replica<S> {
    /// Where this replica stands, as its peers are told (R1).
    pub(crate) fn own_status(&self) -> Status {
        let end = self.executed.next().plus(limits::STATUS_SLOTS as u64);
        let open = |(seq, slot): &(&Seq, &Slot)| **seq > self.executed || self.owes_commit(**seq, slot);
        let slots = self
            .slots
            .range(..end)
            .filter(open)
            .take(limits::STATUS_SLOTS)
            .map(|(seq, slot)| self.slot_status(*seq, slot))
            .collect();
        let next_checkpoint = self.checkpoints.tallies.values().next();
        let next_attest = self.attestations.tallies.get(&self.attestations.certified().next());
        Status {
            epoch: self.epoch(),
            view: self.view,
            active: self.active,
            suspicion: self.suspicion,
            base: self.base.base(),
            stable: self.stable.base(),
            executed: self.executed,
            certified: self.attestations.certified(),
            view_changes: self.view_change_bits(),
            slots,
            checkpoints: next_checkpoint.map_or(0, |tally| bitmap(tally.keys().copied())),
            attests: next_attest.map_or(0, |tally| bitmap(tally.keys().copied())),
        }
    }

    /// N9: a slot that was executed in an older view and is re-proposed in this one. Others may need this replica's COMMIT
    /// to execute it, and it needs their PREPAREs for that.
    fn owes_commit(&self, seq: Seq, slot: &Slot) -> bool {
        let prepared = slot.prepared.as_ref().is_some_and(|certificate| certificate.view == self.view);
        self.active && !prepared && self.is_reproposed(seq)
    }

    fn slot_status(&self, seq: Seq, slot: &Slot) -> SlotStatus {
        let current = |votes: &BTreeMap<ReplicaId, crate::slot::Vote>| {
            bitmap(votes.iter().filter(|(_, vote)| vote.view == self.view).map(|(sender, _)| *sender))
        };
        let offer = slot.offers.iter().find(|offer| offer.view == self.view);
        SlotStatus {
            seq,
            proposal: offer.is_some_and(|offer| slot.holds_body(&offer.digest)),
            committed: slot.decided.is_some(),
            wants_body: slot.wants_body(self.view, self.quorums().strong()),
            prepares: current(&slot.prepares),
            commits: current(&slot.commits),
        }
    }

    pub(crate) fn on_status_timer(&mut self, now: Now, out: &mut Outbox) {
        out.broadcast(Message::Notice(Notice::Status(self.own_status())));
        let tuning = &self.config.tuning;
        let next = if self.something_missing(now) { tuning.status_busy } else { tuning.status_idle };
        self.timers.set(Timer::Status, now.monotonic.plus(next));
        // What was asked for and did not come is asked for again.
        self.peers.asked_for_body.clear();
        self.view_changes.wanted_bodies.clear();
        self.reconsider_offers(now, out);
        self.try_new_view(now, out);
    }

    /// R1: whether STATUS should be sent fast.
    pub(crate) fn something_missing(&self, now: Now) -> bool {
        if !self.greeting.complete || !self.active || self.catching_up || self.doubts_primary() {
            return true;
        }
        let open = self.executed < self.highest_proposed()
            || self.slots.range(..=self.executed).any(|(seq, slot)| self.owes_commit(*seq, slot))
            || self.custody.len() > 0
            || self.attestations.certified() < self.executed
            || !self.checkpoints.tallies.is_empty();
        open && now.monotonic.since(self.progress.1) >= self.config.tuning.stall
    }

    pub(crate) fn on_notice(
        &mut self,
        now: Now,
        from: ReplicaId,
        notice: Notice,
        out: &mut Outbox,
    ) -> Verdict {
        match notice {
            Notice::Status(status) => self.on_status(now, from, status, out),
            Notice::Fetch(fetch) => self.on_fetch(now, from, &fetch, out),
            Notice::Hello(hello) => self.on_hello(from, &hello, out),
            Notice::HelloReply(reply) => self.on_hello_reply(now, from, &reply, out),
            Notice::Pruned { first } => self.on_pruned(from, first),
            // The host measures round trips.
            Notice::Ping { .. } | Notice::Pong { .. } => Verdict::Ignored(Ignored::Unasked),
        }
    }

    pub(crate) fn on_peer_connected(&mut self, peer: ReplicaId, out: &mut Outbox) -> Verdict {
        if peer.index() >= usize::from(self.n()) || peer == self.me() {
            return Verdict::Ignored(Ignored::WrongSender);
        }
        if !self.greeting.complete {
            out.send(peer, Message::Notice(Notice::Hello(self.greeting.hello())));
        }
        out.send(peer, Message::Notice(Notice::Status(self.own_status())));
        Verdict::Accepted
    }

    /// R1: a peer's position. What it lacks and this replica has is sent, at most every few milliseconds.
    fn on_status(&mut self, now: Now, from: ReplicaId, status: Status, out: &mut Outbox) -> Verdict {
        if status.slots.len() > limits::STATUS_SLOTS {
            return Verdict::Ignored(Ignored::Invalid);
        }
        if status.epoch != self.epoch() {
            return self.on_status_of_other_epoch(now, from, &status, out);
        }
        self.peers.status.insert(from, status.clone());
        if status.stable > self.executed
            || status.certified > self.attestations.certified().plus(ATTESTS_PER_STATUS as u64)
        {
            self.peers.fetch.hint = Some(from);
        }
        if !self.may_repair(from, now) {
            return Verdict::Accepted;
        }
        self.repair_view(from, &status, out);
        self.repair_checkpoint(from, &status, out);
        self.repair_slots(from, &status, out);
        self.repair_attests(now, from, &status, out);
        Verdict::Accepted
    }

    /// Whether it is time to repair what this peer lacks; if so, the next time is later.
    pub(crate) fn may_repair(&mut self, peer: ReplicaId, now: Now) -> bool {
        let last = self.peers.repaired.get(&peer).copied();
        if last.is_some_and(|last| now.monotonic.since(last) < PAUSE) {
            return false;
        }
        self.peers.repaired.insert(peer, now.monotonic);
        true
    }

    fn repair_view(&self, to: ReplicaId, status: &Status, out: &mut Outbox) {
        let waiting = status.view == self.view && !status.active;
        if self.active {
            if (status.view < self.view || waiting)
                && let Some(accepted) = self.view_changes.accepted.as_ref()
            {
                out.send(to, Message::NewView(accepted.clone()));
            }
            return;
        }
        let lacks_mine = status.view_changes & bit(self.me()) == 0;
        // L1: not even what was said before is said again by who forgot what came after it.
        if (status.view < self.view || (waiting && lacks_mine))
            && self.can_vote()
            && let Some(own) = self.view_changes.own.as_ref().filter(|own| own.view() == self.view)
        {
            out.send(to, Message::ViewChange(own.clone()));
        }
    }

    fn repair_checkpoint(&self, to: ReplicaId, status: &Status, out: &mut Outbox) {
        if status.base < self.base.base()
            && let BaseProof::Checkpoint(certificate) = &self.base
        {
            out.send(to, Message::BlockCertificate(certificate.clone()));
            return;
        }
        if let Some(seq) = self.checkpoints.tallies.keys().next()
            && status.base < *seq
            && status.checkpoints & bit(self.me()) == 0
            && self.can_vote()
            && let Some(own) = self.pledges.vote(*seq, StatementKind::Checkpoint)
        {
            out.send(to, Message::Vote(own.clone()));
        }
    }

    /// Re-sends own statements, certificates and bodies of the peer's next slots, within a byte budget.
    fn repair_slots(&self, to: ReplicaId, status: &Status, out: &mut Outbox) {
        let mut budget = self.config.tuning.repair_bytes;
        let first = status.executed.next();
        let end = first.plus(limits::STATUS_SLOTS as u64);
        let owed = status.slots.iter().map(|held| held.seq).filter(|seq| *seq < first);
        let owed = owed.filter_map(|seq| self.slots.get_key_value(&seq));
        for (seq, slot) in owed.chain(self.slots.range(first..end)) {
            let held = status.slots.iter().find(|held| held.seq == *seq);
            let spent = self.repair_slot(to, status, *seq, slot, held, out);
            if spent >= budget && !mutant("m44") {
                return;
            }
            budget = budget.saturating_sub(spent);
        }
    }

    fn repair_slot(
        &self,
        to: ReplicaId,
        status: &Status,
        seq: Seq,
        slot: &Slot,
        held: Option<&SlotStatus>,
        out: &mut Outbox,
    ) -> usize {
        let same_view = status.view == self.view && status.active && self.active && self.can_vote();
        if let Some(held) = held.filter(|held| held.committed) {
            // Decided there, but perhaps not in this view: then it owes its COMMIT to others.
            let enough = held.prepares.count_ones() as usize >= self.quorums().strong();
            return if enough || !same_view { 0 } else { self.resend_votes(to, seq, slot, Some(held), out) };
        }
        let has_proposal = held.is_some_and(|held| held.proposal);
        let wanted = held.and_then(|held| held.wants_body);
        let mut spent = 0;
        if let Some(certificate) = slot.commit_certificate.as_ref().filter(|_| slot.decided.is_some()) {
            spent += STATEMENT * certificate.commits.len();
            out.send(to, Message::CommitCertificate(certificate.clone()));
            let lacks = wanted == Some(certificate.digest) || !has_proposal;
            if let Some(body) = slot.bodies.get(&certificate.digest).filter(|_| lacks) {
                spent += body.batch().size();
                out.send(to, Message::Body(body.batch().clone()));
            }
            return spent;
        }
        if let Some(block) = &slot.block {
            let block = block.to_certified_block();
            spent += STATEMENT * (1 + block.links.len() + block.certificate.signatures.len());
            spent += block.block.batch.as_ref().map_or(0, |batch| batch.size());
            out.send(to, Message::Block(Arc::new(block)));
            return spent;
        }
        if let Some(body) = wanted.and_then(|digest| slot.bodies.get(&digest)) {
            spent += body.batch().size();
            out.send(to, Message::Body(body.batch().clone()));
        }
        if same_view {
            spent += self.resend_votes(to, seq, slot, held, out);
        }
        spent
    }

    /// Own votes of the current view only: what was said in older views travels in certificates alone (N10).
    fn resend_votes(
        &self,
        to: ReplicaId,
        seq: Seq,
        slot: &Slot,
        held: Option<&SlotStatus>,
        out: &mut Outbox,
    ) -> usize {
        let mut spent = 0;
        let has_proposal = held.is_some_and(|held| held.proposal);
        if !has_proposal && let Some(proposal) = self.proposal_of(to, seq, slot) {
            spent += proposal.batch.size();
            out.send(to, Message::Proposal(proposal));
        }
        for (kind, bits) in [
            (StatementKind::Prepare, held.map_or(0, |held| held.prepares)),
            (StatementKind::Commit, held.map_or(0, |held| held.commits)),
        ] {
            if bits & bit(self.me()) == 0
                && let Some(own) = self.pledges.vote(seq, kind)
                && own.statement.view() == Some(self.view)
            {
                spent += STATEMENT;
                out.send(to, Message::Vote(own.clone()));
            }
        }
        spent
    }

    /// Whether this member is one of the f + 1 that help another with a slot.
    fn relays(&self, to: ReplicaId, seq: Seq) -> bool {
        let n = u64::from(self.n());
        let turned = (u64::from(self.me().get()) + seq.get() % n + n - u64::from(to.get())) % n;
        turned <= u64::from(self.quorums().faults())
    }

    /// The PRE-PREPARE of this view that a peer can be given: the own one of a primary; of what is executed here the one in the
    /// prepared certificate, which after a restart may be all that tells of the decision, when its primary is dead; and for f + 1
    /// peers of each slot what was accepted here, or a primary could keep f correct members waiting for it.
    fn proposal_of(&self, to: ReplicaId, seq: Seq, slot: &Slot) -> Option<Proposal> {
        if self.is_reproposed(seq) {
            return None;
        }
        let of_primary = |view: View, digest: Digest, signature: Signature| SignedStatement {
            epoch: self.epoch(),
            signer: self.config.members.primary(view),
            statement: Statement::PrePrepare { view, seq, digest },
            signature,
        };
        let own = self.pledges.vote(seq, StatementKind::PrePrepare).filter(|_| self.is_primary()).cloned();
        let certified = || {
            let certificate = slot.prepared.as_ref().filter(|_| seq <= self.executed && !mutant("m60"))?;
            Some(of_primary(certificate.view, certificate.digest, certificate.proposal))
        };
        let accepted = || {
            let [offer] = &slot.offers[..] else { return None };
            let relays = self.relays(to, seq) && offer.view == self.view;
            relays.then(|| of_primary(offer.view, offer.digest, offer.signature))
        };
        let pre_prepare = own.or_else(certified).or_else(accepted)?;
        let Statement::PrePrepare { view, digest, .. } = pre_prepare.statement else { return None };
        let body = slot.bodies.get(&digest).filter(|_| view == self.view)?;
        Some(Proposal { pre_prepare, batch: body.batch().clone() })
    }

    /// M8: ATTEST of any executed block is re-issued on request; a certificate at hand is better.
    fn repair_attests(&mut self, now: Now, to: ReplicaId, status: &Status, out: &mut Outbox) {
        let mut seq = status.certified.next();
        let in_memory = self.attestations.certificates.contains_key(&seq)
            || self.pledges.vote(seq, StatementKind::Attest).is_some();
        if !in_memory && seq <= self.attestations.certified() && seq <= status.executed {
            self.supply_certificates(now, to, seq, out);
            return;
        }
        for _ in 0..ATTESTS_PER_STATUS {
            if seq > status.executed || seq > self.executed {
                return;
            }
            if let Some(certificate) = self.attestations.certificates.get(&seq) {
                out.send(to, Message::BlockCertificate(certificate.clone()));
            } else if let Some(own) = self.pledges.vote(seq, StatementKind::Attest)
                && (seq != status.certified.next() || status.attests & bit(self.me()) == 0)
            {
                out.send(to, Message::Vote(own.clone()));
            }
            seq = seq.next();
        }
    }

    /// After a restart certificates are in the block store only: blocks carry them.
    fn supply_certificates(&mut self, now: Now, to: ReplicaId, from: Seq, out: &mut Outbox) {
        const PAUSE: Duration = Duration::from_millis(500);
        let last = self.peers.supplied.get(&to).copied();
        if last.is_none_or(|last| now.monotonic.since(last) >= PAUSE) {
            self.peers.supplied.insert(to, now.monotonic);
            out.push(Effect::SupplyBlocks { to, from });
        }
    }

    /// V8, V9, T1: what a peer asks for by name, within the budget of R1.
    fn on_fetch(&mut self, now: Now, from: ReplicaId, fetch: &Fetch, out: &mut Outbox) -> Verdict {
        let found = match fetch {
            Fetch::Body { seq, digest } => {
                let body = self.slots.get(seq).and_then(|slot| slot.bodies.get(digest));
                body.map(|body| (body.batch().size(), Message::Body(body.batch().clone())))
            }
            Fetch::ViewChange { sender, digest } => {
                let whole = self.new_view_naming(*sender, digest);
                whole.map(|whole| (size_of(&whole), Message::NewView(whole)))
            }
            Fetch::Blocks { from: first } => {
                // How much it is, only the block store knows: rarely as much as it may be.
                if !self.may_give(now, from, limits::FETCH_BYTES / 4) {
                    return Verdict::Ignored(Ignored::OverBudget);
                }
                out.push(Effect::SupplyBlocks { to: from, from: *first });
                return Verdict::Accepted;
            }
            Fetch::StateParts { .. } | Fetch::StateLeaves { .. } => {
                if !self.may_give(now, from, limits::STATE_PART_BYTES) {
                    return Verdict::Ignored(Ignored::OverBudget);
                }
                out.push(Effect::SupplyState { to: from, fetch: fetch.clone() });
                return Verdict::Accepted;
            }
        };
        let Some((bytes, message)) = found else { return Verdict::Ignored(Ignored::Unasked) };
        if !self.may_give(now, from, bytes) {
            return Verdict::Ignored(Ignored::OverBudget);
        }
        out.send(from, message);
        Verdict::Accepted
    }

    /// R1: a small question may have a large answer, so that answers to one peer are bounded, whatever it asks. At least one of
    /// each interval is given.
    fn may_give(&mut self, now: Now, to: ReplicaId, bytes: usize) -> bool {
        const INTERVAL: Duration = Duration::from_millis(100);
        let given = self.peers.fetched.entry(to).or_insert((now.monotonic, 0));
        if now.monotonic.since(given.0) >= INTERVAL {
            *given = (now.monotonic, 0);
        }
        if given.1 >= self.config.tuning.repair_bytes && !mutant("m44") {
            hit("a FETCH is over budget");
            return false;
        }
        given.1 = given.1.saturating_add(bytes);
        true
    }

    fn new_view_naming(&self, sender: ReplicaId, digest: &Digest) -> Option<Arc<NewView>> {
        let accepted = self.view_changes.accepted.as_ref()?;
        let Statement::NewView { chosen, .. } = &accepted.statement.statement else { return None };
        chosen.contains(&(sender, *digest)).then(|| accepted.clone())
    }

    /// R2: keeps a message of a view not yet reached, few for each peer; STATUS repairs what is dropped.
    pub(crate) fn buffer_future(&mut self, from: ReplicaId, view: View, message: CheckedMessage) -> Verdict {
        const FAR: u64 = 1_024;
        if view.above(self.view) > FAR {
            return Verdict::Ignored(Ignored::TooFarAhead);
        }
        self.buffer(from, message)
    }

    /// N2: keeps a message just beyond the window, until base moves.
    pub(crate) fn buffer_beyond_window(
        &mut self,
        from: ReplicaId,
        seq: Seq,
        message: CheckedMessage,
    ) -> Verdict {
        if seq > self.window_end().plus(self.config.parameters.checkpoint_every) {
            return Verdict::Ignored(Ignored::TooFarAhead);
        }
        self.buffer(from, message)
    }

    fn buffer(&mut self, from: ReplicaId, message: CheckedMessage) -> Verdict {
        let most_proposals = usize::try_from(self.config.parameters.depth).unwrap_or(usize::MAX);
        let is_proposal = |message: &CheckedMessage| matches!(message, CheckedMessage::Proposal { .. });
        let queue = self.peers.future.entry(from).or_default();
        if is_proposal(&message) && queue.iter().filter(|held| is_proposal(held)).count() >= most_proposals {
            return Verdict::Ignored(Ignored::TooFarAhead);
        }
        if queue.len() >= limits::FUTURE_MESSAGES_PER_PEER && !mutant("m43") {
            queue.pop_front();
            hit("a message of the future is dropped");
        }
        queue.push_back(message);
        Verdict::Ignored(Ignored::TooFarAhead)
    }

    /// Looks again at what was buffered, after a view opened or the window moved.
    pub(crate) fn replay_buffered(&mut self, now: Now, out: &mut Outbox) {
        for (from, messages) in std::mem::take(&mut self.peers.future) {
            for message in messages {
                hit("a message of the future is taken up again");
                let _ = match message {
                    CheckedMessage::Proposal { pre_prepare, batch } => {
                        self.on_proposal(now, from, pre_prepare, batch, out)
                    }
                    CheckedMessage::Vote(signed) => self.on_vote(now, signed, out),
                    _ => Verdict::Ignored(Ignored::Unasked),
                };
            }
        }
    }
}
