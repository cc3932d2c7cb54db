//! Certificates that were checked: one block's serves all of its transactions.

use quorate_proof::{Receipt, ReceiptError, TrustRoot, VerifiedReceipt};
use quorate_types::{BlockCertificate, ReplicaId};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Certificates remembered. A newer one pushes out the oldest.
const REMEMBERED: usize = 256;

/// Checks receipts, and remembers which certificates held. A failure is not remembered.
#[derive(Debug)]
pub(crate) struct Certificates {
    trust: TrustRoot,
    checked: Mutex<VecDeque<(BlockCertificate, Vec<ReplicaId>)>>,
}

impl Certificates {
    pub(crate) fn new(trust: TrustRoot) -> Self {
        Self { trust, checked: Mutex::default() }
    }

    pub(crate) fn trust(&self) -> &TrustRoot {
        &self.trust
    }

    /// As [`Receipt::verify`], with a certificate that was seen before, byte for byte, taken as checked.
    pub(crate) fn verify(&self, receipt: &Receipt) -> Result<VerifiedReceipt, ReceiptError> {
        let contents = receipt.verify_without_certificate(&self.trust)?;
        let signers = self.signers(&receipt.certificate).map_err(ReceiptError::Certificate)?;
        Ok(VerifiedReceipt { signers, ..contents })
    }

    /// Who signed a certificate, checked.
    pub(crate) fn signers(
        &self,
        certificate: &BlockCertificate,
    ) -> Result<Vec<ReplicaId>, quorate_proof::CertificateError> {
        let known = self
            .lock()
            .iter()
            .rev()
            .find(|(held, _)| held == certificate)
            .map(|(_, signers)| signers.clone());
        if let Some(signers) = known {
            return Ok(signers);
        }
        let signers = self.trust.check_certificate(certificate)?;
        let mut checked = self.lock();
        if checked.len() == REMEMBERED {
            checked.pop_front();
        }
        checked.push_back((certificate.clone(), signers.clone()));
        Ok(signers)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(BlockCertificate, Vec<ReplicaId>)>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
