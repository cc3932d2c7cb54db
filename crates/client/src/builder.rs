//! Putting a client together.

use crate::certificates::Certificates;
use crate::client::Client;
use crate::error::ClientError;
use crate::gateway::Gateway;
use crate::session::Session;
use futures_util::future::join_all;
use quorate_api::v1;
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_proof::{TrustRoot, genesis_file};
use quorate_types::LedgerId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long gateways have to say where they stand when a client connects.
const GREETING: Duration = Duration::from_secs(2);
/// The own clock is used while it is within this of the gateways' median.
const CLOCK_TOLERANCE_MS: u64 = 60_000;
/// Beyond this the client refuses to guess.
const CLOCK_REFUSED_MS: u64 = 600_000;

/// What a client is made of; see [`Client::builder`].
#[derive(Debug, Default)]
pub struct Builder {
    endpoints: Vec<String>,
    trust: Option<TrustRoot>,
    trusted_hash: Option<LedgerId>,
    key: Option<Ed25519Signer>,
    sessions: Option<PathBuf>,
    timeout: Option<Duration>,
    valid_for: Option<Duration>,
}

impl Builder {
    /// Gateways, `HOST:PORT` or `http://HOST:PORT`. Without any, those that the genesis names.
    #[must_use]
    pub fn endpoints<I: IntoIterator<Item = S>, S: Into<String>>(mut self, endpoints: I) -> Self {
        self.endpoints.extend(endpoints.into_iter().map(Into::into));
        self
    }

    /// The genesis to check answers against.
    #[must_use]
    pub fn genesis(mut self, trust: TrustRoot) -> Self {
        self.trust = Some(trust);
        self
    }

    /// The genesis to check answers against, from a file.
    ///
    /// # Errors
    /// If the file cannot be read or its genesis breaks a rule.
    pub fn genesis_file(self, path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let name = path.as_ref().display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| ClientError::Io(name.clone(), error))?;
        let genesis = genesis_file::parse(&text).map_err(|error| ClientError::GenesisFile(name, error))?;
        let trust =
            TrustRoot::from_genesis(genesis).map_err(|error| ClientError::Genesis(error.to_string()))?;
        Ok(self.genesis(trust))
    }

    /// The ledger id: the genesis is fetched from a gateway and must have this hash.
    #[must_use]
    pub fn genesis_hash(mut self, ledger: LedgerId) -> Self {
        self.trusted_hash = Some(ledger);
        self
    }

    /// The key that signs transactions. A client without one can read and verify.
    #[must_use]
    pub fn key(mut self, key: Ed25519Signer) -> Self {
        self.key = Some(key);
        self
    }

    /// The key that signs transactions, from a file.
    ///
    /// # Errors
    /// If the file is no key, or others than its owner may read it.
    pub fn key_file(self, path: impl AsRef<Path>) -> Result<Self, ClientError> {
        Ok(self.key(Ed25519Signer::read_file(path.as_ref(), None)?))
    }

    /// The key that signs transactions, from an encrypted file.
    ///
    /// # Errors
    /// If the file is no key, others than its owner may read it, or the passphrase does not open it.
    pub fn encrypted_key_file(self, path: impl AsRef<Path>, passphrase: &str) -> Result<Self, ClientError> {
        Ok(self.key(Ed25519Signer::read_file(path.as_ref(), Some(passphrase))?))
    }

    /// Keeps the session in this directory, so that it survives the process. Without it, a client has a session of its own.
    #[must_use]
    pub fn sessions_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.sessions = Some(directory.into());
        self
    }

    /// How long a call waits for an outcome before it answers `Unknown`; 10 seconds if not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long, in ledger time, a transaction may be executed after it was signed; 60 seconds if not set.
    #[must_use]
    pub fn valid_for(mut self, valid_for: Duration) -> Self {
        self.valid_for = Some(valid_for);
        self
    }

    /// Asks every gateway where it stands, and is ready once one of the right ledger has answered.
    ///
    /// # Errors
    /// If something is missing or malformed, no gateway of this ledger answers, or the clocks are far apart.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let trust = self.trust_root().await?;
        let mut endpoints = self.endpoints;
        if endpoints.is_empty() {
            endpoints = trust.genesis().members.iter().map(|member| member.api.clone()).collect();
            endpoints.retain(|api| !api.is_empty());
        }
        let gateways: Vec<Gateway> =
            endpoints.iter().map(|one| Gateway::new(one)).collect::<Result<_, _>>()?;
        if gateways.is_empty() {
            return Err(ClientError::NoEndpoint);
        }
        let greeting = greet(&gateways, &trust).await?;
        let certificates = Certificates::new(trust.clone());
        for gateway in &gateways {
            // Those that cannot prove it change nothing.
            certificates.learn(&mut gateway.api(), greeting.epoch).await;
        }
        let session = match (&self.sessions, &self.key) {
            (Some(directory), Some(key)) => {
                Session::in_directory(directory, trust.ledger(), key.public_key())?
            }
            _ => Session::random(),
        };
        Ok(Client::new(
            gateways,
            greeting.preferred,
            Arc::new(certificates),
            (self.key, session),
            crate::client::Times {
                timeout: self.timeout.unwrap_or(Duration::from_secs(10)),
                valid_for: self.valid_for.unwrap_or(Duration::from_secs(60)),
                clock_ahead_ms: greeting.clock_ahead_ms,
            },
        ))
    }

    async fn trust_root(&self) -> Result<TrustRoot, ClientError> {
        if let Some(trust) = &self.trust {
            return Ok(trust.clone());
        }
        let hash = self.trusted_hash.ok_or(ClientError::NoTrustRoot)?;
        let mut why = "no endpoint was given".to_owned();
        for endpoint in &self.endpoints {
            let mut api = Gateway::new(endpoint)?.api();
            let text = match tokio::time::timeout(GREETING, api.get_genesis(v1::GetGenesisRequest {})).await {
                Ok(Ok(answer)) => answer.into_inner().text,
                Ok(Err(status)) => {
                    why = format!("{endpoint}: {}", status.message());
                    continue;
                }
                Err(_) => {
                    why = format!("{endpoint}: no answer within {GREETING:?}");
                    continue;
                }
            };
            let trust =
                genesis_file::parse(&text).ok().and_then(|genesis| TrustRoot::from_genesis(genesis).ok());
            match trust {
                Some(trust) if trust.ledger() == hash => return Ok(trust),
                Some(trust) => why = format!("{endpoint}: its genesis has the hash {}", trust.ledger()),
                None => why = format!("{endpoint}: its genesis cannot be read"),
            }
        }
        Err(ClientError::Unreachable(why))
    }
}

struct Greeting {
    preferred: usize,
    /// The highest that any gateway says it is in.
    epoch: u64,
    clock_ahead_ms: i64,
}

async fn greet(gateways: &[Gateway], trust: &TrustRoot) -> Result<Greeting, ClientError> {
    let asked = gateways.iter().map(|gateway| async {
        match gateway
            .ask(GREETING, |mut api| async move { api.get_status(v1::GetStatusRequest {}).await })
            .await
        {
            Ok(status) => Ok(status),
            Err(why) => Err(format!("{}: {why}", gateway.url)),
        }
    });
    let answers = join_all(asked).await;
    let ours = trust.ledger();
    let right = |status: &v1::Status| status.ledger_id == ours.0;
    let right_ones: Vec<(usize, &v1::Status)> = answers
        .iter()
        .enumerate()
        .filter_map(|(index, answer)| Some((index, answer.as_ref().ok().filter(|status| right(status))?)))
        .collect();
    let Some((first, _)) = right_ones.first() else {
        let other =
            answers.iter().zip(gateways).find_map(|(answer, gateway)| Some((answer.as_ref().ok()?, gateway)));
        return Err(match other {
            Some((status, gateway)) => ClientError::OtherLedger {
                endpoint: gateway.url.clone(),
                found: hex::encode(&status.ledger_id),
                expected: ours.to_string(),
            },
            None => {
                let whys: Vec<String> = answers.into_iter().filter_map(Result::err).collect();
                ClientError::Unreachable(whys.join("; "))
            }
        });
    };
    // The primary saves a hop; its name is a hint and nothing depends on it.
    let newest =
        right_ones.iter().map(|(_, status)| *status).filter(|status| status.active).max_by_key(|s| s.view);
    let primary = newest.map(|status| status.primary);
    let preferred =
        right_ones.iter().find(|(_, status)| Some(status.member) == primary && status.state == "normal");
    let ready = right_ones.iter().find(|(_, status)| status.state == "normal");
    let preferred = preferred.or(ready).map_or(*first, |(index, _)| *index);
    Ok(Greeting {
        preferred,
        epoch: right_ones.iter().map(|(_, status)| status.epoch).max().unwrap_or(0),
        clock_ahead_ms: clock_ahead(right_ones.iter().map(|(_, status)| status.wall_ms))?,
    })
}

/// How far the gateways' median clock is ahead of ours, if that is too far to use our own.
fn clock_ahead(clocks: impl Iterator<Item = u64>) -> Result<i64, ClientError> {
    let mut clocks: Vec<u64> = clocks.collect();
    clocks.sort_unstable();
    let Some(median) = clocks.get(clocks.len() / 2) else { return Ok(0) };
    let own = crate::client::wall_ms();
    match median.abs_diff(own) {
        ..=CLOCK_TOLERANCE_MS => Ok(0),
        apart if apart > CLOCK_REFUSED_MS => Err(ClientError::Clock(apart / 1_000)),
        apart => {
            let apart = i64::try_from(apart).unwrap_or(0);
            Ok(if *median > own { apart } else { -apart })
        }
    }
}
