//! Rust SDK for Quorate ledgers: sign, submit, and check every answer against the genesis.
//!
//! A [`Client`] talks to several gateways and trusts none of them. A transaction is sent to one, sent again elsewhere while
//! no outcome comes (the same bytes, which is always safe: C2), and its outcome counts only with a receipt that verifies.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use quorate_client::{Client, Outcome};
//! let client = Client::builder()
//!     .genesis_file("mynet/genesis.toml")?
//!     .key_file("mynet/keys/client.pem")?
//!     .connect()
//!     .await?;
//! match client.kv().put("hello", "world").await? {
//!     Outcome::Committed(done) => println!("block {}", done.verified.height),
//!     other => println!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod certificates;
mod client;
mod error;
mod gateway;
mod kv;
mod outcome;
mod reads;
mod session;
mod state;
mod submitter;

pub use builder::Builder;
pub use client::Client;
pub use error::ClientError;
pub use kv::{Kv, Topic};
pub use outcome::{Done, Outcome};
pub use reads::{FoundBlock, LocalRead};
pub use session::{PendingFile, Session, SessionError};

pub use quorate_api::v1;
pub use quorate_crypto::Ed25519Signer;
pub use quorate_proof::{Receipt, TrustRoot, VerifiedReceipt};
pub use quorate_types::{ErrorCode, Operation, OperationOutput, Operations, TransactionResult};
