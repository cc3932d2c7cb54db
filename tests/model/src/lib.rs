//! Small clusters of the real protocol core, explored by stateright to the end within stated bounds.
//!
//! Four members (f = 1): four correct replicas, or three and a liar that says whatever it can sign over the bounds. Replicas are
//! [`quorate_pbft::Replica`]; signatures are cheap and go through the real door. Every message that was sent stays deliverable
//! to everyone for ever: loss, duplication and any order are covered.
//!
//! What every row leaves out, beside its bounds:
//! - Replicas have exchanged HELLOs. After a crash two answers come at once, with the highest statements that were ever sent
//!   or, for a crash between two turns, also with nothing. Nothing arrives between the start and the answers.
//! - STATUS, FETCH, FORWARD, EVIDENCE, ATTEST and certificates for clients are lost. Instead of suspecting (V1), a replica may
//!   be told at any time that two others suspect, whether they do or not. Bodies can be had at any time where a row says so.
//! - A NEW-VIEW travels whole. Votes and proposals of a view that is not open at their receiver wait in the network, not in
//!   the receiver's buffer (R2).
//! - A turn and its sync are one step, unless a crash comes between. That loses nothing: a turn that is lost before its sync
//!   was never seen by anyone.
//! - Where a row says `no decisions`, COMMITs do not arrive. What could be decided is known from the COMMITs that were sent, and
//!   is what S1 and S9 are about; what deciding changes in a replica is not explored.
//! - One contradiction of the liar is known to all from the start; another one, as primary, still makes it suspect.
//! - In P of the liar's VIEW-CHANGE each provable certificate stands once, whichever backups' PREPAREs are in it.

mod letters;
mod liar;
mod model;
mod node;
mod rows;
mod scheme;
mod universe;

pub use liar::Lie;
pub use rows::{Outcome, Row, check, row, rows};
pub use universe::Figures;
