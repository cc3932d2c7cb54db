//! Changes of the members: what an operator asks for, and what becomes of the members' stores and keys. Every member keeps its place: the
//! process with the number of a place is that of whoever sits there.

use super::{Cluster, EPOCH_MS, setup};
use crate::cluster::DiskFault;
use crate::replica::store;
use crate::scheme::SimSigner;
use quorate_crypto::Signer;
use quorate_storage::Handovers;
use quorate_types::{
    Change, Epoch, Governance, Joiner, LedgerTime, Number, Ready, ReplicaId, Seq, SessionId,
    SignedTransaction, StoreId, Transaction, governance,
};

impl Cluster {
    /// The member's epoch is over: its process ends, and starts in the next one.
    pub(super) fn open_epoch(&mut self, member: ReplicaId, incarnation: u64) {
        if self.nodes[member.index()].incarnation == incarnation && self.is_up(member) {
            self.kill(member);
            // Who is no member of the next epoch stays down.
            let _ = self.try_start(member);
        }
    }

    /// The epoch that a member that runs is in.
    pub fn epoch(&self, member: ReplicaId) -> Option<Epoch> {
        self.nodes[member.index()].process.as_ref().map(|process| process.members.epoch())
    }

    /// A member is told by another one how epochs ended, as over its client API, and starts anew.
    ///
    /// # Panics
    /// If the simulated disk fails, which it does only on command.
    pub fn follow(&mut self, member: ReplicaId, other: ReplicaId) {
        let ledger = *self.members.ledger();
        let from = self.epoch(member).unwrap_or(Epoch::ZERO);
        let told = Handovers::new(self.nodes[other.index()].disks.handovers.clone(), ledger);
        let told = told.from(from, usize::MAX).expect("a simulated disk works");
        self.kill(member);
        let mut kept = Handovers::new(self.nodes[member.index()].disks.handovers.clone(), ledger);
        for handover in told {
            kept.keep(&handover).expect("a simulated disk works");
        }
        self.start(member);
    }

    /// A transaction of the operator. Each has a session of its own.
    pub fn petition(&self, number: u64, asked: &Governance) -> SignedTransaction {
        let key = setup::operator_key();
        let transaction = Transaction {
            ledger: *self.members.ledger(),
            sender: key.public_key(),
            session: SessionId::new(number),
            number: Number::ZERO,
            valid_until: LedgerTime(EPOCH_MS + self.now / 1_000 + 1_800_000),
            app: governance::APP.to_owned(),
            payload: asked.to_payload(),
        };
        let signature = key.sign(&transaction.signed_bytes());
        SignedTransaction { transaction, signature }
    }

    /// A member is to have other keys, and makes them.
    ///
    /// # Panics
    /// If the member does not run.
    pub fn rotate(&mut self, member: ReplicaId) -> Governance {
        let ledger = *self.members.ledger();
        let executed = self.status(member).expect("it runs").executed;
        let node = &mut self.nodes[member.index()];
        let turn = node.keys.len();
        let vote = SimSigner::named(&format!("vote {member} again {turn}"));
        let transport = SimSigner::named(&format!("transport {member} again {turn}"));
        node.keys.push(vote.clone());
        let mut joiner = Joiner {
            name: format!("node{member}"),
            vote: vote.public_key(),
            transport: transport.public_key(),
            store: store(member, node.stores_before),
            peer: String::new(),
            api: String::new(),
            vote_proof: quorate_types::Signature([0; 64]),
            transport_proof: quorate_types::Signature([0; 64]),
        };
        let bytes = joiner.signed_bytes(&ledger);
        (joiner.vote_proof, joiner.transport_proof) = (vote.sign(&bytes), transport.sign(&bytes));
        let ready = self.ready(&vote, joiner.store, executed);
        let change = Change {
            remove: Some(joiner.name.clone()),
            faults: self.members.quorums().faults(),
            add: Some(joiner),
        };
        Governance::Propose { change, ready: Some(ready) }
    }

    fn ready(&self, vote: &SimSigner, store: StoreId, height: Seq) -> Ready {
        let signature = quorate_types::Signature([0; 64]);
        let mut ready = Ready { vote: vote.public_key(), store, height, signature };
        ready.signature = vote.sign(&ready.signed_bytes(self.members.ledger()));
        ready
    }

    /// A member that is down loses its disks, and gets a new store; what it forgot nobody can tell.
    pub fn replace_store(&mut self, member: ReplicaId) {
        self.damage(member, DiskFault::Lost);
        self.nodes[member.index()].stores_before += 1;
    }

    /// What a member with another store asks for, once it has followed (L2).
    ///
    /// # Panics
    /// If the member does not run.
    pub fn recover(&self, member: ReplicaId) -> Governance {
        let executed = self.status(member).expect("it runs").executed;
        let node = &self.nodes[member.index()];
        let vote = node.keys.last().expect("it has one").clone();
        Governance::Recover { ready: self.ready(&vote, store(member, node.stores_before), executed) }
    }
}
