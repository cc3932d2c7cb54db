//! Testnets of real processes in which one member, or a client, lies with real keys. Every attack ends the same way: clients
//! have receipts, the honest processes live, their ledgers are equal, and the liar did lie.

mod harness;
#[path = "../../../cluster/judge.rs"]
mod judge;
mod load;

use harness::{Net, Plan};
use std::time::Duration;

const FOUR: Plan = Plan { n: 4, checkpoint_every: 128 };

/// Equivocation, first as the primary: half of the members see other proposals, PREPAREs and COMMITs than the others.
#[test]
fn one_member_equivocates() {
    let net = Net::new(1, FOUR, 0, &[1, 2, 3, 5, 48]);
    let load = net.load(4);
    net.until_lied(&[1, 2, 3, 5, 48]);
    load.progress(40);
    net.judge(load.stop());
}

/// The liar is the primary of view 1, which it gets to open because the primary of view 0 is stopped for a while; then of every
/// fourth. What it can lie about depends on where it stands when a view changes, so one change may not be enough.
fn with_view_changes(number: u8, checkpoint_every: u64, ways: &[u16]) {
    let liar = 1;
    let mut net = Net::new(number, Plan { n: 4, checkpoint_every }, liar, ways);
    let load = net.load(4);
    for _ in 0..20 {
        load.progress(20);
        net.unseat(liar);
        if net.lied(ways) {
            break;
        }
    }
    net.until_lied(ways);
    load.progress(40);
    net.judge(load.stop());
}

/// With checkpoints, so that there is an old base to lie with.
#[test]
fn one_member_lies_about_what_it_prepared_and_splits_its_new_view() {
    with_view_changes(2, 8, &[20, 22, 24, 25]);
}

/// Without one, so that there are prepared slots to leave out.
#[test]
fn one_member_sends_two_view_changes_and_concludes_wrongly() {
    with_view_changes(3, 128, &[21, 23, 26, 27]);
}

/// Of seven members one lies to those who catch up, and one is killed and comes back, again and again.
#[test]
fn one_member_lies_to_those_who_repair() {
    let mut net = Net::new(4, Plan { n: 7, checkpoint_every: 4 }, 6, &[29, 30, 31, 32, 33, 34]);
    let load = net.load(4);
    for _ in 0..6 {
        net.kill(2);
        load.progress(30);
        net.start(2);
        load.progress(30);
        if net.lied(&[29, 30, 32, 33, 34]) {
            break;
        }
    }
    net.until_lied(&[29, 30, 32, 33, 34]);
    net.judge(load.stop());
}

/// The liar is the primary of view 0, and each time in another way no good one.
#[test]
fn one_primary_proposes_badly() {
    for ways in [&[13, 14][..], &[10, 15], &[11], &[12], &[17]] {
        let net = Net::new(8, FOUR, 0, ways);
        let load = net.load(4);
        net.until_lied(ways);
        load.progress(20);
        net.judge(load.stop());
    }
}

/// The primary never proposes what half of the clients ask for, or nothing but what the first client that it saw asks for.
/// Everyone's requests are ordered all the same.
#[test]
fn one_primary_passes_clients_over() {
    for way in [16, 18] {
        let net = Net::new(10, FOUR, 0, &[way]);
        let load = net.load(4);
        net.until_lied(&[way]);
        load.progress_of_everyone(10);
        net.judge(load.stop());
    }
}

/// It opens its view well and says nothing any more for some seconds.
#[test]
fn one_member_is_mute_after_its_new_view() {
    with_view_changes(11, 128, &[28]);
}

/// COMMITs without a certificate, votes in other names, from other views and for other ledgers; one member hears nothing.
#[test]
fn one_member_casts_votes_that_count_for_nothing() {
    let ways = [4, 6, 7, 8, 19];
    let net = Net::new(9, FOUR, 3, &ways);
    let load = net.load(4);
    net.until_lied(&ways);
    load.progress(40);
    net.judge(load.stop());
}

/// Small changes of what it says, signed anew, and silence and repetition between them.
#[test]
fn one_member_mutates_what_it_says() {
    let net = Net::new(5, FOUR, 0, &[0]);
    let load = net.load(4);
    load.progress(80);
    net.until_lied(&[0]);
    net.judge(load.stop());
}

/// What no message could say: malformed frames, lengths that lie, streams that drip or are never read.
#[test]
fn one_member_abuses_frames_and_streams() {
    let net = Net::new(6, FOUR, 0, &[40, 41, 42]);
    let load = net.load(4);
    let abused = std::time::Instant::now() + Duration::from_secs(8);
    while std::time::Instant::now() < abused {
        load.progress(20);
    }
    net.until_lied(&[40, 41, 42]);
    net.judge(load.stop());
}

/// Clients that connect and vanish, and clients that never read their answers.
#[test]
fn clients_storm_and_do_not_listen() {
    let mut net = Net::without_liar(7, FOUR);
    net.bother(&[46, 47]);
    let load = net.load(4);
    let bothered = std::time::Instant::now() + Duration::from_secs(6);
    while std::time::Instant::now() < bothered {
        load.progress(20);
    }
    net.until_lied(&[46, 47]);
    net.end_of_liar();
    net.judge(load.stop());
}
