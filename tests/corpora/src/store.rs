//! Starting from a node's damaged files: the log, the blocks, the state. It is refused, or the node goes on from a prefix of
//! what was written.

use crate::cursor::Cursor;
use crate::disks::{disk_of, edit, files_of};
use crate::member::{Disks, Member, START, ledger, records, transaction};
use quorate_engine::Event;
use quorate_ledger::MemoryStateStore;
use quorate_storage::{BlockStore, StoredBlock};
use quorate_types::{BlockCertificate, HelloReply, Message, Monotonic, Notice, Record, ReplicaId, Seq};
use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

/// What a member had written when its power was cut.
struct Image {
    me: ReplicaId,
    disks: Disks,
    records: Vec<Record>,
    blocks: Vec<StoredBlock>,
    certificates: Vec<Option<BlockCertificate>>,
}

/// Four members that talk to each other, of whom one may be gone.
struct Quartet {
    members: Vec<Member>,
    gone: Option<usize>,
    /// One message of each kind that was sent.
    samples: BTreeMap<String, Message>,
}

impl Quartet {
    fn new() -> Self {
        let start =
            |index| Member::start(ReplicaId::new(index), Disks::default(), START, 0).expect("a first start");
        Self { members: (0..4).map(start).collect(), gone: None, samples: BTreeMap::new() }
    }

    /// Delivers everything and does everything that is due.
    fn settle(&mut self) {
        let mut queue = VecDeque::new();
        loop {
            for at in 0..self.members.len() {
                let member = &mut self.members[at];
                while !member.work.is_empty() {
                    member.step();
                }
                let from = member.me;
                for (to, message) in member.sent.drain(..) {
                    let debug = format!("{message:?}");
                    let kind = debug.split([' ', '(', '{']).filter(|word| !word.is_empty()).take(6).collect();
                    self.samples.entry(kind).or_insert_with(|| message.clone());
                    let all =
                        ReplicaId::all(4).filter(|other| *other != from && to.is_none_or(|to| to == *other));
                    queue.extend(all.map(|to| (from, to, message.clone())));
                }
            }
            let Some((from, to, message)) = queue.pop_front() else { return };
            if [from, to].iter().all(|end| self.gone != Some(end.index())) {
                self.members[to.index()].hand(from, message);
            }
        }
    }

    fn advance(&mut self, micros: u64) {
        for (at, member) in self.members.iter_mut().enumerate() {
            member.advance(micros);
            if self.gone != Some(at) && member.host.next_deadline(member.now) <= member.now.monotonic {
                member.event(Event::Deadline);
            }
        }
        self.settle();
    }

    /// Lets a transaction be executed by everyone.
    fn order(&mut self, at: usize, number: u64) {
        let height = self.members[at].machine.height();
        self.members[at].submit(number, transaction(0, number));
        self.settle();
        for _ in 0..1_000 {
            if self.members[at].machine.height() > height {
                return;
            }
            self.advance(10_000);
        }
        panic!("nothing is ordered any more");
    }
}

/// Seven blocks, a view change since the first primary is gone, and four more.
fn run() -> (Vec<Image>, Vec<Message>) {
    let mut quartet = Quartet::new();
    quartet.settle();
    for number in 0..7 {
        quartet.order(0, number);
    }
    quartet.gone = Some(0);
    for number in 7..11 {
        quartet.order(1, number);
    }
    assert!(quartet.members[1].host.status().view.get() > 0, "there was a view change");
    let samples = quartet.samples.into_values().collect();
    (quartet.members.into_iter().skip(1).map(Image::of).collect(), samples)
}

impl Image {
    fn of(member: Member) -> Self {
        let Member { me, disks, .. } = member;
        disks.crash();
        let records = records(&disks.fork()).expect("an intact log");
        let store = open(&disks.fork());
        let heights = || (1..=store.tip().get()).map(Seq::new);
        let blocks = heights().map(|height| store.block(height).expect("intact").expect("stored")).collect();
        let certificates = heights().map(|height| store.certificate(height).expect("intact")).collect();
        Self { me, disks, records, blocks, certificates }
    }

    /// What is read is what was written.
    fn compare(&self, disks: &Disks) {
        if let Ok(found) = records(&disks.fork()) {
            let names: Vec<String> = files_of(&disks.log).into_keys().collect();
            assert!(
                found.len() <= self.records.len(),
                "{} of {} records from {names:?}",
                found.len(),
                self.records.len()
            );
            assert_eq!(found[..], self.records[..found.len()], "the log: a prefix of what was written");
        }
        let store = open(&disks.fork());
        assert!(store.tip().get() <= self.blocks.len() as u64);
        for (block, height) in self.blocks.iter().zip(1..=store.tip().get()) {
            let found = store.block(Seq::new(height)).expect("it was intact a moment ago");
            assert_eq!(found.as_ref(), Some(block), "the blocks: a prefix of what was written");
        }
        for (certificate, height) in self.certificates.iter().zip(1..) {
            let found = store.certificate(Seq::new(height)).expect("it was intact a moment ago");
            assert!(found.is_none() || found == *certificate, "no certificate that was not written");
        }
        let links = ledger().genesis.parameters.most_links();
        store.certified_blocks(Seq::new(1), 32, usize::MAX, links).expect("what is indexed can be read");
    }
}

fn open(disks: &Disks) -> BlockStore<quorate_storage::SimulatedDisk> {
    BlockStore::open(disks.blocks.clone(), *ledger().members.ledger()).expect("damaged blocks are cut")
}

fn history() -> &'static (Vec<Image>, Vec<Message>) {
    static HISTORY: OnceLock<(Vec<Image>, Vec<Message>)> = OnceLock::new();
    HISTORY.get_or_init(run)
}

/// What members sent, wrote to their logs and stored, to begin from.
pub(crate) fn samples() -> (&'static [Message], &'static [Record], &'static [StoredBlock]) {
    let (images, messages) = history();
    (messages, &images[0].records, &images[0].blocks)
}

/// The first byte chooses a member, the second whether its state is lost; then what happens to files of its log (an even byte
/// before each edit) and of its blocks (an odd one).
pub fn store(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let image = &history().0[cursor.below(history().0.len())];
    let state = if cursor.flag() { MemoryStateStore::new() } else { image.disks.state.clone() };
    let (mut log, mut blocks) = (files_of(&image.disks.log), files_of(&image.disks.blocks));
    while !cursor.is_empty() {
        if cursor.flag() {
            edit(&mut blocks, ".blk", &mut cursor);
        } else {
            edit(&mut log, ".log", &mut cursor);
        }
    }
    let disks = Disks {
        log: disk_of(&log),
        blocks: disk_of(&blocks),
        state,
        transfer: quorate_storage::SimulatedDisk::new(),
    };
    image.compare(&disks);
    let now = quorate_types::Now { monotonic: Monotonic(START.monotonic.0 + 60_000_000), ..START };
    if let Ok(member) = Member::start(image.me, disks, now, 9) {
        go_on(member);
    }
}

/// A member that started meets its peers, is asked for something, and is killed once more.
fn go_on(mut member: Member) {
    for peer in ReplicaId::all(4).filter(|peer| *peer != member.me).collect::<Vec<_>>() {
        member.event(Event::PeerUp(peer));
        let reply = HelloReply { nonce: [9; 32], view: None, vote: None, commits: Vec::new() };
        member.hand(peer, Message::Notice(Notice::HelloReply(Box::new(reply))));
    }
    member.submit(1, transaction(1, 0));
    for _ in 0..8 {
        while !member.work.is_empty() {
            member.step();
        }
        member.advance(400_000);
        member.event(Event::Deadline);
    }
    let read = |member: &Member, height| member.blocks.block(Seq::new(height)).expect("intact");
    let before: Vec<_> = (1..=member.blocks.tip().get()).map(|height| read(&member, height)).collect();
    let again = member.restart(10);
    for (block, height) in before.iter().zip(1..=again.blocks.tip().get()) {
        assert_eq!(read(&again, height), *block, "a restart changes no block");
    }
}
