//! What may have happened to files at rest: bits that flip, pieces that move, files that are cut, lost, swapped or copied.

use crate::cursor::Cursor;
use quorate_storage::{Disk, SimulatedDisk};
use std::collections::BTreeMap;

/// Names and contents.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) fn files_of(disk: &SimulatedDisk) -> Files {
    let names = disk.list().expect("a simulated disk lists");
    names.into_iter().map(|name| (name.clone(), disk.read(&name).expect("a listed file"))).collect()
}

pub(crate) fn disk_of(files: &Files) -> SimulatedDisk {
    let mut disk = SimulatedDisk::new();
    for (name, bytes) in files {
        disk.create(name, bytes.len() as u64).expect("a fresh name");
        disk.write_at(name, 0, bytes).expect("a fresh disk");
        disk.sync(name).expect("a fresh disk");
    }
    disk.sync_directory().expect("a fresh disk");
    disk
}

/// One of the files, but for a spare segment: the log never lets frames of a segment's number stand in one.
fn name(files: &Files, cursor: &mut Cursor<'_>) -> Option<String> {
    let names: Vec<&String> = files.keys().filter(|name| *name != "spare.log").collect();
    (!names.is_empty()).then(|| names[cursor.below(names.len())].clone())
}

/// A place in a file, more often where something was written than behind it.
fn place(bytes: &[u8], cursor: &mut Cursor<'_>) -> usize {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let within = if cursor.u8() < 240 { written } else { bytes.len() };
    usize::from(cursor.u16()) % (within + 1)
}

/// Does one thing to the files. `suffix` is what the names of the store's files end with.
pub(crate) fn edit(files: &mut Files, suffix: &str, cursor: &mut Cursor<'_>) {
    let kind = cursor.below(10);
    let Some(name) = name(files, cursor) else { return };
    match kind {
        0..=3 => edit_bytes(files.get_mut(&name).expect("chosen among them"), kind, cursor),
        4 => {
            let other = self::name(files, cursor).expect("not empty");
            let from = place(&files[&other], cursor);
            let length = usize::from(cursor.u16()) % 512;
            let piece: Vec<u8> = files[&other].iter().skip(from).take(length).copied().collect();
            let bytes = files.get_mut(&name).expect("chosen among them");
            let to = place(bytes, cursor);
            let end = (to + piece.len()).min(bytes.len());
            bytes[to..end].copy_from_slice(&piece[..end - to]);
        }
        5 => drop(files.remove(&name)),
        6 => {
            let other = self::name(files, cursor).expect("not empty");
            let (a, b) = (files[&name].clone(), files[&other].clone());
            files.insert(name, b);
            files.insert(other, a);
        }
        7 => {
            let number = cursor.one_of(&[0, 1, 2, 3, 4, 5, 6, 9, 1 << 28, u64::MAX - 1, u64::MAX]);
            let copy = files[&name].clone();
            files.insert(format!("{number:016}{suffix}"), copy);
        }
        8 => {
            let more = cursor.bytes(64);
            files.get_mut(&name).expect("chosen among them").extend(more);
        }
        _ => drop(files.insert(
            cursor.one_of(&["x.log", "1.log", "x.blk", "1.blk", "spare.log"]).to_owned(),
            Vec::new(),
        )),
    }
}

fn edit_bytes(bytes: &mut Vec<u8>, kind: usize, cursor: &mut Cursor<'_>) {
    let at = place(bytes, cursor);
    match kind {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (cursor.u8() % 8);
            }
        }
        1 => {
            let new = cursor.bytes(8);
            for (byte, new) in bytes.iter_mut().skip(at).zip(new) {
                *byte = new;
            }
        }
        2 => bytes.truncate(at),
        _ => {
            let length = usize::from(cursor.u16()) % 512;
            bytes.iter_mut().skip(at).take(length).for_each(|byte| *byte = 0);
        }
    }
}
