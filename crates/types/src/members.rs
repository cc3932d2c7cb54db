//! The member set of an epoch (Q1, M7).

use crate::bytes::{Digest, LedgerId, PublicKey, StoreId};
use crate::header::BlockCertificate;
use crate::ids::{Epoch, ReplicaId, Seq, View};
use crate::layout::Writer;
use crate::message::BaseProof;
use crate::quorum::{QuorumError, Quorums};
use bincode::{Decode, Encode};

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Member {
    pub name: String,
    /// Signs statements.
    pub vote: PublicKey,
    /// Identifies the member's QUIC endpoint.
    pub transport: PublicKey,
    /// The store that may vote under this key; genesis members have none yet (L2).
    pub store: Option<StoreId>,
}

/// The members of one epoch of one ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Members {
    ledger: LedgerId,
    epoch: Epoch,
    /// The last block of the epoch before: the slots above it are theirs (G2).
    after: Seq,
    /// Its certificate, if it is known from a handover: members need no other proof of that block.
    closing: Option<BlockCertificate>,
    quorums: Quorums,
    members: Vec<Member>,
}

impl Members {
    /// The domain tag of the member set's hash (M7).
    pub const TAG: &'static str = "quorate/members/v1";

    /// The members of `epoch`, of whom `faults` may be Byzantine.
    ///
    /// # Errors
    /// If the quorum arithmetic refuses the numbers.
    pub fn new(
        ledger: LedgerId,
        epoch: Epoch,
        faults: u16,
        members: Vec<Member>,
    ) -> Result<Self, QuorumError> {
        let n = u16::try_from(members.len()).unwrap_or(u16::MAX);
        Ok(Self {
            ledger,
            epoch,
            after: Seq::ZERO,
            closing: None,
            quorums: Quorums::declared(n, faults)?,
            members,
        })
    }

    /// The same, if the slots above this one are theirs (G2).
    #[must_use]
    pub fn opened_after(self, after: Seq) -> Self {
        Self { after, ..self }
    }

    pub fn ledger(&self) -> &LedgerId {
        &self.ledger
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The same, if this is the certificate of the last block of the epoch before.
    #[must_use]
    pub fn opened_with(self, closing: BlockCertificate) -> Self {
        Self { closing: Some(closing), ..self }
    }

    /// The certificate of the last block of the epoch before, if it is known.
    pub fn closing(&self) -> Option<&BlockCertificate> {
        self.closing.as_ref()
    }

    /// The hash of the header of the last block of the epoch before, if it is known.
    pub fn after_header(&self) -> Option<Digest> {
        self.closing.as_ref().map(|certificate| certificate.header)
    }

    /// The last block of the epoch before, or zero (G2).
    pub fn after(&self) -> Seq {
        self.after
    }

    /// The base with which the epoch begins.
    pub fn opening(&self) -> BaseProof {
        if self.epoch == Epoch::ZERO { BaseProof::Genesis } else { BaseProof::Opening(self.after) }
    }

    pub fn quorums(&self) -> Quorums {
        self.quorums
    }

    /// How many members there are.
    pub fn count(&self) -> u16 {
        self.quorums.members()
    }

    /// The member with this index, if there is one.
    pub fn get(&self, id: ReplicaId) -> Option<&Member> {
        self.members.get(id.index())
    }

    /// Every member with its index.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Member)> {
        ReplicaId::all(self.count()).zip(&self.members)
    }

    /// The member that owns this transport key.
    pub fn by_transport_key(&self, key: &PublicKey) -> Option<ReplicaId> {
        self.iter().find(|(_, member)| member.transport == *key).map(|(id, _)| id)
    }

    /// The member that owns this vote key.
    pub fn by_vote_key(&self, key: &PublicKey) -> Option<ReplicaId> {
        self.iter().find(|(_, member)| member.vote == *key).map(|(id, _)| id)
    }

    /// `primary(e, v) = (e + v) mod n` (N).
    pub fn primary(&self, view: View) -> ReplicaId {
        let n = u64::from(self.count());
        let index = (self.epoch.get() % n + view.get() % n) % n;
        ReplicaId::new(u16::try_from(index).expect("less than n"))
    }

    /// The bytes whose hash stands in headers (M7): epoch, f, members with store ids.
    pub fn hashed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::tagged(Self::TAG);
        writer.fixed(&self.ledger.0).u64(self.epoch.get()).u16(self.quorums.faults()).u16(self.count());
        for member in &self.members {
            writer.short(member.name.as_bytes()).fixed(&member.vote.0).fixed(&member.transport.0);
            match &member.store {
                None => writer.u8(0),
                Some(store) => writer.u8(1).fixed(&store.0),
            };
        }
        writer.finish()
    }
}
