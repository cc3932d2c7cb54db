//! What everything is checked against: the genesis.

use quorate_crypto::{
    Claim, Ed25519Verifier, KeyError, Rule, Verifier, check_public_key, genesis_ledger_id, members_hash,
};
use quorate_types::{BlockCertificate, Digest, Genesis, LedgerId, Members, ReplicaId, genesis::GenesisError};
use std::collections::BTreeSet;

/// A checked genesis with its ledger id and member set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    genesis: Genesis,
    ledger: LedgerId,
    members: Members,
    members_hash: Digest,
}

/// Why a genesis cannot be a root of trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{0}")]
    Genesis(#[from] GenesisError),
    #[error("key of {0}: {1}")]
    Key(String, KeyError),
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("it is of epoch {0}, which this genesis does not know")]
    Epoch(u64),
    #[error("{valid} of {needed} valid signatures by distinct members")]
    TooFew { valid: usize, needed: usize },
}

impl TrustRoot {
    /// Checks a genesis: its rules, and every key in it (G5).
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn from_genesis(genesis: Genesis) -> Result<Self, TrustError> {
        genesis.check()?;
        let members = genesis.members.iter().flat_map(|member| {
            [
                (format!("member {}", member.name), member.vote),
                (format!("member {}", member.name), member.transport),
            ]
        });
        let clients = genesis.clients.iter().map(|named| (format!("client {}", named.name), named.key));
        let operators = genesis.operators.iter().map(|named| (format!("operator {}", named.name), named.key));
        for (owner, key) in members.chain(clients).chain(operators) {
            check_public_key(&key).map_err(|error| TrustError::Key(owner, error))?;
        }
        let ledger = genesis_ledger_id(&genesis);
        let members = genesis.members_of_epoch_0(ledger).map_err(GenesisError::Quorum)?;
        let members_hash = members_hash(&members);
        Ok(Self { genesis, ledger, members, members_hash })
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The hash of the member set, as headers carry it (M7).
    pub fn members_hash(&self) -> Digest {
        self.members_hash
    }

    /// M8: q valid signatures by distinct members on one header hash. A failing signature counts as absent. Returns who
    /// signed.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn check_certificate(
        &self,
        certificate: &BlockCertificate,
    ) -> Result<Vec<ReplicaId>, CertificateError> {
        self.check_certificates(&[certificate]).pop().expect("one for one")
    }

    /// [`TrustRoot::check_certificate`] of each, in order, for less than what they cost one by one.
    pub fn check_certificates(
        &self,
        certificates: &[&BlockCertificate],
    ) -> Vec<Result<Vec<ReplicaId>, CertificateError>> {
        let mut claims = Vec::new();
        let claimed: Vec<_> = certificates
            .iter()
            .map(|certificate| {
                let start = claims.len();
                let signers = self.claims_of(certificate, &mut claims)?;
                Ok((signers, start))
            })
            .collect();
        let verdicts = Ed25519Verifier.verify(&claims);
        let needed = self.members.quorums().strong();
        let judge = |(signers, start): (Vec<ReplicaId>, usize)| {
            let verdicts = verdicts.iter().skip(start);
            let valid: Vec<ReplicaId> = signers
                .into_iter()
                .zip(verdicts)
                .filter(|(_, valid)| **valid)
                .map(|(signer, _)| signer)
                .collect();
            if valid.len() < needed {
                return Err(CertificateError::TooFew { valid: valid.len(), needed });
            }
            Ok(valid)
        };
        claimed.into_iter().map(|claimed| claimed.and_then(judge)).collect()
    }

    /// Adds a claim for each signature that could count, and returns the signers.
    fn claims_of(
        &self,
        certificate: &BlockCertificate,
        claims: &mut Vec<Claim>,
    ) -> Result<Vec<ReplicaId>, CertificateError> {
        if certificate.epoch != self.members.epoch() {
            return Err(CertificateError::Epoch(certificate.epoch.get()));
        }
        let message = certificate.statement().signed_bytes(&self.ledger, certificate.epoch);
        let mut seen = BTreeSet::new();
        let mut signers = Vec::new();
        for (signer, signature) in certificate.signatures.iter().take(usize::from(self.members.count())) {
            if let Some(member) = self.members.get(*signer)
                && seen.insert(*signer)
            {
                signers.push(*signer);
                let (key, signature) = (member.vote, *signature);
                claims.push(Claim { key, message: message.clone(), signature, rule: Rule::Strict });
            }
        }
        Ok(signers)
    }
}
