//! M5: the null batch has a domain of its own.

use super::*;
use crate::HashedBatch;
use quorate_types::LedgerTime;
use std::sync::Arc;

#[test]
fn m5_no_empty_batch_has_the_digest_of_the_null_batch() {
    for time in [0, 1, u64::MAX] {
        let empty = Batch { time: LedgerTime(time), transactions: Vec::new() };
        assert_ne!(HashedBatch::new(Arc::new(empty)).digest(), null_batch_digest());
    }
}
