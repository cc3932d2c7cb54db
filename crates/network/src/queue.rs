//! What waits for a peer: bounded in count and bytes. One write takes all that waits.

use crate::network::Stream;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Frames and bytes that may wait on one stream.
const LIMITS: [(usize, usize); 3] = [(16_384, 16 << 20), (4_096, 64 << 20), (4_096, 256 << 20)];
/// Bytes that one write gathers at most.
const GATHER: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
    taken: u64,
    dropped: u64,
    open: bool,
}

#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    waiting: Mutex<Waiting>,
    notify: Notify,
}

impl SendQueue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the queue for a new connection, empty.
    pub(crate) fn open(&self) {
        let mut waiting = self.lock();
        waiting.frames.clear();
        waiting.bytes = 0;
        waiting.open = true;
    }

    /// Drops what waits: STATUS repairs what the peer lacks when it comes back (R3).
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.frames.clear();
        waiting.bytes = 0;
        waiting.open = false;
        self.notify.notify_waiters();
    }

    /// Votes give way to newer ones; everything else is refused when the queue is full. What is lost is repaired.
    pub(crate) fn push(&self, stream: Stream, frame: Bytes) {
        let (most, most_bytes) = LIMITS[stream as usize];
        let mut waiting = self.lock();
        if !waiting.open {
            return;
        }
        while waiting.frames.len() >= most || waiting.bytes + frame.len() > most_bytes {
            waiting.dropped += 1;
            let oldest = (stream == Stream::Votes).then(|| waiting.frames.pop_front()).flatten();
            match oldest {
                Some(oldest) => waiting.bytes -= oldest.len(),
                None => return,
            }
        }
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        drop(waiting);
        self.notify.notify_one();
    }

    /// Everything that waits, up to one write's worth, as length-prefixed frames. `None` once the queue is closed.
    pub(crate) async fn gather(&self) -> Option<Vec<u8>> {
        loop {
            let notified = self.notify.notified();
            {
                let mut waiting = self.lock();
                if !waiting.open {
                    return None;
                }
                if !waiting.frames.is_empty() {
                    return Some(take(&mut waiting));
                }
            }
            notified.await;
        }
    }

    /// Frames waiting, and those written and dropped so far.
    pub(crate) fn counts(&self) -> (usize, u64, u64) {
        let waiting = self.lock();
        (waiting.frames.len(), waiting.taken, waiting.dropped)
    }
}

fn take(waiting: &mut Waiting) -> Vec<u8> {
    let mut gathered = Vec::new();
    while let Some(frame) = waiting.frames.pop_front() {
        waiting.bytes -= frame.len();
        waiting.taken += 1;
        let length = u32::try_from(frame.len()).expect("frames are capped far below 4 GiB");
        gathered.extend_from_slice(&length.to_be_bytes());
        gathered.extend_from_slice(&frame);
        if gathered.len() >= GATHER {
            break;
        }
    }
    gathered
}
