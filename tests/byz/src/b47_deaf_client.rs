//! 47: good transactions, by the hundred, whose answers are never read.

use crate::client::Place;
use crate::http2;
use crate::report::Report;
use prost::Message;
use quorate_api::{transaction_to, v1};
use quorate_simulator::Random;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// What the system may hold of unread answers.
const RECEIVE_BUFFER: u32 = 4_096;
/// Calls on one connection.
const CALLS: u32 = 200;
/// How long a connection stays, unread, after its last call.
const SILENCE: Duration = Duration::from_secs(2);
/// How long writing may stand still: the gateway may rightly stop to read from whom it cannot answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Submits on one connection after the other, for ever, each with a session of its own.
pub(crate) async fn submit(place: Place, endpoint: String, mut random: Random, report: Arc<Report>) {
    loop {
        let session = random.any();
        let _ = calls(&place, &endpoint, session, &report).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn connect(endpoint: &str) -> std::io::Result<TcpStream> {
    let address = tokio::net::lookup_host(endpoint).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(address).await
}

async fn calls(place: &Place, endpoint: &str, session: u64, report: &Report) -> std::io::Result<()> {
    let mut stream = connect(endpoint).await?;
    stream.write_all(&http2::greeting()).await?;
    for number in 0..CALLS {
        let tx = Some(transaction_to(&place.transaction(session, u64::from(number), 8)));
        let request = v1::SubmitAndWaitRequest { tx, wait_ms: 60_000 };
        let call = http2::call("/quorate.v1.Ledger/SubmitAndWait", number, &request.encode_to_vec());
        match tokio::time::timeout(PATIENCE, stream.write_all(&call)).await {
            Ok(written) => written?,
            Err(_) => break,
        }
        report.lied(47);
    }
    tokio::time::sleep(SILENCE).await;
    Ok(())
}
