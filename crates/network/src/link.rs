//! One connection: prefaces, then three streams each way.

use crate::network::{Event, Shared, Stream};
use crate::preface::{MAX_BYTES, Preface};
use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use quorate_types::ReplicaId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a handshake and the prefaces may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// Serves a connection until it ends; returns why.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    peer: ReplicaId,
    connection: Connection,
    dialled: bool,
) -> String {
    let greeted = tokio::time::timeout(HANDSHAKE, greet(&shared, &connection, dialled)).await;
    let preface = match greeted {
        Ok(Ok(preface)) => preface,
        Ok(Err(why)) => {
            connection.close(1u8.into(), why.as_bytes());
            return why;
        }
        Err(_) => {
            connection.close(1u8.into(), b"no preface in time");
            return "no preface in time".to_owned();
        }
    };
    let generation = shared.adopt(peer, connection.clone());
    let up = Event::PeerUp { peer, name: preface.name, version: preface.version };
    if shared.events.send(up).await.is_err() {
        return "stopping".to_owned();
    }
    let why = exchange(&shared, peer, &connection).await;
    connection.close(0u8.into(), b"");
    if shared.release(peer, generation) {
        let _ = shared.events.send(Event::PeerDown { peer, reason: why.clone() }).await;
    }
    why
}

/// Both prefaces on one bidirectional stream, which the dialler opens.
async fn greet(shared: &Shared, connection: &Connection, dialled: bool) -> Result<Preface, String> {
    let own = &shared.preface;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (mut send, mut receive) = if dialled {
        connection.open_bi().await.map_err(|error| text(&error))?
    } else {
        connection.accept_bi().await.map_err(|error| text(&error))?
    };
    if dialled {
        send.write_all(&own.to_bytes()).await.map_err(|error| text(&error))?;
    }
    let mut length = [0; 4];
    receive.read_exact(&mut length).await.map_err(|error| text(&error))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_BYTES {
        return Err("its preface is too long".to_owned());
    }
    let mut body = vec![0; length];
    receive.read_exact(&mut body).await.map_err(|error| text(&error))?;
    let preface = Preface::from_bytes(&body).map_err(|error| text(&error))?;
    if let Some(refusal) = preface.refusal(own) {
        return Err(refusal);
    }
    if !dialled {
        send.write_all(&own.to_bytes()).await.map_err(|error| text(&error))?;
    }
    let _ = send.finish();
    Ok(preface)
}

/// Writers for the own streams, readers for the peer's, until one of them ends.
async fn exchange(shared: &Arc<Shared>, peer: ReplicaId, connection: &Connection) -> String {
    let mut tasks = tokio::task::JoinSet::new();
    for stream in Stream::ALL {
        let (shared, connection) = (shared.clone(), connection.clone());
        tasks.spawn(async move {
            match connection.open_uni().await {
                Ok(send) => write(&shared, peer, stream, send).await,
                Err(error) => error.to_string(),
            }
        });
    }
    for _ in Stream::ALL {
        let (shared, connection) = (shared.clone(), connection.clone());
        tasks.spawn(async move {
            match connection.accept_uni().await {
                Ok(receive) => read(&shared, peer, receive).await,
                Err(error) => error.to_string(),
            }
        });
    }
    let ended = tasks.join_next().await;
    tasks.abort_all();
    ended.and_then(Result::ok).unwrap_or_else(|| "a stream ended".to_owned())
}

async fn write(shared: &Shared, peer: ReplicaId, stream: Stream, mut send: SendStream) -> String {
    let queue = &shared.peers[peer.index()].queues[stream as usize];
    if let Err(error) = send.write_all(&[stream as u8]).await {
        return error.to_string();
    }
    while let Some(gathered) = queue.gather().await {
        shared.peers[peer.index()].bytes_out.fetch_add(gathered.len() as u64, Ordering::Relaxed);
        if let Err(error) = send.write_all(&gathered).await {
            return error.to_string();
        }
    }
    "closed here".to_owned()
}

async fn read(shared: &Shared, peer: ReplicaId, mut receive: RecvStream) -> String {
    let mut kind = [0; 1];
    if let Err(error) = receive.read_exact(&mut kind).await {
        return error.to_string();
    }
    let Some(stream) = Stream::ALL.get(usize::from(kind[0])).copied() else {
        return "it opened a stream of no known kind".to_owned();
    };
    loop {
        let mut length = [0; 4];
        if let Err(error) = receive.read_exact(&mut length).await {
            return error.to_string();
        }
        let length = u32::from_be_bytes(length) as usize;
        // M4: checked before a byte is read or allocated.
        if length > shared.caps[stream as usize] {
            return format!("it announced a frame of {length} bytes");
        }
        let mut frame = vec![0; length];
        if let Err(error) = receive.read_exact(&mut frame).await {
            return error.to_string();
        }
        let counts = &shared.peers[peer.index()];
        counts.frames_in.fetch_add(1, Ordering::Relaxed);
        counts.bytes_in.fetch_add(length as u64 + 4, Ordering::Relaxed);
        // Waiting here is the back-pressure: the peer's flow-control window fills.
        let event = Event::Frame { peer, stream, bytes: Bytes::from(frame) };
        if shared.events.send(event).await.is_err() {
            return "stopping".to_owned();
        }
    }
}
