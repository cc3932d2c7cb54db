//! What everything is checked against: the genesis.

use quorate_crypto::{
    Claim, Ed25519Verifier, KeyError, Rule, Verifier, check_public_key, genesis_ledger_id, header_hash,
    members_hash,
};
use quorate_types::{
    BlockCertificate, CertificateKind, Digest, Epoch, Genesis, Handover, Header, LedgerId, MemberSet,
    Members, ReplicaId, Seq, genesis::GenesisError,
};
use std::collections::BTreeSet;

/// A checked genesis with its ledger id, and the members of the epochs that were followed from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    genesis: Genesis,
    ledger: LedgerId,
    /// By epoch, without a gap.
    sets: Vec<KnownMembers>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownMembers {
    members: Members,
    hash: Digest,
    seats: MemberSet,
    /// What led to them; nothing for those of the genesis.
    by: Option<Handover>,
}

/// Why a handover leads to no next members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    #[error("it is of epoch {found}, and the last one known is {known}")]
    Gap { found: u64, known: u64 },
    #[error("it is of another ledger")]
    OtherLedger,
    #[error("its certificate is none of the last checkpoint of the epoch")]
    OtherHeader,
    #[error("its certificate does not hold: {0}")]
    Certificate(#[from] CertificateError),
    #[error("its header names other members than it lists")]
    OtherMembers,
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
    #[error("it is of epoch {0}, whose members are not known")]
    Epoch(u64),
    #[error("it is of epoch {0}, to which the block does not belong")]
    OutsideEpoch(u64),
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
        let seats = MemberSet::of_genesis(&genesis);
        let sets = vec![KnownMembers { hash: members_hash(&members), members, seats, by: None }];
        Ok(Self { genesis, ledger, sets })
    }

    /// Goes on to the members of the next epoch. Of an epoch that is known already nothing changes.
    ///
    /// # Errors
    /// If the handover is not that of the last epoch known, or does not hold.
    pub fn follow(&mut self, handover: &Handover) -> Result<(), HandoverError> {
        let Handover { header, certificate, next } = handover;
        let known = self.members().epoch();
        if header.epoch < known {
            return Ok(());
        }
        if header.epoch > known {
            return Err(HandoverError::Gap { found: header.epoch.get(), known: known.get() });
        }
        if header.ledger != self.ledger {
            return Err(HandoverError::OtherLedger);
        }
        let of_header = (certificate.epoch, certificate.height, certificate.header)
            == (header.epoch, header.height, header_hash(header));
        let checkpoint = header.height.is_checkpoint(self.genesis.parameters.checkpoint_every);
        if !of_header || !checkpoint || certificate.kind != CertificateKind::Checkpoint {
            return Err(HandoverError::OtherHeader);
        }
        self.check_certificate(certificate)?;
        let members = next.members(self.ledger, known.next()).map_err(|_| HandoverError::OtherMembers)?;
        let members = members.opened_with(certificate.clone());
        let hash = members_hash(&members);
        if hash != header.members_hash || next.after != header.height {
            return Err(HandoverError::OtherMembers);
        }
        self.sets.push(KnownMembers { members, hash, seats: next.clone(), by: Some(handover.clone()) });
        Ok(())
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// The members of the last epoch known.
    pub fn members(&self) -> &Members {
        &self.sets.last().expect("the genesis has members").members
    }

    /// The same with the hints where to reach them; those of the genesis stand there.
    pub fn seats(&self) -> &MemberSet {
        &self.sets.last().expect("the genesis has members").seats
    }

    /// What leads from the genesis to the members of this epoch, as far as it is known.
    pub fn handovers_to(&self, epoch: Epoch) -> Vec<Handover> {
        let until = usize::try_from(epoch.get()).unwrap_or(usize::MAX).saturating_add(1);
        self.sets.iter().take(until).filter_map(|known| known.by.clone()).collect()
    }

    /// The members of an epoch, if it is known.
    pub fn members_of(&self, epoch: Epoch) -> Option<&Members> {
        self.known(epoch).map(|known| &known.members)
    }

    fn known(&self, epoch: Epoch) -> Option<&KnownMembers> {
        self.sets.get(usize::try_from(epoch.get()).ok()?)
    }

    /// Whether a block of this height can be of this epoch, as far as is known.
    fn belongs(&self, height: Seq, epoch: Epoch) -> bool {
        let begun = |members: &Members| height > members.after() || epoch == Epoch::ZERO;
        let ended = self.members_of(epoch.next()).is_some_and(|next| height > next.after());
        self.members_of(epoch).is_some_and(begun) && !ended
    }

    /// M7: whether a header names the members that own the block after it. The last one of an epoch names those of the next, who may
    /// not be known yet.
    pub fn names_members(&self, header: &Header) -> bool {
        let Some(own) = self.known(header.epoch).filter(|_| self.belongs(header.height, header.epoch)) else {
            return false;
        };
        match self.known(header.epoch.next()) {
            Some(next) if next.members.after() == header.height => header.members_hash == next.hash,
            Some(_) => header.members_hash == own.hash,
            None => {
                let every = self.genesis.parameters.checkpoint_every;
                header.members_hash == own.hash || header.height.is_checkpoint(every)
            }
        }
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
                let (signers, needed) = self.claims_of(certificate, &mut claims)?;
                Ok((signers, needed, start))
            })
            .collect();
        let verdicts = Ed25519Verifier.verify(&claims);
        let judge = |(signers, needed, start): (Vec<ReplicaId>, usize, usize)| {
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

    /// Adds a claim for each signature that could count, and returns the signers and how many of them must have signed.
    fn claims_of(
        &self,
        certificate: &BlockCertificate,
        claims: &mut Vec<Claim>,
    ) -> Result<(Vec<ReplicaId>, usize), CertificateError> {
        let epoch = certificate.epoch;
        let members = self.members_of(epoch).ok_or(CertificateError::Epoch(epoch.get()))?;
        // G4: what members sign of blocks that are not theirs counts for nothing.
        if !self.belongs(certificate.height, epoch) {
            return Err(CertificateError::OutsideEpoch(epoch.get()));
        }
        let message = certificate.statement().signed_bytes(&self.ledger, certificate.epoch);
        let mut seen = BTreeSet::new();
        let mut signers = Vec::new();
        for (signer, signature) in certificate.signatures.iter().take(usize::from(members.count())) {
            if let Some(member) = members.get(*signer)
                && seen.insert(*signer)
            {
                signers.push(*signer);
                let (key, signature) = (member.vote, *signature);
                claims.push(Claim { key, message: message.clone(), signature, rule: Rule::Strict });
            }
        }
        Ok((signers, members.quorums().strong()))
    }
}

#[cfg(test)]
mod tests;
