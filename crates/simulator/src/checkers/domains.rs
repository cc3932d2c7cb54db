//! S18: no signature is valid in two kinds, ledgers or epochs (M1): whatever leaves a correct member signs other bytes than
//! the same fields would in another domain.

use super::{Violation, signed};
use quorate_types::{Epoch, LedgerId, Members, Message, SignedStatement, Statement};

/// The same fields as another kind of statement, where there is one.
fn other_kinds(statement: &Statement) -> Vec<Statement> {
    match statement.clone() {
        Statement::PrePrepare { view, seq, digest }
        | Statement::Prepare { view, seq, digest }
        | Statement::Commit { view, seq, digest } => vec![
            Statement::PrePrepare { view, seq, digest },
            Statement::Prepare { view, seq, digest },
            Statement::Commit { view, seq, digest },
        ],
        Statement::Attest { seq, header } | Statement::Checkpoint { seq, header } => {
            vec![Statement::Attest { seq, header }, Statement::Checkpoint { seq, header }]
        }
        Statement::ViewChange { .. } | Statement::NewView { .. } => Vec::new(),
    }
}

/// Whether what a message signs is signed for one ledger, one epoch and one kind only.
pub(crate) fn separate(members: &Members, message: &Message) -> Result<(), Violation> {
    signed(message).map_or(Ok(()), |signed| statement(members, signed))
}

fn statement(members: &Members, signed: &SignedStatement) -> Result<(), Violation> {
    let SignedStatement { epoch, statement, .. } = signed;
    let bytes = statement.signed_bytes(members.ledger(), *epoch);
    let mut elsewhere = vec![
        ("another ledger", statement.signed_bytes(&LedgerId([9; 32]), *epoch)),
        ("another epoch", statement.signed_bytes(members.ledger(), Epoch::new(epoch.get() + 1))),
    ];
    let kinds = other_kinds(statement).into_iter().filter(|other| other.kind() != statement.kind());
    elsewhere.extend(kinds.map(|other| ("another kind", other.signed_bytes(members.ledger(), *epoch))));
    match elsewhere.into_iter().find(|(_, other)| *other == bytes) {
        None => Ok(()),
        Some((place, _)) => Err(Violation {
            property: "S18 one domain",
            what: format!("the signature of {statement:?} holds in {place} too"),
        }),
    }
}
