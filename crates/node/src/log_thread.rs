//! The log thread: makes turns durable, many with one sync, and only then does what they want done (D1).

use crate::faults::LogDisk;
use crate::outward::Outward;
use crate::stop::disk_failed;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use quorate_engine::dispatch;
use quorate_pbft::{Log, Outbox, Released, release};
use quorate_storage::SegmentedLog;
use std::time::{Duration, Instant};

/// After how long without a turn the log claims what it synced.
const IDLE: Duration = Duration::from_millis(500);
/// Turns that one sync covers at most.
const MOST: usize = 1_024;

/// Runs until the core thread lets go of its end. A failed write or sync ends the process (D3).
pub(crate) fn run(mut log: SegmentedLog<LogDisk>, turns: &Receiver<Outbox>, outward: &Outward) {
    // When all that is recorded was last synced.
    let mut settled = Instant::now();
    loop {
        match turns.recv_timeout(IDLE) {
            Ok(first) => {
                let mut outboxes = vec![first];
                outboxes.extend(turns.try_iter().take(MOST - 1));
                if outboxes.iter().any(Outbox::needs_sync) {
                    outward.shared.metrics.flushed(outboxes.len());
                    settled = Instant::now();
                }
                match release(&mut log, outboxes) {
                    Ok(Released { effects, reserved }) => {
                        if reserved.is_some() {
                            outward.shared.reserve(reserved);
                        }
                        effects.into_iter().for_each(|effect| outward.perform(dispatch(effect)));
                    }
                    Err(error) => disk_failed("log", &error),
                }
                if settled.elapsed() > IDLE {
                    settled = Instant::now();
                    claim(&mut log);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                settled = Instant::now();
                claim(&mut log);
            }
            Err(RecvTimeoutError::Disconnected) => {
                claim(&mut log);
                return;
            }
        }
    }
}

/// Syncs what no effect has waited for (D7), and claims what is synced.
fn claim(log: &mut SegmentedLog<LogDisk>) {
    if let Err(error) = log.sync().and_then(|()| log.claim_idle()) {
        disk_failed("log", &error);
    }
}
