//! Where the messages of an honest engine leave, and what leaves instead.

use crate::b40_malformed_frames::MalformedFrames;
use crate::b41_lying_lengths::LyingLengths;
use crate::report::Report;
use bytes::Bytes;
use quorate_codec::encode_message;
use quorate_network::{Network, Stream};
use quorate_node::Outgoing;
use quorate_simulator::Random;
use quorate_simulator::adversary::Adversary;
use quorate_types::{Message, ReplicaId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it may say something without being asked.
const UNASKED: Duration = Duration::from_millis(20);

/// A way to lie in bytes: what no [`Message`] could say.
pub(crate) trait FrameLie: Send {
    /// Its number.
    fn way(&self) -> u16;

    /// Frames that are sent before an honest one.
    fn beside(&mut self, random: &mut Random, message: &Message, honest: &[u8]) -> Vec<Vec<u8>>;
}

/// The lies in bytes of these numbers.
pub(crate) fn frame_lies(ways: &[u16]) -> Vec<Box<dyn FrameLie>> {
    let all: [Box<dyn FrameLie>; 2] = [Box::new(MalformedFrames), Box::new(LyingLengths)];
    all.into_iter().filter(|lie| ways.contains(&lie.way())).collect()
}

struct Mind {
    adversary: Adversary,
    frames: Vec<Box<dyn FrameLie>>,
    random: Random,
}

/// Stands where messages leave.
pub(crate) struct Liar {
    mind: Mutex<Mind>,
    start: Instant,
    runtime: tokio::runtime::Handle,
    report: Arc<Report>,
}

fn stream_of(message: &Message) -> Stream {
    match message {
        Message::Proposal(_) | Message::Forward(_) => Stream::Proposals,
        Message::ViewChange(_)
        | Message::NewView(_)
        | Message::Body(_)
        | Message::Block(_)
        | Message::StateParts(_)
        | Message::StateLeaves(_) => Stream::Bulk,
        _ => Stream::Votes,
    }
}

impl Liar {
    /// To be made on the runtime that delays messages.
    pub(crate) fn new(
        adversary: Adversary,
        frames: Vec<Box<dyn FrameLie>>,
        seed: u64,
        report: Arc<Report>,
    ) -> Self {
        let mind = Mutex::new(Mind { adversary, frames, random: Random::new(seed) });
        Self { mind, start: Instant::now(), runtime: tokio::runtime::Handle::current(), report }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn mind(&self) -> std::sync::MutexGuard<'_, Mind> {
        self.mind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The frames of one message: itself, and before it what was made of its bytes.
    fn frames(&self, mind: &mut Mind, message: &Message) -> Vec<Bytes> {
        let honest = encode_message(message);
        let mut frames = Vec::new();
        for lie in &mut mind.frames {
            for frame in lie.beside(&mut mind.random, message, &honest) {
                self.report.lied(lie.way());
                frames.push(Bytes::from(frame));
            }
        }
        frames.push(Bytes::from(honest));
        frames
    }

    fn later(&self, micros: u64, network: &Network, to: ReplicaId, stream: Stream, frames: Vec<Bytes>) {
        let network = network.clone();
        let send = move || frames.into_iter().for_each(|frame| network.send(to, stream, frame));
        if micros == 0 {
            return send();
        }
        self.runtime.spawn(async move {
            tokio::time::sleep(Duration::from_micros(micros)).await;
            send();
        });
    }

    /// Says what nobody asked for, and keeps the report, for ever.
    pub(crate) async fn provoke(self: Arc<Self>, network: Network) {
        let mut ticks = tokio::time::interval(UNASKED);
        loop {
            ticks.tick().await;
            let said = {
                let mut mind = self.mind();
                let said = mind.adversary.unasked(self.now());
                self.report.stands_at(&mind.adversary.struck);
                said
            };
            for (to, message) in said {
                network.send(to, stream_of(&message), Bytes::from(encode_message(&message)));
            }
            if let Err(error) = self.report.write() {
                eprintln!("quorate-byz: the report cannot be written: {error}");
            }
        }
    }

    /// Brings the report up to date.
    pub(crate) fn account(&self) {
        self.report.stands_at(&self.mind().adversary.struck);
    }
}

impl Outgoing for Liar {
    fn send(&self, network: &Network, to: ReplicaId, stream: Stream, message: &Message) {
        let mut mind = self.mind();
        let held = mind.adversary.instead(self.now(), to, message);
        for (micros, message) in held {
            let frames = self.frames(&mut mind, &message);
            self.later(micros, network, to, stream, frames);
        }
    }
}
