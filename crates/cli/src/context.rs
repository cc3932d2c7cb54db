//! Which ledger a command talks to: options and environment, else the nearest testnet.toml upward, else a running dev
//! network, else an error that names all of them.

use crate::args::Global;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::testnet::{Testnet, control};
use quorate_client::{Client, Ed25519Signer, TrustRoot};
use quorate_crypto::read_passphrase;
use quorate_proof::genesis_file;
use quorate_types::{ErrorCode, LedgerId};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Everything a command needs to know about where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) output: Output,
}

pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `$name`, else `~/fallback`, each with `quorate` below it.
fn user_dir(name: &str, fallback: &str) -> Option<PathBuf> {
    let set = std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(fallback));
    Some(set.or_else(home)?.join("quorate"))
}

/// Where dev networks live.
pub(crate) fn cache_dir() -> Outcome<PathBuf> {
    user_dir("XDG_CACHE_HOME", ".cache").ok_or_else(|| {
        Failure::input("there is no place for temporary files", "neither XDG_CACHE_HOME nor HOME is set")
    })
}

/// Where the sessions of the command line live.
fn state_dir() -> Option<PathBuf> {
    user_dir("XDG_STATE_HOME", ".local/state")
}

/// The newest dev network that runs.
fn running_dev() -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache_dir().ok()?).ok()?;
    let directories = entries.flatten().map(|entry| entry.path());
    let running = directories.filter(|path| path.join(Testnet::FILE).exists() && control::is_up(path));
    running.max_by_key(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok())
}

fn nearest_testnet() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|path| path.join(Testnet::FILE).exists()).map(Path::to_owned)
}

impl Context {
    /// The testnet or dev network that commands here belong to, if options do not say otherwise.
    pub(crate) fn surroundings() -> Option<PathBuf> {
        nearest_testnet().or_else(running_dev)
    }

    /// The gateways to talk to.
    pub(crate) fn endpoints(&self) -> Outcome<Vec<String>> {
        if !self.global.endpoint.is_empty() {
            return Ok(self.global.endpoint.clone());
        }
        match Self::surroundings() {
            Some(dir) => Ok(Testnet::load(&dir)?.endpoints()),
            // A genesis may name its members' addresses.
            None if self.global.genesis.as_deref().is_some_and(|name| hash(name).is_none()) => Ok(Vec::new()),
            None => Err(Failure::new(ErrorCode::NoEndpoint)),
        }
    }

    /// The genesis, if it is at hand as a file.
    pub(crate) fn trust(&self) -> Outcome<TrustRoot> {
        let path = match &self.global.genesis {
            Some(name) => PathBuf::from(name),
            None => match Self::surroundings() {
                Some(dir) if self.global.endpoint.is_empty() => dir.join("genesis.toml"),
                _ => return Err(Failure::new(ErrorCode::NoTrustRoot)),
            },
        };
        read_genesis(&path)
    }

    /// A connected client. Without a key it can read and verify.
    pub(crate) async fn client(&self, valid_for: Option<Duration>) -> Outcome<Client> {
        let mut builder = Client::builder().endpoints(self.endpoints()?).timeout(self.global.timeout);
        builder = match self.global.genesis.as_deref().and_then(hash) {
            Some(ledger) => builder.genesis_hash(ledger),
            None => builder.genesis(self.trust()?),
        };
        if let Some(valid_for) = valid_for {
            builder = builder.valid_for(valid_for);
        }
        if let Some(path) = self.key_path() {
            builder = builder.key(self.read_key(&path)?);
            match state_dir() {
                Some(dir) if writable(&dir) => builder = builder.sessions_in(dir),
                _ => self.output.note(
                    "warning: the session is not kept: neither XDG_STATE_HOME nor HOME names a directory that can be written",
                ),
            }
        }
        let client = builder.connect().await?;
        if client.clock_ahead_ms() != 0 {
            let seconds = client.clock_ahead_ms() / 1_000;
            self.output.note(format!(
                "warning: the gateways' clocks are {seconds} s ahead of this one; theirs is used"
            ));
        }
        Ok(client)
    }

    /// A key file, opened with the passphrase file if one is given.
    pub(crate) fn read_key(&self, path: &Path) -> Outcome<Ed25519Signer> {
        let words = self.passphrase()?;
        Ok(Ed25519Signer::read_file(path, words.as_ref().map(|words| words.as_str()))?)
    }

    /// The first line of the passphrase file, if one is given.
    pub(crate) fn passphrase(&self) -> Outcome<Option<Zeroizing<String>>> {
        let path = self.global.passphrase_file.as_deref();
        Ok(path.map(read_passphrase).transpose()?)
    }

    fn key_path(&self) -> Option<PathBuf> {
        let near =
            || Self::surroundings().map(|dir| dir.join("keys/client.pem")).filter(|path| path.exists());
        self.global.key.clone().or_else(near)
    }
}

fn writable(dir: &Path) -> bool {
    std::fs::create_dir_all(dir).is_ok()
        && !std::fs::metadata(dir).is_ok_and(|data| data.permissions().readonly())
}

/// A ledger id, if the text is one.
fn hash(text: &str) -> Option<LedgerId> {
    (text.len() == 64).then(|| text.parse().ok()).flatten()
}

/// Reads and checks a genesis file.
pub(crate) fn read_genesis(path: &Path) -> Outcome<TrustRoot> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io(path, &error))?;
    let refused = |why: String| {
        Failure::new(ErrorCode::BadGenesis).what(format!("{} cannot be used", path.display())).why(why)
    };
    let genesis = genesis_file::parse(&text).map_err(|error| refused(error.to_string()))?;
    TrustRoot::from_genesis(genesis).map_err(|error| refused(error.to_string()))
}
