//! Messages on their way: what leaves a replica, what a liar makes of it, what arrives.

use super::{Cluster, Happening, InFlight, Network, Sent, Told};
use crate::adversary::{Adversary, Key};
use crate::checkers::{domains, durability, encoding};
use crate::replica::{nonce, vote_key};
use crate::scheme::SimVerifier;
use quorate_codec::{decode_message, encode_message};
use quorate_crypto::verify_one;
use quorate_engine::{Event, is_useful};
use quorate_types::{Message, Notice, ReplicaId};
use std::collections::BTreeMap;
use std::rc::Rc;

impl Cluster {
    /// Makes a member lie in these ways (the numbers of `adversary`); what it says is held against nobody.
    pub fn corrupt(&mut self, member: ReplicaId, ways: &[u16]) {
        let seed = self.random.any();
        let key: Key = Box::new(vote_key(member));
        let parameters = &self.genesis.parameters;
        let adversary =
            Adversary::new((member, key), &self.members, parameters, seed, ways, &self.agreed_lies);
        self.adversaries.insert(member, adversary);
        self.checkers.faulty.insert(member);
    }

    /// Whether this was on its way to a process that runs no more: its connection is gone, and nobody gets it.
    pub fn is_lost(&self, flight: &InFlight) -> bool {
        self.nodes[flight.to.index()].incarnation != flight.incarnation
    }

    /// How often each way of lying changed what was sent.
    pub fn lies(&self) -> BTreeMap<u16, u64> {
        let mut all = BTreeMap::new();
        for (way, count) in self.adversaries.values().flat_map(|adversary| &adversary.struck) {
            *all.entry(*way).or_default() += count;
        }
        all
    }

    /// Lets liars say what nobody asked for.
    pub fn provoke(&mut self) {
        let now = self.now;
        let up: Vec<ReplicaId> =
            self.adversaries.keys().copied().filter(|member| self.is_up(*member)).collect();
        for from in up {
            let Some(adversary) = self.adversaries.get_mut(&from) else { continue };
            for (to, message) in adversary.unasked(now) {
                self.send_lie(from, to, 0, &message);
            }
        }
    }

    /// What a liar sends need not be readable, and is held against no checker.
    fn send_lie(&mut self, from: ReplicaId, to: ReplicaId, hold: u64, message: &Message) {
        let mut bytes = encode_message(message);
        if let Some(adversary) = self.adversaries.get_mut(&from) {
            bytes = adversary.bytes(bytes);
        }
        self.mix(&bytes);
        if let Ok(message) = decode_message(&bytes, &self.caps) {
            self.checkers.note(encoding::canonical(from, &bytes, &message));
            self.checkers.lied(from, &message);
            if let Some(story) = &mut self.story {
                story.push(Told::Sent { from, to, message: message.clone() });
            }
            self.travel(from, to, hold, Sent::new(message, bytes.len()));
        }
    }

    pub(super) fn send(&mut self, from: ReplicaId, to: &[ReplicaId], mut message: Message) {
        if let Some(adversary) = self.adversaries.get_mut(&from) {
            let now = self.now;
            let told: Vec<_> = to.iter().map(|to| (*to, adversary.instead(now, *to, &message))).collect();
            for (to, held) in told {
                for (hold, message) in held {
                    self.send_lie(from, to, hold, &message);
                }
            }
            return;
        }
        let bytes = encode_message(&message);
        self.mix(&bytes);
        if self.samples.permille(200) {
            message = decode_message(&bytes, &self.caps).expect("what a replica sends, others can read");
        }
        self.check_sent(from, &message);
        self.sign(from, &message);
        let sent = Sent::new(message, bytes.len());
        for to in to {
            if let Some(story) = &mut self.story {
                story.push(Told::Sent { from, to: *to, message: sent.message.clone() });
            }
            let hold = match &self.costs {
                Some(costs) => self.meters[from.index()].send(costs, self.now, bytes.len()),
                None => 0,
            };
            self.travel(from, *to, hold, sent.clone());
        }
    }

    /// A member's own statement is signed before it leaves.
    fn sign(&mut self, from: ReplicaId, message: &Message) {
        let Some(costs) = &self.costs else { return };
        if matches!(
            message,
            Message::Proposal(_) | Message::Vote(_) | Message::ViewChange(_) | Message::NewView(_)
        ) {
            self.meters[from.index()].work(self.now, costs.sign);
        }
    }

    /// The crash-now oracle: what leaves is promised by the log, and, for some, a process that started from the disk as a
    /// crash would leave it now would stand by it.
    fn check_sent(&mut self, from: ReplicaId, message: &Message) {
        let incarnation = self.nodes[from.index()].incarnation;
        self.checkers.remembers((from, incarnation), message);
        let promised = self.nodes[from.index()].promised.durable();
        self.checkers.sent(self.member_of(from), message, promised);
        let new_view = matches!(message, Message::NewView(_));
        if !self.checkers.faulty.contains(&from) && (new_view || self.samples.permille(20)) {
            let end = self.checkers.end_of_epoch_of(message);
            let result = durability::holds_body(from, message, promised, end);
            self.checkers.note(result);
            self.checkers.note(domains::separate(&self.members, message));
        }
        if self.checkers.faulty.contains(&from) || !self.samples.permille(self.durability_checks) {
            return;
        }
        let mut node = self.nodes[from.index()].after_crash();
        let now = self.clocks(from);
        let restarted = node.start(&self.genesis, *self.members.ledger(), from, now).map(|_| node.process);
        if let Some(lost) = node.lost.take() {
            self.checkers.lost_records(from, lost);
        }
        let result = match &restarted {
            Ok(process) => {
                durability::stands_by(from, message, process.as_ref().map(|process| &process.host))
            }
            Err(refused) => durability::not_restarted(from, refused),
        };
        self.checkers.note(result);
    }

    /// Puts a message on its way, after being held back for some microseconds.
    fn travel(&mut self, from: ReplicaId, to: ReplicaId, hold: u64, sent: Rc<Sent>) {
        let incarnation = self.nodes[to.index()].incarnation;
        let in_flight = InFlight { from, to, sent, incarnation };
        if let Some(script) = &self.script
            && !script.delivers(self.now, (from, to), in_flight.message())
        {
            return;
        }
        let faults = match &mut self.network {
            Network::Manual(waiting) => return waiting.push_back(in_flight),
            Network::Automatic(faults) => faults,
        };
        if matches!(in_flight.message(), Message::NewView(_)) && faults.no_new_views_of.contains(&from) {
            return;
        }
        let room = faults.capacity.unwrap_or(u64::MAX);
        let delays = faults.deliveries((from, to), self.now, &mut self.random);
        let replay = faults.replays > 0 && self.random.permille(faults.replays);
        for delay in delays {
            let under_way = self.under_way.entry((from, to)).or_default();
            if *under_way < room {
                *under_way += 1;
                self.plan(self.now + hold + delay, Happening::Deliver(in_flight.clone()));
            }
        }
        if replay {
            self.replay(in_flight);
        }
    }

    /// Keeps a message for later, and lets an earlier one arrive again.
    fn replay(&mut self, in_flight: InFlight) {
        const KEPT: usize = 64;
        let place = self.random.index(KEPT);
        if place < self.heard_before.len() {
            let mut old = std::mem::replace(&mut self.heard_before[place], in_flight);
            old.incarnation = self.nodes[old.to.index()].incarnation;
            *self.under_way.entry((old.from, old.to)).or_default() += 1;
            let at = self.now + self.random.below(10_000);
            self.plan(at, Happening::Deliver(old));
        } else {
            self.heard_before.push(in_flight);
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        // FNV-1a, eight bytes at a time, over what is sent and when.
        let mut mix = |word: u64| {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        };
        mix(self.now);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mix(u64::from_be_bytes(word));
        }
        mix(bytes.len() as u64);
    }

    /// A message is there; if work costs something, it takes a while until it was read and checked.
    pub(super) fn arrive(&mut self, in_flight: InFlight) {
        let Some(costs) = &self.costs else { return self.deliver(&in_flight) };
        let (sent, meter) = (&in_flight.sent, &mut self.meters[in_flight.to.index()]);
        let at = meter.receive(costs, self.now, &sent.message, sent.bytes);
        self.plan(at, Happening::Handle(in_flight));
    }

    /// Hands a message over as its receiver's network does: checked, then to the host.
    pub fn deliver(&mut self, in_flight: &InFlight) {
        let InFlight { from, to, ref sent, incarnation } = *in_flight;
        if let Some(under_way) = self.under_way.get_mut(&(from, to)) {
            *under_way = under_way.saturating_sub(1);
        }
        let node = &self.nodes[to.index()];
        let Some(process) = node.process.as_ref().filter(|_| node.incarnation == incarnation) else { return };
        if let Some(script) = &mut self.script {
            script.arrives(to, &sent.message);
        }
        if !is_useful(&process.host.status(), &sent.message) {
            return;
        }
        let from = self.member_of(from);
        let members = &process.members;
        let check = || verify_one(members, &SimVerifier, &self.cache, sent.message.clone());
        let checked = if self.remembers {
            check()
        } else {
            sent.checked.borrow_mut().entry(members.epoch()).or_insert_with(check).clone()
        };
        if let (Ok(_), Message::Notice(Notice::HelloReply(reply))) = (&checked, &sent.message)
            && reply.nonce == nonce(to, incarnation)
        {
            self.checkers.told((to, incarnation), &process.host.status(), reply);
        }
        match checked {
            Ok(message) => self.event(to, Event::Message { from, message }),
            Err(why) => self.checkers.refused(from, &why),
        }
    }

    /// A message as if `from` had sent it just now.
    pub fn forge(&mut self, from: ReplicaId, to: ReplicaId, message: Message) {
        let incarnation = self.nodes[to.index()].incarnation;
        self.deliver(&InFlight { from, to, sent: Sent::new(message, 0), incarnation });
    }
}
