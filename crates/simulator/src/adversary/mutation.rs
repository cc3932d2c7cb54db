//! Structured mutation in the manner of ByzzFuzz (Winter et al., OOPSLA 2023): small changes of view, slot and digest, signed
//! anew; messages left out, repeated, or sent in place of others.

use super::{Behaviour, Held, Liar, at_once, with_flipped_digest};
use quorate_types::{Message, ReplicaId, Seq, Statement, View};

#[derive(Debug)]
pub(crate) struct Mutation;

fn nudged(liar: &mut Liar, number: u64) -> u64 {
    if liar.random.permille(500) { number.saturating_add(1) } else { number.saturating_sub(1) }
}

fn mutated(liar: &mut Liar, statement: &Statement) -> Statement {
    if liar.random.permille(300) {
        return with_flipped_digest(statement);
    }
    let view_too = liar.random.permille(500);
    let mut change = |view: View, seq: Seq| {
        if view_too {
            (View::new(nudged(liar, view.get())), seq)
        } else {
            (view, Seq::new(nudged(liar, seq.get())))
        }
    };
    match statement.clone() {
        Statement::Prepare { view, seq, digest } => {
            let (view, seq) = change(view, seq);
            Statement::Prepare { view, seq, digest }
        }
        Statement::Commit { view, seq, digest } => {
            let (view, seq) = change(view, seq);
            Statement::Commit { view, seq, digest }
        }
        Statement::Attest { seq, header } => Statement::Attest { seq: change(View::ZERO, seq).1, header },
        Statement::Checkpoint { seq, header } => {
            Statement::Checkpoint { seq: change(View::ZERO, seq).1, header }
        }
        other => other,
    }
}

impl Behaviour for Mutation {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        if !liar.random.permille(250) {
            return at_once(message);
        }
        match (liar.random.below(4), &message) {
            (0, _) => Vec::new(),
            (1, _) => vec![(0, message.clone()), (500, message)],
            (2, _) if !liar.said.is_empty() => {
                let old = liar.random.index(liar.said.len());
                at_once(liar.said[old].clone())
            }
            (_, Message::Vote(vote)) => {
                let statement = mutated(liar, &vote.statement.clone());
                at_once(Message::Vote(liar.sign(statement)))
            }
            _ => at_once(message),
        }
    }
}
