//! The node: threads, bounded queues, sockets, files, the client API and metrics around the sans-IO engine.
//!
//! QUIC tasks → inbound thread → verify pool → core thread → log thread → network and execution thread. What the simulator
//! runs is what runs here: this crate matches on no protocol effect.

mod api;
mod checkpoints;
pub mod config;
mod core_thread;
mod execution;
mod explain;
mod fair_queue;
mod faults;
mod follow;
mod http;
mod inbound;
mod init;
mod log_thread;
mod member;
mod membership;
pub mod metrics;
mod outward;
pub mod recording;
mod reports;
mod room;
mod shared;
mod stall;
mod start;
mod stop;
mod stores;
mod supply;
mod verify;

pub use config::FileConfig;
pub use init::{init, init_from_backup, init_recovered, is_initialised};
pub use member::{Keys, Member, load_member, make_next_keys};
pub use outward::Outgoing;
pub use quorate_storage::directory::{StoreAt, store_at};
pub use start::{NodeError, RunningNode, init_logging, run, run_with};
