//! A testnet of real processes, and the command line as a user runs it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The end of every wait that a condition should end sooner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One cluster at a time: a dozen on two cores would measure the scheduler.
static TURN: Mutex<()> = Mutex::new(());

/// A directory with its own home, for everything that a command might write.
pub(crate) struct Place {
    _turn: MutexGuard<'static, ()>,
    pub(crate) dir: tempfile::TempDir,
    address: String,
    /// What the environment of every process has besides.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
}

impl Place {
    /// `number` is the test's own: its replicas listen on 127.77.number.1.
    pub(crate) fn new(number: u8) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, address) = (tempfile::tempdir().unwrap(), format!("127.77.{number}.1"));
        Self { _turn: turn, dir, address, environment: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `quorate` with these arguments, in this place.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs what must succeed and returns its stdout.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must fail with this exit code and returns the document on stderr.
    pub(crate) fn fail(&self, arguments: &[&str], exit: i32) -> Value {
        let output = self.run(&[&["-o", "json", "-q"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {stderr}");
        serde_json::from_str(&stderr).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stderr}"))
    }

    /// A new testnet in `net`, up, commands run with `in_net`.
    pub(crate) fn testnet(&self, options: &[&str]) -> Net<'_> {
        let net = self.new_testnet(options);
        net.up();
        net
    }

    /// One whose links can be made worse.
    pub(crate) fn testnet_with_links(&self) -> Net<'_> {
        let net = self.new_testnet(&[]);
        net.up_with(&["--links"]);
        net
    }

    fn new_testnet(&self, options: &[&str]) -> Net<'_> {
        self.succeed(
            &[&["testnet", "new", "net", "--base-port", "0", "--address", &self.address], options].concat(),
        );
        Net { place: self }
    }
}

/// A running testnet; stopped when dropped.
pub(crate) struct Net<'p> {
    pub(crate) place: &'p Place,
}

impl Net<'_> {
    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path("net")
    }

    pub(crate) fn up(&self) {
        self.up_with(&[]);
    }

    fn up_with(&self, options: &[&str]) {
        self.place.succeed(&[&["testnet", "up", "net", "--detach"], options].concat());
        // The supervisor too commits a transaction to see whether all is well.
        let log = self.dir().join("supervisor.log");
        until("the supervisor is content", || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.contains("ready in"))
        });
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command.current_dir(self.dir());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs what must succeed.
    pub(crate) fn succeed(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs what must succeed and returns its JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["-o", "json", "--timeout", "60s"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Whether every replica votes, and what `status` says of them. It fails while one does not: `up` waits for a quorum only.
    pub(crate) fn status(&self) -> (bool, Value) {
        let output = self.run(&["-o", "json", "status"]);
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// The member that the replicas in reach call primary.
    pub(crate) fn primary(&self) -> usize {
        let (_, status) = self.status();
        let nodes = status["nodes"].as_array().unwrap();
        let newest =
            nodes.iter().filter(|node| node["view"].is_u64()).max_by_key(|node| node["view"].as_u64());
        usize::try_from(newest.unwrap()["primary"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Net<'_> {
    fn drop(&mut self) {
        let _ = self.place.run(&["testnet", "down", "net"]);
    }
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every replica votes and has executed as much as the others.
pub(crate) fn all_equal(net: &Net<'_>) -> bool {
    let (all_vote, status) = net.status();
    let Some(nodes) = status["nodes"].as_array() else { return false };
    let executed: Vec<_> = nodes.iter().map(|node| &node["executed"]).collect();
    all_vote && executed.windows(2).all(|pair| pair[0].is_u64() && pair[0] == pair[1])
}

/// Whether a process runs and is no zombie.
pub(crate) fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The processes whose parent this is.
pub(crate) fn children(parent: u32) -> Vec<u64> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Waits until a file is there.
pub(crate) fn appears(path: &Path, child: &mut Child) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "{} does not appear", path.display());
        assert!(child.try_wait().unwrap().is_none(), "the process ended before {} appeared", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Puts a copy of a directory in the place of another, if that is there.
pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, target) = (entry.unwrap().path(), to.to_owned());
        let target = target.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}
