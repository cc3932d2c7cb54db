//! The disk port: everything the log and the block store do to files goes through it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Files in one flat directory.
pub trait Disk {
    /// The names of the files.
    ///
    /// # Errors
    /// If the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A file's whole content.
    ///
    /// # Errors
    /// If the file is missing or cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Part of a file's content, exactly `len` bytes.
    ///
    /// # Errors
    /// If the file is missing, too short, or cannot be read.
    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Makes a file of `len` zero bytes. A synced write into it later needs no allocation.
    ///
    /// # Errors
    /// If the file exists or the disk fails.
    fn create(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Writes at an offset; not durable before [`Disk::sync`].
    ///
    /// # Errors
    /// If the disk fails or is full.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// If the disk fails: nothing about the file may be assumed afterwards (D3).
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable (D4).
    ///
    /// # Errors
    /// If the disk fails.
    fn sync_directory(&mut self) -> io::Result<()>;

    /// Renames a file, replacing another.
    ///
    /// # Errors
    /// If the disk fails.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// If the disk fails.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Cuts a file to `len` bytes.
    ///
    /// # Errors
    /// If the disk fails.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    open: BTreeMap<String, File>,
}

impl RealDisk {
    /// The existing directory at this path.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn open(directory: &Path) -> io::Result<Self> {
        if !directory.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("no directory {}", directory.display()),
            ));
        }
        Ok(Self { directory: directory.to_owned(), open: BTreeMap::new() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
            self.open.insert(name.to_owned(), file);
        }
        Ok(&self.open[name])
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        match self.open.get(name) {
            Some(file) => file.read_exact_at(&mut bytes, offset)?,
            None => File::open(self.path(name))?.read_exact_at(&mut bytes, offset)?,
        }
        Ok(bytes)
    }

    fn create(&mut self, name: &str, len: u64) -> io::Result<()> {
        const CHUNK: usize = 1 << 20;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name))?;
        let zeros = vec![0; CHUNK];
        let mut offset = 0;
        while offset < len {
            let step = CHUNK.min(usize::try_from(len - offset).unwrap_or(CHUNK));
            file.write_all_at(&zeros[..step], offset)?;
            offset += step as u64;
        }
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))?;
        self.open.remove(to);
        if let Some(file) = self.open.remove(from) {
            self.open.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        std::fs::remove_file(self.path(name))
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.set_len(len)
    }
}
