//! The sans-IO host of a replica: everything between the wire and the protocol core that is not a thread, socket, file
//! or clock. The node and the simulator run the same host.
//!
//! A turn's outbox goes through `quorate_pbft::release`; each effect that comes out goes through [`dispatch`], which is
//! stateless, so that the log thread can call it. Actions of the turn itself need not wait for the disk.

mod action;
mod gateway;
mod host;
mod links;
mod prefilter;
mod recent;
mod transfer;

pub use action::{Action, Answer, Class, Refusal, dispatch};
pub use host::{Event, Host, HostConfig, Recorder, Turn};
pub use prefilter::is_useful;
pub use recent::{Outcome, receipt};
pub use transfer::{Fetched, TransferRecord};
