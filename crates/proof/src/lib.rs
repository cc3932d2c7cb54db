//! Offline verification: receipts and whole ledgers, and the genesis they are checked against. No network, no clock, no files.

pub mod chain;
pub mod genesis_file;
mod receipt;
mod receipt_file;
mod trust;

pub use receipt::{Receipt, ReceiptError, VerifiedReceipt};
pub use trust::{CertificateError, HandoverError, TrustRoot};
