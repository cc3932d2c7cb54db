//! What the core thought of an input.

use quorate_types::{ReplicaId, SignedStatement};

/// The core cannot fail: a useless input is ignored, a lie is condemned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    Accepted,
    Ignored(Ignored),
    Condemned(Evidence),
}

/// Why an input changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ignored {
    /// It speaks of a view or slot that is over.
    Stale,
    /// It speaks of a slot beyond the window, or of a view that was buffered or dropped.
    TooFarAhead,
    /// It is known already.
    Duplicate,
    /// It was not sent by who may send it.
    WrongSender,
    /// It breaks a rule that a correct replica keeps; the sender is at fault, but no proof can be shown.
    Invalid,
    /// A proposal's time is too far ahead of the own clock (N2).
    Clock,
    /// Custody is full for this sender, this peer, or altogether (C2).
    CustodyFull,
    /// It was not asked for.
    Unasked,
    /// The peer is in a later epoch (G2).
    OtherEpoch,
    /// The peer was given enough of late (R1).
    OverBudget,
    /// This replica does not vote now: starting, learning or halted.
    NotVoting,
}

/// Proof that a member is faulty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Two statements of one signer that no correct replica makes both of.
    Contradiction(Box<(SignedStatement, SignedStatement)>),
    /// A NEW-VIEW or VIEW-CHANGE, signed, that breaks the rules by its own content.
    InvalidViewStatement(SignedStatement),
}

impl Evidence {
    /// The member at fault.
    pub fn culprit(&self) -> ReplicaId {
        match self {
            Self::Contradiction(pair) => pair.0.signer,
            Self::InvalidViewStatement(signed) => signed.signer,
        }
    }
}
