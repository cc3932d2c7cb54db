//! The replica: one match on the input, straight lines below.

use crate::{Config, Input, Outbox, Phase, Recovered, ReplicaStatus, Verdict, verdict::Ignored};
use quorate_crypto::Signer;
use quorate_types::{Monotonic, Now};

/// One replica's protocol state.
#[derive(Debug)]
pub struct Replica<S> {
    config: Config,
    signer: S,
}

impl<S: Signer> Replica<S> {
    /// Starts from what was found on disk. The first deadline is due at once.
    pub fn start(config: Config, signer: S, _recovered: Recovered, _now: Now, _out: &mut Outbox) -> Self {
        Self { config, signer }
    }

    /// Total: any input in any state. What it wants done goes into `out`; what it thought of the input is returned.
    pub fn handle(&mut self, _now: Now, _input: Input, _out: &mut Outbox) -> Verdict {
        let _ = self.signer.public_key();
        Verdict::Ignored(Ignored::NotVoting)
    }

    /// When [`Input::Deadline`] is due next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        None
    }

    /// Where the replica stands.
    pub fn status(&self) -> ReplicaStatus {
        unreachable!("{:?} {:?}", self.config.me, Phase::Starting)
    }
}
