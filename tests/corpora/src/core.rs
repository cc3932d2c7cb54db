//! The core under arbitrary inputs: one member among three that say anything under their own signatures. It is total, its own
//! invariants hold, what it sends can be received, and it never contradicts itself, across restarts too.

mod inputs;
mod said;

use crate::cursor::Cursor;
use crate::member::{Disks, Member, START, ledger, transaction};
use inputs::World;
use quorate_codec::{decode_message, encode_message};
use quorate_crypto::{Cache, verify_one};
use quorate_engine::Event;
use quorate_types::{Message, Monotonic, ReplicaId, TransactionId, Wall};
use said::Said;

/// Inputs that one byte string may hold: what it takes to go around the window a few times.
const MOST_INPUTS: usize = 400;

/// The first byte chooses the member and whether it has met its peers; then a byte for each kind of input and some for what is
/// in it.
pub fn core(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let first = cursor.u8();
    let me = ReplicaId::new(u16::from(first % 4));
    let member = Member::start(me, Disks::default(), START, 0).expect("a first start");
    let mut bench = Bench { member, said: Said::new(me), starts: 0, cache: Cache::new(1 << 12) };
    bench.check();
    if first & 4 == 0 {
        bench.greet();
    }
    for _ in 0..MOST_INPUTS {
        if cursor.is_empty() {
            break;
        }
        bench = bench.input(&mut cursor);
    }
}

/// The member, and what it has said.
struct Bench {
    member: Member,
    said: Said,
    starts: u8,
    cache: Cache,
}

impl Bench {
    fn world(&self) -> World<'_> {
        World { status: self.member.host.status(), said: &self.said }
    }

    /// Everything sent since the last check can be received, and contradicts nothing.
    fn check(&mut self) {
        let me = self.member.me;
        while let Some((to, message)) = self.member.sent.pop_front() {
            assert!(to.is_none_or(|to| to != me && to.get() < 4), "sent to nobody: {message:?}");
            let bytes = encode_message(&message);
            let decoded = decode_message(&bytes, &ledger().caps);
            assert_eq!(decoded.as_ref(), Ok(&message), "peers can read what is sent");
            let verified =
                verify_one(&ledger().members, &crate::scheme::FakeVerifier, &self.cache, message.clone());
            assert!(verified.is_ok(), "peers accept what is sent: {message:?}");
            self.said.sent(&message);
        }
        for (name, size, most) in self.member.host.sizes() {
            assert!(size <= most, "{name}: {size} > {most}");
        }
    }

    /// Hands over a message as it would arrive: through the codec and its caps.
    fn hand(&mut self, from: ReplicaId, message: Message) {
        if let Ok(message) = decode_message(&encode_message(&message), &ledger().caps) {
            self.member.hand(from, message);
        }
        self.check();
    }

    fn event(&mut self, event: Event) {
        self.member.event(event);
        self.check();
    }

    /// All peers answer HELLO and know nothing.
    fn greet(&mut self) {
        for (from, message) in inputs::greetings(self.member.me, self.starts) {
            self.hand(from, message);
        }
    }

    /// One input.
    fn input(mut self, cursor: &mut Cursor<'_>) -> Self {
        match cursor.below(32) {
            0 => self.greet(),
            1..=4 => {
                let slot = self.world().slot(cursor);
                for (from, message) in slot {
                    self.hand(from, message);
                }
                self.work();
            }
            5 => {
                let votes = self.world().all_vote(cursor);
                for (from, message) in votes {
                    self.hand(from, message);
                }
            }
            6 | 7 => self.work(),
            8 | 9 => self.deadline(),
            10 => self.clocks(cursor),
            11 => self.member.submit(cursor.u8().into(), transaction(cursor.u8() % 4, cursor.u8().into())),
            12 => {
                let peer = ReplicaId::new((self.member.me.get() + 1 + u16::from(cursor.u8() % 3)) % 4);
                self.event(if cursor.flag() { Event::PeerUp(peer) } else { Event::PeerDown(peer) });
            }
            13 => {
                let token = cursor.u8().into();
                let id = TransactionId([cursor.u8(); 32]);
                self.event(if cursor.flag() { Event::Await { token, id } } else { Event::Forget { token } });
            }
            14 => return self.restart(),
            15 => {
                let leaving = self.world().all_leave(cursor);
                for (from, message) in leaving {
                    self.hand(from, message);
                }
            }
            _ => {
                if let Some((from, message)) = self.world().message(cursor) {
                    self.hand(from, message);
                }
            }
        }
        self.check();
        self
    }

    /// Does everything that is due.
    fn work(&mut self) {
        while !self.member.work.is_empty() {
            self.member.step();
            self.check();
        }
    }

    fn deadline(&mut self) {
        let due = self.member.host.next_deadline(self.member.now);
        let now = &mut self.member.now;
        let wait = due.since(now.monotonic);
        now.monotonic = now.monotonic.max(due);
        now.wall = Wall(now.wall.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
        self.event(Event::Deadline);
    }

    /// The monotonic clock jumps ahead, by up to 35 years; at the end of its range no deadline is ahead. The wall clock anywhere.
    fn clocks(&mut self, cursor: &mut Cursor<'_>) {
        let ahead = cursor.one_of(&[0, 1_000, 50_000, 1_000_000, 60_000_000, 1 << 50]);
        let now = &mut self.member.now;
        now.monotonic = Monotonic(now.monotonic.0.saturating_add(ahead));
        now.wall = cursor.one_of(&[
            now.wall,
            START.wall,
            Wall(0),
            Wall(now.wall.0.saturating_add(5_000)),
            Wall(now.wall.0.saturating_sub(5_000)),
            Wall(u64::MAX),
        ]);
        self.event(Event::Deadline);
    }

    /// Power is cut: what is not durable is lost, what was sent is not.
    fn restart(mut self) -> Self {
        self.check();
        self.starts = self.starts.wrapping_add(1);
        self.member = self.member.restart(self.starts);
        self.said.restarted(self.member.blocks.tip());
        self.check();
        self
    }
}
