use super::*;
use crate::testing::{Cluster, id, parameters, transaction};
use crate::{Input, Phase};
use quorate_types::{Fetch, Message, Notice, Outlook, StatementKind};
use std::time::Duration;

/// Three members go on to block `blocks` without the fourth, which then hears of their checkpoints and gets no blocks.
fn behind(blocks: u64) -> Cluster {
    let mut cluster = Cluster::new(4);
    for number in 0..blocks {
        cluster.request(1, transaction(1, number));
        cluster.deliver_if(|_, to, _| to != id(3));
    }
    // Time for STATUS, and what it repairs but blocks.
    for _ in 0..30 {
        cluster.advance(Duration::from_millis(100));
        deliver_but_blocks(&mut cluster);
    }
    assert_eq!(cluster.status(3).phase, Phase::CatchingUp);
    cluster
}

fn deliver_but_blocks(cluster: &mut Cluster) {
    cluster.deliver_if(|_, to, message| {
        to != id(3) || !matches!(message, Message::Block(_) | Message::Proposal(_) | Message::Body(_))
    });
}

fn pruned(cluster: &mut Cluster, from: u16, first: u64) {
    let _ = cluster.hand(from, 3, Message::Notice(Notice::Pruned { first: Seq::new(first) }));
}

/// The state after block `seq` as member 0 has it, for member 3.
fn installed(cluster: &Cluster, seq: u64) -> Installed {
    let node = &cluster.nodes[0];
    let (header, hash, _) = &node.blocks[usize::try_from(seq).unwrap() - 1];
    let certificate = node.certificates[&Seq::new(seq)].clone();
    Installed {
        seq: Seq::new(seq),
        header_hash: *hash,
        time: header.time,
        outlook: Outlook::default(),
        certificate,
    }
}

#[test]
fn t1_a_state_is_needed_once_an_honest_member_has_no_blocks_left() {
    let mut cluster = behind(12);
    assert!(!cluster.status(3).needs_state);
    pruned(&mut cluster, 0, 9);
    assert!(!cluster.status(3).needs_state, "one may lie");
    pruned(&mut cluster, 1, 1);
    assert!(!cluster.status(3).needs_state, "it has what is needed");
    pruned(&mut cluster, 1, 7);
    assert!(cluster.status(3).needs_state);
    // Whoever does not catch up asked nobody.
    let _ = cluster.hand(0, 1, Message::Notice(Notice::Pruned { first: Seq::new(100) }));
    assert!(!cluster.status(1).needs_state);
}

#[test]
fn t1_members_without_the_blocks_are_asked_for_them_no_more() {
    let mut cluster = behind(12);
    pruned(&mut cluster, 0, 9);
    pruned(&mut cluster, 1, 9);
    cluster.queue.clear();
    let asked = std::cell::Cell::new(0);
    for _ in 0..20 {
        cluster.advance(Duration::from_millis(500));
        // Their STATUS tells of more than this one has; that is no reason to ask them.
        cluster.deliver_if(|from, to, message| {
            if matches!(message, Message::Notice(Notice::Fetch(Fetch::Blocks { .. }))) && from == id(3) {
                assert_eq!(to, id(2), "it is asked");
                asked.set(asked.get() + 1);
            }
            to == id(3) && matches!(message, Message::Notice(Notice::Status(_)))
        });
    }
    assert!(asked.get() >= 10, "{}", asked.get());
}

#[test]
fn t3_a_state_is_taken_at_a_proven_base_and_the_member_goes_on_from_there() {
    let mut cluster = behind(12);
    let base = cluster.status(3).base.get();
    assert!(base >= 8, "it knows of their checkpoints: {base}");
    let offer = |cluster: &mut Cluster, seq| cluster.input(3, Input::StateFetched { seq: Seq::new(seq) });
    assert_eq!(offer(&mut cluster, base + 4), Verdict::Ignored(Ignored::TooFarAhead));
    assert_eq!(offer(&mut cluster, 0), Verdict::Ignored(Ignored::Stale));
    assert_eq!(offer(&mut cluster, base), Verdict::Accepted);
    assert_eq!(offer(&mut cluster, base), Verdict::Ignored(Ignored::NotVoting), "one at a time");
    let state = installed(&cluster, base);
    assert_eq!(cluster.input(3, Input::Installed(Box::new(state))), Verdict::Accepted);
    let status = cluster.status(3);
    assert_eq!((status.executed.get(), status.stable.get(), status.custody), (base, base, 0));
    // Blocks after it come, and it votes again.
    let before = cluster.nodes[0].blocks[..usize::try_from(base).unwrap()].to_vec();
    cluster.nodes[3].blocks = before;
    for number in 12..16 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_all();
        cluster.advance(Duration::from_millis(600));
        cluster.deliver_all();
    }
    assert_eq!((cluster.executed(3), cluster.status(3).phase), (16, Phase::Normal));
    let votes = |kind| {
        cluster.sent.iter().filter(|signed| signed.signer == id(3) && signed.statement.kind() == kind).count()
    };
    assert!(votes(StatementKind::Commit) > 0);
    cluster.assert_safe();
}

/// Base moves on while a state is fetched. What is installed is stable all the same, or everything above the state before would be
/// kept until the next block with a certificate of its own comes.
#[test]
fn t3_a_state_below_base_is_stable_once_it_is_installed() {
    let mut cluster = behind(12);
    let (base, seq) = (cluster.status(3).base.get(), cluster.status(3).base.get() - 4);
    assert_eq!(cluster.input(3, Input::StateFetched { seq: Seq::new(seq) }), Verdict::Accepted);
    let state = installed(&cluster, seq);
    assert_eq!(cluster.input(3, Input::Installed(Box::new(state))), Verdict::Accepted);
    let status = cluster.status(3);
    let found = (status.base.get(), status.executed.get(), status.stable.get(), status.certified.get());
    assert_eq!(found, (base, seq, seq, seq));
}

#[test]
fn t3_what_was_not_asked_for_is_not_installed() {
    let mut cluster = behind(12);
    let state = installed(&cluster, 8);
    assert_eq!(cluster.input(3, Input::Installed(Box::new(state))), Verdict::Ignored(Ignored::Unasked));
    assert_eq!(cluster.executed(3), 0);
}

/// While the state is being installed nothing is handed to execution: it would be of the state before.
#[test]
fn t3_blocks_wait_for_the_state_that_is_being_installed() {
    let mut cluster = behind(12);
    let base = cluster.status(3).base;
    assert_eq!(cluster.input(3, Input::StateFetched { seq: base }), Verdict::Accepted);
    for _ in 0..10 {
        cluster.advance(Duration::from_millis(500));
        cluster.deliver_all();
    }
    assert_eq!(cluster.executed(3), 0, "blocks came, and are not executed");
}

/// K4: two certificates of one height are more than f lies.
#[test]
fn k4_a_state_of_another_block_than_the_base_halts() {
    let mut cluster = behind(12);
    let base = cluster.status(3).base;
    let _ = cluster.input(3, Input::StateFetched { seq: base });
    let mut state = installed(&cluster, base.get());
    state.header_hash.0[0] ^= 1;
    let _ = cluster.input(3, Input::Installed(Box::new(state)));
    assert_eq!((cluster.status(3).phase, cluster.executed(3)), (Phase::Halted, 0));
}

#[test]
fn t4_requests_that_were_held_are_forgotten() {
    let mut cluster = behind(12);
    cluster.request(3, transaction(9, 0));
    assert_eq!(cluster.status(3).custody, 1);
    let base = cluster.status(3).base;
    let _ = cluster.input(3, Input::StateFetched { seq: base });
    let state = installed(&cluster, base.get());
    let _ = cluster.input(3, Input::Installed(Box::new(state)));
    assert_eq!(cluster.status(3).custody, 0);
}

/// Seeds 88912 and 100359: it votes for what is new while nobody has the blocks that it lacks and the state does not come. Neither its own
/// votes nor the ATTESTs of others pile up meanwhile.
#[test]
fn k3_who_waits_long_for_a_state_keeps_no_votes_of_long_ago() {
    let mut cluster = Cluster::new(4);
    cluster.crash(3);
    let order = |cluster: &mut Cluster, numbers: std::ops::Range<u64>| {
        for number in numbers {
            cluster.request(0, transaction(1, number));
            cluster.deliver_all();
        }
    };
    order(&mut cluster, 0..20);
    let prune = |cluster: &mut Cluster| {
        for node in &mut cluster.nodes[..3] {
            node.certificates.retain(|seq, _| *seq > Seq::new(1_000));
        }
    };
    prune(&mut cluster);
    cluster.start(3);
    let voting = |cluster: &Cluster| cluster.status(3).hello_missing == 0 && cluster.status(3).base.get() > 0;
    cluster.deliver_all();
    assert!(cluster.run_until(Duration::from_secs(10), voting), "{:?}", cluster.status(3));
    let mut kept = Vec::new();
    for begin in (20..820).step_by(200) {
        order(&mut cluster, begin..begin + 200);
        prune(&mut cluster);
        let node = &cluster.nodes[3];
        let (log, replica) = (&node.log, node.replica.as_ref().expect("it runs"));
        let votes = replica.pledges.counts() + replica.attestations.tallies.len();
        kept.push((votes, log.durable.len() + log.unsynced.len()));
    }
    let status = cluster.status(3);
    assert_eq!((status.stable, status.executed), (Seq::ZERO, Seq::ZERO), "no state came");
    let votes = cluster.sent.iter().filter(|said| said.signer == id(3)).count();
    assert!(votes > 400, "it voted all the while: {votes}");
    let window = usize::try_from(parameters().window).expect("small");
    let bounded = |(votes, records): &(usize, usize)| *votes <= 8 * window && *records <= 32 * window;
    assert!(kept.iter().all(bounded), "{kept:?}");
    // It stands by what it may still be asked about, and is no amnesiac after a restart.
    cluster.crash(3);
    cluster.start(3);
    cluster.deliver_all();
    assert!(cluster.run_until(Duration::from_secs(10), voting));
    assert_ne!(cluster.status(3).phase, crate::Phase::Learner);
    cluster.assert_safe();
}
