//! Fetches a certified state from peers, part by part, when the blocks that led to it are gone (T1, T2). Sans-IO: it says whom to ask for
//! what, and takes what comes.

use quorate_crypto::CheckedMessage;
use quorate_ledger::{Assembly, PartLeaves, StoredState};
use quorate_types::probes::hit;
use quorate_types::{
    BlockCertificate, Fetch, Header, Message, Monotonic, Notice, ReplicaId, Seq, StateLeaves, StateParts,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a peer has for an answer at first, before another is asked; doubled each time that all were asked in vain, since it may be the
/// network that is slow.
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(32);
/// Parts that are asked for at once, of all peers together.
const AT_ONCE: usize = 8;

/// What came of a transfer: the state after this block, which the certificate proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub header: Header,
    pub certificate: BlockCertificate,
    pub state: StoredState,
}

/// What a host keeps of a transfer, so that it goes on after a restart. None of it has to be durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferRecord {
    /// In place of all that was kept: the parts of a state, and the leaves of those that are here.
    Begin(Vec<Message>),
    /// The leaves of one more part.
    Add(Message),
    /// It is over.
    End,
}

/// What was thought of something that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Used,
    /// Nobody asked for it, or it came too late.
    Unasked,
    /// It is not what the certified header says: this peer is asked for nothing more.
    Lie,
}

#[derive(Debug)]
struct Target {
    header: Header,
    certificate: BlockCertificate,
    assembly: Assembly,
}

/// A transfer under way, or none.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    target: Option<Target>,
    /// Who was asked for the parts of a state, and when.
    parts_asked: Option<(ReplicaId, Monotonic)>,
    /// Who was asked for the leaves of a part, and when.
    leaves_asked: BTreeMap<usize, (ReplicaId, Monotonic)>,
    /// Sent what was not so.
    liars: BTreeSet<ReplicaId>,
    /// Did not answer in time what it was asked of this target: it may have gone on to a later state.
    silent: BTreeSet<ReplicaId>,
    /// Whose turn it is.
    next: u16,
    /// How many answers were overdue, less those that came, and of how many peers.
    overdue: usize,
    peers: usize,
    /// What the host is to keep, since it was asked last.
    records: Vec<TransferRecord>,
}

impl Transfer {
    /// What to ask whom now, to get a state above `executed` from one of `peers`.
    pub(crate) fn ask(
        &mut self,
        now: Monotonic,
        executed: Seq,
        peers: &[ReplicaId],
    ) -> Vec<(ReplicaId, Message)> {
        self.peers = peers.len();
        self.expire(now);
        let above = self.target.as_ref().map_or(executed, |target| target.assembly.height());
        let mut asking = Vec::new();
        if self.target.is_some() {
            self.ask_for_leaves(now, peers, &mut asking);
        }
        // Without a target, or with one that most have no longer. Not for one who is silent: he could have it begin anew without end.
        if (self.leaves_asked.is_empty() || 2 * self.silent.len() > peers.len())
            && self.parts_asked.is_none()
            && let Some(peer) = self.take_turn(peers, &BTreeSet::new())
        {
            self.parts_asked = Some((peer, now));
            asking.push((peer, fetch(Fetch::StateParts { above })));
        }
        asking
    }

    fn ask_for_leaves(
        &mut self,
        now: Monotonic,
        peers: &[ReplicaId],
        asking: &mut Vec<(ReplicaId, Message)>,
    ) {
        let Some(target) = &self.target else { return };
        let height = target.assembly.height();
        let open: Vec<usize> =
            target.assembly.missing().filter(|index| !self.leaves_asked.contains_key(index)).collect();
        for index in open {
            if self.leaves_asked.len() >= AT_ONCE {
                return;
            }
            let silent = self.silent.clone();
            let Some(peer) = self.take_turn(peers, &silent) else { return };
            self.leaves_asked.insert(index, (peer, now));
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            asking.push((peer, fetch(Fetch::StateLeaves { height, index: number })));
        }
    }

    /// The next peer that has not lied and is not among `but`.
    fn take_turn(&mut self, peers: &[ReplicaId], but: &BTreeSet<ReplicaId>) -> Option<ReplicaId> {
        let usable = |peer: &&ReplicaId| !self.liars.contains(*peer) && !but.contains(*peer);
        let later = peers.iter().filter(|peer| peer.get() >= self.next);
        let peer = *later.chain(peers).find(usable)?;
        self.next = peer.get() + 1;
        Some(peer)
    }

    fn patience(&self) -> Duration {
        let rounds = self.overdue / self.peers.max(1);
        PATIENCE.saturating_mul(1 << rounds.min(5)).min(LONGEST_PATIENCE)
    }

    fn expire(&mut self, now: Monotonic) {
        let patience = self.patience();
        let late = |asked: Monotonic| now >= asked.plus(patience);
        let asked = self.leaves_asked.values().chain(&self.parts_asked);
        let late_peers: BTreeSet<ReplicaId> =
            asked.filter(|(_, asked)| late(*asked)).map(|(peer, _)| *peer).collect();
        self.overdue += late_peers.len();
        if self.parts_asked.is_some_and(|(_, asked)| late(asked)) {
            self.parts_asked = None;
            // Everybody was asked in vain, perhaps: whoever was silent may have come back.
            self.silent.clear();
        }
        let overdue = self.leaves_asked.values().filter(|(_, asked)| late(*asked)).map(|(peer, _)| *peer);
        self.silent.extend(overdue);
        self.leaves_asked.retain(|_, (_, asked)| !late(*asked));
    }

    /// The parts of a state, whose certificate and root were checked.
    pub(crate) fn take_parts(&mut self, from: ReplicaId, parts: StateParts) -> Taken {
        if self.parts_asked.is_none_or(|(peer, _)| peer != from) {
            return Taken::Unasked;
        }
        let StateParts { header, certificate, parts } = parts;
        let assembly = match self.target.take() {
            // What it already has of the former state is kept, as far as it did not change.
            Some(Target { mut assembly, .. }) if header.height > assembly.height() => {
                hit("a transfer goes on with a later state");
                assembly.retarget(&header, parts).map(|()| assembly)
            }
            // An older one than was asked for. The next peer is asked when this one's time is over.
            Some(former) => {
                self.target = Some(former);
                return Taken::Unasked;
            }
            None => Assembly::new(&header, parts),
        };
        self.parts_asked = None;
        let Ok(assembly) = assembly else {
            self.liars.insert(from);
            return Taken::Lie;
        };
        self.overdue = self.overdue.saturating_sub(1);
        self.leaves_asked.clear();
        self.silent.clear();
        let target = Target { header, certificate, assembly };
        self.records.push(TransferRecord::Begin(target.messages()));
        self.target = Some(target);
        Taken::Used
    }

    /// The leaves of one part.
    pub(crate) fn take_leaves(&mut self, from: ReplicaId, leaves: StateLeaves) -> Taken {
        let StateLeaves { height, index, leaves } = leaves;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(target) = self.target.as_mut().filter(|target| target.assembly.height() == height) else {
            return Taken::Unasked;
        };
        if self.leaves_asked.get(&index).is_none_or(|(peer, _)| *peer != from) {
            return Taken::Unasked;
        }
        self.leaves_asked.remove(&index);
        if target.assembly.accept(index, leaves.clone()).is_ok() {
            self.overdue = self.overdue.saturating_sub(1);
            self.records.push(TransferRecord::Add(leaves_message(height, index, leaves)));
            return Taken::Used;
        }
        hit("a part of a state is a lie");
        self.liars.insert(from);
        self.leaves_asked.retain(|_, (peer, _)| *peer != from);
        Taken::Lie
    }

    /// The whole state, once nothing is missing; the transfer is over then.
    pub(crate) fn finish(&mut self) -> Option<Fetched> {
        let Target { header, certificate, assembly } = self.target.take()?;
        match assembly.finish() {
            Ok(state) => {
                // What is kept of it stays until it is installed.
                *self = Self { records: std::mem::take(&mut self.records), ..Self::default() };
                Some(Fetched { header, certificate, state })
            }
            Err(assembly) => {
                self.target = Some(Target { header, certificate, assembly });
                None
            }
        }
    }

    /// What a host kept of a transfer before it was restarted. Parts without the state that they belong to are of no use.
    pub(crate) fn resume(&mut self, kept: Vec<CheckedMessage>) {
        let mut leaves = Vec::new();
        for message in kept {
            match message {
                CheckedMessage::StateParts(parts) => {
                    let StateParts { header, certificate, parts } = *parts;
                    let Ok(assembly) = Assembly::new(&header, parts) else { continue };
                    self.target = Some(Target { header, certificate, assembly });
                }
                CheckedMessage::StateLeaves(part) => leaves.push(part.leaves),
                _ => {}
            }
        }
        if let Some(target) = &mut self.target {
            hit("a transfer goes on after a restart");
            target.assembly.accept_all(leaves);
        }
    }

    /// The blocks up to `executed` came after all.
    pub(crate) fn drop_superseded(&mut self, executed: Seq) {
        if self.target.as_ref().is_some_and(|target| target.assembly.height() <= executed) {
            self.over();
        }
    }

    /// Nothing of the state is needed any more.
    pub(crate) fn over(&mut self) {
        *self = Self { records: vec![TransferRecord::End], ..Self::default() };
    }

    /// What the host is to keep now.
    pub(crate) fn take_records(&mut self) -> impl Iterator<Item = TransferRecord> {
        std::mem::take(&mut self.records).into_iter()
    }

    /// When something that was asked for is overdue.
    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        let asked = self.leaves_asked.values().chain(&self.parts_asked).map(|(_, asked)| *asked);
        asked.min().map(|asked| asked.plus(self.patience()))
    }

    /// The block whose state is fetched, and how many of its parts are here, of how many.
    pub(crate) fn progress(&self) -> Option<(Seq, usize, usize)> {
        let assembly = &self.target.as_ref()?.assembly;
        let (held, all) = assembly.progress();
        Some((assembly.height(), held, all))
    }
}

impl Target {
    /// The messages that would lead to it.
    fn messages(&self) -> Vec<Message> {
        let parts = StateParts {
            header: self.header.clone(),
            certificate: self.certificate.clone(),
            parts: self.assembly.parts().to_vec(),
        };
        let height = self.header.height;
        let held = self.assembly.held();
        let leaves = held.map(|(index, leaves)| leaves_message(height, index, leaves.clone()));
        std::iter::once(Message::StateParts(Box::new(parts))).chain(leaves).collect()
    }
}

fn leaves_message(height: Seq, index: usize, leaves: PartLeaves) -> Message {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    Message::StateLeaves(Box::new(StateLeaves { height, index, leaves }))
}

fn fetch(fetch: Fetch) -> Message {
    Message::Notice(Notice::Fetch(fetch))
}

#[cfg(test)]
mod tests;
