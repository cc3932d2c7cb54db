//! Offline verification of receipts and state proofs.
