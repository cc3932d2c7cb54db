//! Changes of the member set (G): the payloads of the ledger's own application, and what the state keeps of them.

use crate::bytes::{LedgerId, PublicKey, Signature, StoreId, TransactionId};
use crate::genesis::{Genesis, GenesisMember};
use crate::header::{BlockCertificate, Header};
use crate::ids::{Epoch, Seq};
use crate::layout::{LayoutError, Reader, Writer};
use crate::limits;
use crate::members::{Member, Members};
use crate::quorum::QuorumError;
use crate::time::LedgerTime;
use bincode::{Decode, Encode};

/// The name by which a transaction calls the ledger's own application. No genesis may use it for another.
pub const APP: &str = "members";

/// What an operator, or a member that lost its disk, asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Governance {
    /// Proposes a change, and approves it (G0). The proposal's id is that of the transaction.
    Propose { change: Change, ready: Option<Ready> },
    /// Approves a proposed change. The last approval needed executes it; it must then come with the joiner's READY, if someone joins.
    Approve { proposal: TransactionId, ready: Option<Ready> },
    /// Takes a proposal back; only its proposer can.
    Withdraw { proposal: TransactionId },
    /// A member goes on with another store (L2): signed with its own vote key, so that nobody need approve.
    Recover { ready: Ready },
}

/// A change of the member set: who leaves, who joins, and how many may be faulty afterwards, so that nobody lowers that unawares (G3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The name of the member that leaves; who joins takes its place.
    pub remove: Option<String>,
    pub add: Option<Joiner>,
    pub faults: u16,
}

/// A member to come, with the proofs that its owner holds both keys (G5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Joiner {
    pub name: String,
    pub vote: PublicKey,
    pub transport: PublicKey,
    /// The store that may vote under the key (L2).
    pub store: StoreId,
    /// `host:port` of the QUIC endpoint: a hint.
    pub peer: String,
    /// URL of the client API: a hint.
    pub api: String,
    /// By the vote key, of [`Joiner::signed_bytes`].
    pub vote_proof: Signature,
    /// By the transport key, of the same.
    pub transport_proof: Signature,
}

/// READY: the holder of this vote key follows the ledger with this store up to a height (G3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ready {
    pub vote: PublicKey,
    pub store: StoreId,
    pub height: Seq,
    /// By the vote key, of [`Ready::signed_bytes`].
    pub signature: Signature,
}

/// Why a change is refused; the output of the failed transaction is this one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The sender is no operator.
    NotAnOperator,
    /// There is no such proposal, or it lapsed.
    NoSuchProposal,
    /// Only who proposed a change can withdraw it.
    NotTheProposer,
    AlreadyApproved,
    /// Another change takes effect at the next checkpoint; this one may be asked for again after it (G1).
    ChangePending,
    TooManyProposals,
    /// The change changes nothing.
    Empty,
    NoSuchMember,
    /// The name is taken, or is none.
    BadName,
    /// A key or store is in use, or was a former member's (G4, G5).
    KeyInUse,
    /// So many members cannot tolerate so many faults, or are too many.
    BadQuorum,
    /// The genesis does not allow members of whom none may be faulty (Q6).
    CrashOnly,
    /// An address is too long.
    BadAddress,
    /// The READY is missing, of someone else, or too old (G3).
    NotReady,
}

impl Refusal {
    const ALL: [Self; 14] = [
        Self::NotAnOperator,
        Self::NoSuchProposal,
        Self::NotTheProposer,
        Self::AlreadyApproved,
        Self::ChangePending,
        Self::TooManyProposals,
        Self::Empty,
        Self::NoSuchMember,
        Self::BadName,
        Self::KeyInUse,
        Self::BadQuorum,
        Self::CrashOnly,
        Self::BadAddress,
        Self::NotReady,
    ];

    /// The byte that stands for it.
    pub fn code(self) -> u8 {
        let index = Self::ALL.iter().position(|other| *other == self).expect("all are listed");
        u8::try_from(index + 1).expect("few")
    }

    /// The refusal that a byte stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAnOperator => "the sender is no operator",
            Self::NoSuchProposal => "there is no such proposal, or it lapsed",
            Self::NotTheProposer => "only who proposed it can withdraw it",
            Self::AlreadyApproved => "this operator has approved it already",
            Self::ChangePending => "another change takes effect at the next checkpoint: ask again after it",
            Self::TooManyProposals => "too many changes are proposed already",
            Self::Empty => "it changes nothing",
            Self::NoSuchMember => "there is no member of that name",
            Self::BadName => "the name is taken, empty or too long",
            Self::KeyInUse => "a key or store is in use or was a former member's",
            Self::BadQuorum => "so many members cannot tolerate so many faults",
            Self::CrashOnly => "the genesis does not allow members of whom none may be faulty",
            Self::BadAddress => "an address is too long",
            Self::NotReady => "the READY of who joins is missing, of another, or too old",
        })
    }
}

fn name(reader: &mut Reader<'_>, what: &'static str) -> Result<String, LayoutError> {
    let text = std::str::from_utf8(reader.short()?).map_err(|_| LayoutError::Invalid(what))?;
    Ok(text.to_owned())
}

fn optional<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, LayoutError>,
) -> Result<Option<T>, LayoutError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(LayoutError::Invalid("option")),
    }
}

impl Joiner {
    /// The domain tag of the proofs that its keys are held.
    pub const TAG: &'static str = "quorate/joiner/v1";

    /// What both keys sign: tag ‖ ledger ‖ name ‖ vote ‖ transport ‖ store.
    pub fn signed_bytes(&self, ledger: &LedgerId) -> Vec<u8> {
        let mut writer = Writer::tagged(Self::TAG);
        writer.fixed(&ledger.0).short(self.name.as_bytes());
        writer.fixed(&self.vote.0).fixed(&self.transport.0).fixed(&self.store.0).finish()
    }

    fn write(&self, writer: &mut Writer) {
        writer.short(self.name.as_bytes()).fixed(&self.vote.0).fixed(&self.transport.0).fixed(&self.store.0);
        writer.short(self.peer.as_bytes()).short(self.api.as_bytes());
        writer.fixed(&self.vote_proof.0).fixed(&self.transport_proof.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            name: name(reader, "member name")?,
            vote: PublicKey(reader.array()?),
            transport: PublicKey(reader.array()?),
            store: StoreId(reader.array()?),
            peer: name(reader, "address")?,
            api: name(reader, "address")?,
            vote_proof: Signature(reader.array()?),
            transport_proof: Signature(reader.array()?),
        })
    }
}

impl Ready {
    /// The domain tag of READY.
    pub const TAG: &'static str = "quorate/ready/v1";

    /// What the vote key signs: tag ‖ ledger ‖ vote ‖ store ‖ height.
    pub fn signed_bytes(&self, ledger: &LedgerId) -> Vec<u8> {
        let mut writer = Writer::tagged(Self::TAG);
        writer.fixed(&ledger.0).fixed(&self.vote.0).fixed(&self.store.0).u64(self.height.get()).finish()
    }

    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.vote.0).fixed(&self.store.0).u64(self.height.get()).fixed(&self.signature.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            vote: PublicKey(reader.array()?),
            store: StoreId(reader.array()?),
            height: Seq::new(reader.u64()?),
            signature: Signature(reader.array()?),
        })
    }
}

impl Change {
    fn write(&self, writer: &mut Writer) {
        match &self.remove {
            None => writer.u8(0),
            Some(name) => writer.u8(1).short(name.as_bytes()),
        };
        match &self.add {
            None => {
                writer.u8(0);
            }
            Some(joiner) => joiner.write(writer.u8(1)),
        }
        writer.u16(self.faults);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            remove: optional(reader, |reader| name(reader, "member name"))?,
            add: optional(reader, Joiner::read)?,
            faults: reader.u16()?,
        })
    }
}

impl Governance {
    /// The payload of the transaction that asks for it.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut writer = Writer::untagged();
        let ready = |writer: &mut Writer, ready: &Option<Ready>| match ready {
            None => {
                writer.u8(0);
            }
            Some(ready) => ready.write(writer.u8(1)),
        };
        match self {
            Self::Propose { change, ready: with } => {
                change.write(writer.u8(1));
                ready(&mut writer, with);
            }
            Self::Approve { proposal, ready: with } => ready(writer.u8(2).fixed(&proposal.0), with),
            Self::Withdraw { proposal } => {
                writer.u8(3).fixed(&proposal.0);
            }
            Self::Recover { ready } => ready.write(writer.u8(4)),
        }
        writer.finish()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// If the bytes are not exactly one.
    pub fn from_payload(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let asked = match reader.u8()? {
            1 => Self::Propose {
                change: Change::read(&mut reader)?,
                ready: optional(&mut reader, Ready::read)?,
            },
            2 => Self::Approve {
                proposal: TransactionId(reader.array()?),
                ready: optional(&mut reader, Ready::read)?,
            },
            3 => Self::Withdraw { proposal: TransactionId(reader.array()?) },
            4 => Self::Recover { ready: Ready::read(&mut reader)? },
            _ => return Err(LayoutError::Invalid("kind of change")),
        };
        reader.end()?;
        Ok(asked)
    }

    /// What it stands on beside the signature of its sender: keys, what they signed, and their signatures.
    pub fn proofs(&self, ledger: &LedgerId) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        let (add, ready) = match self {
            Self::Propose { change, ready } => (change.add.as_ref(), ready.as_ref()),
            Self::Approve { ready, .. } => (None, ready.as_ref()),
            Self::Withdraw { .. } => (None, None),
            Self::Recover { ready } => (None, Some(ready)),
        };
        let mut proofs = Vec::new();
        if let Some(joiner) = add {
            let bytes = joiner.signed_bytes(ledger);
            proofs.push((joiner.vote, bytes.clone(), joiner.vote_proof));
            proofs.push((joiner.transport, bytes, joiner.transport_proof));
        }
        proofs.extend(ready.map(|ready| (ready.vote, ready.signed_bytes(ledger), ready.signature)));
        proofs
    }
}

/// A proposed change (G0), as a leaf of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub change: Change,
    pub proposer: PublicKey,
    /// When it lapses, in ledger time.
    pub until: LedgerTime,
    /// Operators that approve it, sorted.
    pub approvals: Vec<PublicKey>,
}

impl Pending {
    /// The bytes of its leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::untagged();
        self.change.write(&mut writer);
        writer.fixed(&self.proposer.0).u64(self.until.0).count(self.approvals.len());
        for operator in &self.approvals {
            writer.fixed(&operator.0);
        }
        writer.finish()
    }

    /// Reads its leaf.
    ///
    /// # Errors
    /// If the bytes are not exactly one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let change = Change::read(&mut reader)?;
        let proposer = PublicKey(reader.array()?);
        let until = LedgerTime(reader.u64()?);
        let count = reader.count(limits::MAX_GENESIS_KEYS, "approvals")?;
        let approvals = (0..count).map(|_| Ok(PublicKey(reader.array()?))).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { change, proposer, until, approvals })
    }
}

/// A member with the hints where to reach it; those of the genesis stand in the genesis file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Seat {
    pub member: Member,
    pub peer: String,
    pub api: String,
}

/// How an epoch ended (G2): its last header, which names the next members, the checkpoint certificate on it, and who they are. Whoever trusts
/// the genesis follows these from member set to member set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Handover {
    /// The last one of its epoch.
    pub header: Header,
    /// q CHECKPOINTs of that epoch's members on it.
    pub certificate: BlockCertificate,
    /// The members of the epoch after it.
    pub next: MemberSet,
}

/// The members of an epoch, as a leaf of the state: it stays, so that the state tells the members of all epochs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct MemberSet {
    /// The last block of the epoch before: the slots above it are theirs (G2).
    pub after: Seq,
    pub faults: u16,
    pub seats: Vec<Seat>,
}

impl MemberSet {
    /// The members of a genesis. Their addresses are not hashed there, and so not here.
    pub fn of_genesis(genesis: &Genesis) -> Self {
        let seat = |member: &GenesisMember| Seat {
            member: Member {
                name: member.name.clone(),
                vote: member.vote,
                transport: member.transport,
                store: None,
            },
            peer: String::new(),
            api: String::new(),
        };
        Self { after: Seq::ZERO, faults: genesis.faults, seats: genesis.members.iter().map(seat).collect() }
    }

    /// The member set that these are in an epoch.
    ///
    /// # Errors
    /// If the quorum arithmetic refuses the numbers.
    pub fn members(&self, ledger: LedgerId, epoch: Epoch) -> Result<Members, QuorumError> {
        let members = self.seats.iter().map(|seat| seat.member.clone()).collect();
        Ok(Members::new(ledger, epoch, self.faults, members)?.opened_after(self.after))
    }

    /// The bytes of its leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::untagged();
        writer.u64(self.after.get()).u16(self.faults).count(self.seats.len());
        for Seat { member, peer, api } in &self.seats {
            writer.short(member.name.as_bytes()).fixed(&member.vote.0).fixed(&member.transport.0);
            match &member.store {
                None => writer.u8(0),
                Some(store) => writer.u8(1).fixed(&store.0),
            };
            writer.short(peer.as_bytes()).short(api.as_bytes());
        }
        writer.finish()
    }

    /// Reads its leaf.
    ///
    /// # Errors
    /// If the bytes are not exactly one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let (after, faults) = (Seq::new(reader.u64()?), reader.u16()?);
        let count = reader.count(usize::from(limits::MAX_MEMBERS), "members")?;
        let mut seats = Vec::with_capacity(count);
        for _ in 0..count {
            let member = Member {
                name: name(&mut reader, "member name")?,
                vote: PublicKey(reader.array()?),
                transport: PublicKey(reader.array()?),
                store: optional(&mut reader, |reader| Ok(StoreId(reader.array()?)))?,
            };
            let (peer, api) = (name(&mut reader, "address")?, name(&mut reader, "address")?);
            seats.push(Seat { member, peer, api });
        }
        reader.end()?;
        Ok(Self { after, faults, seats })
    }
}

#[cfg(test)]
mod tests;
