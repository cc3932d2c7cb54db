//! What must hold after every turn, also in release: chains of O(1). Never about a peer's data (S).

use crate::replica::Replica;
use quorate_crypto::Signer;

impl<S: Signer> Replica<S> {
    /// `h ≤ executed ≤ committed ≤ base+L`, `h ≤ base`; `base > executed` only during a transfer (S, F12).
    ///
    /// # Panics
    /// If one of them is violated: a bug of ours, which must not go on voting.
    pub(crate) fn check_invariants(&self) {
        let (stable, base) = (self.stable.base(), self.base.base());
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
            self.check_bounds();
        }
    }

    /// Every collection is within its bound (INV-M1).
    fn check_bounds(&self) {
        let (stable, base) = (self.stable.base(), self.base.base());
        let window = usize::try_from(self.config.parameters.window).unwrap_or(usize::MAX);
        let n = usize::from(self.n());
        let held = 3 * window + 2 * quorate_types::limits::FETCH_BLOCKS;
        assert!(
            self.slots.len() <= held,
            "slots: {} > {held}; from {:?} to {:?}; stable {stable}, executed {}, committed {}, base {base}, catching up {}",
            self.slots.len(),
            self.slots.first_key_value().map(|(seq, _)| seq),
            self.slots.last_key_value().map(|(seq, _)| seq),
            self.executed,
            self.delivered,
            self.catching_up
        );
        assert!(self.view_changes.latest.len() <= n);
        assert!(self.condemned.len() <= n);
        let pledges = self.pledges.counts();
        let most = 6 * held + quorate_types::limits::RECENT_BLOCKS;
        assert!(pledges <= most, "pledges: {pledges} > {most}");
    }
}
