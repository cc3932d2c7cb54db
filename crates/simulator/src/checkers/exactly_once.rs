//! S3, S4: what is executed was asked for by its client, and each number has at most one outcome (C1).

use super::Violation;
use crate::scheme::SimVerifier;
use quorate_crypto::{Claim, Rule, Verifier};
use quorate_ledger::ExecutedBlock;
use quorate_types::{Number, PublicKey, SessionId, TransactionId};
use std::collections::{BTreeMap, BTreeSet};

/// Which transaction took which number.
#[derive(Debug, Default)]
pub(crate) struct ExactlyOnce {
    taken: BTreeMap<(PublicKey, SessionId, Number), TransactionId>,
}

impl ExactlyOnce {
    /// One agreed block.
    pub(crate) fn block(
        &mut self,
        block: &ExecutedBlock,
        submitted: &BTreeSet<TransactionId>,
    ) -> Result<(), Violation> {
        for (id, signed, result) in block.transactions() {
            let height = block.header.height;
            if !submitted.contains(&id) {
                return Err(Violation {
                    property: "S3 validity",
                    what: format!("{id} in {height}: nobody sent it"),
                });
            }
            let transaction = &signed.transaction;
            let claim = Claim {
                key: transaction.sender,
                message: transaction.signed_bytes(),
                signature: signed.signature,
                rule: Rule::Zip215,
            };
            if SimVerifier.verify(&[claim]) != [true] {
                let what = format!("{id} in {height}: its sender did not sign it");
                return Err(Violation { property: "S3 validity", what });
            }
            let number = (transaction.sender, transaction.session, transaction.number);
            if result.is_outcome()
                && let Some(earlier) = self.taken.insert(number, id)
            {
                let what = format!(
                    "number {} has outcomes for {earlier} and, in {height}, {id}",
                    transaction.number
                );
                return Err(Violation { property: "S4 exactly once", what });
            }
        }
        Ok(())
    }
}
