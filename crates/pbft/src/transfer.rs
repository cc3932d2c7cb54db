//! A certified state in place of the blocks that led to it (T1, T3, T4).
//!
//! The host fetches and checks it. It is taken only at or below a proven base: there nobody votes any more, so that what this replica said
//! of the slots that it passes over binds nobody, and a restart in the midst of it finds a log that tells of a checkpoint in reach.

use crate::outbox::{Effect, Outbox, Report};
use crate::replica::Replica;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::{Signer, header_hash};
use quorate_types::probes::hit;
use quorate_types::{BlockCertificate, Digest, Header, LedgerTime, Outlook, Seq};

/// A state that is durable in place of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The block after which it is the state.
    pub seq: Seq,
    pub header_hash: Digest,
    pub time: LedgerTime,
    /// What that state asks of the blocks to come (K6, G1).
    pub outlook: Outlook,
    /// Checked; of this header.
    pub certificate: BlockCertificate,
}

impl Installed {
    /// Of the block with this header, which the certificate proves.
    pub fn of(header: &Header, certificate: BlockCertificate, outlook: Outlook) -> Self {
        let (seq, time, header_hash) = (header.height, header.time, header_hash(header));
        Self { seq, header_hash, time, outlook, certificate }
    }
}

impl<S: Signer> Replica<S> {
    /// T3: the state after block `seq` is at hand. Ignored as too far ahead, the host offers it again when base has moved.
    pub(crate) fn on_state_fetched(&mut self, seq: Seq, out: &mut Outbox) -> Verdict {
        if self.halted || self.installing.is_some() {
            return Verdict::Ignored(Ignored::NotVoting);
        }
        if seq <= self.delivered {
            return Verdict::Ignored(Ignored::Stale);
        }
        if seq > self.base.base() {
            return Verdict::Ignored(Ignored::TooFarAhead);
        }
        self.installing = Some(seq);
        // It waits for the record of the base, like every effect (D1), and for what is under way in execution.
        out.push(Effect::InstallState { seq });
        Verdict::Accepted
    }

    /// T3, T4: the state is installed and durable.
    pub(crate) fn on_installed(&mut self, installed: Installed, out: &mut Outbox) -> Verdict {
        let Installed { seq, header_hash, time, outlook, certificate } = installed;
        if self.installing.take() != Some(seq) {
            return Verdict::Ignored(Ignored::Unasked);
        }
        let proven = self.header_of(&self.base).filter(|_| seq == self.base.base());
        if let Some(certified) = proven.filter(|proven| *proven != header_hash) {
            self.halt(Report::Diverged { seq, own: header_hash, certified }, out);
            return Verdict::Accepted;
        }
        hit("a fetched state is installed");
        self.executed = seq;
        self.delivered = seq;
        self.durable = self.durable.max(seq);
        self.executed_time = time;
        self.look_ahead(outlook, out);
        self.headers.insert(seq, header_hash);
        // Its certificate is kept like one that came with a block: the state is stable by it, wherever base is by now (K2).
        self.attestations.start_at(seq.previous());
        self.keep_certificate(certificate, out);
        // Which of them were executed meanwhile nobody here can tell. Clients submit again what had no outcome.
        self.custody.clear();
        self.peers.forget_pruned();
        out.report(Report::StateInstalled { seq });
        Verdict::Accepted
    }
}

#[cfg(test)]
mod tests;
