//! What the fuzzers run: each target is a function of bytes that panics if a property does not hold. `fuzz/` drives them with
//! libFuzzer; the tests of this package replay `fuzz/corpus` and mutations of it without one.
//!
//! | target | bytes are | what must hold |
//! |---|---|---|
//! | `message`, `record`, `vocabulary`, `layouts`, `preface` | an encoding | no panic, memory in proportion, `encode(decode(b)) == b` |
//! | `texts`, `genesis`, `config` | a text | no panic, what is read is written back to the same |
//! | `receipt`, `wire` | a receipt, or edits of a valid one | nothing is accepted that differs from the valid one |
//! | `log` | edits of a log's files | refused, or a prefix of what was written that reaches what is claimed synced |
//! | `store` | edits of a node's log and blocks | refused, or a node starts from a prefix of them |
//! | `core` | a sequence of inputs of one member | no panic, no two statements that contradict each other |

mod core;
mod cursor;
mod decoders;
mod disks;
mod log;
mod member;
mod memory;
pub mod mutate;
mod receipt;
mod scheme;
pub mod seeds;
mod store;
mod texts;
#[cfg(feature = "transport")]
mod transport;

pub use core::core;
pub use decoders::{layouts, message, record, vocabulary};
pub use log::log;
pub use receipt::receipt;
pub use store::store;
pub use texts::{genesis, texts};
#[cfg(feature = "transport")]
pub use transport::{config, preface, wire};

/// A target: a function that panics if a property does not hold of these bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("message", message),
    ("record", record),
    ("vocabulary", vocabulary),
    ("layouts", layouts),
    ("texts", texts),
    ("genesis", genesis),
    ("receipt", receipt),
    ("log", log),
    ("store", store),
    ("core", core),
    #[cfg(feature = "transport")]
    ("preface", preface),
    #[cfg(feature = "transport")]
    ("wire", wire),
    #[cfg(feature = "transport")]
    ("config", config),
];
