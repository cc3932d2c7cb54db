//! The genesis: what the members agree on before block 1. Its hash, without addresses, is the ledger id (M1).

use crate::bytes::{LedgerId, PublicKey};
use crate::governance;
use crate::ids::Epoch;
use crate::layout::Writer;
use crate::limits;
use crate::members::{Member, Members};
use crate::quorum::QuorumError;
use crate::time::LedgerTime;
use std::time::Duration;

/// A genesis. Addresses of members are hints for people and programs, and not part of the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    pub name: String,
    pub created: LedgerTime,
    /// The application that interprets payloads.
    pub app: String,
    /// How many members may be Byzantine (Q1).
    pub faults: u16,
    /// Whether `faults = 0` was asked for explicitly (Q6).
    pub allow_crash_only: bool,
    pub parameters: Parameters,
    pub members: Vec<GenesisMember>,
    pub clients: Vec<NamedKey>,
    pub operators: Vec<NamedKey>,
    /// How many operators must approve a change of the member set (G0).
    pub approvals: u16,
    pub registry: RegistryMode,
}

/// A member of the genesis, with the hints where to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisMember {
    pub name: String,
    pub vote: PublicKey,
    pub transport: PublicKey,
    /// `host:port` of the QUIC endpoint: a hint, not hashed.
    pub peer: String,
    /// URL of the client API: a hint, not hashed.
    pub api: String,
}

/// A registered key with a name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey {
    pub name: String,
    pub key: PublicKey,
}

/// Who may send transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryMode {
    /// Registered clients only.
    Closed,
    /// Any key (development).
    Open,
}

/// What every replica must agree on; ordered configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    pub block_max_transactions: u32,
    pub block_max_bytes: u32,
    pub max_transaction_bytes: u32,
    /// K: slots between checkpoints.
    pub checkpoint_every: u64,
    /// L: slots above base in which votes are cast; a multiple of K, at least 2K.
    pub window: u64,
    /// How many own slots an uncommitted primary keeps in flight (N1).
    pub depth: u64,
    pub view_timeout_ms: u64,
    pub view_timeout_max_ms: u64,
    pub max_clock_skew_ms: u64,
    /// How often an idle primary may fill for an obligation (K6).
    pub tick_ms: u64,
    /// V: how far ahead of the block's time `valid_until` may lie (C1).
    pub max_validity_ms: u64,
    /// E: how long an idle session is kept (C1); at least 2V + tick.
    pub evict_after_ms: u64,
    /// W: how many numbers above `low` a session may use (C1).
    pub session_window: u32,
    pub sessions_per_client: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            block_max_transactions: limits::MAX_BATCH_TRANSACTIONS,
            block_max_bytes: limits::MAX_BATCH_BYTES,
            max_transaction_bytes: limits::MAX_TRANSACTION_BYTES,
            checkpoint_every: 128,
            window: 256,
            depth: 8,
            view_timeout_ms: 1_000,
            view_timeout_max_ms: 8_000,
            max_clock_skew_ms: 500,
            tick_ms: 500,
            max_validity_ms: 3_600_000,
            evict_after_ms: 86_400_000,
            session_window: limits::MAX_SESSION_WINDOW,
            sessions_per_client: 1_024,
        }
    }
}

/// Why a genesis is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenesisError {
    Quorum(QuorumError),
    /// f = 0 without the explicit flag (Q6).
    CrashOnlyNotAllowed {
        n: usize,
    },
    /// A parameter is outside what the protocol allows; the text says which and why.
    Parameter(String),
    /// A name is empty or too long, or two are the same.
    Name(String),
    /// One key stands in two places.
    DuplicateKey(PublicKey),
    TooManyKeys,
}

impl std::fmt::Display for GenesisError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quorum(error) => error.fmt(f),
            Self::CrashOnlyNotAllowed { n } => write!(
                f,
                "{n} members with f=0 tolerate crashes but no faulty member; say so with allow-crash-only"
            ),
            Self::Parameter(text) | Self::Name(text) => f.write_str(text),
            Self::DuplicateKey(key) => write!(f, "key {key} stands in two places"),
            Self::TooManyKeys => write!(f, "more than {} keys", limits::MAX_GENESIS_KEYS),
        }
    }
}

impl std::error::Error for GenesisError {}

impl Parameters {
    /// Headers that may link a block to a later certificate (M8).
    pub fn most_links(&self) -> u64 {
        u64::from(limits::LINK_WINDOWS) * self.window
    }

    /// The view timeout to start from.
    pub fn view_timeout(&self) -> Duration {
        Duration::from_millis(self.view_timeout_ms)
    }

    /// The cap of the view timeout.
    pub fn view_timeout_max(&self) -> Duration {
        Duration::from_millis(self.view_timeout_max_ms)
    }

    /// The tick of K6.
    pub fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }

    /// Checks that the parameters are within what the protocol allows.
    ///
    /// # Errors
    /// With the first parameter that is not, and why.
    pub fn check(&self) -> Result<(), GenesisError> {
        let rules = [
            (self.checkpoint_every >= 1, "checkpoint-every must be at least 1"),
            (
                self.window >= 2 * self.checkpoint_every
                    && self.window.is_multiple_of(self.checkpoint_every.max(1)),
                "window must be a multiple of checkpoint-every and at least twice as large",
            ),
            (self.window <= limits::MAX_WINDOW, "window must be at most 256"),
            (self.depth >= 1 && self.depth <= self.window, "depth must be between 1 and window"),
            (
                (1..=limits::MAX_BATCH_TRANSACTIONS).contains(&self.block_max_transactions),
                "block-max-txs must be between 1 and 2000",
            ),
            (self.block_max_bytes <= limits::MAX_BATCH_BYTES, "block-max-bytes must be at most 1MiB"),
            (
                self.max_transaction_bytes <= limits::MAX_TRANSACTION_BYTES
                    && self.max_transaction_bytes <= self.block_max_bytes
                    && self.max_transaction_bytes >= 512,
                "max-tx-bytes must be between 512 and 256KiB, and at most block-max-bytes",
            ),
            (
                self.view_timeout_ms >= 1 && self.view_timeout_max_ms >= 2 * self.view_timeout_ms,
                "view-timeout-max must be at least twice view-timeout",
            ),
            (self.view_timeout_max_ms <= 600_000, "view-timeout-max must be at most 10 minutes"),
            ((1..=60_000).contains(&self.max_clock_skew_ms), "max-clock-skew must be between 1ms and 1min"),
            (self.tick_ms >= 1, "tick must be at least 1ms"),
            (
                (1_000..=31_536_000_000).contains(&self.max_validity_ms),
                "max-validity must be between 1s and a year",
            ),
            (
                self.evict_after_ms <= 315_360_000_000
                    && self.evict_after_ms
                        >= self.max_validity_ms.saturating_mul(2).saturating_add(self.tick_ms),
                "evict-after must be at least twice max-validity plus tick, and at most ten years",
            ),
            (
                (1..=limits::MAX_SESSION_WINDOW).contains(&self.session_window),
                "session-window must be between 1 and 1024",
            ),
            (
                (1..=65_536).contains(&self.sessions_per_client),
                "sessions-per-client must be between 1 and 65536",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(GenesisError::Parameter((*rule).to_owned())),
            None => Ok(()),
        }
    }
}

impl Genesis {
    /// The domain tag of the ledger id's hash.
    pub const TAG: &'static str = "quorate/genesis/v1";

    /// The canonical bytes, without addresses, whose hash is the ledger id (M1).
    ///
    /// # Panics
    /// If a name is longer than 65,535 bytes; [`Genesis::check`] refuses that first.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::tagged(Self::TAG);
        writer.u32(limits::FORMAT).short(self.name.as_bytes()).u64(self.created.0).short(self.app.as_bytes());
        writer.u16(self.faults).u8(u8::from(self.allow_crash_only));
        let p = &self.parameters;
        writer.u32(p.block_max_transactions).u32(p.block_max_bytes).u32(p.max_transaction_bytes);
        writer.u64(p.checkpoint_every).u64(p.window).u64(p.depth);
        writer.u64(p.view_timeout_ms).u64(p.view_timeout_max_ms).u64(p.max_clock_skew_ms).u64(p.tick_ms);
        writer.u64(p.max_validity_ms).u64(p.evict_after_ms).u32(p.session_window).u32(p.sessions_per_client);
        writer.count(self.members.len());
        for member in &self.members {
            writer.short(member.name.as_bytes()).fixed(&member.vote.0).fixed(&member.transport.0);
        }
        for list in [&self.clients, &self.operators] {
            writer.count(list.len());
            for named in list {
                writer.short(named.name.as_bytes()).fixed(&named.key.0);
            }
        }
        writer.u16(self.approvals).u8(match self.registry {
            RegistryMode::Closed => 0,
            RegistryMode::Open => 1,
        });
        writer.finish()
    }

    /// Checks everything that can be checked without hashing or curve arithmetic.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn check(&self) -> Result<(), GenesisError> {
        self.parameters.check()?;
        self.check_names()?;
        self.check_keys()?;
        let n = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        crate::Quorums::declared(n, self.faults).map_err(GenesisError::Quorum)?;
        if self.faults == 0 && !self.allow_crash_only {
            return Err(GenesisError::CrashOnlyNotAllowed { n: self.members.len() });
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), GenesisError> {
        let mut seen = std::collections::BTreeSet::new();
        let members = self.members.iter().map(|member| &member.name);
        for name in members.clone().chain([&self.name]) {
            if name.is_empty() || name.len() > limits::MAX_NAME_BYTES {
                return Err(GenesisError::Name(format!(
                    "name {name:?} must have 1 to {} bytes",
                    limits::MAX_NAME_BYTES
                )));
            }
        }
        for name in members {
            if !seen.insert(name) {
                return Err(GenesisError::Name(format!("two members are named {name:?}")));
            }
        }
        if self.app.is_empty() || self.app.len() > limits::MAX_APP_BYTES {
            return Err(GenesisError::Name("app must have 1 to 32 bytes".to_owned()));
        }
        if self.app == governance::APP {
            let why = format!("app {:?} is the ledger's own: choose another name", governance::APP);
            return Err(GenesisError::Name(why));
        }
        for named in self.clients.iter().chain(&self.operators) {
            if named.name.len() > limits::MAX_NAME_BYTES {
                return Err(GenesisError::Name(format!("name {:?} is too long", named.name)));
            }
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), GenesisError> {
        if self.clients.len() > limits::MAX_GENESIS_KEYS || self.operators.len() > limits::MAX_GENESIS_KEYS {
            return Err(GenesisError::TooManyKeys);
        }
        let member_keys = self.members.iter().flat_map(|member| [member.vote, member.transport]);
        let clients = self.clients.iter().map(|named| named.key);
        let mut seen = std::collections::BTreeSet::new();
        for key in member_keys.chain(clients) {
            if !seen.insert(key) {
                return Err(GenesisError::DuplicateKey(key));
            }
        }
        let mut operators = std::collections::BTreeSet::new();
        match self.operators.iter().find(|named| !operators.insert(named.key)) {
            Some(named) => Err(GenesisError::DuplicateKey(named.key)),
            None => Ok(()),
        }
    }

    /// The member set of epoch 0.
    ///
    /// # Errors
    /// If the quorum arithmetic refuses the numbers.
    pub fn members_of_epoch_0(&self, ledger: LedgerId) -> Result<Members, QuorumError> {
        let members = self
            .members
            .iter()
            .map(|member| Member {
                name: member.name.clone(),
                vote: member.vote,
                transport: member.transport,
                store: None,
            })
            .collect();
        Members::new(ledger, Epoch::ZERO, self.faults, members)
    }
}
