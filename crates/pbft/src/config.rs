//! What a replica is told at its start.

use quorate_types::{Members, Parameters, ReplicaId};
use std::time::Duration;

/// Who a replica is, with whom, and under which parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    pub me: ReplicaId,
    pub members: Members,
    /// Whether the members' agreement names the store that this replica has (L2). If not it follows without a word.
    pub may_vote: bool,
    pub parameters: Parameters,
    pub tuning: Tuning,
    /// Fresh and random for every start (D6).
    pub nonce: [u8; 32],
}

/// Local rates that need no agreement: a different choice changes speed, not safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// How often STATUS is sent always (R1).
    pub status_idle: Duration,
    /// How often STATUS is sent while something is missing (R1).
    pub status_busy: Duration,
    /// After how long without progress something counts as missing (R1).
    pub stall: Duration,
    /// How often HELLO is repeated until enough replies came (D6).
    pub hello: Duration,
    /// After how long an unexecuted request is forwarded to all members, and how often again (C2).
    pub forward: Duration,
    /// How often an unanswered FETCH of blocks is sent to the next peer (T1).
    pub fetch: Duration,
    /// How many requests are worth a second block under way; each further one must be worth four times as many (N1). With zero
    /// nothing gathers.
    pub gather_requests: usize,
    /// The least and the most that requests gather for while a block is under way, if not enough of them come sooner (N1).
    pub gather_least: Duration,
    pub gather_most: Duration,
    /// For how long at least something may wait for a proposal before the primary is called slow (V12): more than requests
    /// gather for.
    pub order_least: Duration,
    /// Bytes that one STATUS may cause to be sent (R1).
    pub repair_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            status_idle: Duration::from_secs(1),
            status_busy: Duration::from_millis(100),
            stall: Duration::from_millis(150),
            hello: Duration::from_millis(200),
            forward: Duration::from_millis(300),
            fetch: Duration::from_millis(500),
            gather_requests: 32,
            gather_least: Duration::from_millis(5),
            gather_most: Duration::from_millis(40),
            order_least: Duration::from_millis(100),
            repair_bytes: 4 * 1024 * 1024,
        }
    }
}
