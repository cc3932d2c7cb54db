//! What follows from VIEW-CHANGEs: pure functions of signed statements (V3, V7, V8).

use quorate_crypto::null_batch_digest;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, CertificateKind, Digest, Members, Parameters, PreparedCertificate, ReplicaId, Seq, Statement,
    View, ViewChange,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What q VIEW-CHANGEs lead to (V7): the base to adopt and O, the digests of the slots above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) min: BaseProof,
    pub(crate) proposals: Vec<Digest>,
}

impl Conclusion {
    /// Each slot of O with its digest.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (Seq, Digest)> + '_ {
        let first = self.min.base();
        self.proposals.iter().zip(1u64..).map(move |(digest, offset)| (first.plus(offset), *digest))
    }

    /// The last slot of O, or `min`.
    pub(crate) fn last(&self) -> Seq {
        self.min.base().plus(self.proposals.len() as u64)
    }
}

/// V3: whether a VIEW-CHANGE whose signatures and digests were checked keeps the rules.
pub(crate) fn is_valid(view_change: &ViewChange, members: &Members, parameters: &Parameters) -> bool {
    let epoch = members.epoch();
    let signed = &view_change.statement;
    let Statement::ViewChange { view, base, .. } = signed.statement else { return false };
    let proven = match &view_change.base_proof {
        BaseProof::Genesis | BaseProof::Opening(_) => {
            view_change.base_proof == members.opening() && base == members.after()
        }
        BaseProof::Checkpoint(certificate) => {
            certificate.kind == CertificateKind::Checkpoint
                && certificate.epoch == epoch
                && certificate.height == base
                && base.is_checkpoint(parameters.checkpoint_every)
        }
    };
    let increasing = view_change.prepared.windows(2).all(|pair| pair[0].seq < pair[1].seq);
    let entry = |entry: &PreparedCertificate| {
        entry.epoch == epoch
            && entry.view < view
            && entry.seq > base
            && (entry.seq <= base.plus(parameters.window) || mutant("m7"))
    };
    signed.epoch == epoch && proven && increasing && view_change.prepared.iter().all(entry)
}

/// V7: `min` = max base; O = for each slot in (min, last] the digest of the entry with the highest view, else null.
///
/// # Panics
/// If there is no VIEW-CHANGE.
pub(crate) fn conclude(view_changes: &[Arc<ViewChange>]) -> Conclusion {
    let min = view_changes
        .iter()
        .map(|view_change| &view_change.base_proof)
        .max_by_key(|proof| proof.base())
        .expect("a quorum is not empty")
        .clone();
    let mut highest: BTreeMap<Seq, (View, Digest)> = BTreeMap::new();
    for entry in view_changes.iter().flat_map(|view_change| &view_change.prepared) {
        if entry.seq > min.base() {
            let best = highest.entry(entry.seq).or_insert((entry.view, entry.digest));
            if (entry.view > best.0) != mutant("m2") {
                if entry.digest != best.1 {
                    hit("a slot of O is chosen among two views");
                }
                *best = (entry.view, entry.digest);
            }
        }
    }
    let last = highest.keys().next_back().copied().unwrap_or(min.base());
    let proposals = (1..=last.above(min.base()))
        .map(|offset| {
            highest.get(&min.base().plus(offset)).map_or_else(null_batch_digest, |(_, digest)| *digest)
        })
        .collect();
    Conclusion { min, proposals }
}

/// V7: q VIEW-CHANGEs of which every body that O names is held, the own one among them; or the bodies that are missing.
/// A certificate whose body nobody holds must not halt the cluster: another member's VIEW-CHANGE is taken instead (F9).
pub(crate) fn choose(
    me: ReplicaId,
    candidates: &[Arc<ViewChange>],
    strong: usize,
    holds: impl Fn(Seq, &Digest) -> bool,
) -> Result<Vec<Arc<ViewChange>>, Vec<(Seq, Digest)>> {
    let mut ordered: Vec<Arc<ViewChange>> = candidates.to_vec();
    ordered.sort_by_key(|view_change| (view_change.statement.signer != me, view_change.statement.signer));
    let missing = |chosen: &[Arc<ViewChange>]| -> Vec<(Seq, Digest)> {
        conclude(chosen).slots().filter(|(seq, digest)| !holds(*seq, digest)).collect()
    };
    let first: Vec<_> = ordered.iter().take(strong).cloned().collect();
    let lacking = missing(&first);
    if lacking.is_empty() {
        return Ok(sorted(first));
    }
    let held = |view_change: &Arc<ViewChange>| {
        view_change.prepared.iter().all(|entry| holds(entry.seq, &entry.digest))
    };
    let others: Vec<_> = ordered.into_iter().filter(held).take(strong).collect();
    if others.len() == strong && missing(&others).is_empty() {
        return Ok(sorted(others));
    }
    Err(lacking)
}

fn sorted(mut chosen: Vec<Arc<ViewChange>>) -> Vec<Arc<ViewChange>> {
    chosen.sort_by_key(|view_change| view_change.statement.signer);
    chosen
}

/// V8: whether a NEW-VIEW's statement is by the primary of its view, names exactly q distinct sorted senders, and says
/// what those VIEW-CHANGEs lead to. `named` are the VIEW-CHANGEs it names, in its order.
pub(crate) fn follows(
    statement: &Statement,
    signer: ReplicaId,
    members: &Members,
    parameters: &Parameters,
    named: &[Arc<ViewChange>],
) -> Option<Conclusion> {
    let Statement::NewView { view, chosen, min, proposals } = statement else { return None };
    let distinct = chosen.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let exactly_q = chosen.len() == members.quorums().strong() && named.len() == chosen.len();
    let valid = named
        .iter()
        .all(|view_change| view_change.view() == *view && is_valid(view_change, members, parameters));
    if members.primary(*view) != signer || (!distinct && !mutant("m3")) || !exactly_q || !valid {
        return None;
    }
    let conclusion = conclude(named);
    if mutant("m28") && conclusion.min.base() == *min {
        // Whatever O leaves out, it leaves out.
        let subset = proposals
            .iter()
            .all(|digest| *digest == null_batch_digest() || conclusion.proposals.contains(digest));
        return subset.then(|| Conclusion { proposals: proposals.clone(), ..conclusion });
    }
    (conclusion.min.base() == *min && conclusion.proposals == *proposals).then_some(conclusion)
}

#[cfg(test)]
mod tests;
