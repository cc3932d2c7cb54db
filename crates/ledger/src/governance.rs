//! Changes of the member set, executed (G0, G1, G3, G5).
//!
//! The state keeps the member set of every epoch, each with the block after which it reigns: that of the next epoch appears when a
//! change is executed, and from then on it is known which block is the last of this one. What the keys have to sign was
//! checked with the signature of the transaction.

use crate::application::Execution;
use crate::namespace::BlockState;
use crate::rules::Rules;
use crate::tree::{Changes, Leaves, prefixed};
use quorate_types::mutants::mutant;
use quorate_types::{
    Change, Epoch, FailReason, Genesis, Governance, Joiner, LedgerTime, Member, MemberSet, Members, Pending,
    PublicKey, Ready, Refusal, Seat, Seq, StateKey, TransactionId, limits,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The leaf of the members of the genesis.
pub(crate) fn genesis_leaf(genesis: &Genesis) -> (Vec<u8>, Option<Arc<[u8]>>) {
    let set = MemberSet::of_genesis(genesis);
    (StateKey::MemberSet(Epoch::ZERO).to_bytes(), Some(Arc::from(set.to_bytes())))
}

/// The members that this state knows of an epoch.
pub(crate) fn member_set(leaves: &Leaves, epoch: Epoch) -> Option<MemberSet> {
    leaves.get(&StateKey::MemberSet(epoch).to_bytes()).map(|leaf| read(leaf))
}

/// Such leaves are written by execution alone, and certified: that one does not read back would be a fault of the program.
fn read(leaf: &[u8]) -> MemberSet {
    MemberSet::from_bytes(leaf).expect("a member set that was executed reads back")
}

/// The proposals in this state.
pub(crate) fn proposals(leaves: &Leaves) -> impl Iterator<Item = (TransactionId, Pending)> {
    prefixed(leaves, &StateKey::PROPOSALS, &[]).filter_map(|(key, leaf)| {
        let id = key.strip_prefix(&StateKey::PROPOSALS)?.try_into().ok()?;
        Some((TransactionId(id), Pending::from_bytes(leaf).ok()?))
    })
}

/// What a state says about its epochs.
#[derive(Clone, Debug)]
pub(crate) struct Epochs {
    /// Who owns the next block.
    pub(crate) members: Members,
    pub(crate) hash: quorate_types::Digest,
    /// The last block of the epoch of the last block, if that is known: a change was executed (G1).
    pub(crate) closes: Option<Seq>,
}

impl Epochs {
    /// As of the state after block `height`.
    ///
    /// # Panics
    /// If the state has no members: it then was no ledger's.
    pub(crate) fn after(rules: &Rules, leaves: &Leaves, height: Seq) -> Self {
        let sets = prefixed(leaves, &StateKey::MEMBER_SETS, &[]).map(|(_, leaf)| read(leaf));
        let sets: Vec<MemberSet> = sets.collect();
        // The last set that begins at or below the block owns the next one, and the last that begins below it the block itself.
        let next = sets.iter().rposition(|set| set.after <= height).expect("the genesis has members");
        let own = sets.iter().rposition(|set| set.after < height).unwrap_or(0);
        let epoch = Epoch::new(next as u64);
        let members = sets[next].members(rules.ledger, epoch).expect("checked when it was made");
        let closes = sets.get(own + 1).map(|set| set.after);
        Self { hash: quorate_crypto::members_hash(&members), members, closes }
    }
}

/// A transaction of the ledger's own application, and where it stands.
pub(crate) struct Petition<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) epoch: Epoch,
    pub(crate) height: Seq,
    pub(crate) time: LedgerTime,
    pub(crate) sender: PublicKey,
    pub(crate) id: TransactionId,
}

impl Petition<'_> {
    /// Executes it.
    pub(crate) fn execute(&self, payload: &[u8], state: &mut BlockState<'_>) -> Execution {
        let failed = |reason, output| Execution::Failed { reason, operation: 0, output };
        let Ok(asked) = Governance::from_payload(payload) else {
            return failed(FailReason::Malformed, Vec::new());
        };
        match self.decide(asked, state) {
            Ok(changes) => {
                state.merge(changes);
                Execution::Committed { output: Vec::new() }
            }
            Err(refusal) => failed(FailReason::Application, vec![refusal.code()]),
        }
    }

    fn decide(&self, asked: Governance, state: &BlockState<'_>) -> Result<Changes, Refusal> {
        match asked {
            Governance::Recover { ready } => self.recover(&ready, state),
            Governance::Propose { change, ready } => {
                self.need_operator(state)?;
                self.propose(change, ready, state)
            }
            Governance::Approve { proposal, ready } => {
                self.need_operator(state)?;
                let mut pending = self.pending(&proposal, state)?;
                if pending.approvals.contains(&self.sender) {
                    return Err(Refusal::AlreadyApproved);
                }
                pending.approvals.push(self.sender);
                pending.approvals.sort_unstable();
                self.advance(proposal, &pending, ready.as_ref(), state)
            }
            Governance::Withdraw { proposal } => {
                let pending = self.pending(&proposal, state)?;
                if pending.proposer != self.sender {
                    return Err(Refusal::NotTheProposer);
                }
                Ok([(StateKey::Proposal(proposal).to_bytes(), None)].into())
            }
        }
    }

    fn need_operator(&self, state: &BlockState<'_>) -> Result<(), Refusal> {
        let key = StateKey::Operator(self.sender).to_bytes();
        state.get(&key).map(|_| ()).ok_or(Refusal::NotAnOperator)
    }

    fn pending(&self, proposal: &TransactionId, state: &BlockState<'_>) -> Result<Pending, Refusal> {
        let leaf = state.get(&StateKey::Proposal(*proposal).to_bytes()).ok_or(Refusal::NoSuchProposal)?;
        let pending = Pending::from_bytes(&leaf).ok().filter(|pending| self.time <= pending.until);
        pending.ok_or(Refusal::NoSuchProposal)
    }

    /// G0. Proposals that lapsed leave the state when the next one is made.
    fn propose(
        &self,
        change: Change,
        ready: Option<Ready>,
        state: &BlockState<'_>,
    ) -> Result<Changes, Refusal> {
        // Refused at once rather than after everyone has approved it.
        self.seats_after(&change, state)?;
        let mut lapsed = Changes::new();
        let mut waiting = 0;
        for (key, leaf) in state.prefixed(&StateKey::PROPOSALS) {
            match leaf.as_deref().map(Pending::from_bytes) {
                Some(Ok(pending)) if self.time <= pending.until => waiting += 1,
                _ => drop(lapsed.insert(key, None)),
            }
        }
        if waiting >= limits::MAX_PROPOSALS {
            return Err(Refusal::TooManyProposals);
        }
        let until = self.time.plus_millis(limits::PROPOSAL_LASTS_MS);
        let pending = Pending { change, proposer: self.sender, until, approvals: vec![self.sender] };
        let mut changes = self.advance(self.id, &pending, ready.as_ref(), state)?;
        changes.extend(lapsed);
        Ok(changes)
    }

    /// Keeps a proposal, or executes it if it has the approvals that it needs.
    fn advance(
        &self,
        id: TransactionId,
        pending: &Pending,
        ready: Option<&Ready>,
        state: &BlockState<'_>,
    ) -> Result<Changes, Refusal> {
        let key = StateKey::Proposal(id).to_bytes();
        if pending.approvals.len() < usize::from(self.rules.approvals.max(1)) {
            return Ok([(key, Some(Arc::from(pending.to_bytes())))].into());
        }
        if let Some(joiner) = &pending.change.add {
            let ready = ready.ok_or(Refusal::NotReady)?;
            self.check_ready(ready, &joiner.vote, &joiner.store)?;
        }
        let seats = self.seats_after(&pending.change, state)?;
        let mut changes = self.close_with(pending.change.faults, seats, state)?;
        changes.insert(key, None);
        Ok(changes)
    }

    /// L2: the same member with the same keys and another store.
    fn recover(&self, ready: &Ready, state: &BlockState<'_>) -> Result<Changes, Refusal> {
        self.need_no_change(state)?;
        let mut set = self.current(state);
        let seat = set.seats.iter_mut().find(|seat| seat.member.vote == ready.vote);
        let seat = seat.ok_or(Refusal::NoSuchMember)?;
        self.check_ready(ready, &ready.vote, &ready.store)?;
        if self
            .past_sets(state)
            .any(|set| set.seats.iter().any(|seat| seat.member.store == Some(ready.store)))
        {
            return Err(Refusal::KeyInUse);
        }
        seat.member.store = Some(ready.store);
        self.close_with(set.faults, set.seats, state)
    }

    /// G3: of who joins, and no older than two checkpoints.
    fn check_ready(
        &self,
        ready: &Ready,
        vote: &PublicKey,
        store: &quorate_types::StoreId,
    ) -> Result<(), Refusal> {
        let oldest = self.height.minus(2 * self.rules.parameters.checkpoint_every);
        let fresh = ready.height >= oldest && ready.height <= self.height;
        let theirs = ready.vote == *vote && ready.store == *store;
        if fresh && theirs { Ok(()) } else { Err(Refusal::NotReady) }
    }

    fn need_no_change(&self, state: &BlockState<'_>) -> Result<(), Refusal> {
        let key = StateKey::MemberSet(self.epoch.next()).to_bytes();
        state.get(&key).map_or(Ok(()), |_| Err(Refusal::ChangePending))
    }

    /// G1: the epoch ends with the first checkpoint from here on.
    fn close_with(&self, faults: u16, seats: Vec<Seat>, state: &BlockState<'_>) -> Result<Changes, Refusal> {
        self.need_no_change(state)?;
        let key = StateKey::MemberSet(self.epoch.next()).to_bytes();
        let every = self.rules.parameters.checkpoint_every;
        let after = Seq::new(self.height.get().next_multiple_of(every));
        let set = MemberSet { after, faults, seats };
        Ok([(key, Some(Arc::from(set.to_bytes())))].into())
    }

    fn current(&self, state: &BlockState<'_>) -> MemberSet {
        member_set(state.leaves(), self.epoch).expect("the epoch that owns this block has members")
    }

    /// The member sets of all epochs so far.
    fn past_sets<'s>(&self, state: &'s BlockState<'_>) -> impl Iterator<Item = MemberSet> + use<'s> {
        let leaves = prefixed(state.leaves(), &StateKey::MEMBER_SETS, &[]);
        leaves.map(|(_, leaf)| read(leaf))
    }

    /// Who the members would be.
    fn seats_after(&self, change: &Change, state: &BlockState<'_>) -> Result<Vec<Seat>, Refusal> {
        let mut set = self.current(state);
        if change.remove.is_none() && change.add.is_none() {
            return Err(Refusal::Empty);
        }
        let place = match &change.remove {
            None => set.seats.len(),
            Some(name) => {
                let found = set.seats.iter().position(|seat| seat.member.name == *name);
                found.ok_or(Refusal::NoSuchMember)?
            }
        };
        let left = change.remove.as_ref().map(|_| set.seats.remove(place));
        if let Some(joiner) = &change.add {
            self.check_joiner(joiner, &set.seats, left.as_ref(), state)?;
            let mut seat = seat_of(joiner);
            if let Some(left) = left.filter(|left| mutant("m39") && left.member.name == joiner.name) {
                seat.member.vote = left.member.vote;
            }
            set.seats.insert(place, seat);
        }
        self.check_quorum(&MemberSet { faults: change.faults, ..set.clone() })?;
        Ok(set.seats)
    }

    fn check_quorum(&self, set: &MemberSet) -> Result<(), Refusal> {
        let members = set.members(self.rules.ledger, self.epoch.next()).map_err(|_| Refusal::BadQuorum)?;
        if members.quorums().is_crash_only() && !self.rules.allow_crash_only {
            return Err(Refusal::CrashOnly);
        }
        Ok(())
    }

    /// G5. The keys of who left, and of all former members, stay theirs (G4): only under its own name may a member keep one.
    fn check_joiner(
        &self,
        joiner: &Joiner,
        others: &[Seat],
        left: Option<&Seat>,
        state: &BlockState<'_>,
    ) -> Result<(), Refusal> {
        let named = !joiner.name.is_empty() && joiner.name.len() <= limits::MAX_NAME_BYTES;
        if !named || others.iter().any(|seat| seat.member.name == joiner.name) {
            return Err(Refusal::BadName);
        }
        if joiner.peer.len() > limits::MAX_ADDRESS_BYTES || joiner.api.len() > limits::MAX_ADDRESS_BYTES {
            return Err(Refusal::BadAddress);
        }
        let mut used = BTreeSet::new();
        let mut stores = BTreeSet::new();
        for seat in self.past_sets(state).flat_map(|set| set.seats) {
            used.extend([seat.member.vote, seat.member.transport]);
            stores.extend(seat.member.store);
        }
        if let Some(seat) = left.filter(|seat| seat.member.name == joiner.name) {
            used.remove(&seat.member.vote);
            used.remove(&seat.member.transport);
            stores.retain(|store| Some(*store) != seat.member.store);
        }
        let keys = [joiner.vote, joiner.transport];
        let registered = |key: &PublicKey| {
            [StateKey::Client(*key), StateKey::Operator(*key)]
                .iter()
                .any(|key| state.get(&key.to_bytes()).is_some())
        };
        if joiner.vote == joiner.transport
            || keys.iter().any(|key| used.contains(key) || registered(key))
            || stores.contains(&joiner.store)
        {
            return Err(Refusal::KeyInUse);
        }
        Ok(())
    }
}

fn seat_of(joiner: &Joiner) -> Seat {
    Seat {
        member: Member {
            name: joiner.name.clone(),
            vote: joiner.vote,
            transport: joiner.transport,
            store: Some(joiner.store),
        },
        peer: joiner.peer.clone(),
        api: joiner.api.clone(),
    }
}

#[cfg(test)]
mod tests;
