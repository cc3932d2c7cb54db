//! S16: a member that was shown a statement of its own from a view above its own has forgotten votes (D6), and says nothing any
//! more.

use super::{Violation, own_statement};
use quorate_pbft::{Phase, ReplicaStatus};
use quorate_types::{Epoch, HelloReply, Message, ReplicaId, SignedStatement, Statement, View};
use std::collections::BTreeMap;

/// Who was shown that it forgot, in which start.
#[derive(Debug, Default)]
pub(crate) struct Amnesia {
    shown: BTreeMap<ReplicaId, (u64, (Epoch, View))>,
}

impl Amnesia {
    /// An answer to the HELLO of an instance's start with this number reaches it.
    pub(crate) fn told(&mut self, (at, start): (ReplicaId, u64), status: &ReplicaStatus, reply: &HelloReply) {
        let signed = reply.view.iter().chain(&reply.vote).chain(&reply.commits);
        let own = signed.filter(|signed| signed.signer == status.me);
        let own = own.filter_map(|signed| Some((signed.epoch, signed.statement.view()?)));
        let at_start = (status.epoch, status.view);
        if let Some(view) = own.max().filter(|view| *view > at_start && status.phase == Phase::Starting) {
            self.shown.insert(at, (start, view));
        }
    }

    /// A message leaves a member.
    pub(crate) fn sent(&self, (from, start): (ReplicaId, u64), message: &Message) -> Result<(), Violation> {
        let Some((shown, (epoch, view))) = self.shown.get(&from).filter(|(shown, _)| *shown == start) else {
            return Ok(());
        };
        // A NEW-VIEW is served to whoever asks for it (R2), and an ATTEST is what execution says (M8).
        let vote = |signed: &&SignedStatement| {
            !matches!(signed.statement, Statement::Attest { .. } | Statement::NewView { .. })
        };
        let Some(signed) = own_statement(from, message).filter(vote) else { return Ok(()) };
        let said = &signed.statement;
        let what = format!(
            "{from} was shown in start {shown} what it said in view {view} of epoch {epoch}, and says {said:?}"
        );
        Err(Violation { property: "S16 who forgot is silent", what })
    }
}
