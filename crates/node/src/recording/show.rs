//! What a recording holds, in words: what came to a replica, when, from whom, and whose statement it was.

use super::{
    CHECKPOINT_DURABLE, DEADLINE, EXECUTED, Executed, Frames, INSTALLED, InputFrame, MESSAGE, OutcomeFrame,
    PEER_CONNECTED, PRIMARY_HEARD, PRIMARY_SILENT, REQUESTS, RecordedInstall, ReplayError, STATE_FETCHED,
    StartFrame, now, trusted,
};
use quorate_codec::{Caps, DecodeError, decode, decode_message};
use quorate_types::{
    Fetch, Message, Notice, Now, ReplicaId, Seq, SignedStatement, SignedTransaction, StatementKind, View,
};
use std::path::Path;

/// A recording in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whose recording it is.
    pub member: ReplicaId,
    pub started: Now,
    pub inputs: Vec<ShownInput>,
}

/// One input of the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownInput {
    pub at: Now,
    pub what: String,
    /// The peer that sent it, if it is a message.
    pub from: Option<ReplicaId>,
    /// What the message says under a signature, if it is one statement.
    pub statement: Option<ShownStatement>,
    /// How many signatures it led to.
    pub signed: u64,
}

/// Who says what of which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownStatement {
    pub signer: ReplicaId,
    pub kind: StatementKind,
    pub view: Option<View>,
    pub seq: Option<Seq>,
}

impl From<&SignedStatement> for ShownStatement {
    fn from(signed: &SignedStatement) -> Self {
        let SignedStatement { signer, statement, .. } = signed;
        Self { signer: *signer, kind: statement.kind(), view: statement.view(), seq: statement.seq() }
    }
}

/// The inputs of a recording. Signatures are not checked: they were before anything was recorded.
///
/// # Errors
/// If the file cannot be read, or is no recording of this version.
pub fn show(path: &Path) -> Result<Shown, ReplayError> {
    let mut frames = Frames::open(path)?;
    let malformed = |at: usize, why: String| ReplayError::Malformed(at, why);
    let missing = || malformed(0, "the start is missing".to_owned());
    let (start, _) = frames.next(decode::<StartFrame>)?.ok_or_else(missing)?;
    frames.next(decode::<OutcomeFrame>)?.ok_or_else(missing)?;
    let (version, genesis_text, (epoch, seats), (member, _), _, at) = start;
    let trust = trusted(version, &genesis_text)?;
    let members = seats.members(trust.ledger(), epoch).map_err(|error| malformed(0, error.to_string()))?;
    let caps = Caps::new(&members, &trust.genesis().parameters);
    let mut inputs = Vec::new();
    while let Some((at, kind, payload)) = frames.next(decode::<InputFrame>)? {
        let place = frames.count;
        let Some((made, _)) = frames.next(decode::<OutcomeFrame>)? else { break };
        let mut input = ShownInput {
            at: now(at),
            what: String::new(),
            from: None,
            statement: None,
            signed: made.len() as u64,
        };
        input.fill(kind, &payload, &caps).map_err(|error| malformed(place, error.to_string()))?;
        inputs.push(input);
    }
    Ok(Shown { member, started: now(at), inputs })
}

impl ShownInput {
    fn fill(&mut self, kind: u8, payload: &[u8], caps: &Caps) -> Result<(), DecodeError> {
        self.what = match kind {
            MESSAGE => {
                let (from, bytes): (ReplicaId, Vec<u8>) = decode(payload)?;
                let message: Message = decode_message(&bytes, caps)?;
                self.from = Some(from);
                self.statement = statement_of(&message).map(ShownStatement::from);
                in_words(&message)
            }
            REQUESTS => {
                format!("{} transactions of clients", decode::<Vec<SignedTransaction>>(payload)?.len())
            }
            DEADLINE => "a timer is due".to_owned(),
            PRIMARY_SILENT => "the primary is silent".to_owned(),
            PRIMARY_HEARD => "the primary is heard".to_owned(),
            PEER_CONNECTED => format!("member {} is connected", decode::<ReplicaId>(payload)?),
            EXECUTED => format!("block {} is executed", decode::<Executed>(payload)?.0),
            CHECKPOINT_DURABLE => format!("checkpoint {} is durable", decode::<Seq>(payload)?),
            STATE_FETCHED => format!("the state after block {} is here", decode::<Seq>(payload)?),
            INSTALLED => {
                format!("the state after block {} is installed", decode::<RecordedInstall>(payload)?.0)
            }
            other => format!("kind {other}"),
        };
        Ok(())
    }
}

/// The statement that a message is, with what rides along.
fn statement_of(message: &Message) -> Option<&SignedStatement> {
    match message {
        Message::Proposal(proposal) => Some(&proposal.pre_prepare),
        Message::Vote(signed) => Some(signed),
        Message::ViewChange(view_change) => Some(&view_change.statement),
        Message::NewView(new_view) => Some(&new_view.statement),
        _ => None,
    }
}

fn in_words(message: &Message) -> String {
    match message {
        Message::Proposal(proposal) => of_statement(&proposal.pre_prepare),
        Message::Vote(signed) => of_statement(signed),
        Message::ViewChange(view_change) => of_statement(&view_change.statement),
        Message::NewView(new_view) => of_statement(&new_view.statement),
        Message::CommitCertificate(certificate) => format!("commit certificate of slot {}", certificate.seq),
        Message::BlockCertificate(certificate) => format!("certificate of block {}", certificate.height),
        Message::Body(batch) => format!("a batch of {} transactions", batch.transactions.len()),
        Message::Block(block) => format!("block {}", block.block.header.height),
        Message::Forward(transactions) => format!("{} transactions forwarded", transactions.len()),
        Message::Evidence(pair) => format!("evidence: {}; {}", of_statement(&pair.0), of_statement(&pair.1)),
        Message::Notice(notice) => of_notice(notice),
        Message::StateParts(state) => format!("parts of the state after block {}", state.header.height),
        Message::StateLeaves(leaves) => {
            format!("part {} of the state after block {}", leaves.index, leaves.height)
        }
    }
}

fn of_statement(signed: &SignedStatement) -> String {
    let ShownStatement { signer, kind, view, seq } = signed.into();
    let name = name_of(kind);
    let view = view.map(|view| format!(" view {view}")).unwrap_or_default();
    let seq = seq.map(|seq| format!(" slot {seq}")).unwrap_or_default();
    format!("{name} of member {signer}{view}{seq}")
}

/// The paper's name of a kind of statement.
pub const fn name_of(kind: StatementKind) -> &'static str {
    match kind {
        StatementKind::PrePrepare => "PRE-PREPARE",
        StatementKind::Prepare => "PREPARE",
        StatementKind::Commit => "COMMIT",
        StatementKind::Attest => "ATTEST",
        StatementKind::Checkpoint => "CHECKPOINT",
        StatementKind::ViewChange => "VIEW-CHANGE",
        StatementKind::NewView => "NEW-VIEW",
    }
}

fn of_notice(notice: &Notice) -> String {
    match notice {
        Notice::Status(status) => format!("STATUS view {} executed {}", status.view, status.executed),
        Notice::Ping { .. } => "PING".to_owned(),
        Notice::Pong { .. } => "PONG".to_owned(),
        Notice::Hello(_) => "HELLO".to_owned(),
        Notice::HelloReply(reply) => {
            let newest = reply.view.iter().chain(&reply.vote).map(of_statement).collect::<Vec<_>>();
            format!(
                "answer to HELLO: {}",
                if newest.is_empty() { "nothing".to_owned() } else { newest.join(", ") }
            )
        }
        Notice::Pruned { first } => format!("blocks before {first} are gone"),
        Notice::Fetch(fetch) => match fetch {
            Fetch::Body { seq, .. } => format!("FETCH the batch of slot {seq}"),
            Fetch::ViewChange { sender, .. } => format!("FETCH a VIEW-CHANGE of member {sender}"),
            Fetch::Blocks { from } => format!("FETCH blocks from {from}"),
            Fetch::StateParts { above } => format!("FETCH the parts of a state above block {above}"),
            Fetch::StateLeaves { height, index } => {
                format!("FETCH part {index} of the state after block {height}")
            }
        },
    }
}
