//! What a node tells of its members, and of its own readiness to be one (G).

use crate::api::Service;
use crate::config::FileConfig;
use crate::member::{Keys, has_next_vote_key};
use crate::shared::lock;
use quorate_api::{handover_to, v1};
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_types::{Epoch, Ready, Signature, StoreId};
use std::sync::Mutex;
use tonic::Status;

/// Handovers in one answer.
const HANDOVERS: usize = 64;

/// With what a node says that it follows the ledger: nothing that binds a vote.
pub(crate) struct Readiness {
    pub(crate) store: StoreId,
    keys: Mutex<Vec<Ed25519Signer>>,
    config: FileConfig,
}

impl Readiness {
    pub(crate) fn new(store: StoreId, keys: Vec<Ed25519Signer>, config: FileConfig) -> Self {
        Self { store, keys: Mutex::new(keys), config }
    }

    /// The keys in use, and those that are to be: they may have been made since the start.
    fn keys(&self) -> Vec<Ed25519Signer> {
        let mut keys = lock(&self.keys);
        if keys.len() < 2
            && has_next_vote_key(&self.config)
            && let Ok(found) = Keys::load(&self.config)
        {
            *keys = found.vote_keys();
        }
        keys.clone()
    }
}

impl Service {
    pub(crate) fn handovers(&self, from: u64) -> Result<v1::Handovers, Status> {
        let found = self.shared.handovers.from(Epoch::new(from), HANDOVERS);
        let found = found.map_err(|error| Status::data_loss(error.to_string()))?;
        Ok(v1::Handovers { handovers: found.iter().map(handover_to).collect() })
    }

    pub(crate) fn members(&self) -> v1::Members {
        let state = self.shared.state.read();
        let mut epoch = self.shared.trust.members().epoch();
        // Executed further than the core has gone: the last block of the epoch may be behind.
        while state.member_set(epoch.next()).is_some_and(|next| next.after <= state.height()) {
            epoch = epoch.next();
        }
        let leaf = |epoch| state.member_set(epoch).map(|set| set.to_bytes()).unwrap_or_default();
        let proposals = state.proposals().filter(|(_, pending)| state.time() <= pending.until);
        v1::Members {
            epoch: epoch.get(),
            members: leaf(epoch),
            next_members: leaf(epoch.next()),
            approvals: u32::from(self.shared.trust.genesis().approvals),
            proposals: proposals
                .map(|(id, pending)| v1::Proposal { id: id.0.to_vec(), pending: pending.to_bytes() })
                .collect(),
            height: state.height().get(),
        }
    }

    pub(crate) fn ready(&self) -> v1::Ready {
        let height = self.shared.state.read().height();
        let store = self.readiness.store;
        let of = |key: &Ed25519Signer| {
            let vote = key.public_key();
            let ready = Ready { vote, store, height, signature: Signature([0; 64]) };
            let signature = key.sign(&ready.signed_bytes(&self.shared.trust.ledger()));
            v1::ReadyOf { vote: vote.0.to_vec(), signature: signature.0.to_vec() }
        };
        v1::Ready {
            store: store.0.to_vec(),
            height: height.get(),
            of: self.readiness.keys().iter().map(of).collect(),
        }
    }
}
