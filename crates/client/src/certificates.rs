//! What is trusted: the genesis, the members of later epochs, and certificates that were checked.

use quorate_api::v1::ledger_client::LedgerClient;
use quorate_api::{handover_from, v1};
use quorate_proof::{CertificateError, Receipt, ReceiptError, TrustRoot, VerifiedReceipt};
use quorate_types::{BlockCertificate, Epoch, ReplicaId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tonic::transport::Channel;

/// Certificates remembered. A newer one pushes out the oldest.
const REMEMBERED: usize = 256;
/// How long a gateway may take to tell of other members.
const ASK: Duration = Duration::from_secs(2);

/// Checks receipts, follows changes of the members, and remembers which certificates held. A failure is not remembered.
#[derive(Debug)]
pub(crate) struct Certificates {
    trust: RwLock<Arc<TrustRoot>>,
    checked: Mutex<VecDeque<(BlockCertificate, Vec<ReplicaId>)>>,
}

impl Certificates {
    pub(crate) fn new(trust: TrustRoot) -> Self {
        Self { trust: RwLock::new(Arc::new(trust)), checked: Mutex::default() }
    }

    pub(crate) fn trust(&self) -> Arc<TrustRoot> {
        self.trust.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// G4: before something of this epoch is checked, its members must be known. A gateway that cannot prove who they are leaves
    /// everything as it is; what it said is then refused.
    pub(crate) async fn learn(&self, api: &mut LedgerClient<Channel>, epoch: u64) {
        let known = self.trust().members().epoch();
        if epoch <= known.get() {
            return;
        }
        let asked = api.get_handovers(v1::GetHandoversRequest { from_epoch: known.get() });
        let Ok(Ok(answer)) = tokio::time::timeout(ASK, asked).await else { return };
        let handovers = answer.into_inner().handovers;
        let mut trust = (*self.trust()).clone();
        for handover in handovers.iter().map_while(|handover| handover_from(handover).ok()) {
            if trust.follow(&handover).is_err() {
                break;
            }
        }
        let mut held = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        // Others may have learnt more meanwhile: nobody goes back.
        if trust.members().epoch() > held.members().epoch() {
            *held = Arc::new(trust);
        }
    }

    /// As [`Receipt::verify`], with a certificate that was seen before, byte for byte, taken as checked. The receipt then tells what leads
    /// from the genesis to its members.
    pub(crate) fn verify(&self, receipt: &mut Receipt) -> Result<VerifiedReceipt, ReceiptError> {
        let trust = self.trust();
        let contents = receipt.verify_without_certificate(&trust)?;
        let signers = self.signers(&receipt.certificate).map_err(ReceiptError::Certificate)?;
        receipt.handovers = trust.handovers_to(receipt.certificate.epoch);
        Ok(VerifiedReceipt { signers, ..contents })
    }

    /// Who signed a certificate, checked.
    pub(crate) fn signers(&self, certificate: &BlockCertificate) -> Result<Vec<ReplicaId>, CertificateError> {
        let known = self
            .lock()
            .iter()
            .rev()
            .find(|(held, _)| held == certificate)
            .map(|(_, signers)| signers.clone());
        if let Some(signers) = known {
            return Ok(signers);
        }
        let signers = self.trust().check_certificate(certificate)?;
        let mut checked = self.lock();
        if checked.len() == REMEMBERED {
            checked.pop_front();
        }
        checked.push_back((certificate.clone(), signers.clone()));
        Ok(signers)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(BlockCertificate, Vec<ReplicaId>)>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The highest epoch that an outcome speaks of.
pub(crate) fn epoch_of(outcome: &v1::Outcome) -> u64 {
    match &outcome.result {
        Some(v1::outcome::Result::Receipt(receipt) | v1::outcome::Result::Superseded(receipt)) => {
            receipt.certificate.as_ref().map_or(Epoch::ZERO.get(), |certificate| certificate.epoch)
        }
        _ => 0,
    }
}
