use super::*;

const PEER: Source = Source::Peer(1);
const OTHER: Source = Source::Peer(2);
const CLIENT: Source = Source::Client(7);

fn weight(cost: usize) -> Weight {
    Weight { cost, bytes: 100 }
}

fn taken(queue: &FairQueue<u32>, most: usize) -> Vec<Source> {
    queue.take(most).unwrap().into_iter().map(|(source, _)| source).collect()
}

fn fill(queue: &FairQueue<u32>, source: Source, count: u32) {
    for number in 0..count {
        queue.push(source, weight(1), number).unwrap();
    }
}

#[test]
fn one_who_floods_gets_no_more_than_its_share() {
    let queue = FairQueue::new();
    fill(&queue, PEER, 1_000);
    fill(&queue, OTHER, 1);
    let first = taken(&queue, 256);
    assert!(first.contains(&OTHER), "its one item need not wait for a thousand");
    assert!(queue.push(PEER, weight(1), 0).is_ok());
    fill(&queue, PEER, u32::try_from(MOST_OF_ONE - queue.len()).unwrap());
    assert_eq!(queue.push(PEER, weight(1), 99), Err(99), "what does not fit is lost");
    assert!(queue.push(OTHER, weight(1), 0).is_ok(), "but not what others send");
}

#[test]
fn costly_items_count_for_what_they_cost() {
    let queue = FairQueue::new();
    // Each item of the one stands on eight quanta, of the other on one signature.
    for number in 0..10 {
        queue.push(PEER, weight(8 * QUANTUM), number).unwrap();
    }
    fill(&queue, OTHER, 1_000);
    let mut served = (0, 0);
    while served.1 < 900 {
        for source in taken(&queue, QUANTUM) {
            if source == PEER { served.0 += 1 } else { served.1 += 1 }
        }
    }
    assert!((1..=3).contains(&served.0), "of 900 and some signatures about half: {served:?}");
}

#[test]
fn clients_are_served_between_peers_and_never_first() {
    let queue = FairQueue::new();
    fill(&queue, PEER, 1_000);
    fill(&queue, CLIENT, 1_000);
    let first = taken(&queue, 8 * QUANTUM);
    let of_clients = first.iter().filter(|source| **source == CLIENT).count();
    assert_eq!(of_clients, 2 * QUANTUM, "one turn in four");
    assert_eq!(first[0], PEER);
}

#[test]
fn items_of_one_source_keep_their_order_and_nothing_is_lost() {
    let queue = FairQueue::new();
    for number in 0..300_u32 {
        queue
            .push(if number % 3 == 0 { PEER } else { CLIENT }, weight(1 + (number % 70) as usize), number)
            .unwrap();
    }
    let mut all: Vec<(Source, u32)> = Vec::new();
    while queue.len() > 0 {
        all.extend(queue.take(50).unwrap());
    }
    for source in [PEER, CLIENT] {
        let own: Vec<u32> =
            all.iter().filter(|(from, _)| *from == source).map(|(_, number)| *number).collect();
        assert!(own.is_sorted());
    }
    assert_eq!(all.len(), 300);
}

#[test]
fn an_item_that_costs_more_than_a_batch_goes_alone() {
    let queue = FairQueue::new();
    queue.push(PEER, weight(5_000), 1).unwrap();
    fill(&queue, OTHER, 1);
    let mut sizes = Vec::new();
    while queue.len() > 0 {
        sizes.push(taken(&queue, 256));
    }
    assert!(sizes.contains(&vec![PEER]), "{sizes:?}");
}

#[test]
fn who_sent_junk_shares_no_batch_until_it_has_sent_enough_that_is_good() {
    let queue = FairQueue::new();
    queue.sent_junk(CLIENT, Duration::ZERO);
    let mut alone = 0;
    while alone < APART {
        fill(&queue, PEER, 3);
        fill(&queue, CLIENT, 64);
        while queue.len() > 0 {
            let batch = taken(&queue, 256);
            let own = batch.iter().filter(|source| **source == CLIENT).count();
            assert!(own == 0 || own == batch.len(), "{own} of {}", batch.len());
            alone += own;
        }
    }
    fill(&queue, PEER, 3);
    fill(&queue, CLIENT, 3);
    let both = taken(&queue, 256);
    assert!(both.contains(&PEER) && both.contains(&CLIENT), "forgiven: {both:?}");
    queue.sent_junk(CLIENT, Duration::ZERO);
    queue.forget(CLIENT);
    assert!(queue.state().clients.lanes.is_empty());
}

#[test]
fn junk_rests_and_nobody_else_does() {
    let queue = FairQueue::new();
    queue.sent_junk(CLIENT, Duration::from_millis(20));
    let start = Instant::now();
    fill(&queue, CLIENT, 3);
    fill(&queue, OTHER, 3);
    assert_eq!(taken(&queue, 256), [OTHER; 3], "at once");
    assert!(start.elapsed() < Duration::from_millis(100));
    assert_eq!(taken(&queue, 256), [CLIENT; 3]);
    assert!(start.elapsed() >= Duration::from_millis(20) * REST, "after nine times as long as it took");
}

#[test]
fn who_comes_back_after_junk_is_not_trusted_at_once() {
    let queue = FairQueue::new();
    let again = Source::Client(8);
    queue.sent_junk(CLIENT, Duration::ZERO);
    fill(&queue, CLIENT, 100);
    queue.forget(CLIENT);
    assert_eq!(queue.len(), 0, "what waited of it concerns nobody");
    fill(&queue, PEER, 1);
    fill(&queue, again, 2);
    let batches = [taken(&queue, 256), taken(&queue, 256)];
    assert!(batches.contains(&vec![again; 2]), "alone at first: {batches:?}");
    fill(&queue, PEER, 1);
    fill(&queue, again, 1);
    assert_eq!(taken(&queue, 256).len(), 2, "and not any more");
    for _ in 0..MOST_APART {
        let _ = queue.push(CLIENT, weight(1), 0);
    }
    queue.sent_junk(CLIENT, Duration::ZERO);
    assert_eq!(queue.push(CLIENT, weight(1), 0), Err(0), "little of it may wait");
}

#[test]
fn a_closed_queue_gives_what_it_has_and_then_nothing() {
    let queue = FairQueue::new();
    fill(&queue, PEER, 2);
    queue.close();
    assert_eq!(queue.push(PEER, weight(1), 3), Err(3));
    assert_eq!(taken(&queue, 10).len(), 2);
    assert!(queue.take(10).is_none());
}

#[test]
fn bytes_are_bounded_too() {
    let queue = FairQueue::new();
    let large = Weight { cost: 1, bytes: MOST_BYTES_OF_ONE / 2 };
    assert!(queue.push(PEER, large, 1).is_ok() && queue.push(PEER, large, 2).is_ok());
    assert_eq!(queue.push(PEER, weight(1), 3), Err(3));
    assert_eq!(taken(&queue, 1).len(), 1);
    assert!(queue.push(PEER, weight(1), 3).is_ok());
}
