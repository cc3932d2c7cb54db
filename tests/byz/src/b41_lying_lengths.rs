//! 41: lengths that lie: lists longer than the frame, longer than memory, negative if read as signed; frames and prefaces
//! that announce more than may come, or than comes.

use crate::link::Dialler;
use crate::outgoing::FrameLie;
use crate::report::Report;
use quorate_codec::encode_message;
use quorate_simulator::Random;
use quorate_types::{Message, ReplicaId};
use std::sync::Arc;
use std::time::Duration;

/// Lengths that no list has.
const LENGTHS: [u64; 6] = [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 32, 1 << 29, 100_000];
/// What a frame or preface announces: -1, the smallest negative, the largest positive number, and one above 16 MiB.
const ANNOUNCED: [u32; 4] = [u32::MAX, 1 << 31, (1 << 31) - 1, 1 << 24];
/// Messages beside which such a frame is sent, of a thousand.
const CHANCE: u64 = 100;
/// Between two connections.
const PAUSE: Duration = Duration::from_millis(300);

pub(crate) struct LyingLengths;

impl FrameLie for LyingLengths {
    fn way(&self) -> u16 {
        41
    }

    fn beside(&mut self, random: &mut Random, _message: &Message, honest: &[u8]) -> Vec<Vec<u8>> {
        if !random.permille(CHANCE) {
            return Vec::new();
        }
        let length = random.pick(&LENGTHS).to_be_bytes();
        let mut requests = encode_message(&Message::Forward(Vec::new()));
        let place = requests.len() - length.len();
        requests[place..].copy_from_slice(&length);
        let mut frames = vec![requests];
        if honest.len() > length.len() {
            let mut anywhere = honest.to_vec();
            let place = random.index(honest.len() - length.len());
            anywhere[place..place + length.len()].copy_from_slice(&length);
            frames.push(anywhere);
        }
        frames
    }
}

/// A connection whose preface or frames announce what does not come, again and again.
pub(crate) async fn dial(dialler: Arc<Dialler>, peer: ReplicaId, mut random: Random, report: Arc<Report>) {
    loop {
        let announced = random.pick(&ANNOUNCED).to_be_bytes();
        let lied = if random.permille(300) {
            in_preface(&dialler, peer, announced).await
        } else {
            in_frame(&dialler, peer, random.below(3), announced).await
        };
        if lied.is_some() {
            report.lied(41);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn in_preface(dialler: &Dialler, peer: ReplicaId, announced: [u8; 4]) -> Option<()> {
    let connection = dialler.connect(peer).await?;
    let (mut send, _receive) = connection.open_bi().await.ok()?;
    send.write_all(&[&announced[..], &dialler.preface()[4..]].concat()).await.ok()?;
    // It is refused by closing the connection.
    let _ = tokio::time::timeout(PAUSE, connection.closed()).await;
    Some(())
}

async fn in_frame(dialler: &Dialler, peer: ReplicaId, way: u64, announced: [u8; 4]) -> Option<()> {
    let (connection, _send, _receive) = dialler.greet(peer).await?;
    let mut stream = connection.open_uni().await.ok()?;
    let [kind, ..] = way.to_le_bytes();
    let body: &[u8] = match way {
        // Less than announced, and the end.
        0 => &[kind, 0, 0, 1, 0, 7, 7, 7],
        _ => &[&[kind][..], &announced].concat(),
    };
    stream.write_all(body).await.ok()?;
    stream.finish().ok()?;
    let _ = tokio::time::timeout(PAUSE, connection.closed()).await;
    Some(())
}
