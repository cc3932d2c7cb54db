//! The one way in: nothing reaches the core that has not passed [`verify_all`].

use crate::cache::Cache;
use quorate_types::{Members, PublicKey, Signature};
use std::ops::Deref;

/// Which acceptance rule a signature must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// ZIP-215: one rule for single and batch verification, for whatever decides agreement.
    Zip215,
    /// Strict RFC 8032: what leaves for clients must pass in every library (M8).
    Strict,
}

/// One signature that an item stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key: PublicKey,
    pub message: Vec<u8>,
    pub signature: Signature,
    pub rule: Rule,
}

/// Why an item is refused whatever its signatures are, or because of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Malformed {
    /// It names a signer that is no member of its epoch.
    NotAMember,
    /// It is of another epoch than the member set's.
    OtherEpoch,
    /// It is for another ledger.
    OtherLedger,
    /// It exceeds a static limit.
    TooLarge,
    /// A digest does not match what rides along.
    DigestMismatch,
    /// A list is unsorted, has duplicates, or too few or too many entries.
    BadList,
    /// A statement of a kind that does not belong there.
    WrongKind,
    /// A signature does not verify.
    BadSignature,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAMember => "the signer is no member",
            Self::OtherEpoch => "it is of another epoch",
            Self::OtherLedger => "it is for another ledger",
            Self::TooLarge => "it exceeds a limit",
            Self::DigestMismatch => "a digest does not match",
            Self::BadList => "a list is unsorted, has duplicates or the wrong length",
            Self::WrongKind => "a statement of this kind does not belong there",
            Self::BadSignature => "a signature does not verify",
        })
    }
}

impl std::error::Error for Malformed {}

/// Checks signatures, many at a time.
pub trait Verifier {
    /// One verdict for each claim, in order.
    fn verify(&self, claims: &[Claim]) -> Vec<bool>;
}

/// Something that stands on signatures of members or clients.
pub trait Attested: Sized {
    /// The item with every digest recomputed (M3).
    type Checked;

    /// Recomputes digests, checks what can be checked without a signature, and lists the signatures still to check.
    ///
    /// # Errors
    /// If the item is refused whatever its signatures are.
    fn check(self, members: &Members, claims: &mut Vec<Claim>) -> Result<Self::Checked, Malformed>;
}

/// An item all of whose signatures were checked. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verified<T> {
    item: T,
}

impl<T> Verified<T> {
    /// The item itself.
    pub fn into_inner(self) -> T {
        self.item
    }

    /// Turns the verified item into a part or view of it, which is then verified too.
    pub fn map<U>(self, part: impl FnOnce(T) -> U) -> Verified<U> {
        Verified { item: part(self.item) }
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.item
    }
}

/// Verifies `items` against `members` with one call of the verifier: batches of one when idle, large when busy.
/// What the cache knows is not verified again (M3). One result for each item, in order.
pub fn verify_all<T: Attested>(
    members: &Members,
    verifier: &dyn Verifier,
    cache: &Cache,
    items: Vec<T>,
) -> Vec<Result<Verified<T::Checked>, Malformed>> {
    let mut claims = Vec::new();
    let checked: Vec<_> = items
        .into_iter()
        .map(|item| {
            let start = claims.len();
            let result = item.check(members, &mut claims);
            if result.is_err() {
                claims.truncate(start);
            }
            result.map(|checked| (checked, start..claims.len()))
        })
        .collect();
    let verdicts = cache.verify(verifier, claims);
    checked
        .into_iter()
        .map(|result| {
            let (item, range) = result?;
            if verdicts[range].iter().all(|valid| *valid) {
                Ok(Verified { item })
            } else {
                Err(Malformed::BadSignature)
            }
        })
        .collect()
}

/// [`verify_all`] of one item.
///
/// # Errors
/// Why the item is refused.
pub fn verify_one<T: Attested>(
    members: &Members,
    verifier: &dyn Verifier,
    cache: &Cache,
    item: T,
) -> Result<Verified<T::Checked>, Malformed> {
    verify_all(members, verifier, cache, vec![item]).pop().expect("one result for one item")
}
