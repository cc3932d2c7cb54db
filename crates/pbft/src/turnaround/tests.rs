use super::Turnaround;
use crate::testing::{Cluster, id, transaction};
use quorate_types::{Message, Monotonic, Suspicion, View};
use std::time::Duration;

const LEAST: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn v12_the_bound_follows_how_long_decisions_take() {
    let mut turnaround = Turnaround::default();
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), None, "nothing is known");
    turnaround.sample(ms(2));
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), None, "too little is known");
    turnaround.sample(ms(2));
    assert_eq!(
        turnaround.bound(Monotonic(5), LEAST, TIMEOUT),
        Some(LEAST),
        "never less than requests may gather for"
    );
    turnaround.sample(ms(50));
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), Some(ms(200)), "four times the recent worst");
    for _ in 0..100 {
        turnaround.sample(ms(30));
    }
    let bound = turnaround.bound(Monotonic(5), LEAST, TIMEOUT).unwrap();
    assert!((ms(235)..ms(245)).contains(&bound), "eight times what is usual: {bound:?}");
    turnaround.be_patient();
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), Some(2 * bound));
    turnaround.expect_more();
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), Some(bound));
    turnaround.busy.extend([Monotonic(4), Monotonic(5), Monotonic(9)]);
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), Some(3 * bound), "a queue takes its time");
    turnaround.busy.clear();
    turnaround.sample(ms(300));
    assert_eq!(turnaround.bound(Monotonic(5), LEAST, TIMEOUT), None, "the request timer expires sooner");
}

/// Four members that have decided enough to know how long it takes: no time at all, so that the bound is `LEAST`.
fn experienced() -> Cluster {
    let mut cluster = Cluster::new(4);
    for number in 0..10 {
        cluster.request(1, transaction(1, number));
        cluster.deliver_all();
    }
    assert_eq!(cluster.executed(3), 10);
    cluster
}

/// Delivers everything but proposals of the first primary.
fn deliver_but_proposals(cluster: &mut Cluster) {
    cluster.deliver_if(|from, _, message| !(from == id(0) && matches!(message, Message::Proposal(_))));
}

#[test]
fn v12_a_primary_that_does_not_order_is_replaced_long_before_the_request_timer() {
    let mut cluster = experienced();
    cluster.request(1, transaction(2, 0));
    cluster.request(2, transaction(3, 0));
    deliver_but_proposals(&mut cluster);
    cluster.advance(LEAST - ms(1));
    deliver_but_proposals(&mut cluster);
    assert_eq!(cluster.status(1).suspicion, None);
    cluster.advance(ms(1));
    assert_eq!(cluster.status(1).suspicion, Some(Suspicion::Slow));
    deliver_but_proposals(&mut cluster);
    cluster.deliver_all();
    for member in 1..4 {
        assert_eq!((cluster.status(member).view, cluster.executed(member)), (View::new(1), 11), "{member}");
    }
    cluster.assert_safe();
}

/// One that alone waits tells the others, who then wait as well.
#[test]
fn v12_what_only_one_holds_is_forwarded_and_then_timed_by_all() {
    let mut cluster = experienced();
    cluster.request(3, transaction(2, 0));
    deliver_but_proposals(&mut cluster);
    cluster.advance(LEAST);
    deliver_but_proposals(&mut cluster);
    assert_eq!(cluster.status(3).suspicion, Some(Suspicion::Slow));
    assert_eq!((cluster.status(1).suspicion, cluster.status(1).custody), (None, 1));
    cluster.advance(LEAST);
    deliver_but_proposals(&mut cluster);
    assert!((1..4).all(|member| cluster.status(member).view == View::new(1)));
    cluster.assert_safe();
}

/// What comes late after all withdraws the suspicion of the one that had it.
#[test]
fn v12_a_proposal_withdraws_the_suspicion() {
    let mut cluster = experienced();
    cluster.request(3, transaction(2, 0));
    // The FORWARD arrives, and with it the proposal, which waits.
    cluster.deliver_if(|_, to, _| to == id(0));
    let late = cluster.queue.clone();
    cluster.queue.clear();
    cluster.advance(LEAST);
    assert_eq!(cluster.status(3).suspicion, Some(Suspicion::Slow));
    cluster.queue.extend(late);
    cluster.deliver_all();
    assert!((0..4).all(|member| cluster.executed(member) == 11 && cluster.status(member).view == View::ZERO));
    assert_eq!(cluster.status(3).suspicion, None);
}

/// A primary that passes a slot over orders nothing above it either.
#[test]
fn v12_a_slot_passed_over_is_timed() {
    let mut cluster = experienced();
    cluster.request(1, transaction(2, 0));
    deliver_but_proposals(&mut cluster);
    cluster.request(1, transaction(2, 1));
    cluster.deliver_all();
    assert_eq!((cluster.executed(1), cluster.status(1).custody), (10, 2));
    cluster.advance(LEAST);
    assert_eq!(cluster.status(1).suspicion, None, "it may have been lost");
    cluster.advance(ms(250));
    assert_eq!(cluster.status(1).suspicion, Some(Suspicion::Slow), "slot 11 is missing");
}

/// With DEPTH proposals under way a primary may not propose: nobody blames it.
#[test]
fn v12_a_primary_that_may_not_propose_is_not_timed() {
    let mut cluster = experienced();
    let depth = cluster.parameters.depth;
    for number in 0..=depth {
        cluster.request(1, transaction(2, number));
        // Proposals arrive, votes do not: nothing is decided.
        cluster.deliver_if(|_, _, message| !matches!(message, Message::Vote(_)));
    }
    cluster.advance(LEAST);
    assert_eq!(cluster.status(1).suspicion, None);
}
