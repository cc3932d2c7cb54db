//! 50 to 53: clients that submit as fast as a gateway reads, on one stream after the other, and read every answer.

use crate::client::Place;
use crate::report::Report;
use quorate_api::v1::{SubmitRequest, ledger_client::LedgerClient};
use quorate_api::{MAX_MESSAGE_BYTES, transaction_to};
use quorate_simulator::Random;
use quorate_types::SignedTransaction;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Signing costs as much as verifying: what is repeated is made before.
const MADE: u64 = 4_096;
/// Sessions of a flood of good transactions.
const SESSIONS: u64 = 1_024;
/// Bytes of a value that are more than any honest client would put, and that the ledger takes.
const HUGE: usize = 200_000;

/// What a flood consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flood {
    /// 50: signatures that do not verify.
    Junk,
    /// 51: good transactions of many sessions.
    Good,
    /// 52: one of two does not verify.
    Half,
    /// 53: good ones as large as the ledger takes.
    Huge,
}

impl Flood {
    pub(crate) fn of(way: u16) -> Option<Self> {
        match way {
            50 => Some(Self::Junk),
            51 => Some(Self::Good),
            52 => Some(Self::Half),
            53 => Some(Self::Huge),
            _ => None,
        }
    }

    fn next(self, place: &Place, count: u64, first_session: u64) -> SignedTransaction {
        let size = if matches!(self, Self::Huge) { HUGE } else { 128 };
        let session = first_session.wrapping_add(count % SESSIONS);
        let mut transaction = place.transaction(session, count / SESSIONS, size);
        if matches!(self, Self::Junk) || matches!(self, Self::Half) && count % 2 == 1 {
            transaction.signature.0[5] ^= 1;
        }
        transaction
    }

    /// Submits for ever, on a new stream whenever the last one ends.
    pub(crate) async fn submit(
        self,
        way: u16,
        place: Place,
        endpoint: String,
        mut random: Random,
        report: Arc<Report>,
    ) {
        // What does not verify need not be new to cost something; what does must be.
        let again = matches!(self, Self::Junk);
        let made: Vec<_> =
            (0..if again { MADE } else { 0 }).map(|count| self.next(&place, count, 7)).collect();
        let mut count = random.any() >> 32;
        let first_session = random.any();
        loop {
            let (sender, receiver) = mpsc::channel(256);
            let stream = async {
                let client = LedgerClient::connect(format!("http://{endpoint}")).await.ok()?;
                let mut client = client.max_decoding_message_size(MAX_MESSAGE_BYTES);
                let answers = client.submit_stream(ReceiverStream::new(receiver)).await.ok()?;
                let mut answers = answers.into_inner();
                while let Ok(Some(_)) = answers.message().await {}
                Some(())
            };
            let talk = async {
                loop {
                    let transaction = if again {
                        made[usize::try_from(count % MADE).unwrap_or(0)].clone()
                    } else {
                        self.next(&place, count, first_session)
                    };
                    count += 1;
                    let tx = Some(transaction_to(&transaction));
                    if sender.send(SubmitRequest { tx }).await.is_err() {
                        return;
                    }
                    report.lied(way);
                }
            };
            tokio::select! { _ = stream => {}, () = talk => {} }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
