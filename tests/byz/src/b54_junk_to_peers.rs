//! 54: a member that sends every other one FORWARDs whose signatures do not verify, as fast as the links take them.

use crate::report::Report;
use bytes::Bytes;
use quorate_codec::encode_message;
use quorate_network::{Network, Stream};
use quorate_simulator::Random;
use quorate_types::{
    LedgerId, LedgerTime, Message, Number, PublicKey, ReplicaId, SessionId, Signature, SignedTransaction,
    Transaction,
};
use std::sync::Arc;
use std::time::Duration;

/// Transactions in a FORWARD.
const TOGETHER: u64 = 64;
/// FORWARDs to each member in a tick.
const IN_A_TICK: usize = 4;
const TICK: Duration = Duration::from_millis(5);

fn junk(ledger: LedgerId, random: &mut Random) -> SignedTransaction {
    let transaction = Transaction {
        ledger,
        sender: PublicKey([random.any().to_be_bytes(); 4].concat().try_into().expect("32 bytes")),
        session: SessionId::new(1),
        number: Number::new(random.any()),
        valid_until: LedgerTime(u64::MAX / 2),
        app: "kv".to_owned(),
        payload: vec![0; 128],
    };
    SignedTransaction { transaction, signature: Signature([7; 64]) }
}

/// Sends for ever.
pub(crate) async fn flood(
    network: Network,
    peers: Vec<ReplicaId>,
    ledger: LedgerId,
    mut random: Random,
    report: Arc<Report>,
) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        for _ in 0..IN_A_TICK {
            let forward = Message::Forward((0..TOGETHER).map(|_| junk(ledger, &mut random)).collect());
            let frame = Bytes::from(encode_message(&forward));
            for peer in &peers {
                network.send(*peer, Stream::Proposals, frame.clone());
            }
            report.lied(54);
        }
    }
}
