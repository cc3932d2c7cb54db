//! Rust SDK for Quorate ledgers.
