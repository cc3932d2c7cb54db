//! The Byzantine member: an oracle that says whatever it can sign over the row's views, slots and two digests, and proves
//! what the letters of others let it prove. Whatever it can say counts as sent: to anyone, to some, or to nobody.

use crate::letters::LetterId;
use crate::node::World;
use crate::scheme::{N, sign};
use quorate_crypto::{
    HashedBatch, base_proof_digest, null_batch_digest, prepared_set_digest, view_change_digest,
};
use quorate_types::{
    BaseProof, Batch, Digest, Epoch, Message, NewView, PreparedCertificate, Proposal, ReplicaId, Seq,
    Signature, Statement, View, ViewChange,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a liar says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// PRE-PREPARE of either digest in each slot of each view that it is primary of.
    Propose,
    /// PREPARE of either digest, also as primary.
    Prepare,
    /// COMMIT of either digest.
    Commit,
    /// VIEW-CHANGE that proves nothing.
    Empty,
    /// VIEW-CHANGE with any choice of what can be proven.
    Proven,
    /// NEW-VIEW from any q VIEW-CHANGEs, to anyone.
    NewView,
    /// NEW-VIEW whose O does not follow from what it names.
    FalseNewView,
}

/// The batches that may be proposed for a slot.
fn batches(slot: u64) -> [Arc<Batch>; 2] {
    [World::batch(slot, 0), World::batch(slot, 1)]
}

fn digests(slot: u64) -> [Digest; 2] {
    batches(slot).map(|batch| HashedBatch::new(batch).digest())
}

/// The bodies of all batches: whoever holds one supplies it (V9).
pub(crate) fn bodies(world: &mut World) -> Vec<LetterId> {
    let liar = world.row.liar.unwrap_or_default();
    let slots = 1..=world.row.slots;
    slots.flat_map(batches).map(|batch| world.letter(ReplicaId::new(liar), Message::Body(batch))).collect()
}

/// All that the liar can say when these letters are there.
pub(crate) fn lies(world: &mut World, pool: &[LetterId]) -> Vec<LetterId> {
    let Some(liar) = world.row.liar.map(ReplicaId::new) else { return Vec::new() };
    let known = Known::gather(world, liar, pool);
    let mut messages = Vec::new();
    for view in (0..world.row.views).map(View::new) {
        say_votes(world, liar, view, &mut messages);
        if view > View::ZERO {
            let own = view_changes(world, liar, view, &known);
            if tells(world, Lie::NewView) && world.members.primary(view) == liar {
                new_views(world, liar, view, &known, &own, &mut messages);
            }
            messages.extend(own.into_iter().map(Message::ViewChange));
        }
    }
    let mut lies: Vec<LetterId> = messages.into_iter().map(|message| world.letter(liar, message)).collect();
    lies.sort_unstable();
    lies.dedup();
    lies
}

fn tells(world: &World, lie: Lie) -> bool {
    world.row.lies.contains(&lie)
}

fn say_votes(world: &World, liar: ReplicaId, view: View, messages: &mut Vec<Message>) {
    for slot in 1..=world.row.slots {
        let seq = Seq::new(slot);
        for (batch, digest) in batches(slot).into_iter().zip(digests(slot)) {
            if tells(world, Lie::Propose) && world.members.primary(view) == liar {
                let pre_prepare = sign(liar, Statement::PrePrepare { view, seq, digest });
                messages.push(Message::Proposal(Proposal { pre_prepare, batch }));
            }
            if tells(world, Lie::Prepare) {
                messages.push(Message::Vote(sign(liar, Statement::Prepare { view, seq, digest })));
            }
            if tells(world, Lie::Commit) {
                messages.push(Message::Vote(sign(liar, Statement::Commit { view, seq, digest })));
            }
        }
    }
}

/// What the letters of others prove.
struct Known {
    proposals: BTreeMap<(View, Seq, Digest), Signature>,
    prepares: BTreeMap<(View, Seq, Digest), BTreeMap<ReplicaId, Signature>>,
    view_changes: Vec<Arc<ViewChange>>,
}

impl Known {
    fn gather(world: &World, liar: ReplicaId, pool: &[LetterId]) -> Self {
        let mut known =
            Self { proposals: BTreeMap::new(), prepares: BTreeMap::new(), view_changes: Vec::new() };
        for letter in pool.iter().map(|id| world.letters.get(*id)) {
            match &letter.message {
                Message::Proposal(proposal) => {
                    let signed = &proposal.pre_prepare;
                    if let Statement::PrePrepare { view, seq, digest } = signed.statement {
                        known.proposals.insert((view, seq, digest), signed.signature);
                    }
                }
                Message::Vote(signed) => {
                    if let Statement::Prepare { view, seq, digest } = signed.statement {
                        let votes = known.prepares.entry((view, seq, digest)).or_default();
                        votes.insert(signed.signer, signed.signature);
                    }
                }
                Message::NewView(new_view) => {
                    if let Statement::NewView { view, min, proposals, .. } = &new_view.statement.statement {
                        let slots = proposals.iter().zip(&new_view.proposals).zip(1..);
                        known.proposals.extend(slots.map(|((digest, signature), offset)| {
                            ((*view, min.plus(offset), *digest), *signature)
                        }));
                    }
                }
                Message::ViewChange(view_change) => known.view_changes.push(view_change.clone()),
                _ => {}
            }
        }
        known.add_own(world, liar);
        known
    }

    fn add_own(&mut self, world: &World, liar: ReplicaId) {
        for view in (0..world.row.views).map(View::new) {
            for seq in (1..=world.row.slots).map(Seq::new) {
                for digest in digests(seq.get()) {
                    if world.members.primary(view) == liar {
                        let own = sign(liar, Statement::PrePrepare { view, seq, digest });
                        self.proposals.insert((view, seq, digest), own.signature);
                    } else {
                        let own = sign(liar, Statement::Prepare { view, seq, digest });
                        let votes = self.prepares.entry((view, seq, digest)).or_default();
                        votes.insert(liar, own.signature);
                    }
                }
            }
        }
    }

    /// A certificate for each slot, view below `before` and digest that can be proven; which q−1 backups stand in it does not
    /// matter.
    fn certificates(&self, world: &World, seq: Seq, before: View) -> Vec<PreparedCertificate> {
        let strong = world.members.quorums().strong();
        let provable = self.proposals.iter().filter(|((view, of, _), _)| *of == seq && *view < before);
        provable
            .filter_map(|((view, seq, digest), proposal)| {
                let votes = self.prepares.get(&(*view, *seq, *digest))?;
                let primary = world.members.primary(*view);
                let backups = votes.iter().filter(|(sender, _)| **sender != primary);
                let prepares: Vec<_> =
                    backups.take(strong - 1).map(|(sender, signature)| (*sender, *signature)).collect();
                (prepares.len() == strong - 1).then_some(PreparedCertificate {
                    epoch: Epoch::ZERO,
                    view: *view,
                    seq: *seq,
                    digest: *digest,
                    proposal: *proposal,
                    prepares,
                })
            })
            .collect()
    }
}

fn view_changes(world: &World, liar: ReplicaId, view: View, known: &Known) -> Vec<Arc<ViewChange>> {
    let mut choices: Vec<Vec<PreparedCertificate>> = vec![Vec::new()];
    if tells(world, Lie::Proven) {
        for seq in (1..=world.row.slots).map(Seq::new) {
            let provable = known.certificates(world, seq, view);
            let longer: Vec<_> = choices
                .iter()
                .flat_map(|chosen| {
                    provable
                        .iter()
                        .map(|certificate| [&chosen[..], std::slice::from_ref(certificate)].concat())
                })
                .collect();
            choices.extend(longer);
        }
    }
    if !tells(world, Lie::Empty) {
        choices.retain(|prepared| !prepared.is_empty());
    }
    let whole = |prepared: Vec<PreparedCertificate>| {
        let statement = Statement::ViewChange {
            view,
            base: Seq::ZERO,
            base_proof: base_proof_digest(&BaseProof::Genesis),
            prepared: prepared_set_digest(&prepared),
        };
        Arc::new(ViewChange { statement: sign(liar, statement), base_proof: BaseProof::Genesis, prepared })
    };
    choices.into_iter().map(whole).collect()
}

/// Every choice of q senders and of one VIEW-CHANGE of each, with the O that follows from it.
fn new_views(
    world: &World,
    liar: ReplicaId,
    view: View,
    known: &Known,
    own: &[Arc<ViewChange>],
    messages: &mut Vec<Message>,
) {
    let of_view = known.view_changes.iter().chain(own).filter(|held| held.view() == view);
    let mut by_sender: BTreeMap<ReplicaId, Vec<Arc<ViewChange>>> = BTreeMap::new();
    for view_change in of_view {
        by_sender.entry(view_change.statement.signer).or_default().push(view_change.clone());
    }
    let strong = world.members.quorums().strong();
    let mut chosen: Vec<Vec<Arc<ViewChange>>> = vec![Vec::new()];
    for sender in ReplicaId::all(N) {
        for view_change in by_sender.get(&sender).into_iter().flatten() {
            let shorter = chosen.iter().filter(|some| {
                some.len() < strong && some.last().is_none_or(|last| last.statement.signer != sender)
            });
            let longer: Vec<_> =
                shorter.map(|some| [&some[..], std::slice::from_ref(view_change)].concat()).collect();
            chosen.extend(longer);
        }
    }
    for named in chosen.into_iter().filter(|named| named.len() == strong) {
        let follows = conclusion(&named);
        messages.push(new_view(world, liar, view, &named, &follows));
        if tells(world, Lie::FalseNewView) {
            let others: BTreeSet<Vec<Digest>> =
                digests(1).into_iter().map(|digest| vec![digest]).chain([Vec::new()]).collect();
            let others = others.into_iter().filter(|other| *other != follows);
            messages.extend(others.map(|other| new_view(world, liar, view, &named, &other)));
        }
    }
}

/// V7, written a second time: the digest of the highest view, else null, for each slot up to the last.
fn conclusion(named: &[Arc<ViewChange>]) -> Vec<Digest> {
    let entries: Vec<&PreparedCertificate> =
        named.iter().flat_map(|view_change| &view_change.prepared).collect();
    let last = entries.iter().map(|entry| entry.seq.get()).max().unwrap_or(0);
    let digest = |slot: u64| {
        let of_slot = entries.iter().filter(|entry| entry.seq.get() == slot);
        of_slot.max_by_key(|entry| entry.view).map_or_else(null_batch_digest, |entry| entry.digest)
    };
    (1..=last).map(digest).collect()
}

fn new_view(
    world: &World,
    liar: ReplicaId,
    view: View,
    named: &[Arc<ViewChange>],
    proposals: &[Digest],
) -> Message {
    let ledger = world.members.ledger();
    let chosen = named
        .iter()
        .map(|view_change| (view_change.statement.signer, view_change_digest(view_change, ledger)))
        .collect();
    let statement = Statement::NewView { view, chosen, min: Seq::ZERO, proposals: proposals.to_vec() };
    let slots = proposals.iter().zip(1..);
    let signatures = slots
        .map(|(digest, slot)| {
            sign(liar, Statement::PrePrepare { view, seq: Seq::new(slot), digest: *digest }).signature
        })
        .collect();
    Message::NewView(Arc::new(NewView {
        statement: sign(liar, statement),
        proposals: signatures,
        view_changes: named.to_vec(),
    }))
}
