//! The deliberate mistakes of `quorate_types::mutants`, and how many seeds it takes to notice each. A mistake is noticed when
//! a named property fails in a seed that the unmodified code passes; a panic is not enough.

use crate::seed::run_seed;
use quorate_types::mutants::activate;
use std::panic::catch_unwind;

/// A mistake, and what it is.
pub type Mutant = (&'static str, &'static str);

/// Every mistake that seeds must notice.
pub const MUTANTS: &[Mutant] = &[
    ("m1", "a PREPARE of the primary counts"),
    ("m2", "the lowest view wins in O"),
    ("m3", "VIEW-CHANGEs are counted, not their senders"),
    ("m4", "quorums of 2f+1 whatever n is"),
    ("m5", "a quorum mixes views"),
    ("m6", "votes count whatever their digest"),
    ("m7", "P reaches beyond the window"),
    ("m8", "one VIEW-CHANGE pulls others along"),
    ("m9", "the lowest view of all is joined"),
    ("m10", "the new-view timer starts without a quorum"),
    ("m11", "the timeout does not double"),
    ("m12", "any execution restarts the request timer"),
    ("m13", "an expiry of the request timer counts for whatever is oldest by then"),
    ("m14", "votes after the own VIEW-CHANGE"),
    ("m15", "a second VIEW-CHANGE for a view differs"),
    ("m16", "effects before the sync"),
    ("m17", "VIEW-CHANGE is not recorded"),
    ("m18", "a failed sync is ignored"),
    ("m19", "stable before durable"),
    ("m20", "damage passes for a torn tail"),
    ("m21", "sessions are not part of the state"),
    ("m22", "only the last number of a session is kept"),
    ("m23", "a NEW-VIEW executes again"),
    ("m24", "a NEW-VIEW rolls the last execution back"),
    ("m25", "a new primary begins one slot too far"),
    ("m27", "a NEW-VIEW below the own VIEW-CHANGE is accepted"),
    ("m28", "O may be a subset"),
    ("m29", "PREPARE without a body"),
    ("m30", "NEW-VIEW is not recorded"),
    ("m31", "stable without execution"),
    ("m32", "f+1 CHECKPOINTs prove"),
    ("m33", "a block of a transfer needs no certificate"),
    ("m36", "the epoch is not signed"),
    ("m37", "the ledger id is not signed"),
    ("m40", "a wiped replica votes"),
    ("m43", "messages of the future are kept without bound"),
    ("m44", "repair knows no budget"),
    ("m45", "the clock is asked about O"),
    ("m46", "the new-view timer counts VIEW-CHANGEs of exactly its view"),
    ("m47", "ATTEST before its certificate is durable"),
    ("m50", "a void inclusion is shown as an outcome"),
    ("m52", "a NEW-VIEW resets the timeout"),
    ("m53", "NEW-VIEW without holding a body"),
    ("m57", "amnesia is inferred from votes at or below stable"),
    ("m58", "a verification is remembered without the signature"),
];

/// How a start went: after how many seeds which property failed; `None` if none did.
pub type Kill = Option<(u64, &'static str)>;

/// Runs seeds with a mistake, from this one on, until one notices it.
pub fn seeds_to_kill(name: &'static str, from: u64, most: u64) -> Kill {
    for count in 1..=most {
        let seed = from + count - 1;
        activate(name);
        let failed = catch_unwind(|| run_seed(seed));
        activate("");
        let Ok(Err(failure)) = failed else { continue };
        if catch_unwind(|| run_seed(seed).is_ok()).unwrap_or(false) {
            return Some((count, failure.violation.property));
        }
    }
    None
}
