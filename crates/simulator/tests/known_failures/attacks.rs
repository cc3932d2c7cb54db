//! What one faulty member costs, and bytes that were changed on their way.

use crate::world::{World, id, small};
use quorate_codec::{Caps, decode_message, encode_message};
use quorate_simulator::draw::Draw;
use quorate_simulator::{Random, run_draw};
use quorate_types::{
    Members, Message, NewView, Notice, Parameters, Proposal, ReplicaId, SignedStatement, ViewChange,
};
use std::sync::Arc;

/// Ten seconds under a load, on a network that works, with member 0, the first primary, lying in these ways.
fn answered(ways: &[u16]) -> u64 {
    let drawn = Draw::of(1);
    let mut draw = Draw {
        n: 4,
        parameters: Parameters {
            checkpoint_every: 8,
            window: 24,
            depth: 8,
            view_timeout_ms: 400,
            view_timeout_max_ms: 3_200,
            ..Parameters::default()
        },
        crashes: 0,
        hunts: 0,
        partitions: 0,
        clogs: 0,
        pauses: 0,
        clock_jumps: 0,
        clock_rates: vec![1_000; 4],
        syncs: vec![300; 4],
        sync_failures: 0,
        full_disks: 0,
        steps: 500,
        blocks: u64::MAX,
        liars: if ways.is_empty() { Vec::new() } else { vec![(id(0), ways.to_vec())] },
        betrayed: Vec::new(),
        dead: Vec::new(),
        healed_delay: 1_000,
        no_new_views_of: Vec::new(),
        beyond_budget: false,
        calm: false,
        ..drawn
    };
    let faults = &mut draw.faults;
    (faults.min_delay, faults.jitter) = (200, 800);
    (faults.loss, faults.duplicates, faults.stragglers, faults.replays) = (0, 0, 0, 0);
    faults.capacity = None;
    let workload = &mut draw.workload;
    (workload.clients, workload.under_way, workload.starts) = (4, 8, 1_000);
    (workload.burst, workload.keys, workload.value_bytes) = (false, 64, 0);
    (workload.rivals, workload.copies, workload.nonsense) = (0, 0, 0);
    run_draw(1, &draw).unwrap_or_else(|failure| panic!("{ways:?}: {:?}", failure.violation)).answered
}

/// Of a hundred transactions without faults, so many are answered with one member that lies in each of these ways.
const LEAST: [(u16, u64); 5] = [(1, 80), (10, 80), (11, 80), (16, 50), (17, 80)];

#[test]
fn l1_one_liar_costs_no_more_than_a_part_of_the_throughput() {
    let all = answered(&[]);
    for (way, least) in LEAST {
        let with = answered(&[way]);
        println!("way {way}: {with} of {all} answered, {} of a hundred", with * 100 / all);
        assert!(with * 100 >= all * least, "way {way}: {with} of {all} answered");
    }
}

/// A message changed a little: bits, a number at a limit, a piece left out, repeated or taken from another message.
fn changed(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let at = random.index(bytes.len());
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 | 2 => {
            let number = random.pick(&[0, 1, 2, 255, 1 << 32, u64::MAX / 2, u64::MAX - 1, u64::MAX]);
            let width = if random.permille(500) { 8 } else { 2 };
            for (place, byte) in bytes[at..].iter_mut().zip(&number.to_be_bytes()[8 - width..]) {
                *place = *byte;
            }
        }
        3 => bytes.truncate(at),
        4 => {
            let piece = bytes[at..(at + 16).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let from = random.index(other.len());
            for (place, byte) in bytes[at..].iter_mut().zip(&other[from..]).take(48) {
                *place = *byte;
            }
        }
    }
    bytes
}

/// What the liar can make of a message: its own statements are signed anew, so that what was changed is looked at.
fn signed_again(world: &World, liar: ReplicaId, message: Message) -> Message {
    let sign = |signed: SignedStatement| {
        if signed.signer == liar { world.cluster.signed_by(liar, signed.statement) } else { signed }
    };
    match message {
        Message::Vote(signed) => Message::Vote(sign(signed)),
        Message::Proposal(Proposal { pre_prepare, batch }) => {
            Message::Proposal(Proposal { pre_prepare: sign(pre_prepare), batch })
        }
        Message::ViewChange(change) => {
            let statement = sign(change.statement.clone());
            Message::ViewChange(Arc::new(ViewChange { statement, ..(*change).clone() }))
        }
        Message::NewView(new_view) => {
            let statement = sign(new_view.statement.clone());
            Message::NewView(Arc::new(NewView { statement, ..(*new_view).clone() }))
        }
        other => other,
    }
}

fn caps(members: &Members) -> Caps {
    Caps::new(members, &small())
}

/// For each message that travels, the liar sends its receiver a few that look like it. Nobody panics, and nothing that must hold
/// breaks; afterwards all goes on, with the liar silent.
fn changed_messages(n: u16, seed: u64, steps: u64) -> [usize; 2] {
    let mut world = World::new(n, small(), seed);
    let liar = id(u16::try_from(seed % u64::from(n)).unwrap());
    world.cluster.checkers.faulty.insert(liar);
    world.lost.insert(liar);
    let caps = caps(world.cluster.members());
    let mut random = Random::new(seed);
    let mut last = encode_message(&Message::Notice(Notice::Ping { number: 1 }));
    let (mut read, mut refused) = (0, 0);
    for step in 0..steps {
        world.load(4);
        if step % 97 == 50 {
            let victim = id(u16::try_from(random.below(u64::from(n))).unwrap());
            world.restart(victim);
        }
        world.pass();
        while let Some(message) = world.take() {
            let bytes = encode_message(message.message());
            for _ in 0..2 {
                match decode_message(&changed(&mut random, bytes.clone(), &last), &caps) {
                    Ok(lie) => {
                        read += 1;
                        let lie = signed_again(&world, liar, lie);
                        world.cluster.forge(liar, message.to, lie);
                    }
                    Err(_) => refused += 1,
                }
            }
            last = bytes;
            world.cluster.deliver(&message);
        }
    }
    world.cut.insert(liar);
    world.until("answers", std::time::Duration::from_secs(60), |world| {
        world.unanswered() == 0 && world.agreed()
    });
    [read, refused]
}

#[test]
fn m4_changed_messages_stop_nobody() {
    let mut all = [0, 0];
    for (n, seed) in [(4, 0), (4, 1), (4, 2), (4, 3), (5, 4), (7, 5), (7, 6)] {
        let [read, refused] = changed_messages(n, seed, 100);
        all = [all[0] + read, all[1] + refused];
    }
    println!("{} changed messages were read, {} were not readable", all[0], all[1]);
    assert!(all[0] > 10_000 && all[1] > 10_000, "{all:?}");
}
