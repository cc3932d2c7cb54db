//! Endpoints over real sockets: who is let in, what arrives, what comes back after a restart.

use bytes::Bytes;
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_network::{Config, Event, Network, Stream};
use quorate_types::{Epoch, LedgerId, Member, Members, ReplicaId};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    keys: Vec<Ed25519Signer>,
    addresses: Vec<SocketAddr>,
}

impl World {
    fn new() -> Self {
        let keys = (1..=4).map(|seed| Ed25519Signer::from_seed(&[seed; 32])).collect();
        let free = |_| UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { keys, addresses: (0..4).map(free).collect() }
    }

    fn members(&self, ledger: u8) -> Arc<Members> {
        let member = |(index, key): (usize, &Ed25519Signer)| Member {
            name: format!("node{index}"),
            vote: Ed25519Signer::from_seed(&[100 + u8::try_from(index).unwrap(); 32]).public_key(),
            transport: key.public_key(),
            store: None,
        };
        let members = self.keys.iter().enumerate().map(member).collect();
        Arc::new(Members::new(LedgerId([ledger; 32]), Epoch::ZERO, 1, members).unwrap())
    }

    async fn start(&self, me: u16, ledger: u8, transport: Ed25519Signer) -> (Network, Receiver<Event>) {
        let config = || Config {
            listen: self.addresses[usize::from(me)],
            me: ReplicaId::new(me),
            members: self.members(ledger),
            transport: transport.clone(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            caps: [1 << 16, 1 << 16, 1 << 20],
        };
        // An endpoint that was closed lets go of its socket once its last task has ended.
        let started = async {
            loop {
                match Network::start(config()) {
                    Ok(started) => return started,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, started).await.expect("the address becomes free")
    }

    async fn honest(&self, me: u16) -> (Network, Receiver<Event>) {
        self.start(me, 7, self.keys[usize::from(me)].clone()).await
    }
}

async fn stop(network: Network) {
    network.close().await;
}

async fn next<T>(events: &mut Receiver<Event>, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.recv().await.expect("the endpoint runs");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it happens in time")
}

fn up(of: u16) -> impl Fn(&Event) -> Option<()> {
    move |event| matches!(event, Event::PeerUp { peer, .. } if peer.get() == of).then_some(())
}

fn frame(event: &Event) -> Option<(u16, Stream, Bytes)> {
    match event {
        Event::Frame { peer, stream, bytes } => Some((peer.get(), *stream, bytes.clone())),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_on_each_stream_and_again_after_a_restart() {
    let world = World::new();
    let (zero, mut at_zero) = world.honest(0).await;
    let (one, mut at_one) = world.honest(1).await;
    next(&mut at_zero, up(1)).await;
    next(&mut at_one, up(0)).await;
    for (stream, size) in [(Stream::Votes, 100), (Stream::Proposals, 60_000), (Stream::Bulk, 900_000)] {
        let sent = Bytes::from(vec![9; size]);
        zero.send(ReplicaId::new(1), stream, sent.clone());
        assert_eq!(next(&mut at_one, frame).await, (0, stream, sent));
    }
    stop(one).await;
    drop(at_one);
    let (one, mut at_one) = world.honest(1).await;
    next(&mut at_one, up(0)).await;
    one.send(ReplicaId::new(0), Stream::Votes, Bytes::from_static(b"back"));
    let (from, _, bytes) =
        next(&mut at_zero, |event| frame(event).filter(|(_, _, bytes)| &bytes[..] == b"back")).await;
    assert_eq!((from, &bytes[..]), (1, &b"back"[..]));
    stop(zero).await;
    stop(one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_members_of_another_ledger_are_refused() {
    let world = World::new();
    let (one, mut at_one) = world.honest(1).await;
    // A stranger that claims to be member 0, and member 0 of another ledger: neither is ever a peer.
    let (stranger, _s) = world.start(0, 7, Ed25519Signer::from_seed(&[77; 32])).await;
    next(&mut at_one, |event| match event {
        Event::Refused { .. } => Some(()),
        Event::PeerUp { peer, .. } => panic!("a stranger became peer {peer}"),
        _ => None,
    })
    .await;
    stop(stranger).await;
    let (other, mut at_other) = world.start(0, 8, world.keys[0].clone()).await;
    let refused = tokio::time::timeout(Duration::from_secs(2), next(&mut at_other, up(1))).await;
    assert!(refused.is_err(), "the ledgers differ");
    stop(other).await;
    // The real one is welcome.
    let (zero, _z) = world.honest(0).await;
    next(&mut at_one, up(0)).await;
    stop(zero).await;
    stop(one).await;
}

/// Killed processes say no goodbye. The next one under the same key answers packets of the old connection with a stateless
/// reset, and the peer that dials does so at once instead of after the idle timeout.
#[test]
fn a_restarted_member_is_dialled_again_at_once() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let world = Arc::new(World::new());
    let (lower, upper) = (runtime(), runtime());
    let (zero, mut at_zero) = lower.block_on(world.honest(0));
    let killed = upper.block_on(world.honest(1));
    lower.block_on(next(&mut at_zero, up(1)));
    upper.shutdown_background();
    drop(killed);
    let again = runtime();
    let _one = again.block_on(world.honest(1));
    lower.block_on(async {
        let dialled = tokio::time::timeout(Duration::from_secs(5), async {
            let mut sending = tokio::time::interval(Duration::from_millis(50));
            loop {
                tokio::select! {
                    _ = sending.tick() => zero.send(ReplicaId::new(1), Stream::Votes, Bytes::from_static(b"vote")),
                    () = next(&mut at_zero, up(1)) => return,
                }
            }
        });
        dialled.await.expect("sooner than the idle timeout of ten seconds");
    });
}
