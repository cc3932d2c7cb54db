//! What goes wrong with machines: clocks, pauses, disks.

use super::{Cluster, Network};
use crate::random::Random;
use crate::replica::Disks;
use quorate_pbft::ReplicaStatus;
use quorate_storage::blocks::Disputed;
use quorate_storage::{Disk as _, SimulatedDisk};
use quorate_types::{ReplicaId, Seq};

/// What happens to a member's disks while its process is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Everything is gone, and an operator starts over.
    Lost,
    /// A backup is put back.
    Old,
    /// A bit of the log flips.
    LogBit,
    /// A bit of the block store flips.
    BlockBit,
    /// A write to the log goes astray.
    LogAstray,
    /// A write to the block store goes astray.
    BlockAstray,
}

/// How many bytes of a write go astray.
const ASTRAY: usize = 512;

/// Flips a bit of some file, or has a write to it go astray.
fn spoil(disk: &SimulatedDisk, bit: bool, random: &mut Random) {
    let names = disk.list().unwrap_or_default();
    let Some(name) = names.get(random.index(names.len())) else { return };
    let len = disk.read(name).map_or(0, |bytes| bytes.len());
    let place = random.index(len);
    if bit {
        disk.flip(name, place, u8::try_from(random.below(8)).unwrap_or(0));
    } else {
        disk.misdirect(name, random.index(len), place, ASTRAY);
    }
}

impl Cluster {
    /// How long a sync of every member's log takes.
    pub fn set_sync_micros(&mut self, micros: u64) {
        for node in &mut self.nodes {
            node.sync_micros = micros;
        }
    }

    /// How long a sync of one member's log takes.
    pub fn set_sync_micros_of(&mut self, member: ReplicaId, micros: u64) {
        self.nodes[member.index()].sync_micros = micros;
    }

    /// How long the core of one member waits for a block to be executed.
    pub fn set_execution_micros_of(&mut self, member: ReplicaId, micros: u64) {
        self.nodes[member.index()].execution_micros = micros;
    }

    /// Lets a member's wall clock differ.
    pub fn set_clock(&mut self, member: ReplicaId, ahead_ms: i64) {
        self.nodes[member.index()].clock.ahead_ms = ahead_ms;
    }

    /// Lets a member's monotonic clock run at so many thousandths of the true speed; for members that are not up.
    pub fn set_clock_rate(&mut self, member: ReplicaId, permille: u64) {
        self.nodes[member.index()].clock.rate = permille.max(1);
    }

    /// How many bytes one STATUS may make any member send; for members that are not up.
    pub fn set_repair_bytes(&mut self, bytes: usize) {
        for node in &mut self.nodes {
            node.tuning.repair_bytes = bytes;
        }
    }

    /// A member keeps only so many blocks below its durable state, in whole files.
    pub fn set_retain_blocks(&mut self, member: ReplicaId, blocks: u64) {
        self.nodes[member.index()].retain_blocks = Some(blocks);
    }

    /// The block whose state a member fetches, and how many of its parts are there, of how many.
    pub fn transfer(&self, member: ReplicaId) -> Option<(Seq, usize, usize)> {
        self.nodes[member.index()].process.as_ref()?.host.transfer()
    }

    /// The first block that a member still has, if it runs.
    pub fn first_block(&self, member: ReplicaId) -> Option<Seq> {
        self.nodes[member.index()].process.as_ref().map(|process| process.blocks.first())
    }

    /// Of which heights a member says nothing any more, if it runs (K4).
    pub fn disputed(&self, member: ReplicaId) -> Option<Disputed> {
        self.nodes[member.index()].process.as_ref()?.blocks.disputed()
    }

    /// Flips a bit in a member's memory, where the value of some key stands; returns whether there is one. The member must count as
    /// faulty.
    pub fn corrupt_memory(&mut self, member: ReplicaId) -> bool {
        const AMONG: usize = 16;
        let Some(process) = &mut self.nodes[member.index()].process else { return false };
        let keys = process.machine.state().kv_list(b"", None, AMONG);
        if keys.is_empty() {
            return false;
        }
        let (key, _) = &keys[self.random.index(keys.len())];
        process.machine.corrupt(key)
    }

    /// How many requests are worth a second block under way (N1); for members that are not up.
    pub fn set_gather_requests(&mut self, requests: usize) {
        for node in &mut self.nodes {
            node.tuning.gather_requests = requests;
        }
    }

    /// Stops a member's process for so many microseconds; what is meant for it waits.
    pub fn pause(&mut self, member: ReplicaId, micros: u64) {
        let until = self.now + micros;
        let node = &mut self.nodes[member.index()];
        node.paused_until = node.paused_until.max(until);
    }

    /// Every later sync of the member's log fails, until it is started again.
    pub fn fail_syncs(&mut self, member: ReplicaId) {
        self.nodes[member.index()].disks.log.fail_syncs();
    }

    /// The member's disks take so many bytes more, until it is started again.
    pub fn fill_disks(&mut self, member: ReplicaId, room: usize) {
        let disks = &self.nodes[member.index()].disks;
        for disk in [&disks.log, &disks.blocks] {
            disk.limit(disk.used() + room);
        }
    }

    /// The member's disks say that they synced and did not, until the next crash.
    pub fn lie_about_syncs(&mut self, member: ReplicaId) {
        let disks = &self.nodes[member.index()].disks;
        disks.log.lie_about_syncs();
        disks.blocks.lie_about_syncs();
    }

    /// The member's disks work again: what fills or fails them ends with the process.
    pub fn mend_disks(&mut self, member: ReplicaId) {
        let disks = &self.nodes[member.index()].disks;
        if disks.log.fails() || disks.blocks.fails() {
            self.crash(member);
        }
    }

    /// Flips a bit in the first segment of the member's log.
    ///
    /// # Errors
    /// If it has none.
    pub fn flip_in_log(&mut self, member: ReplicaId, offset: usize) -> Result<(), String> {
        let log = &self.nodes[member.index()].disks.log;
        let names = quorate_storage::Disk::list(log).map_err(|error| error.to_string())?;
        let first = names.first().ok_or("no segment")?;
        log.flip(first, offset, 3);
        Ok(())
    }

    /// Keeps an image of a member's disks, to be put back by [`DiskFault::Old`].
    pub fn back_up(&mut self, member: ReplicaId) {
        let node = &mut self.nodes[member.index()];
        let image = node.disks.fork();
        image.log.crash(|_| 0);
        image.blocks.crash(|_| 0);
        node.backup = Some(image);
    }

    /// Damages the disks of a member that is down. Its log keeps no promise from here on: it counts as faulty.
    pub fn damage(&mut self, member: ReplicaId, fault: DiskFault) {
        let node = &mut self.nodes[member.index()];
        match fault {
            DiskFault::LogBit => node.promised.damage(1),
            DiskFault::LogAstray => node.promised.damage(ASTRAY),
            _ => node.promised = crate::promised::Promised::default(),
        }
        match fault {
            DiskFault::Lost => node.disks = Disks::default(),
            DiskFault::Old => {
                if let Some(backup) = &node.backup {
                    node.disks = backup.fork();
                }
            }
            DiskFault::LogBit | DiskFault::LogAstray => {
                spoil(&node.disks.log, fault == DiskFault::LogBit, &mut self.random);
            }
            DiskFault::BlockBit | DiskFault::BlockAstray => {
                spoil(&node.disks.blocks, fault == DiskFault::BlockBit, &mut self.random);
            }
        }
    }

    /// A hash of what the cluster looks like from afar: of each member its phase, how far its view, execution, base and
    /// stable checkpoint are from the least, and what it waits for; and whether links are cut.
    pub fn abstract_state(&self) -> u64 {
        let statuses: Vec<_> = self
            .nodes
            .iter()
            .map(|node| node.process.as_ref().map(|process| process.host.status()))
            .collect();
        let up = || statuses.iter().flatten();
        let least = |of: fn(&ReplicaStatus) -> u64| up().map(of).min().unwrap_or(0);
        let (view, executed) = (least(|status| status.view.get()), least(|status| status.executed.get()));
        // Distances beyond a few are alike.
        let near = |number: u64, from: u64| (number.saturating_sub(from)).min(3);
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |word: u64| hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        for status in &statuses {
            let Some(status) = status else {
                mix(u64::MAX);
                continue;
            };
            let (proposed, committed) = (status.proposed.get(), status.committed.get());
            for word in [
                status.phase as u64,
                near(status.view.get(), view),
                u64::from(status.active),
                near(status.executed.get(), executed),
                near(committed, status.executed.get()),
                near(status.prepared.get(), committed),
                near(proposed, committed),
                near(status.base.get(), status.stable.get()),
                near(status.executed.get(), status.certified.get()),
                u64::from(status.suspicion.is_some()),
                u64::from(status.view_changes).min(3),
                u64::from(status.waiting),
            ] {
                mix(word);
            }
        }
        if let Network::Automatic(faults) = &self.network {
            mix(u64::from(!faults.cut.is_empty()));
        }
        hash
    }

    /// Whether the member's disks are one of those that a backup was made of.
    pub fn has_backup(&self, member: ReplicaId) -> bool {
        self.nodes[member.index()].backup.is_some()
    }
}
