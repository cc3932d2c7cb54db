//! What the system says of processes and directories.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;

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
