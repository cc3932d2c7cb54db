//! Peer frames and log records: bytes to vocabulary and back.
