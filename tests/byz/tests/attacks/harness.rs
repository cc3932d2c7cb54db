//! A testnet of real processes, of which one may be `quorate-byz`. All are children of the test and die with it.

use crate::judge::{judge_of, trust};
use crate::load::Load;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quorate_client::v1::{GetStatusRequest, Status, ledger_client::LedgerClient};
use quorate_client::{Ed25519Signer, Receipt};
use serde_json::Value;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The end of every wait that a condition should end sooner: more than the bound of V6 with the default timeouts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What an honest process may hold at its peak, in KiB.
const MOST_HELD_KIB: u64 = 256 * 1024;
/// What it may have asked for at its peak: lengths that lie must not buy memory, not even such as is never touched.
const MOST_ASKED_KIB: u64 = 768 * 1024;

/// One cluster at a time: several on two cores would measure the scheduler.
static TURN: Mutex<()> = Mutex::new(());

/// What a testnet is made of.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) n: usize,
    pub(crate) checkpoint_every: u64,
}

/// The honest binary: of the same build directory as the liar.
fn quorate() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_quorate-byz")).with_file_name("quorate");
    assert!(
        path.exists(),
        "{} is not built: `cargo test --workspace` builds it, or `cargo build -p quorate` in the same profile",
        path.display()
    );
    path
}

/// A running testnet.
pub(crate) struct Net {
    honest: Vec<(usize, Option<Child>)>,
    /// With the file that its words go to.
    liar: Option<(Child, PathBuf)>,
    place: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Net {
    /// All honest but `liar`, who lies in these ways. Replicas listen on 127.78.number.1: a number for each test.
    pub(crate) fn new(number: u8, plan: Plan, liar: usize, ways: &[u16]) -> Self {
        let mut net = Self::prepare(number, plan);
        net.honest = (0..plan.n).filter(|index| *index != liar).map(|index| (index, None)).collect();
        let node = net.node(liar);
        net.set_up_liar(&["node", "--dir", node.to_str().unwrap()], ways, &node.join("node.log"));
        net.start_all();
        net
    }

    /// All honest.
    pub(crate) fn without_liar(number: u8, plan: Plan) -> Self {
        let mut net = Self::prepare(number, plan);
        net.honest = (0..plan.n).map(|index| (index, None)).collect();
        net.start_all();
        net
    }

    fn prepare(number: u8, plan: Plan) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let place = tempfile::tempdir().unwrap();
        let net = Self { honest: Vec::new(), liar: None, place, _turn: turn };
        let (n, every) = (plan.n.to_string(), plan.checkpoint_every.to_string());
        let address = format!("127.78.{number}.1");
        let made = net
            .command(&quorate())
            .args(["testnet", "new", "net", "--base-port", "0", "--address", &address])
            .args(["-n", &n, "--checkpoint-every", &every, "--open"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        net
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.place.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.place.path())
            // Address space that the allocators reserve in advance, a gibibyte and more, says nothing of what was asked for.
            .env("MIMALLOC_ARENA_RESERVE", "65536")
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("net")
    }

    fn node(&self, index: usize) -> PathBuf {
        self.dir().join(format!("node{index}"))
    }

    fn spawn(&self, program: &Path, arguments: &[&str], log: &Path) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        self.command(program)
            .args(arguments)
            .args(["--with-parent", &std::process::id().to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn set_up_liar(&mut self, arguments: &[&str], ways: &[u16], log: &Path) {
        let ways = ways.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let report = self.report();
        let seed = std::env::var("QUORATE_BYZ_SEED").unwrap_or_else(|_| "7".to_owned());
        let more = ["--behaviour", &ways, "--seed", &seed, "--report", report.to_str().unwrap()];
        let program = Path::new(env!("CARGO_BIN_EXE_quorate-byz"));
        self.liar = Some((self.spawn(program, &[arguments, &more].concat(), log), log.to_owned()));
    }

    fn report(&self) -> PathBuf {
        self.place.path().join("lies.json")
    }

    fn start_all(&mut self) {
        for index in self.honest.iter().map(|(index, _)| *index).collect::<Vec<_>>() {
            self.start(index);
        }
    }

    /// Starts an honest member that does not run.
    pub(crate) fn start(&mut self, index: usize) {
        let node = self.node(index);
        let arguments = ["node", "run", "--dir", node.to_str().unwrap()];
        let child = self.spawn(&quorate(), &arguments, &node.join("node.log"));
        let place = self.honest.iter_mut().find(|(other, _)| *other == index).unwrap();
        assert!(place.1.replace(child).is_none(), "node{index} ran already");
    }

    fn child(&mut self, index: usize) -> &mut Child {
        let (_, child) = self.honest.iter_mut().find(|(other, _)| *other == index).unwrap();
        child.as_mut().unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, index: usize) {
        self.child(index).kill().unwrap();
        self.child(index).wait().unwrap();
        self.honest.iter_mut().find(|(other, _)| *other == index).unwrap().1 = None;
    }

    pub(crate) fn pause(&mut self, index: usize) {
        send(self.child(index), Signal::SIGSTOP);
    }

    pub(crate) fn resume(&mut self, index: usize) {
        send(self.child(index), Signal::SIGCONT);
    }

    /// Clients that misbehave in these ways, under a key of their own, at one gateway. At all of them it would be the load
    /// that is tested: whatever is asked of any gateway is verified by every member.
    pub(crate) fn bother(&mut self, ways: &[u16]) {
        let (genesis, key) = (self.dir().join("genesis.toml"), self.place.path().join("deaf.pem"));
        Ed25519Signer::generate().write_file(&key, None).unwrap();
        let endpoint = &self.endpoints()[0];
        let (genesis, key) = (genesis.to_str().unwrap(), key.to_str().unwrap());
        let arguments = ["client", "--endpoint", endpoint, "--genesis", genesis, "--key", key];
        let log = self.place.path().join("client.log");
        self.set_up_liar(&arguments, ways, &log);
    }

    /// The gateways of the honest.
    fn endpoints(&self) -> Vec<String> {
        let trust = trust(&self.dir());
        let members = &trust.genesis().members;
        self.honest.iter().map(|(index, _)| members[*index].api.replace("http://", "")).collect()
    }

    /// Clients at the honest gateways, once one of them answers.
    pub(crate) fn load(&self, count: usize) -> Load {
        let endpoints = self.endpoints();
        until("the gateways listen", || {
            endpoints.iter().all(|one| std::net::TcpStream::connect(one).is_ok())
        });
        Load::start(&self.dir(), endpoints, count)
    }

    /// Whether it lied in each of these ways.
    pub(crate) fn lied(&self, ways: &[u16]) -> bool {
        let Ok(text) = std::fs::read_to_string(self.report()) else { return false };
        let report: Value = serde_json::from_str(&text).unwrap();
        ways.iter().all(|way| report["lies"][way.to_string()].as_u64().is_some_and(|count| count > 0))
    }

    /// Waits until it lied in each of these ways.
    pub(crate) fn until_lied(&self, ways: &[u16]) {
        let start = Instant::now();
        while !self.lied(ways) {
            let said = std::fs::read_to_string(self.report()).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "lies in {ways:?} were wanted within {PATIENCE:?}: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Pauses the primary, or whom the view change passes over if the liar is primary, until the honest are in a higher view
    /// or some seconds have passed: a liar may keep its view alive.
    pub(crate) fn unseat(&mut self, liar: usize) {
        const AT_MOST: Duration = Duration::from_secs(4);
        let view = || self.endpoints().iter().filter_map(|one| position(one)).map(|status| status.view).max();
        let before = view().unwrap_or(0);
        let members = self.honest.len() as u64 + 1;
        let next = [before, before + 1].map(|view| usize::try_from(view % members).unwrap());
        let victim = next.into_iter().find(|member| *member != liar).unwrap();
        let others: Vec<String> = self
            .honest
            .iter()
            .map(|(index, _)| *index)
            .zip(self.endpoints())
            .filter(|(index, _)| *index != victim)
            .map(|(_, endpoint)| endpoint)
            .collect();
        self.pause(victim);
        let start = Instant::now();
        let rose = |one: &String| position(one).is_some_and(|status| status.view > before);
        while start.elapsed() < AT_MOST && !others.iter().any(rose) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.resume(victim);
    }

    /// Stops who lies, who must have been alive until now.
    pub(crate) fn end_of_liar(&mut self) {
        let Some((mut liar, log)) = self.liar.take() else { return };
        assert!(liar.try_wait().unwrap().is_none(), "the liar died, nothing was shown: {}", end_of(&log));
        send(&liar, Signal::SIGTERM);
        let status = liar.wait().unwrap();
        assert!(status.success(), "the liar ends in good order: {status}: {}", end_of(&log));
        let report = std::fs::read_to_string(self.report()).unwrap();
        eprintln!("{report}");
    }

    /// The honest ends: all have executed as much while the liar goes on, none died, all stop in good order, and their
    /// directories hold equal ledgers with everything that clients have receipts for.
    pub(crate) fn judge(mut self, receipts: Vec<Receipt>) {
        let endpoints = self.endpoints();
        until("the honest stand at the same block", || {
            let heights: Vec<_> = endpoints.iter().map(|one| executed(one)).collect();
            heights.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1])
        });
        let honest: Vec<usize> = self.honest.iter().map(|(index, _)| *index).collect();
        for index in &honest {
            let id = self.child(*index).id();
            assert!(
                self.child(*index).try_wait().unwrap().is_none(),
                "node{index} died: {}",
                self.log(*index)
            );
            let (held, asked) = (peak_kib(id, "VmHWM:"), peak_kib(id, "VmPeak:"));
            eprintln!("node{index}: at most {held} KiB, {asked} KiB with what was never touched");
            assert!(held < MOST_HELD_KIB && asked < MOST_ASKED_KIB, "node{index}: {held} KiB, {asked} KiB");
        }
        self.end_of_liar();
        for index in &honest {
            send(self.child(*index), Signal::SIGTERM);
        }
        for index in &honest {
            let status = self.child(*index).wait().unwrap();
            assert!(status.success(), "node{index}: {status}: {}", self.log(*index));
        }
        let blocks = judge_of(&self.dir(), &honest, &receipts).unwrap();
        eprintln!("{blocks} blocks, {} receipts", receipts.len());
    }

    /// The end of a member's log.
    fn log(&self, index: usize) -> String {
        end_of(&self.node(index).join("node.log"))
    }
}

fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

impl Drop for Net {
    fn drop(&mut self) {
        let honest = self.honest.iter_mut().filter_map(|(_, child)| child.as_mut());
        for child in honest.chain(self.liar.as_mut().map(|(liar, _)| liar)) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How far a replica has executed, if it answers.
fn executed(endpoint: &str) -> Option<u64> {
    Some(position(endpoint)?.executed)
}

/// Where a replica stands, if it answers.
fn position(endpoint: &str) -> Option<Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut api = LedgerClient::connect(format!("http://{endpoint}")).await.ok()?;
        let status = tokio::time::timeout(Duration::from_secs(5), api.get_status(GetStatusRequest {})).await;
        Some(status.ok()?.ok()?.into_inner())
    })
}

/// A peak of a process's memory.
fn peak_kib(id: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
