//! Caps computed from the ledger's own numbers (M4): too tight a cap makes a view change impossible just when it is
//! needed; too loose a one lets a peer make us allocate.

use quorate_types::{
    BaseProof, BlockCertificate, Members, Message, NewView, Notice, Parameters, PreparedCertificate,
    Statement, ViewChange, limits,
};

/// The largest frames and lists of one ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    members: usize,
    strong: usize,
    window: usize,
    batch_transactions: usize,
    /// Bytes of the largest legal message.
    pub frame: usize,
    /// Bytes of the largest legal message that is not a NEW-VIEW with everything it names: proposals and votes.
    pub small_frame: usize,
}

/// Bytes of a signed statement's fixed parts, with room to spare; also of a header.
const STATEMENT: usize = 256;
/// Bytes of a (signer, signature) pair: 2 + 64.
const PAIR: usize = 66;
/// Bytes of a list's length.
const LENGTH: usize = 8;

impl Caps {
    /// The caps for this member set and these parameters.
    pub fn new(members: &Members, parameters: &Parameters) -> Self {
        let quorums = members.quorums();
        let n = usize::from(members.count());
        let strong = quorums.strong();
        let window = usize::try_from(parameters.window).unwrap_or(usize::MAX);
        let certificate = STATEMENT + LENGTH + strong * PAIR;
        let view_change = 2 * STATEMENT + certificate + window * certificate;
        let new_view = STATEMENT + n * 34 + window * (32 + 64) + strong * (LENGTH + view_change);
        let transactions = parameters.block_max_transactions as usize;
        // Each transaction costs its signed bytes and at most this much for lengths.
        let batch = parameters.block_max_bytes as usize + transactions * 128 + STATEMENT;
        let small_frame =
            (batch + 2 * certificate + 2 * STATEMENT + limits::LINK_WINDOWS as usize * window * STATEMENT)
                .max(view_change);
        let state_parts = STATEMENT + certificate + limits::MAX_STATE_PARTS * 65;
        let caps = Self {
            members: n,
            strong,
            window,
            batch_transactions: transactions,
            frame: small_frame.max(new_view).max(state_parts),
            small_frame,
        };
        debug_assert!(caps.frame < super::MEMORY / 4, "the memory backstop leaves room");
        caps
    }

    /// Whether every list of a message is within its bound.
    pub(crate) fn admit(&self, message: &Message) -> bool {
        match message {
            Message::Proposal(proposal) => proposal.batch.transactions.len() <= self.batch_transactions,
            Message::Body(batch) => batch.transactions.len() <= self.batch_transactions,
            Message::Vote(signed) => self.statement(&signed.statement),
            Message::ViewChange(view_change) => self.view_change(view_change),
            Message::NewView(new_view) => self.new_view(new_view),
            Message::CommitCertificate(certificate) => certificate.commits.len() <= self.strong,
            Message::BlockCertificate(certificate) => self.block_certificate(certificate),
            Message::Block(block) => {
                let batch = block.block.batch.as_ref();
                self.block_certificate(&block.certificate)
                    && block.links.len() <= limits::LINK_WINDOWS as usize * self.window
                    && batch.is_none_or(|batch| batch.transactions.len() <= self.batch_transactions)
            }
            Message::Forward(transactions) => transactions.len() <= limits::MAX_BATCH_TRANSACTIONS as usize,
            Message::Evidence(pair) => self.statement(&pair.0.statement) && self.statement(&pair.1.statement),
            Message::Notice(notice) => self.notice(notice),
            Message::StateParts(state) => {
                self.block_certificate(&state.certificate) && state.parts.len() <= limits::MAX_STATE_PARTS
            }
            // Its keys and values are bounded by the frame.
            Message::StateLeaves(_) => true,
        }
    }

    fn statement(&self, statement: &Statement) -> bool {
        match statement {
            Statement::NewView { chosen, proposals, .. } => {
                chosen.len() <= self.members && proposals.len() <= self.window
            }
            _ => true,
        }
    }

    fn block_certificate(&self, certificate: &BlockCertificate) -> bool {
        certificate.signatures.len() <= self.strong
    }

    fn prepared(&self, certificate: &PreparedCertificate) -> bool {
        certificate.prepares.len() < self.strong.max(1)
    }

    fn view_change(&self, view_change: &ViewChange) -> bool {
        let proof = match &view_change.base_proof {
            BaseProof::Genesis | BaseProof::Opening(_) => true,
            BaseProof::Checkpoint(certificate) => self.block_certificate(certificate),
        };
        proof
            && self.statement(&view_change.statement.statement)
            && view_change.prepared.len() <= self.window
            && view_change.prepared.iter().all(|certificate| self.prepared(certificate))
    }

    fn new_view(&self, new_view: &NewView) -> bool {
        self.statement(&new_view.statement.statement)
            && new_view.proposals.len() <= self.window
            && new_view.view_changes.len() <= self.strong
            && new_view.view_changes.iter().all(|view_change| self.view_change(view_change))
    }

    fn notice(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Status(status) => status.slots.len() <= limits::STATUS_SLOTS,
            Notice::HelloReply(reply) => {
                let mut shown = reply.view.iter().chain(&reply.vote).chain(&reply.commits);
                reply.commits.len() <= self.window && shown.all(|signed| self.statement(&signed.statement))
            }
            Notice::Ping { .. }
            | Notice::Pong { .. }
            | Notice::Fetch(_)
            | Notice::Hello(_)
            | Notice::Pruned { .. } => true,
        }
    }
}
