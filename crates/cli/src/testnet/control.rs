//! Talking to the supervisor of a testnet: one line of JSON each way over a socket in the testnet's directory.

use crate::failure::{Failure, Outcome};
use crate::testnet::links::{LinkState, Rule};
use quorate_types::ErrorCode;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the supervisor is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub(crate) enum Request {
    Status,
    Signal {
        node: usize,
        signal: String,
    },
    Start {
        node: usize,
    },
    Restart {
        node: usize,
    },
    /// What these directions of links do from now on.
    Link {
        directions: Vec<(usize, usize)>,
        rule: Rule,
    },
    /// All links pass everything again.
    Heal,
    Down,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) error: Option<String>,
    pub(crate) nodes: Vec<NodeState>,
    /// Empty unless the testnet was started with `--links`.
    #[serde(default)]
    pub(crate) links: Vec<LinkState>,
}

/// One replica as its supervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeState {
    pub(crate) name: String,
    /// `running`, `paused`, `down`
    pub(crate) state: String,
    pub(crate) pid: Option<u32>,
    pub(crate) since_ms: u64,
    /// How it ended, if it is down.
    pub(crate) ended: String,
}

/// The lock that a supervisor holds on its directory; the file tells who.
pub(crate) struct Lock {
    _file: File,
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("testnet.lock")
}

impl Lock {
    /// Takes the lock and notes pid and start time.
    pub(crate) fn take(dir: &Path) -> Outcome<Self> {
        let path = lock_path(dir);
        let io = |error: std::io::Error| Failure::io(&path, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        if file.try_lock().is_err() {
            return Err(Failure::new(ErrorCode::StoreLocked)
                .what(format!("the testnet in {} is up already", dir.display()))
                .why(format!("its supervisor is process {}", holder(dir).unwrap_or_default()))
                .fix(format!("quorate testnet down {}", dir.display())));
        }
        let pid = std::process::id();
        let started = crate::process::start_time(pid).unwrap_or_default();
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        write!(file, "{pid} {started}").and_then(|()| file.sync_all()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Whether a supervisor holds the directory.
pub(crate) fn is_up(dir: &Path) -> bool {
    let Ok(file) = File::open(lock_path(dir)) else { return false };
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(std::fs::TryLockError::WouldBlock) => true,
        Err(std::fs::TryLockError::Error(_)) => false,
    }
}

fn holder(dir: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(lock_path(dir)).ok()?.read_to_string(&mut text).ok()?;
    text.split_whitespace().next().map(ToOwned::to_owned)
}

/// The socket's path through an open directory: short, however deep the directory lies.
pub(crate) fn with_socket_path<R>(dir: &Path, work: impl FnOnce(&Path) -> R) -> std::io::Result<R> {
    let handle = File::open(dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", handle.as_raw_fd()));
    Ok(work(&path))
}

fn connect(dir: &Path) -> std::io::Result<UnixStream> {
    with_socket_path(dir, |path| UnixStream::connect(path))?
}

/// Asks the supervisor of a directory.
pub(crate) fn ask(dir: &Path, request: &Request) -> Outcome<Reply> {
    let stream = connect(dir).map_err(|_| {
        Failure::new(ErrorCode::NotRunning)
            .what(format!("the testnet in {} is not running", dir.display()))
            .fix(format!("quorate testnet up {}", dir.display()))
    })?;
    let io = |error: std::io::Error| Failure::io(&dir.join("control.sock"), &error);
    stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(io)?;
    let text = serde_json::to_string(request).expect("plain fields");
    writeln!(&stream, "{text}").map_err(io)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).map_err(io)?;
    let reply: Reply = serde_json::from_str(&line)
        .map_err(|error| Failure::input("the supervisor's answer cannot be read", error.to_string()))?;
    match reply.error {
        Some(why) => Err(Failure::new(ErrorCode::Usage).what("the supervisor refused").why(why)),
        None => Ok(reply),
    }
}
