//! S13, S14: what a client was told stands in the ledger, under a certificate that holds, and stays (C3).

use super::Violation;
use crate::scheme::SimVerifier;
use quorate_crypto::{Claim, Rule, Verifier, last_linked, transaction_id};
use quorate_engine::{Answer, Outcome};
use quorate_ledger::ExecutedBlock;
use quorate_types::{
    BlockCertificate, Epoch, Members, Seq, SignedTransaction, TransactionId, TransactionResult,
};
use std::collections::{BTreeMap, BTreeSet};

/// The outcomes of the agreed ledger.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    ledger: BTreeMap<TransactionId, (Seq, u32, TransactionResult)>,
}

fn violation(what: String) -> Result<(), Violation> {
    Err(Violation { property: "S14 outcome", what })
}

impl Outcomes {
    pub(crate) fn block(&mut self, block: &ExecutedBlock) {
        for (index, (id, _, result)) in (0u32..).zip(block.transactions()) {
            if result.is_outcome() {
                self.ledger.insert(id, (block.header.height, index, result.clone()));
            }
        }
    }

    pub(crate) fn answered(
        &self,
        sets: &BTreeMap<Epoch, Members>,
        asked: &SignedTransaction,
        answer: &Answer,
    ) -> Result<(), Violation> {
        let (outcome, of_another) = match answer {
            Answer::Outcome(outcome) => (outcome, false),
            Answer::Superseded(outcome) => (outcome, true),
            Answer::Refused(_) => return Ok(()),
        };
        certificate(sets, &outcome.certificate)?;
        if !proves(outcome) {
            return violation(format!("{} was told under a certificate of another block", outcome.id));
        }
        let id = transaction_id(&asked.transaction);
        if (outcome.id == id) == of_another {
            return violation(format!(
                "asked for {id}, answered about {} (superseded: {of_another})",
                outcome.id
            ));
        }
        let place = outcome.block.transactions().nth(outcome.index as usize);
        let told = place.map(|(_, _, result)| (outcome.block.header.height, outcome.index, result.clone()));
        if told.as_ref() != self.ledger.get(&outcome.id) {
            return violation(format!(
                "{} was told {told:?}, the ledger has {:?}",
                outcome.id,
                self.ledger.get(&outcome.id)
            ));
        }
        Ok(())
    }
}

/// M8: the certificate is of the block, or of one that its headers lead to.
fn proves(outcome: &Outcome) -> bool {
    let certificate = &outcome.certificate;
    last_linked(&outcome.block.header, &outcome.links) == Some((certificate.height, certificate.header))
}

/// M8: q valid signatures by distinct members.
pub(crate) fn certificate(
    sets: &BTreeMap<Epoch, Members>,
    certificate: &BlockCertificate,
) -> Result<(), Violation> {
    let Some(members) = sets.get(&certificate.epoch) else {
        let what = format!("block {} is certified by epoch {}", certificate.height, certificate.epoch);
        return Err(Violation { property: "S5 certificate", what });
    };
    let message = certificate.statement().signed_bytes(members.ledger(), certificate.epoch);
    let mut signers = BTreeSet::new();
    for (signer, signature) in &certificate.signatures {
        let Some(member) = members.get(*signer) else { continue };
        let claim =
            Claim { key: member.vote, message: message.clone(), signature: *signature, rule: Rule::Strict };
        if SimVerifier.verify(&[claim]) == [true] {
            signers.insert(*signer);
        }
    }
    if signers.len() >= members.quorums().strong() {
        return Ok(());
    }
    let what = format!("block {} has {} valid signatures", certificate.height, signers.len());
    Err(Violation { property: "S5 certificate", what })
}
