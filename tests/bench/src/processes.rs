//! What the system says of processes and directories.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::hint::black_box;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A process that ends with this.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// CPU time that a process took, in user and in kernel mode.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|why| why.to_string())?;
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    // utime and stime, in hundredths of a second.
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|why| why.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<f64>().ok());
    Ok(kib.ok_or("the system does not tell the resident memory")? / 1_024.0)
}

/// Bytes of all files below a directory, in MiB. A file that goes away meanwhile counts nothing.
pub(crate) fn disk_mib(directory: &Path) -> f64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0.0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => disk_mib(&entry.path()),
            Ok(data) => data.len() as f64 / f64::from(1 << 20),
            Err(_) => 0.0,
        })
        .sum()
}

/// SIGKILL.
pub(crate) fn kill_at_once(pid: u32) -> Result<(), String> {
    let pid = i32::try_from(pid).map_err(|why| why.to_string())?;
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|why| why.to_string())
}

/// A thread that keeps one core busy with nothing until it is dropped.
pub(crate) struct Spinner {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    pub(crate) fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let spin = move || {
            let mut count = 0u64;
            while !seen.load(Ordering::Relaxed) {
                count = black_box(count).wrapping_add(1);
            }
        };
        Self { over, thread: Some(std::thread::spawn(spin)) }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
