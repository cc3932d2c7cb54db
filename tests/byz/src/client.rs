//! Clients that misbehave.

use crate::error::ByzError;
use crate::flood::Flood;
use crate::report::Report;
use crate::{b46_connection_storm, b47_deaf_client, stop_signal};
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_proof::{TrustRoot, genesis_file};
use quorate_simulator::Random;
use quorate_types::{
    LedgerTime, Number, Operation, Operations, SessionId, SignedTransaction, Transaction, operation,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Connections abused at a time, for each gateway.
const AT_ONCE: u64 = 4;
/// How long its transactions may be executed.
const VALID_MS: u64 = 60_000;

/// Where it finds gateways, and what it signs with.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) endpoints: Vec<String>,
    trust: Arc<TrustRoot>,
    key: Ed25519Signer,
}

impl Place {
    pub(crate) fn read(endpoints: Vec<String>, genesis: &Path, key: &Path) -> Result<Self, ByzError> {
        let refused = |why: &dyn std::fmt::Display| ByzError::Genesis(why.to_string());
        let text = std::fs::read_to_string(genesis)?;
        let genesis = genesis_file::parse(&text).map_err(|error| refused(&error))?;
        let trust = Arc::new(TrustRoot::from_genesis(genesis).map_err(|error| refused(&error))?);
        Ok(Self { endpoints, trust, key: Ed25519Signer::read_file(key, None)? })
    }

    /// A good transaction that puts so many bytes.
    pub(crate) fn transaction(&self, session: u64, number: u64, size: usize) -> SignedTransaction {
        let put = Operation::Put { key: b"bothered".to_vec(), value: vec![7; size] };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let transaction = Transaction {
            ledger: self.trust.ledger(),
            sender: self.key.public_key(),
            session: SessionId::new(session),
            number: Number::new(number),
            valid_until: LedgerTime(now.saturating_add(VALID_MS)),
            app: operation::APP.to_owned(),
            payload: Operations(vec![put]).to_payload(),
        };
        let signature = self.key.sign(&transaction.signed_bytes());
        SignedTransaction { transaction, signature }
    }
}

/// Bothers every gateway in these ways until a signal.
pub(crate) async fn run(place: Place, ways: &[u16], seed: u64, report: &Arc<Report>) -> Result<(), ByzError> {
    if let Some(unknown) = ways.iter().find(|way| ![46, 47].contains(*way) && Flood::of(**way).is_none()) {
        return Err(ByzError::UnknownWay(*unknown, "client"));
    }
    let stop = stop_signal()?;
    let mut random = Random::new(seed);
    for endpoint in &place.endpoints {
        for way in ways {
            for _ in 0..AT_ONCE {
                let (random, report) = (Random::new(random.any()), report.clone());
                if let Some(flood) = Flood::of(*way) {
                    tokio::spawn(flood.submit(*way, place.clone(), endpoint.clone(), random, report));
                    continue;
                }
                match way {
                    46 => tokio::spawn(b46_connection_storm::storm(endpoint.clone(), random, report)),
                    _ => {
                        tokio::spawn(b47_deaf_client::submit(place.clone(), endpoint.clone(), random, report))
                    }
                };
            }
        }
    }
    tokio::pin!(stop);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            _ = ticks.tick() => report.write()?,
        }
    }
}
