//! The protocol of Quorate: PBFT (Castro and Liskov, OSDI'99; TOCS 2002) with signed messages, as a state machine
//! that does no IO.
//!
//! Two doors. In: [`Replica::handle`] takes [`Input`]s, everything in them verified. Out: an [`Outbox`], whose effects
//! [`release`] gives up only when its records are durable (table D). Time is an argument; a deadline is state.
//! `docs/protocol.md` has the clauses that comments cite.

mod agreement;
mod batching;
mod catching_up;
mod checkpoint;
mod config;
mod custody;
mod epochs;
mod evidence;
mod execution;
mod input;
mod invariants;
mod new_view;
mod outbox;
mod pledges;
mod recovery;
mod repair;
mod replica;
mod slot;
mod status;
mod suspicion;
mod timers;
mod transfer;
mod turnaround;
mod verdict;
mod view_change;
mod why;

pub use config::{Config, Tuning};
pub use input::{Execution, Input, Recovered};
pub use outbox::{Effect, Log, Outbox, Released, Report, ViewChangeReason, release};
pub use replica::Replica;
pub use status::{Phase, ReplicaStatus};
pub use transfer::Installed;
pub use verdict::{Evidence, Ignored, Verdict};
pub use why::{SlotStep, SlotWait, ViewChangeWait, WaitTimer, Waits};

#[cfg(test)]
mod testing;
