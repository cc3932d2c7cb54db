//! The node's configuration: flag > environment > file > default, merged key by key; unknown keys are errors.
//!
//! What replicas must agree on stands in the genesis, not here: nodes cannot disagree by configuration.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// quorate.toml. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct FileConfig {
    pub node: NodeSection,
    pub api: ApiSection,
    pub peer: PeerSection,
    pub log: LogSection,
    pub threads: ThreadSection,
    pub storage: StorageSection,
    pub testnet: TestnetSection,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct NodeSection {
    /// For log lines; the member's name comes from the genesis.
    pub name: String,
    /// The data directory.
    pub dir: PathBuf,
    pub genesis: PathBuf,
    /// The directory of vote.pem and transport.pem.
    pub keys: PathBuf,
    /// A file whose first line opens both keys, if they are encrypted; only its owner may read it.
    pub key_passphrase_file: Option<PathBuf>,
    /// Writes every input of the core to a file of this directory, a new one at each start, for `quorate debug replay`.
    pub record: Option<PathBuf>,
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            name: String::new(),
            dir: "data".into(),
            genesis: "../genesis.toml".into(),
            keys: ".".into(),
            key_passphrase_file: None,
            record: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ApiSection {
    pub listen: SocketAddr,
}

impl Default for ApiSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7238)) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PeerSection {
    pub listen: SocketAddr,
    /// Overrides the hints of the genesis, by member name.
    pub addresses: BTreeMap<String, String>,
    /// Client APIs of other nodes, `HOST:PORT`: asked how the members changed while peers are out of reach. Without any, those that genesis
    /// and members hint at.
    pub gateways: Vec<String>,
}

impl Default for PeerSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7238)),
            addresses: BTreeMap::new(),
            gateways: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LogSection {
    /// Levels in the form of `tracing`: `info`, `debug`, `quorate_node=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    Pretty,
    Json,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ThreadSection {
    /// Threads of the network and the API; 0 for one per core.
    pub runtime: usize,
    /// Threads that verify signatures; 0 for one per core.
    pub verify: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct StorageSection {
    /// How many blocks below the stable checkpoint are kept at least; without it all are. Old blocks go in whole files.
    pub retain_blocks: Option<u64>,
    /// The size at which a new block file is begun.
    pub block_file_mib: std::num::NonZeroU16,
    /// How much the data directory may take before the operator is told. Nothing is removed for it.
    pub max_disk_mib: Option<u64>,
}

impl Default for StorageSection {
    fn default() -> Self {
        let block_file_mib = std::num::NonZeroU16::new(64).expect("not zero");
        Self { retain_blocks: None, block_file_mib, max_disk_mib: None }
    }
}

impl StorageSection {
    pub(crate) fn block_file_bytes(&self) -> usize {
        usize::from(self.block_file_mib.get()) << 20
    }

    pub(crate) fn max_disk_bytes(&self) -> Option<u64> {
        self.max_disk_mib.map(|mib| mib.saturating_mul(1 << 20))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TestnetSection {
    /// Allows the faults below; refused otherwise.
    pub fault_injection: bool,
    /// Makes every sync of the log this much slower.
    pub slow_log_sync_ms: u64,
    /// Lets the log's sync fail once so many have succeeded.
    pub fail_log_sync_after: Option<u64>,
    /// Flips a bit of the value of this key in memory, once it is there: the replica's ledger then differs from the others'.
    pub corrupt_key: Option<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    Parse(PathBuf, toml::de::Error),
    #[error("environment variable {0}: {1}")]
    Environment(String, String),
    #[error(
        "testnet.slow-log-sync-ms, fail-log-sync-after and corrupt-key need testnet.fault-injection = true"
    )]
    FaultInjection,
}

impl FileConfig {
    /// Reads a file and lets the environment override it, key by key: `QUORATE_API__LISTEN` is `api.listen`. Paths in the
    /// file are relative to the file.
    ///
    /// # Errors
    /// If the file cannot be read, has an unknown key or a malformed value.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Io(path.to_owned(), error))?;
        Self::from_text(path, &text, environment)
    }

    /// [`FileConfig::load`] of a file whose text is known.
    ///
    /// # Errors
    /// If the text has an unknown key or a malformed value.
    pub fn from_text(
        path: &Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let parse = |error| ConfigError::Parse(path.to_owned(), error);
        // Parsed as it stands first, so that a mistake is reported with its line.
        let _: Self = toml::from_str(text).map_err(parse)?;
        let mut table: toml::Table = toml::from_str(text).map_err(parse)?;
        for (name, value) in environment {
            let Some((section, key)) = name.strip_prefix("QUORATE_").and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            let kebab = |part: &str| part.to_lowercase().replace('_', "-");
            let section = table
                .entry(kebab(section))
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .ok_or_else(|| ConfigError::Environment(name.clone(), "no such section".to_owned()))?;
            section.insert(kebab(key), self::value(&value));
            let merged: Result<Self, _> = toml::Value::Table(table.clone()).try_into();
            merged.map_err(|error| ConfigError::Environment(name.clone(), error.message().to_owned()))?;
        }
        let mut config: Self = toml::Value::Table(table).try_into().map_err(parse)?;
        let base = path.parent().unwrap_or(Path::new("."));
        let node = &mut config.node;
        let passphrase = node.key_passphrase_file.as_mut();
        for path in [&mut node.dir, &mut node.genesis, &mut node.keys].into_iter().chain(passphrase) {
            *path = base.join(&*path);
        }
        let faults = &config.testnet;
        let any = faults.slow_log_sync_ms > 0
            || faults.fail_log_sync_after.is_some()
            || faults.corrupt_key.is_some();
        if any && !faults.fault_injection {
            return Err(ConfigError::FaultInjection);
        }
        Ok(config)
    }
}

/// A value from the environment: a number, boolean, list or table if it reads as one, else a string.
fn value(text: &str) -> toml::Value {
    if text.starts_with(['{', '[']) {
        let document: Result<toml::Table, _> = toml::from_str(&format!("value = {text}"));
        if let Some(value) = document.ok().and_then(|mut table| table.remove("value")) {
            return value;
        }
    }
    if let Ok(number) = text.parse::<i64>() {
        toml::Value::Integer(number)
    } else if let Ok(boolean) = text.parse::<bool>() {
        toml::Value::Boolean(boolean)
    } else {
        toml::Value::String(text.to_owned())
    }
}

#[cfg(test)]
mod tests;
