//! 42: a byte at a time, more streams than there are, and a peer that never reads.

use crate::link::Dialler;
use crate::report::Report;
use quinn::VarInt;
use quorate_simulator::Random;
use quorate_types::ReplicaId;
use std::sync::Arc;
use std::time::Duration;

/// How long one connection is abused.
const WHILE: Duration = Duration::from_millis(1_500);
/// Between two bytes.
const DRIP: Duration = Duration::from_millis(20);
/// Between two connections: the member's own node has the link meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// One connection after the other, each abused in one way.
pub(crate) async fn dial(dialler: Arc<Dialler>, peer: ReplicaId, mut random: Random, report: Arc<Report>) {
    loop {
        let abuse = async {
            match random.below(4) {
                0 => drip_preface(&dialler, peer, &report).await,
                1 => drip_frame(&dialler, peer, &report).await,
                2 => flood(&dialler, peer, &report).await,
                _ => never_read(&dialler, peer, &report).await,
            }
        };
        let _ = tokio::time::timeout(WHILE, abuse).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn drip_preface(dialler: &Dialler, peer: ReplicaId, report: &Report) -> Option<()> {
    let connection = dialler.connect(peer).await?;
    let (mut send, _receive) = connection.open_bi().await.ok()?;
    report.lied(42);
    for byte in dialler.preface() {
        send.write_all(&[*byte]).await.ok()?;
        tokio::time::sleep(DRIP).await;
    }
    Some(())
}

/// A frame of 64 KiB that never ends.
async fn drip_frame(dialler: &Dialler, peer: ReplicaId, report: &Report) -> Option<()> {
    let (connection, _send, _receive) = dialler.greet(peer).await?;
    let mut stream = connection.open_uni().await.ok()?;
    report.lied(42);
    for byte in [0, 0, 1, 0, 0].into_iter().chain(std::iter::repeat(7)) {
        stream.write_all(&[byte]).await.ok()?;
        tokio::time::sleep(DRIP).await;
    }
    Some(())
}

/// Streams of every sort, each ended by a reset, as fast as the peer allows.
async fn flood(dialler: &Dialler, peer: ReplicaId, report: &Report) -> Option<()> {
    let (connection, _send, _receive) = dialler.greet(peer).await?;
    report.lied(42);
    let one_way = async {
        while let Ok(mut stream) = connection.open_uni().await {
            let _ = stream.write_all(&[9]).await;
            let _ = stream.reset(VarInt::from_u32(1));
        }
    };
    let both_ways = async {
        while let Ok((mut stream, _receive)) = connection.open_bi().await {
            let _ = stream.write_all(&[9]).await;
            let _ = stream.reset(VarInt::from_u32(1));
        }
    };
    tokio::join!(one_way, both_ways);
    Some(())
}

/// Three streams as a member has them, and then silence: what the peer sends fills its own buffers.
async fn never_read(dialler: &Dialler, peer: ReplicaId, report: &Report) -> Option<()> {
    let (connection, _send, _receive) = dialler.greet(peer).await?;
    let mut streams = Vec::new();
    for kind in 0..3 {
        let mut stream = connection.open_uni().await.ok()?;
        stream.write_all(&[kind]).await.ok()?;
        streams.push(stream);
    }
    report.lied(42);
    connection.closed().await;
    drop(streams);
    Some(())
}
