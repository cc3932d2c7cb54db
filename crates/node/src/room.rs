//! How much room the data directory takes, and how much its disk has left: told in time, since a full disk ends the node (D3).

use crate::shared::Shared;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(20);
/// Less than this is little, or less than a twentieth of a small disk.
const LITTLE: u64 = 1 << 30;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of the log, the blocks, the state, and all else.
    pub(crate) taken: [(&'static str, u64); 4],
    /// Bytes that the disk has left for this process.
    pub(crate) free: u64,
    /// Bytes of the whole disk.
    pub(crate) disk: u64,
}

impl Room {
    /// Files that come and go meanwhile count or do not.
    #[allow(clippy::useless_conversion, reason = "the types differ between systems")]
    fn measure(directory: &Path) -> io::Result<Self> {
        let mut taken = [("wal", 0), ("blocks", 0), ("state", 0), ("other", 0)];
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let place = match name.as_str() {
                "wal" => 0,
                "blocks" => 1,
                name if name.starts_with("state.redb") => 2,
                _ => 3,
            };
            taken[place].1 += bytes_below(&entry.path())?;
        }
        let disk = nix::sys::statvfs::statvfs(directory).map_err(io::Error::from)?;
        let unit = u64::from(disk.fragment_size());
        Ok(Self {
            taken,
            free: unit.saturating_mul(u64::from(disk.blocks_available())),
            disk: unit.saturating_mul(u64::from(disk.blocks())),
        })
    }

    /// What an operator should know of it, if anything.
    fn alarm(&self, most: Option<u64>, directory: &Path) -> Option<String> {
        let taken: u64 = self.taken.iter().map(|(_, bytes)| bytes).sum();
        let place = directory.display();
        if self.free < LITTLE.min(self.disk / 20) {
            return Some(format!(
                "{} are left on the disk of {place}, and a full disk ends this node: make room, or lower storage.retain-blocks",
                shown(self.free)
            ));
        }
        let most = most.filter(|most| taken > *most)?;
        Some(format!(
            "{place} takes {}, more than storage.max-disk-mib allows ({}): lower storage.retain-blocks, or raise it",
            shown(taken),
            shown(most)
        ))
    }
}

/// For people.
fn shown(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// The lengths of a file, or of all files in a directory.
fn bytes_below(path: &Path) -> io::Result<u64> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let found = match path.symlink_metadata() {
        Err(error) if gone(&error) => return Ok(0),
        found => found?,
    };
    if !found.is_dir() {
        return Ok(found.len());
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        bytes += bytes_below(&entry?.path())?;
    }
    Ok(bytes)
}

/// Measures now and then, until this run is over.
pub(crate) async fn run(directory: PathBuf, most: Option<u64>, shared: Arc<Shared>) {
    let mut over = shared.over();
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = over.wait_for(|over| *over) => return,
        }
        let place = directory.clone();
        let measured = tokio::task::spawn_blocking(move || Room::measure(&place)).await;
        match measured {
            Ok(Ok(room)) => {
                shared.metrics.room(&room);
                tell(&shared, room.alarm(most, &directory));
            }
            Ok(Err(error)) => {
                tracing::warn!(event = "room_unknown", %error, "cannot tell how much room the store takes: {error}");
            }
            Err(_) => return,
        }
    }
}

/// Says what is new: an alarm that goes on is said once.
fn tell(shared: &Shared, alarm: Option<String>) {
    let before = shared.change_alarm(alarm.clone());
    match (before, alarm) {
        (None, Some(alarm)) => tracing::warn!(event = "disk_alarm", "{alarm}"),
        (Some(_), None) => tracing::info!(event = "disk_alarm_over", "there is room on the disk again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
