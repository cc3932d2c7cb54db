//! What must hold after every turn, also in release: chains of O(1). Never about a peer's data (S).

use crate::replica::Replica;
use quorate_crypto::Signer;
use quorate_types::limits;
use quorate_types::mutants::mutant;

impl<S: Signer> Replica<S> {
    /// `h ≤ executed ≤ committed ≤ base+L`, `h ≤ base`; `base > executed` only during a transfer (S, F12).
    ///
    /// # Panics
    /// If one of them is violated: a bug of ours, which must not go on voting.
    pub(crate) fn check_invariants(&self) {
        let (stable, base) = (self.stable.base(), self.base.base());
        if ["m24", "m31", "m43", "m56"].into_iter().any(mutant) {
            // Left to the oracles.
            return;
        }
        assert!(stable <= self.executed, "h {stable} <= executed {}", self.executed);
        assert!(
            self.executed <= self.delivered,
            "executed {} <= committed {}",
            self.executed,
            self.delivered
        );
        assert!(stable <= base, "h {stable} <= base {base}");
        let end = self.window_end();
        assert!(self.delivered <= end, "committed {} <= base + L = {end}", self.delivered);
        assert!(base <= self.executed || self.catching_up, "base {base} > executed only during a transfer");
        if cfg!(debug_assertions) {
            for (name, size, most) in self.sizes() {
                assert!(
                    size <= most,
                    "{name}: {size} > {most}; stable {stable}, executed {}, committed {}, base {base}, catching up {}",
                    self.executed,
                    self.delivered,
                    self.catching_up
                );
            }
        }
    }

    /// Every collection that peers can make grow, with its size and its declared bound (INV-M1).
    pub fn sizes(&self) -> impl Iterator<Item = (&'static str, usize, usize)> + use<S> {
        let window = usize::try_from(self.config.parameters.window).unwrap_or(usize::MAX);
        let every = usize::try_from(self.config.parameters.checkpoint_every).unwrap_or(usize::MAX);
        let n = usize::from(self.n());
        // Above stable: windows of votes; of a transfer two answers ahead of what is executed, one behind it that has no certificate of its
        // own but at its end, and after a restart one more, whose being stable was not durable yet.
        let held = 6 * window + 4 * limits::FETCH_BLOCKS;
        let attests =
            self.attestations.tallies.values().map(std::collections::BTreeMap::len).max().unwrap_or(0);
        [
            ("slots", self.slots.len(), held),
            ("view changes", self.view_changes.latest.len(), n),
            ("bodies wanted for a NEW-VIEW", self.view_changes.wanted_bodies.len(), held),
            ("evidence", self.condemned.len(), n),
            ("pledges", self.pledges.counts(), 6 * held + limits::RECENT_BLOCKS),
            ("checkpoint tallies", self.checkpoints.tallies.len(), window / every + 1),
            ("checkpoints beyond the window", self.checkpoints.beyond.len(), n),
            ("attest tallies", self.attestations.tallies.len(), 2 * held + limits::RECENT_BLOCKS),
            ("attests of a slot", attests, n),
            ("recent certificates", self.attestations.certificates.len(), held + limits::RECENT_BLOCKS),
            ("headers", self.headers.len(), 2 * held + limits::RECENT_BLOCKS),
            ("peers without old blocks", self.peers.pruned_count(), n),
            ("bodies asked for", self.peers.asked_for_body.len(), held),
            ("messages of the future", self.peers.most_future(), limits::FUTURE_MESSAGES_PER_PEER),
            ("bytes of requests", self.custody.bytes(), limits::CUSTODY_BYTES),
        ]
        .into_iter()
    }
}
