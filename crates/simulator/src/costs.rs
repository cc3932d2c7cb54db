//! What work costs. Members of a cluster with [`Costs`] do one thing after the other and take time for each, and what they send
//! goes over a line of some width. Without them work takes no time, and only delays of the network and the disk pass.

use quorate_types::{Message, Signature, SignedTransaction};
use std::collections::BTreeSet;

/// CPU time of steps, in nanoseconds, and the width of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Checking one signature in a batch.
    pub verify: u64,
    /// Signing a statement.
    pub sign: u64,
    /// A message that leaves for one receiver, or arrives, whatever it holds: sockets, encryption, threads that wake.
    pub message: u64,
    /// A KiB that leaves for one receiver, or arrives.
    pub kib: u64,
    /// A transaction on its way through custody, agreement, execution and the stores of one member.
    pub transaction: u64,
    /// A block on its way, however many transactions it has, without its messages and signatures.
    pub block: u64,
    /// A client's call at its gateway: the transaction in, the receipt out.
    pub call: u64,
    /// Bytes a second that each member can send.
    pub line: u64,
}

/// What one member spent, and until when it is busy.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Nanoseconds of CPU.
    pub spent: u64,
    /// Messages that left, each once for every receiver.
    pub messages: u64,
    pub bytes: u64,
    /// Nanoseconds of virtual time.
    busy_until: u64,
    line_busy_until: u64,
    /// What was checked already (M3).
    known: BTreeSet<Signature>,
}

impl Meter {
    /// Works for so long, after what it does already. Returns when that is done, in microseconds.
    pub(crate) fn work(&mut self, now: u64, nanoseconds: u64) -> u64 {
        self.spent += nanoseconds;
        self.busy_until = self.busy_until.max(now * 1_000) + nanoseconds;
        self.busy_until.div_ceil(1_000)
    }

    /// A message of so many bytes arrives: when it is read and checked.
    pub(crate) fn receive(&mut self, costs: &Costs, now: u64, message: &Message, bytes: usize) -> u64 {
        let nanoseconds = costs.carrying(bytes) + costs.verify * self.not_checked_yet(message);
        self.work(now, nanoseconds)
    }

    /// A client calls at its gateway.
    pub(crate) fn called(&mut self, costs: &Costs, now: u64, transaction: &SignedTransaction) {
        self.known.insert(transaction.signature);
        self.work(now, costs.call + costs.verify);
    }

    /// A message of so many bytes leaves for one receiver: after how many microseconds it is on the line.
    pub(crate) fn send(&mut self, costs: &Costs, now: u64, bytes: usize) -> u64 {
        self.messages += 1;
        self.bytes += bytes as u64;
        let ready = self.work(now, costs.carrying(bytes)) * 1_000;
        let takes = bytes as u64 * 1_000_000_000 / costs.line.max(1);
        self.line_busy_until = self.line_busy_until.max(ready) + takes;
        (self.line_busy_until / 1_000).saturating_sub(now)
    }

    fn not_checked_yet(&mut self, message: &Message) -> u64 {
        let mut new = 0;
        message.for_each_signature(|signature| new += u64::from(self.known.insert(*signature)));
        new
    }
}

impl Costs {
    fn carrying(&self, bytes: usize) -> u64 {
        self.message + self.kib * bytes as u64 / 1_024
    }
}

#[cfg(test)]
mod tests;
