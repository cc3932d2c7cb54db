//! What /proc tells about processes.

use std::path::Path;

/// When a process started, in clock ticks since boot: with the pid it names one process for good.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may itself contain spaces and parentheses.
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// `process PID "COMMAND"` for whoever listens on a port of this machine.
pub(crate) fn holder_of_port(protocol: &str, port: u16) -> Option<String> {
    let table = std::fs::read_to_string(format!("/proc/net/{protocol}")).ok()?;
    let wanted = format!(":{port:04X}");
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = protocol == "udp" || fields.get(3) == Some(&"0A");
        (fields.get(1)?.ends_with(&wanted) && listens).then(|| fields.get(9).map(ToString::to_string))?
    })?;
    let socket = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if owns(&process.path(), &socket) {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            return Some(format!("process {pid} \"{}\" listens on it", command.trim()));
        }
    }
    None
}

fn owns(process: &Path, socket: &str) -> bool {
    let Ok(files) = std::fs::read_dir(process.join("fd")) else { return false };
    files
        .flatten()
        .any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}
