//! What was ever sent. A letter stays where it is: it can reach anyone, at any time, any number of times, or never.

use crate::scheme::FakeVerifier;
use quorate_crypto::{Cache, CheckedMessage, Verified, verify_one};
use quorate_types::{Members, Message, ReplicaId, Seq, Statement};
use std::collections::HashMap;

pub(crate) type LetterId = u32;

/// A message that passed the door of the core.
pub(crate) struct Letter {
    pub(crate) from: ReplicaId,
    pub(crate) message: Message,
    pub(crate) verified: Verified<CheckedMessage>,
    /// The statements of `from` in it.
    pub(crate) says: Vec<Statement>,
}

/// Every letter by its number, each once.
#[derive(Default)]
pub(crate) struct Letters {
    all: Vec<Letter>,
    by_message: HashMap<Message, LetterId>,
}

impl Letters {
    pub(crate) fn get(&self, id: LetterId) -> &Letter {
        &self.all[id as usize]
    }

    pub(crate) fn is_commit(&self, id: LetterId) -> bool {
        matches!(self.get(id).says.as_slice(), [Statement::Commit { .. }])
    }

    /// The number of a message, verified when it is seen first.
    ///
    /// # Panics
    /// If the door refuses it: neither correct replicas nor the liar send what does not verify.
    pub(crate) fn intern(
        &mut self,
        members: &Members,
        cache: &Cache,
        from: ReplicaId,
        message: Message,
    ) -> LetterId {
        if let Some(known) = self.by_message.get(&message) {
            return *known;
        }
        let verified = verify_one(members, &FakeVerifier, cache, message.clone())
            .unwrap_or_else(|refused| panic!("{refused}: {message:?}"));
        let id = LetterId::try_from(self.all.len()).expect("few letters");
        let says = statements(&message);
        self.all.push(Letter { from, message: message.clone(), verified, says });
        self.by_message.insert(message, id);
        id
    }

    /// A line that a person can read.
    pub(crate) fn describe(&self, id: LetterId) -> String {
        let letter = self.get(id);
        if let Message::Body(batch) = &letter.message {
            return format!("body of {:?}", batch.time);
        }
        let says: Vec<String> = letter.says.iter().map(describe).collect();
        let proven = match &letter.message {
            Message::ViewChange(view_change) => {
                let prepared = view_change.prepared.iter();
                prepared.map(|entry| format!(" proving {}@{}", entry.seq, entry.view)).collect()
            }
            _ => String::new(),
        };
        format!("{} says {}{proven}", letter.from, says.join(", "))
    }
}

/// The statements that a message makes its sender say: a NEW-VIEW also proposes each slot of O.
fn statements(message: &Message) -> Vec<Statement> {
    match message {
        Message::Vote(signed) => vec![signed.statement.clone()],
        Message::Proposal(proposal) => vec![proposal.pre_prepare.statement.clone()],
        Message::ViewChange(view_change) => vec![view_change.statement.statement.clone()],
        Message::NewView(new_view) => {
            let own = new_view.statement.statement.clone();
            let mut says = vec![own.clone()];
            if let Statement::NewView { view, min, proposals, .. } = own {
                let slots = proposals.iter().zip(1..);
                says.extend(slots.map(|(digest, offset)| Statement::PrePrepare {
                    view,
                    seq: min.plus(offset),
                    digest: *digest,
                }));
            }
            says
        }
        _ => Vec::new(),
    }
}

fn describe(statement: &Statement) -> String {
    let slot = |kind: &str, view: &quorate_types::View, seq: &Seq, digest: &quorate_types::Digest| {
        format!("{kind} v{view} s{seq} {:02x}{:02x}", digest.0[0], digest.0[1])
    };
    match statement {
        Statement::PrePrepare { view, seq, digest } => slot("PRE-PREPARE", view, seq, digest),
        Statement::Prepare { view, seq, digest } => slot("PREPARE", view, seq, digest),
        Statement::Commit { view, seq, digest } => slot("COMMIT", view, seq, digest),
        Statement::Attest { seq, .. } => format!("ATTEST s{seq}"),
        Statement::Checkpoint { seq, .. } => format!("CHECKPOINT s{seq}"),
        Statement::ViewChange { view, base, .. } => format!("VIEW-CHANGE v{view} base {base}"),
        Statement::NewView { view, chosen, min, .. } => {
            let senders: Vec<String> = chosen.iter().map(|(sender, _)| sender.to_string()).collect();
            format!("NEW-VIEW v{view} of {} min {min}", senders.join("+"))
        }
    }
}
