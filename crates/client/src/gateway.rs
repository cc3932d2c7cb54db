//! One node as a gateway: its channel, and the task that keeps a submit stream open while something is to be sent.

use crate::certificates::{Certificates, epoch_of};
use crate::error::ClientError;
use quorate_api::v1::ledger_client::LedgerClient;
use quorate_api::{MAX_MESSAGE_BYTES, v1};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// A connection that takes longer is tried elsewhere.
const CONNECT: Duration = Duration::from_secs(1);
/// A gateway that does not answer a keep-alive within so long, asked as often, is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Requests that may wait for a stream to open.
pub(crate) const QUEUE: usize = 2 * quorate_types::limits::SUBMITS_IN_FLIGHT;

/// When a node is asked again whose connection broke.
const AGAIN: Duration = Duration::from_millis(400);

/// Whether there was a connection, and it is to blame: where nobody listens nobody need be asked again.
fn broke(status: &tonic::Status) -> bool {
    use std::error::Error;
    let refused = |error: &(dyn Error + 'static)| {
        error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
            == Some(std::io::ErrorKind::ConnectionRefused)
    };
    let mut cause = status.source();
    let some = cause.is_some();
    while let Some(error) = cause {
        if refused(error) {
            return false;
        }
        cause = error.source();
    }
    some
}

/// What a gateway's stream said.
#[derive(Debug)]
pub(crate) enum Said {
    Outcome(Box<v1::Outcome>),
    /// The stream ended, or could not be opened: what was sent there has no answer.
    Down(String),
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    channel: Channel,
}

impl Gateway {
    /// A node by `HOST:PORT` or `http://HOST:PORT`. Connects when first used.
    pub(crate) fn new(address: &str) -> Result<Self, ClientError> {
        let refused = || ClientError::Endpoint(address.to_owned());
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        if !url.starts_with("http://") || url.len() == "http://".len() {
            return Err(refused());
        }
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| refused())?;
        let channel = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Self { url, channel })
    }

    pub(crate) fn api(&self) -> LedgerClient<Channel> {
        LedgerClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Asks the node something, and once more if the connection broke: at the end of an epoch a node ends all of them.
    pub(crate) async fn ask<T, F>(
        &self,
        patience: Duration,
        ask: impl Fn(LedgerClient<Channel>) -> F,
    ) -> Result<T, String>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let mut left = 2;
        loop {
            left -= 1;
            match tokio::time::timeout(patience, ask(self.api())).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if left > 0 && broke(&status) => tokio::time::sleep(AGAIN).await,
                Ok(Err(status)) => return Err(status.message().to_owned()),
                Err(_) => return Err(format!("no answer within {patience:?}")),
            }
        }
    }

    /// Carries requests to the node and what it says back, until the sender of requests is gone.
    pub(crate) async fn carry(
        self,
        index: usize,
        mut requests: mpsc::Receiver<v1::Transaction>,
        said: mpsc::Sender<(usize, Said)>,
        certificates: Arc<Certificates>,
    ) {
        while let Some(first) = requests.recv().await {
            let why = match self.stream(index, first, &mut requests, &said, &certificates).await {
                Ok(()) => return,
                Err(status) => status.message().to_owned(),
            };
            // What waits was meant for a stream that is gone; it is sent elsewhere.
            while requests.try_recv().is_ok() {}
            if said.send((index, Said::Down(why))).await.is_err() {
                return;
            }
        }
    }

    /// One stream's life. Ends well only when the sender of requests is gone.
    async fn stream(
        &self,
        index: usize,
        first: v1::Transaction,
        requests: &mut mpsc::Receiver<v1::Transaction>,
        said: &mpsc::Sender<(usize, Said)>,
        certificates: &Certificates,
    ) -> Result<(), tonic::Status> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let request = |tx| v1::SubmitRequest { tx: Some(tx) };
        // The channel is empty and holds the first.
        let _ = sender.try_send(request(first));
        let mut outcomes = self.api().submit_stream(ReceiverStream::new(receiver)).await?.into_inner();
        loop {
            tokio::select! {
                next = requests.recv() => match next {
                    Some(tx) => {
                        if sender.send(request(tx)).await.is_err() {
                            return Err(tonic::Status::unavailable("the stream was closed"));
                        }
                    }
                    None => return Ok(()),
                },
                outcome = outcomes.message() => match outcome? {
                    Some(outcome) => {
                        certificates.learn(&mut self.api(), epoch_of(&outcome)).await;
                        if said.send((index, Said::Outcome(Box::new(outcome)))).await.is_err() {
                            return Ok(());
                        }
                    }
                    None => return Err(tonic::Status::unavailable("the node closed the stream")),
                },
            }
        }
    }
}
