//! The genesis as people write it: TOML. The ledger id is the hash of the canonical binary form, not of this text.

use quorate_crypto::{public_key_from_text, public_key_to_text};
use quorate_types::{Genesis, GenesisMember, LedgerTime, NamedKey, Parameters, RegistryMode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a text is no genesis.
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    #[error("{key}: {why}")]
    Value { key: &'static str, why: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ledger: LedgerSection,
    #[serde(default)]
    params: ParamsSection,
    #[serde(default)]
    member: Vec<MemberSection>,
    #[serde(default)]
    client: Vec<KeySection>,
    #[serde(default)]
    operator: Vec<KeySection>,
    governance: Option<GovernanceSection>,
    #[serde(default)]
    registry: RegistrySection,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LedgerSection {
    name: String,
    created: String,
    format: u32,
    app: String,
    /// Left out: as many as the members allow.
    faults: Option<u16>,
    #[serde(default)]
    allow_crash_only: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ParamsSection {
    block_max_txs: u32,
    block_max_bytes: String,
    max_tx_bytes: String,
    checkpoint_every: u64,
    window: u64,
    depth: u64,
    view_timeout: String,
    view_timeout_max: String,
    max_clock_skew: String,
    tick: String,
    max_validity: String,
    evict_after: String,
    session_window: u32,
    sessions_per_client: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberSection {
    name: String,
    vote: String,
    transport: String,
    #[serde(default)]
    peer: String,
    #[serde(default)]
    api: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySection {
    #[serde(default)]
    name: String,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GovernanceSection {
    approvals: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistrySection {
    mode: String,
}

impl Default for RegistrySection {
    fn default() -> Self {
        Self { mode: "closed".to_owned() }
    }
}

impl Default for ParamsSection {
    fn default() -> Self {
        Self::of(&Parameters::default())
    }
}

fn duration_text(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string().replace(' ', "")
}

fn size_text(bytes: u32) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

fn duration(key: &'static str, text: &str) -> Result<u64, GenesisFileError> {
    let why = |why: String| GenesisFileError::Value { key, why };
    let parsed = humantime::parse_duration(text).map_err(|error| why(format!("{text:?}: {error}")))?;
    u64::try_from(parsed.as_millis()).map_err(|_| why(format!("{text:?} is too long")))
}

fn size(key: &'static str, text: &str) -> Result<u32, GenesisFileError> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "B" | "" => Some(1),
        "KiB" => Some(1u32 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    let value =
        digits.parse::<u32>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    value.ok_or_else(|| GenesisFileError::Value { key, why: format!("{text:?} is no size like 256KiB") })
}

impl ParamsSection {
    fn of(p: &Parameters) -> Self {
        Self {
            block_max_txs: p.block_max_transactions,
            block_max_bytes: size_text(p.block_max_bytes),
            max_tx_bytes: size_text(p.max_transaction_bytes),
            checkpoint_every: p.checkpoint_every,
            window: p.window,
            depth: p.depth,
            view_timeout: duration_text(p.view_timeout_ms),
            view_timeout_max: duration_text(p.view_timeout_max_ms),
            max_clock_skew: duration_text(p.max_clock_skew_ms),
            tick: duration_text(p.tick_ms),
            max_validity: duration_text(p.max_validity_ms),
            evict_after: duration_text(p.evict_after_ms),
            session_window: p.session_window,
            sessions_per_client: p.sessions_per_client,
        }
    }

    fn parameters(&self) -> Result<Parameters, GenesisFileError> {
        Ok(Parameters {
            block_max_transactions: self.block_max_txs,
            block_max_bytes: size("params.block-max-bytes", &self.block_max_bytes)?,
            max_transaction_bytes: size("params.max-tx-bytes", &self.max_tx_bytes)?,
            checkpoint_every: self.checkpoint_every,
            window: self.window,
            depth: self.depth,
            view_timeout_ms: duration("params.view-timeout", &self.view_timeout)?,
            view_timeout_max_ms: duration("params.view-timeout-max", &self.view_timeout_max)?,
            max_clock_skew_ms: duration("params.max-clock-skew", &self.max_clock_skew)?,
            tick_ms: duration("params.tick", &self.tick)?,
            max_validity_ms: duration("params.max-validity", &self.max_validity)?,
            evict_after_ms: duration("params.evict-after", &self.evict_after)?,
            session_window: self.session_window,
            sessions_per_client: self.sessions_per_client,
        })
    }
}

fn key(what: &'static str, text: &str) -> Result<quorate_types::PublicKey, GenesisFileError> {
    public_key_from_text(text).map_err(|error| GenesisFileError::Value { key: what, why: error.to_string() })
}

fn keys(what: &'static str, list: &[KeySection]) -> Result<Vec<NamedKey>, GenesisFileError> {
    list.iter().map(|named| Ok(NamedKey { name: named.name.clone(), key: key(what, &named.key)? })).collect()
}

fn time(text: &str) -> Result<LedgerTime, GenesisFileError> {
    let why = |why: String| GenesisFileError::Value { key: "ledger.created", why };
    let parsed: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| why(error.to_string()))?;
    u64::try_from(parsed.as_millisecond()).map(LedgerTime).map_err(|_| why("before 1970".to_owned()))
}

/// RFC 3339 in UTC with milliseconds.
pub fn time_text(time: LedgerTime) -> String {
    let parsed = i64::try_from(time.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    parsed.map_or_else(|| format!("{} ms", time.0), |time| format!("{time:.3}"))
}

/// Reads a genesis. Its rules are checked by `TrustRoot::from_genesis`, not here.
///
/// # Errors
/// If the text is not TOML, has an unknown key, or a malformed value; TOML errors name line and column.
pub fn parse(text: &str) -> Result<Genesis, GenesisFileError> {
    let file: File = toml::from_str(text)?;
    if file.ledger.format != quorate_types::limits::FORMAT {
        let why = format!("{} is not {}", file.ledger.format, quorate_types::limits::FORMAT);
        return Err(GenesisFileError::Value { key: "ledger.format", why });
    }
    let registry = match file.registry.mode.as_str() {
        "closed" => RegistryMode::Closed,
        "open" => RegistryMode::Open,
        other => {
            let why = format!("{other:?} is neither \"closed\" nor \"open\"");
            return Err(GenesisFileError::Value { key: "registry.mode", why });
        }
    };
    let members = file
        .member
        .iter()
        .map(|member| {
            Ok(GenesisMember {
                name: member.name.clone(),
                vote: key("member.vote", &member.vote)?,
                transport: key("member.transport", &member.transport)?,
                peer: member.peer.clone(),
                api: member.api.clone(),
            })
        })
        .collect::<Result<Vec<_>, GenesisFileError>>()?;
    let n = u16::try_from(members.len()).unwrap_or(u16::MAX);
    let strong = quorate_types::Quorums::new(n).map_or(1, |quorums| quorums.strong());
    Ok(Genesis {
        name: file.ledger.name,
        created: time(&file.ledger.created)?,
        app: file.ledger.app,
        faults: file.ledger.faults.unwrap_or(n.saturating_sub(1) / 3),
        allow_crash_only: file.ledger.allow_crash_only,
        parameters: file.params.parameters()?,
        members,
        clients: keys("client.key", &file.client)?,
        operators: keys("operator.key", &file.operator)?,
        approvals: file.governance.map_or(u16::try_from(strong).unwrap_or(1), |section| section.approvals),
        registry,
    })
}

/// Writes a genesis. Reading it back gives the same genesis.
///
/// # Panics
/// Never: every field has a text.
pub fn print(genesis: &Genesis) -> String {
    let named = |list: &[NamedKey]| {
        list.iter()
            .map(|named| KeySection { name: named.name.clone(), key: public_key_to_text(&named.key) })
            .collect()
    };
    let file = File {
        ledger: LedgerSection {
            name: genesis.name.clone(),
            created: time_text(genesis.created),
            format: quorate_types::limits::FORMAT,
            app: genesis.app.clone(),
            faults: Some(genesis.faults),
            allow_crash_only: genesis.allow_crash_only,
        },
        params: ParamsSection::of(&genesis.parameters),
        member: genesis
            .members
            .iter()
            .map(|member| MemberSection {
                name: member.name.clone(),
                vote: public_key_to_text(&member.vote),
                transport: public_key_to_text(&member.transport),
                peer: member.peer.clone(),
                api: member.api.clone(),
            })
            .collect(),
        client: named(&genesis.clients),
        operator: named(&genesis.operators),
        governance: Some(GovernanceSection { approvals: genesis.approvals }),
        registry: RegistrySection {
            mode: match genesis.registry {
                RegistryMode::Closed => "closed".to_owned(),
                RegistryMode::Open => "open".to_owned(),
            },
        },
    };
    toml::to_string(&file).expect("plain fields")
}

#[cfg(test)]
pub(crate) mod tests;
