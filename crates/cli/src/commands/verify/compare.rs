//! `quorate verify compare`: where two stored ledgers part, and whose the members signed.

use super::Place;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::shown;
use quorate_client::ErrorCode;
use quorate_crypto::{header_hash, transaction_id};
use quorate_ledger::StoredState;
use quorate_proof::TrustRoot;
use quorate_storage::blocks::Entry;
use quorate_storage::blocks::audit::{AuditError, Tail, read_entries};
use quorate_storage::state::StateFile;
use quorate_storage::{RealDisk, StoredBlock};
use quorate_types::{BlockCertificate, Digest, Operation, Operations, Seq};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Entries of one side that are read ahead.
const AHEAD: usize = 256;
/// Certificates are kept for so many heights: they stand a little after their blocks.
const KEPT: u64 = 4_096;

/// One side: its blocks as they come, and the certificates that came with them.
struct Side {
    entries: Receiver<Entry>,
    certificates: BTreeMap<Seq, BlockCertificate>,
    height: Seq,
}

/// Where two ledgers part.
struct Difference {
    height: Seq,
    /// The first transaction or result that differs, if the headers differ in that.
    transaction: Option<(usize, &'static str, String)>,
    /// What each side's header hash is, and whether a quorum signed it.
    headers: [Header; 2],
}

struct Header {
    hash: Digest,
    signed_by: Vec<String>,
}

/// Compares what two directories hold.
///
/// # Errors
/// If they differ, or one cannot be read.
pub(super) fn run(context: &Context, a: &Path, b: &Path) -> Outcome {
    let places = [Place::find(a)?, Place::find(b)?];
    // Whoever has seen more epochs tells of them.
    let trust = places[1].follow(places[0].follow(context.trust()?)?)?;
    let (height, difference) = std::thread::scope(|scope| {
        let (left, left_reader) = Side::open(scope, &places[0], &trust)?;
        let (right, right_reader) = Side::open(scope, &places[1], &trust)?;
        let found = first_difference(left, right, &trust);
        // A side that was read to its end must have been whole.
        for (place, reader) in places.iter().zip([left_reader, right_reader]) {
            let read = reader.join().expect("reading does not panic");
            read.map_err(|error| {
                Failure::new(ErrorCode::LedgerInvalid)
                    .what(format!("the ledger in {} cannot be read to its end", place.named.display()))
                    .why(error.to_string())
                    .fix("quorate verify tells which of its blocks are good")
            })?;
        }
        Ok::<_, Failure>(found)
    })?;
    if let Some(difference) = difference {
        return Err(difference.failure(&places));
    }
    let state = compare_states(&places)?;
    let document = json!({
        "schema": "quorate.verify.compare.v1",
        "equal": true,
        "blocks": height.get(),
        "state": state,
    });
    context.output.data(&document, || format!("equal up to block {height}; state: {state}"));
    Ok(())
}

impl Side {
    fn open<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        place: &'env Place,
        trust: &'env TrustRoot,
    ) -> Outcome<(Self, ScopedJoinHandle<'scope, Result<Tail, AuditError>>)> {
        let disk = RealDisk::open(&place.blocks).map_err(|error| Failure::io(&place.blocks, &error))?;
        let (into, entries) = sync_channel(AHEAD);
        let reader =
            scope.spawn(move || read_entries(&disk, trust.ledger(), |entry, _| into.send(entry).is_ok()));
        Ok((Self { entries, certificates: BTreeMap::new(), height: Seq::ZERO }, reader))
    }

    /// The next block.
    fn block(&mut self) -> Option<StoredBlock> {
        loop {
            match self.entries.recv().ok()? {
                Entry::Block(stored) => {
                    self.height = stored.block.header.height;
                    return Some(stored);
                }
                Entry::Certificate(certificate) => {
                    self.certificates.insert(certificate.height, certificate);
                    self.certificates.retain(|height, _| height.plus(KEPT) >= self.height);
                }
            }
        }
    }

    /// Whether a quorum signed this header, as far as a certificate soon after says: its signers.
    fn signers(&mut self, height: Seq, hash: Digest, trust: &TrustRoot) -> Vec<String> {
        while !self.certificates.contains_key(&height) && self.height < height.plus(KEPT) {
            if self.block().is_none() {
                break;
            }
        }
        let certificate = self.certificates.get(&height).filter(|certificate| certificate.header == hash);
        let signers = certificate.and_then(|certificate| trust.check_certificate(certificate).ok());
        let members = certificate.and_then(|certificate| trust.members_of(certificate.epoch));
        let named = |signer| Some(members?.get(signer)?.name.clone());
        signers.into_iter().flatten().filter_map(named).collect()
    }
}

/// How far both reach, and where they part before that.
fn first_difference(mut left: Side, mut right: Side, trust: &TrustRoot) -> (Seq, Option<Difference>) {
    let mut height = Seq::ZERO;
    let pair = |left: &mut Side, right: &mut Side| {
        let (mut a, mut b) = (left.block()?, right.block()?);
        // One may have pruned more than the other.
        while a.block.header.height < b.block.header.height {
            a = left.block()?;
        }
        while b.block.header.height < a.block.header.height {
            b = right.block()?;
        }
        Some((a, b))
    };
    while let Some((a, b)) = pair(&mut left, &mut right) {
        if a != b {
            let at = a.block.header.height;
            let hashes = [&a, &b].map(|stored| header_hash(&stored.block.header));
            let headers = [(&mut left, hashes[0]), (&mut right, hashes[1])]
                .map(|(side, hash)| Header { hash, signed_by: side.signers(at, hash, trust) });
            let transaction = first_transaction(&a, &b);
            return (height, Some(Difference { height: at, transaction, headers }));
        }
        height = a.block.header.height;
    }
    (height, None)
}

/// The first transaction that differs, or the first result of the same one.
fn first_transaction(a: &StoredBlock, b: &StoredBlock) -> Option<(usize, &'static str, String)> {
    let transactions = |stored: &StoredBlock| {
        stored.block.batch.clone().map_or(Vec::new(), |batch| batch.transactions.clone())
    };
    let (left, right) = (transactions(a), transactions(b));
    let name = |place: usize| {
        left.get(place).or(right.get(place)).map(|one| transaction_id(&one.transaction).to_string())
    };
    let differs = |place: &usize| left.get(*place) != right.get(*place);
    if let Some(place) = (0..left.len().max(right.len())).find(differs) {
        return Some((place, "transaction", name(place)?));
    }
    let place = (0..left.len()).find(|place| a.results.get(*place) != b.results.get(*place))?;
    let keys = left.get(place).map_or(String::new(), |one| keys_of(&one.transaction.payload));
    Some((place, "result of transaction", format!("{}{keys}", name(place)?)))
}

/// What the operations of a transaction are about, as far as the built-in application knows.
fn keys_of(payload: &[u8]) -> String {
    let Ok(Operations(operations)) = Operations::from_payload(payload) else { return String::new() };
    let names: Vec<String> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Put { key, .. }
            | Operation::Delete { key }
            | Operation::Get { key }
            | Operation::Cas { key, .. }
            | Operation::PutIfAbsent { key, .. } => format!("key {}", shown(key)),
            Operation::Append { topic, .. } => format!("topic {}", shown(topic)),
        })
        .collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

impl Difference {
    fn failure(&self, places: &[Place; 2]) -> Failure {
        let height = self.height;
        let first = self.transaction.as_ref().map_or_else(
            || "their headers differ and their transactions and results do not".to_owned(),
            |(place, what, id)| format!("the {what} {place}, {id}, is the first to differ"),
        );
        let sides: Vec<String> = places
            .iter()
            .zip(&self.headers)
            .map(|(place, header)| {
                let signed = match header.signed_by.as_slice() {
                    [] => "without a certificate".to_owned(),
                    signers => format!("signed by {}", signers.join(", ")),
                };
                format!("{} has header {} {signed}", place.named.display(), header.hash)
            })
            .collect();
        let signed = self.headers.iter().filter(|header| !header.signed_by.is_empty()).count();
        let fix = match signed {
            0 => "neither is signed: compare with a third replica",
            1 => "keep the one that is signed; the other replica must be restored from its peers",
            _ => {
                "both are signed: more members lied than the ledger tolerates; those in both lists did. Keep both as evidence"
            }
        };
        let [a, b] = places.each_ref().map(|place| place.named.display().to_string());
        Failure::new(ErrorCode::LedgerInvalid)
            .what(format!("{a} and {b} differ from block {height} on"))
            .why(format!("{first}; {}", sides.join("; ")))
            .fix(fix)
    }
}

/// Compares the stored states, if both are there and of one block.
fn compare_states(places: &[Place; 2]) -> Outcome<String> {
    let (StateFile::State(left, _), StateFile::State(right, _)) = (places[0].state()?, places[1].state()?)
    else {
        return Ok("not compared: not both are stored and free to read".to_owned());
    };
    if left.height != right.height {
        return Ok(format!("not compared: one is of block {}, the other of {}", left.height, right.height));
    }
    let height = left.height;
    let Some((key, values)) = first_key(left, right) else {
        return Ok(format!("equal after block {height}"));
    };
    let [a, b] = values.map(|value| value.map_or("nothing".to_owned(), hex::encode));
    Err(Failure::new(ErrorCode::LedgerInvalid)
        .what(format!("the blocks are equal, and the states after block {height} differ"))
        .why(format!("the first key to differ is {}: {a} in one, {b} in the other", shown(&key)))
        .fix("quorate verify tells which of them is not that of the block's header"))
}

type DifferentKey = (Vec<u8>, [Option<Vec<u8>>; 2]);

/// The first key with different values, and both values.
fn first_key(left: StoredState, right: StoredState) -> Option<DifferentKey> {
    let [left, right]: [BTreeMap<Vec<u8>, Vec<u8>>; 2] =
        [left, right].map(|state| state.leaves.into_iter().collect());
    let key = left.keys().chain(right.keys()).filter(|key| left.get(*key) != right.get(*key)).min()?;
    Some((key.clone(), [left.get(key).cloned(), right.get(key).cloned()]))
}
