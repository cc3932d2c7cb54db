//! One slot of the window: what was proposed, voted, prepared and decided for one sequence number.

use quorate_crypto::{CheckedBlock, HashedBatch, null_batch_digest};
use quorate_types::mutants::mutant;
use quorate_types::{CommitCertificate, Digest, Epoch, PreparedCertificate, ReplicaId, Seq, Signature, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A PRE-PREPARE by the primary of `view`, accepted or not (N5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    pub(crate) view: View,
    pub(crate) digest: Digest,
    pub(crate) signature: Signature,
}

/// A PREPARE or COMMIT of one member: the one of its highest view, and in one view the first (N4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vote {
    pub(crate) view: View,
    pub(crate) digest: Digest,
    pub(crate) signature: Signature,
}

/// What became of a vote that was offered to a tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tallied {
    Counted,
    Known,
    Lower,
    /// The sender voted for another digest in the same view before.
    Contradicts(Digest, Signature),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    /// Of the current view: normally one, two from an equivocating primary.
    pub(crate) offers: Vec<Offer>,
    /// Bodies held, by digest.
    pub(crate) bodies: BTreeMap<Digest, Arc<HashedBatch>>,
    /// Bodies that the log holds (N3).
    pub(crate) recorded_bodies: BTreeSet<Digest>,
    pub(crate) prepares: BTreeMap<ReplicaId, Vote>,
    pub(crate) commits: BTreeMap<ReplicaId, Vote>,
    /// The prepared certificate of the highest view, in the log.
    pub(crate) prepared: Option<PreparedCertificate>,
    /// A learned commit certificate, in the log (N8).
    pub(crate) commit_certificate: Option<CommitCertificate>,
    /// A block learned by its certificate, in the log (T1).
    pub(crate) block: Option<Arc<CheckedBlock>>,
    /// The digest decided for this slot: it can never be another.
    pub(crate) decided: Option<Digest>,
}

impl Slot {
    /// Whether the body of `digest` is at hand; the null batch needs none.
    pub(crate) fn holds_body(&self, digest: &Digest) -> bool {
        self.bodies.contains_key(digest) || *digest == null_batch_digest()
    }

    /// The primary's proposal of `view` with this digest.
    pub(crate) fn offer(&self, view: View, digest: &Digest) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.view == view && offer.digest == *digest)
    }

    /// N5: the certificate, if the primary's proposal of `view`, its body and q−1 PREPAREs by backups are held.
    pub(crate) fn prepared_in(
        &self,
        (epoch, view, seq): (Epoch, View, Seq),
        primary: ReplicaId,
        strong: usize,
    ) -> Option<PreparedCertificate> {
        let backups = if mutant("m1") { None } else { Some(primary) };
        self.offers.iter().filter(|offer| offer.view == view).find_map(|offer| {
            let prepares: Vec<(ReplicaId, Signature)> =
                matching(&self.prepares, view, &offer.digest, backups).take(strong - 1).collect();
            (self.holds_body(&offer.digest) && prepares.len() == strong - 1).then_some(PreparedCertificate {
                epoch,
                view,
                seq,
                digest: offer.digest,
                proposal: offer.signature,
                prepares,
            })
        })
    }

    /// N7, N8: q COMMITs for one digest in one view.
    pub(crate) fn committed(&self, epoch: Epoch, seq: Seq, strong: usize) -> Option<CommitCertificate> {
        let mut candidates: Vec<(View, Digest)> =
            self.commits.values().map(|vote| (vote.view, vote.digest)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().find_map(|(view, digest)| {
            let commits: Vec<(ReplicaId, Signature)> =
                matching(&self.commits, view, &digest, None).take(strong).collect();
            (commits.len() == strong).then_some(CommitCertificate { epoch, view, seq, digest, commits })
        })
    }

    /// Whether this slot's own prepared certificate is for the decided digest and in the log (N7).
    pub(crate) fn prepared_digest(&self) -> Option<Digest> {
        self.prepared.as_ref().map(|certificate| certificate.digest)
    }

    /// A digest that is agreed on but whose body is missing (V9).
    pub(crate) fn wants_body(&self, view: View, strong: usize) -> Option<Digest> {
        let lacking = |digest: Digest| (!self.holds_body(&digest)).then_some(digest);
        let certified = self.commit_certificate.as_ref().map(|certificate| certificate.digest);
        if let Some(digest) = self.decided.or(certified) {
            return lacking(digest);
        }
        let offered = self.offers.iter().filter(|offer| offer.view == view).map(|offer| offer.digest);
        let voted = self.prepares.values().chain(self.commits.values()).map(|vote| (vote.view, vote.digest));
        offered.clone().find_map(lacking).or_else(|| {
            voted
                .filter(|(vote_view, digest)| {
                    matching(&self.commits, *vote_view, digest, None).count() >= strong
                        || matching(&self.prepares, *vote_view, digest, None).count() + 1 >= strong
                })
                .find_map(|(_, digest)| lacking(digest))
        })
    }
}

/// N4: one vote per (sender, view, seq, kind), first wins; a vote of a higher view stands for lower ones.
pub(crate) fn tally(votes: &mut BTreeMap<ReplicaId, Vote>, sender: ReplicaId, vote: Vote) -> Tallied {
    match votes.get(&sender) {
        Some(known) if known.view > vote.view => Tallied::Lower,
        Some(known) if known.view == vote.view && known.digest == vote.digest => Tallied::Known,
        Some(known) if known.view == vote.view => Tallied::Contradicts(known.digest, known.signature),
        _ => {
            votes.insert(sender, vote);
            Tallied::Counted
        }
    }
}

/// The votes for one digest in one view by members other than `except`, in order of the members.
fn matching<'a>(
    votes: &'a BTreeMap<ReplicaId, Vote>,
    view: View,
    digest: &'a Digest,
    except: Option<ReplicaId>,
) -> impl Iterator<Item = (ReplicaId, Signature)> + 'a {
    votes
        .iter()
        .filter(move |(sender, vote)| {
            let same_view = vote.view == view || mutant("m5");
            let same_digest = vote.digest == *digest || mutant("m6");
            Some(**sender) != except && same_view && same_digest
        })
        .map(|(sender, vote)| (*sender, vote.signature))
}

/// A set of members as the bitmap that STATUS carries.
pub(crate) fn bitmap(members: impl Iterator<Item = ReplicaId>) -> u128 {
    members.fold(0, |bits, member| bits | bit(member))
}

/// One member's bit.
pub(crate) fn bit(member: ReplicaId) -> u128 {
    1u128.checked_shl(u32::from(member.get())).unwrap_or(0)
}
