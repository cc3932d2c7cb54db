//! Runs the replicas of a testnet as child processes, and stops them whatever happens to itself.
//!
//! Each child has its own process group, so Ctrl-C reaches the supervisor alone, and asks the kernel for death when its
//! parent's thread dies. The supervisor never restarts a replica by itself, and signals only processes that it started and
//! has not yet waited for.

use crate::failure::{Failure, Outcome};
use crate::testnet::control::{Lock, NodeState, Reply, Request, with_socket_path};
use crate::testnet::layout::Testnet;
use crate::testnet::links::Links;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quorate_types::ErrorCode;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// A replica that was told to stop has this long before it is killed.
const GRACE: Duration = Duration::from_secs(5);

struct Replica {
    name: String,
    child: Option<Child>,
    paused: bool,
    since: Instant,
    ended: String,
}

/// Why the supervisor stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Asked,
    /// By this signal.
    Signal(i32),
}

/// The replicas of one directory.
pub(crate) struct Supervisor {
    dir: PathBuf,
    replicas: Vec<Replica>,
    /// The links between them, if they can be made worse.
    links: Option<Links>,
    socket: UnixListener,
    _lock: Lock,
}

impl Supervisor {
    /// Takes the directory and starts the replicas, with links between them that can be made worse if `links`. To be called on the
    /// main thread: children die with it.
    pub(crate) async fn start(dir: &Path, testnet: &Testnet, only: &[usize], links: bool) -> Outcome<Self> {
        if let Some(none) = only.iter().find(|index| **index >= testnet.node.len()) {
            return Err(Failure::new(ErrorCode::Usage).what(format!("there is no replica {none}")));
        }
        let lock = Lock::take(dir)?;
        let path = dir.join("control.sock");
        let io = |error: std::io::Error| Failure::io(&path, &error);
        let _ = std::fs::remove_file(&path);
        let socket =
            with_socket_path(dir, |path| UnixListener::bind(path)).and_then(|bound| bound).map_err(io)?;
        let replica = |name: &str| Replica {
            name: name.to_owned(),
            child: None,
            paused: false,
            since: Instant::now(),
            ended: "not started".to_owned(),
        };
        let replicas = testnet.node.iter().map(|place| replica(&place.name)).collect();
        let links = match links {
            false => None,
            true => Some(Links::start(testnet).await.map_err(io)?),
        };
        let mut supervisor = Self { dir: dir.to_owned(), replicas, links, socket, _lock: lock };
        for index in 0..testnet.node.len() {
            if only.is_empty() || only.contains(&index) {
                supervisor.spawn(index).map_err(|why| Failure::new(ErrorCode::Io).what(why))?;
            }
        }
        Ok(supervisor)
    }

    fn spawn(&mut self, index: usize) -> Result<(), String> {
        let node = Testnet::node_dir(&self.dir, index);
        let replica = &mut self.replicas[index];
        if replica.child.is_some() {
            return Err(format!("{} runs already", replica.name));
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let log = OpenOptions::new().create(true).append(true).open(node.join("node.log"));
        let log: File = log.map_err(|error| format!("{}: {error}", node.join("node.log").display()))?;
        let child = Command::new(program)
            .envs(self.links.as_ref().map(|links| links.environment(index)))
            .args(["node", "run", "--with-parent", &std::process::id().to_string(), "--dir"])
            .arg(&node)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", replica.name))?;
        replica.child = Some(child);
        replica.paused = false;
        replica.since = Instant::now();
        Ok(())
    }

    /// Notices children that ended.
    fn reap(&mut self) {
        for replica in &mut self.replicas {
            let Some(child) = &mut replica.child else { continue };
            if let Ok(Some(status)) = child.try_wait() {
                replica.ended = describe(status);
                replica.child = None;
                replica.paused = false;
                replica.since = Instant::now();
            }
        }
    }

    /// Serves until asked to stop, by the socket, a signal, or `until`; then stops every replica.
    pub(crate) async fn serve<T>(mut self, until: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::pin!(until);
        let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened for");
        let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
        let mut hang_up = signal(SignalKind::hangup()).expect("signals can be listened for");
        let mut child = signal(SignalKind::child()).expect("signals can be listened for");
        let ended = loop {
            tokio::select! {
                done = &mut until => break Ok(done),
                _ = interrupt.recv() => break Err(Ended::Signal(2)),
                _ = terminate.recv() => break Err(Ended::Signal(15)),
                _ = hang_up.recv() => break Err(Ended::Signal(1)),
                _ = child.recv() => self.reap(),
                Ok((stream, _)) = self.socket.accept() => {
                    if self.answer(stream).await {
                        break Err(Ended::Asked);
                    }
                }
            }
        };
        tokio::select! {
            () = self.stop_all() => {}
            // A second one: at once.
            _ = interrupt.recv() => self.kill_all(),
            _ = terminate.recv() => self.kill_all(),
        }
        let _ = std::fs::remove_file(self.dir.join("control.sock"));
        ended
    }

    /// One request. Returns whether to stop; the answer to that comes when all has stopped.
    async fn answer(&mut self, stream: UnixStream) -> bool {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let asked =
            tokio::time::timeout(Duration::from_secs(2), BufReader::new(read).read_line(&mut line)).await;
        self.reap();
        let request = match asked {
            Ok(Ok(_)) => serde_json::from_str::<Request>(&line).map_err(|error| error.to_string()),
            _ => Err("no request came".to_owned()),
        };
        let mut down = false;
        let done = match request {
            Ok(Request::Status) => Ok(()),
            Ok(Request::Signal { node, signal }) => self.signal(node, &signal).await,
            Ok(Request::Start { node }) => self.known(node).and_then(|()| self.spawn(node)),
            Ok(Request::Restart { node }) => self.restart(node).await,
            Ok(Request::Link { directions, rule }) => {
                self.known_links().and_then(|links| links.set(&directions, rule))
            }
            Ok(Request::Heal) => self.known_links().map(Links::heal),
            Ok(Request::Down) => {
                down = true;
                self.stop_all().await;
                Ok(())
            }
            Err(why) => Err(why),
        };
        let links = self.links.as_ref().map(Links::states).unwrap_or_default();
        let reply = Reply { error: done.err(), nodes: self.states(), links };
        let text = serde_json::to_string(&reply).expect("plain fields") + "\n";
        // Whoever asked may be gone.
        let _ = write.write_all(text.as_bytes()).await;
        down
    }

    fn known_links(&self) -> Result<&Links, String> {
        self.links
            .as_ref()
            .ok_or_else(|| "its links are plain ones: start it with testnet up --links".to_owned())
    }

    fn known(&self, node: usize) -> Result<(), String> {
        match self.replicas.get(node) {
            Some(_) => Ok(()),
            None => Err(format!("there is no replica {node}; there are 0 to {}", self.replicas.len() - 1)),
        }
    }

    async fn signal(&mut self, node: usize, name: &str) -> Result<(), String> {
        self.known(node)?;
        let replica = &mut self.replicas[node];
        let which: Signal = format!("SIG{name}").parse().map_err(|_| format!("{name} is no signal"))?;
        // Held by us and not waited for, so the pid is still this child's.
        let pid =
            replica.child.as_ref().and_then(Child::id).ok_or_else(|| format!("{} is down", replica.name))?;
        kill(Pid::from_raw(i32::try_from(pid).map_err(|error| error.to_string())?), which)
            .map_err(|error| error.to_string())?;
        match which {
            Signal::SIGSTOP => replica.paused = true,
            Signal::SIGCONT => replica.paused = false,
            // Whoever asks next sees it gone.
            Signal::SIGKILL => stop(replica).await,
            _ => {}
        }
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<(), String> {
        self.known(node)?;
        stop(&mut self.replicas[node]).await;
        self.spawn(node)
    }

    async fn stop_all(&mut self) {
        for replica in &self.replicas {
            terminate(replica);
        }
        for replica in &mut self.replicas {
            stop(replica).await;
        }
    }

    fn kill_all(&mut self) {
        for replica in &mut self.replicas {
            if let Some(child) = &mut replica.child {
                let _ = child.start_kill();
            }
        }
    }

    fn states(&self) -> Vec<NodeState> {
        let state = |replica: &Replica| NodeState {
            name: replica.name.clone(),
            state: match &replica.child {
                None => "down".to_owned(),
                Some(_) if replica.paused => "paused".to_owned(),
                Some(_) => "running".to_owned(),
            },
            pid: replica.child.as_ref().and_then(Child::id),
            since_ms: u64::try_from(replica.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            ended: if replica.child.is_some() { String::new() } else { replica.ended.clone() },
        };
        self.replicas.iter().map(state).collect()
    }
}

/// Asks a replica to end; a paused one cannot hear it until it goes on.
fn terminate(replica: &Replica) {
    let pid = replica.child.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.map(Pid::from_raw) {
        let _ = kill(pid, Signal::SIGTERM);
        let _ = kill(pid, Signal::SIGCONT);
    }
}

async fn stop(replica: &mut Replica) {
    terminate(replica);
    let Some(mut child) = replica.child.take() else { return };
    let status = match tokio::time::timeout(GRACE, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    replica.ended = status.map_or_else(|error| error.to_string(), describe);
    replica.paused = false;
    replica.since = Instant::now();
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(name) => format!("killed by {name}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => "ended".to_owned(),
    }
}
