//! Members that lie. A liar runs the honest engine, so that it is always in the middle of things, and what leaves it is
//! replaced, held back, added to and signed anew with its real key. Behaviours are numbered as in docs/assurance.md, one a
//! file, and combine: each sees what the one before it made.

mod b01_equivocal_proposal;
mod b02_prepare_as_primary;
mod b03_prepare_for_both;
mod b04_commit_unprepared;
mod b05_commit_for_both;
mod b06_forged_signer;
mod b07_replay;
mod b08_other_ledger;
mod b10_body_to_few;
mod b11_skipped_slots;
mod b12_end_of_window;
mod b13_outside_window;
mod b14_doubled_request;
mod b15_old_requests;
mod b16_censor;
mod b17_slow_primary;
mod b18_own_clients;
mod b19_silent_to_one;
mod b20_empty_prepared;
mod b21_two_view_changes;
mod b22_wrong_base;
mod b23_bad_entries;
mod b24_view_change_storm;
mod b25_split_new_view;
mod b26_wrong_senders;
mod b27_wrong_conclusion;
mod b28_mute_after_new_view;
mod b29_wrong_checkpoint;
mod b30_wrong_blocks;
mod b30_wrong_states;
mod b31_wrong_body;
mod b32_status_lies;
mod b33_hello_lies;
mod b34_wrong_attest;
mod b40_other_encoding;
mod b41_lying_lengths;
mod b48_two_faces;
mod mutation;

use crate::random::Random;
use quorate_crypto::{HashedBatch, Signer};
use quorate_types::{
    Batch, Digest, LedgerId, Members, Message, Parameters, Proposal, ReplicaId, Seq, SignedStatement,
    Statement, StatementKind,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages that a liar remembers of its own.
const MEMORY: usize = 128;

/// A message with microseconds to hold it back.
pub type Held = (u64, Message);

/// One way to lie.
pub(crate) trait Behaviour: std::fmt::Debug + Send {
    /// What `to` gets instead of this message.
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held>;

    /// What goes over the wire instead of a message's bytes.
    fn bytes(&mut self, _liar: &mut Liar, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// What it says without being asked, every few milliseconds.
    fn unasked(&mut self, _liar: &mut Liar) -> Vec<(ReplicaId, Message)> {
        Vec::new()
    }
}

type Make = fn() -> Box<dyn Behaviour>;

/// Every behaviour with its number; 0 is structured mutation.
pub(crate) const BEHAVIOURS: [(u16, Make); 37] = [
    (1, || Box::new(b01_equivocal_proposal::EquivocalProposal)),
    (2, || Box::new(b02_prepare_as_primary::PrepareAsPrimary)),
    (3, || Box::new(b03_prepare_for_both::PrepareForBoth)),
    (4, || Box::new(b04_commit_unprepared::CommitUnprepared)),
    (5, || Box::new(b05_commit_for_both::CommitForBoth)),
    (6, || Box::new(b06_forged_signer::ForgedSigner)),
    (7, || Box::new(b07_replay::Replay)),
    (8, || Box::new(b08_other_ledger::OtherLedger)),
    (10, || Box::new(b10_body_to_few::BodyToFew)),
    (11, || Box::new(b11_skipped_slots::SkippedSlots)),
    (12, || Box::new(b12_end_of_window::EndOfWindow)),
    (13, || Box::new(b13_outside_window::OutsideWindow)),
    (14, || Box::new(b14_doubled_request::DoubledRequest)),
    (15, || Box::new(b15_old_requests::OldRequests::default())),
    (16, || Box::new(b16_censor::Censor)),
    (17, || Box::new(b17_slow_primary::SlowPrimary)),
    (18, || Box::new(b18_own_clients::OwnClients::default())),
    (19, || Box::new(b19_silent_to_one::SilentToOne)),
    (20, || Box::new(b20_empty_prepared::EmptyPrepared)),
    (21, || Box::new(b21_two_view_changes::TwoViewChanges)),
    (22, || Box::new(b22_wrong_base::WrongBase::default())),
    (23, || Box::new(b23_bad_entries::BadEntries)),
    (24, || Box::new(b24_view_change_storm::ViewChangeStorm)),
    (25, || Box::new(b25_split_new_view::SplitNewView)),
    (26, || Box::new(b26_wrong_senders::WrongSenders)),
    (27, || Box::new(b27_wrong_conclusion::WrongConclusion)),
    (28, || Box::new(b28_mute_after_new_view::MuteAfterNewView::default())),
    (29, || Box::new(b29_wrong_checkpoint::WrongCheckpoint)),
    (30, || Box::new(b30_wrong_blocks::WrongBlocks::default())),
    (31, || Box::new(b31_wrong_body::WrongBody)),
    (32, || Box::new(b32_status_lies::StatusLies)),
    (33, || Box::new(b33_hello_lies::HelloLies)),
    (34, || Box::new(b34_wrong_attest::WrongAttest)),
    (40, || Box::new(b40_other_encoding::OtherEncoding)),
    (41, || Box::new(b41_lying_lengths::LyingLengths)),
    (48, || Box::new(b48_two_faces::TwoFaces)),
    (0, || Box::new(mutation::Mutation)),
];

/// The numbers of all behaviours.
pub fn numbers() -> impl Iterator<Item = u16> {
    BEHAVIOURS.iter().map(|(number, _)| *number)
}

/// What liars have agreed on among themselves; liars that share none each agree with themselves.
#[derive(Clone, Debug, Default)]
pub struct Agreed(Arc<Mutex<BTreeMap<Digest, Digest>>>);

impl Agreed {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key that a liar votes with: a simulated one, or a member's real one.
pub type Key = Box<dyn Signer + Send>;

/// What a liar knows.
pub(crate) struct Liar {
    pub(crate) me: ReplicaId,
    key: Key,
    pub(crate) members: Members,
    pub(crate) parameters: Parameters,
    pub(crate) random: Random,
    /// Microseconds.
    pub(crate) now: u64,
    /// For proposals of any liar, by digest, the one that half of the members see instead.
    pub(crate) agreed: Agreed,
    /// What its honest half sent of late.
    pub(crate) said: VecDeque<Message>,
}

impl std::fmt::Debug for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Liar").field("me", &self.me).field("now", &self.now).finish_non_exhaustive()
    }
}

impl Liar {
    /// A statement under the own key.
    pub(crate) fn sign(&self, statement: Statement) -> SignedStatement {
        self.sign_for(*self.members.ledger(), statement)
    }

    pub(crate) fn sign_for(&self, ledger: LedgerId, statement: Statement) -> SignedStatement {
        let epoch = self.members.epoch();
        let signature = self.key.sign(&statement.signed_bytes(&ledger, epoch));
        SignedStatement { epoch, signer: self.me, statement, signature }
    }

    pub(crate) fn others(&self) -> Vec<ReplicaId> {
        ReplicaId::all(self.members.count()).filter(|other| *other != self.me).collect()
    }

    /// Whether a receiver is in the half that is lied to.
    pub(crate) fn deceives(&self, to: ReplicaId) -> bool {
        to.get() % 2 == 1
    }

    /// The vote of this kind with another digest, signed; `None` if the message is something else.
    pub(crate) fn contradiction(&self, message: &Message, kind: StatementKind) -> Option<Message> {
        let Message::Vote(vote) = message else { return None };
        (vote.statement.kind() == kind)
            .then(|| Message::Vote(self.sign(with_flipped_digest(&vote.statement))))
    }

    /// The same proposal for another slot, signed.
    pub(crate) fn propose_at(&self, proposal: &Proposal, place: impl FnOnce(Seq) -> Seq) -> Message {
        let Statement::PrePrepare { view, seq, digest } = proposal.pre_prepare.statement else {
            return Message::Proposal(proposal.clone());
        };
        let pre_prepare = self.sign(Statement::PrePrepare { view, seq: place(seq), digest });
        Message::Proposal(Proposal { pre_prepare, batch: proposal.batch.clone() })
    }

    /// A proposal like this one with another batch, signed.
    pub(crate) fn propose_instead(&self, proposal: &Proposal, batch: Batch) -> Message {
        let batch = Arc::new(batch);
        let digest = HashedBatch::new(batch.clone()).digest();
        let Statement::PrePrepare { view, seq, .. } = proposal.pre_prepare.statement else {
            return Message::Proposal(proposal.clone());
        };
        let pre_prepare = self.sign(Statement::PrePrepare { view, seq, digest });
        Message::Proposal(Proposal { pre_prepare, batch })
    }
}

/// Another digest than this one, the same for everyone.
pub(crate) fn flipped(digest: Digest) -> Digest {
    let mut other = digest;
    other.0[0] ^= 0xff;
    other
}

/// The statement with another digest.
pub(crate) fn with_flipped_digest(statement: &Statement) -> Statement {
    match statement.clone() {
        Statement::PrePrepare { view, seq, digest } => {
            Statement::PrePrepare { view, seq, digest: flipped(digest) }
        }
        Statement::Prepare { view, seq, digest } => Statement::Prepare { view, seq, digest: flipped(digest) },
        Statement::Commit { view, seq, digest } => Statement::Commit { view, seq, digest: flipped(digest) },
        Statement::Attest { seq, header } => Statement::Attest { seq, header: flipped(header) },
        Statement::Checkpoint { seq, header } => Statement::Checkpoint { seq, header: flipped(header) },
        other => other,
    }
}

/// One message, at once.
pub(crate) fn at_once(message: Message) -> Vec<Held> {
    vec![(0, message)]
}

/// A member that lies, with its ways.
#[derive(Debug)]
pub struct Adversary {
    liar: Liar,
    behaviours: Vec<(u16, Box<dyn Behaviour>)>,
    /// How often each behaviour changed what was sent.
    pub struck: BTreeMap<u16, u64>,
}

impl Adversary {
    /// A liar who signs with `key`, in the ways of these numbers; unknown ones are none. `seed` decides whatever it draws.
    pub fn new(
        (me, key): (ReplicaId, Key),
        members: &Members,
        parameters: &Parameters,
        seed: u64,
        numbers: &[u16],
        agreed: &Agreed,
    ) -> Self {
        let liar = Liar {
            me,
            key,
            members: members.clone(),
            parameters: parameters.clone(),
            random: Random::new(seed),
            now: 0,
            agreed: agreed.clone(),
            said: VecDeque::new(),
        };
        let chosen = BEHAVIOURS.iter().filter(|(number, _)| numbers.contains(number));
        let behaviours = chosen.map(|(number, make)| (*number, make())).collect();
        Self { liar, behaviours, struck: BTreeMap::new() }
    }

    /// It is in this epoch from here on.
    pub fn enter(&mut self, members: &Members) {
        self.liar.members = members.clone();
    }

    /// What `to` gets instead of an honest message; `now` is in microseconds.
    pub fn instead(&mut self, now: u64, to: ReplicaId, message: &Message) -> Vec<Held> {
        self.liar.now = now;
        let mut held = vec![(0, message.clone())];
        for (number, behaviour) in &mut self.behaviours {
            let mut next = Vec::new();
            for (delay, before) in held {
                let made = behaviour.instead(&mut self.liar, to, before.clone());
                if made.len() != 1 || made[0].0 != 0 || made[0].1 != before {
                    *self.struck.entry(*number).or_default() += 1;
                }
                next.extend(made.into_iter().map(|(more, message)| (delay + more, message)));
            }
            held = next;
        }
        self.liar.said.push_back(message.clone());
        while self.liar.said.len() > MEMORY {
            self.liar.said.pop_front();
        }
        held
    }

    /// What goes over the wire instead of a message's bytes.
    pub fn bytes(&mut self, honest: Vec<u8>) -> Vec<u8> {
        let mut bytes = honest;
        for (number, behaviour) in &mut self.behaviours {
            let before = bytes.clone();
            bytes = behaviour.bytes(&mut self.liar, bytes);
            if bytes != before {
                *self.struck.entry(*number).or_default() += 1;
            }
        }
        bytes
    }

    /// What it says without being asked; to be called every few milliseconds.
    pub fn unasked(&mut self, now: u64) -> Vec<(ReplicaId, Message)> {
        self.liar.now = now;
        let mut messages = Vec::new();
        for (number, behaviour) in &mut self.behaviours {
            let said = behaviour.unasked(&mut self.liar);
            if !said.is_empty() {
                *self.struck.entry(*number).or_default() += 1;
            }
            messages.extend(said);
        }
        messages
    }
}
