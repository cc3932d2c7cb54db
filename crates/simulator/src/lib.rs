//! Seeded simulation of whole Quorate clusters: the real engine, ledger and storage over virtual time, a virtual network
//! and virtual disks.
//!
//! - [`Cluster`] is the world: replicas, messages in flight, a clock. Nothing in it depends on the machine it runs on.
//! - [`draw`] draws a configuration from a number; [`seed`] runs it through a phase of faults and a phase of healing, and
//!   judges it.
//! - [`scenario`] runs a script by hand and records what happened, for tests that are data.
//! - [`adversary`] are members that lie, one way a file.
//! - [`twins`] runs members twice, under scripted partitions.
//! - [`Costs`] let work take time, for what a cluster of some size would do.
//! - [`checkers`] say what must hold, one property a file.

pub mod adversary;
pub mod campaign;
pub mod checkers;
mod clients;
pub mod cluster;
mod costs;
pub mod draw;
mod link;
#[cfg(feature = "mutants")]
pub mod mutants;
mod partitions;
mod promised;
mod random;
mod replica;
pub mod scenario;
mod scheme;
pub mod seed;
mod shrink;
mod story;
pub mod twins;

pub use cluster::{Cluster, Setup};
pub use costs::{Costs, Meter};
pub use link::LinkFaults;
pub use partitions::Partition;
/// What a member answers a client; see [`Cluster::answers`].
pub use quorate_engine::Answer;
pub use random::Random;
pub use seed::{Failure, Report, run_draw, run_seed};
pub use shrink::shrink;
pub use story::story;
