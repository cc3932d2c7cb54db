//! Disks of replicas that fail, that are full, or that lose what was not synced: `shim/disk.c`, preloaded into every process of a place.

use crate::harness::Place;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A write that was not synced: what it replaced, and what it wrote.
struct Write {
    at: u64,
    before: u64,
    after: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// The disks of a place.
pub(crate) struct DiskShim {
    faults: PathBuf,
    journals: PathBuf,
}

impl DiskShim {
    /// Every process that is started in this place from now on has it.
    pub(crate) fn preload(place: &mut Place) -> Self {
        let root = place.dir.path().canonicalize().unwrap();
        let library = root.join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCE);
        let options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"];
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            .args(options)
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(compiled.unwrap().success(), "{} compiles", source.display());
        let (faults, journals) = (root.join("faults"), root.join("journals"));
        std::fs::create_dir(&faults).unwrap();
        std::fs::create_dir(&journals).unwrap();
        place.environment = vec![
            ("LD_PRELOAD", library),
            ("QUORATE_SHIM_ROOT", root),
            ("QUORATE_SHIM_FAULTS", faults.clone()),
            ("QUORATE_SHIM_JOURNALS", journals.clone()),
        ];
        Self { faults, journals }
    }

    /// From now on writes that lengthen a file fail (`full`), or syncs (`eio`), where its path contains this.
    pub(crate) fn strike(&self, fault: &str, path: &str) {
        let draft = self.faults.join("draft");
        std::fs::write(&draft, path).unwrap();
        std::fs::rename(draft, self.faults.join(fault)).unwrap();
    }

    pub(crate) fn mend(&self, fault: &str) {
        std::fs::remove_file(self.faults.join(fault)).unwrap();
    }

    /// What a power cut does to the files of processes that were killed: of each write that was not synced, `keeps` says whether it
    /// reached the disk all the same. Returns how many did not.
    pub(crate) fn cut_power(&self, mut keeps: impl FnMut() -> bool) -> usize {
        let mut lost = 0;
        for entry in std::fs::read_dir(&self.journals).unwrap() {
            let journal = entry.unwrap().path();
            let name = journal.file_name().unwrap().to_str().unwrap().to_owned();
            let file = PathBuf::from(name.replace('%', "/"));
            let writes = writes_of(&std::fs::read(&journal).unwrap());
            if let Ok(file) = File::options().write(true).open(&file) {
                // As it was when last synced, and then what reached the disk.
                for write in writes.iter().rev() {
                    file.write_all_at(&write.old, write.at).unwrap();
                    file.set_len(write.before).unwrap();
                }
                for write in writes {
                    if keeps() {
                        file.write_all_at(&write.new, write.at).unwrap();
                        if write.new.is_empty() {
                            file.set_len(write.after).unwrap();
                        }
                    } else {
                        lost += 1;
                    }
                }
            }
            std::fs::remove_file(journal).unwrap();
        }
        lost
    }
}

const SOURCE: &str = "../../tests/cluster/shim/disk.c";

/// The records of a journal. One that is cut short was of a write that was not made.
fn writes_of(bytes: &[u8]) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_at_checked(40) {
        let word = |at: usize| u64::from_ne_bytes(head[8 * at..8 * at + 8].try_into().unwrap());
        let (old, new) = (usize::try_from(word(2)).unwrap(), usize::try_from(word(3)).unwrap());
        let Some((old, behind)) = behind.split_at_checked(old) else { break };
        let Some((new, behind)) = behind.split_at_checked(new) else { break };
        let (at, before, after) = (word(0), word(1), word(4));
        writes.push(Write { at, before, after, old: old.to_vec(), new: new.to_vec() });
        rest = behind;
    }
    writes
}
