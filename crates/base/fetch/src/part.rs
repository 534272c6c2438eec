//! The partial file beside a target: `.NAME.part`, and `.NAME.part.from`, which says whose bytes it holds.
//!
//! Who holds the lock of the partial file writes it. It is renamed to the target under the lock, so that who waited for it must look
//! whether the file that it locked is still the partial one.

use crate::download::FetchError;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use wootz_stdx::digest::{hex, sha256};
use wootz_stdx::file::{rename_durable, write_atomic};

/// All that is held of a file at a time.
pub const BUFFER_BYTES: usize = 64 << 10;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A locked partial file, open at its end.
pub struct Part {
    file: File,
    path: PathBuf,
    note: PathBuf,
    target: PathBuf,
    hasher: Sha256,
    /// Bytes in it.
    pub length: u64,
}

impl Part {
    /// Opens it, makes it where there is none, and waits until no one else writes it.
    pub fn open(target: &Path, cancel: &AtomicBool) -> Result<Part, FetchError> {
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = target.with_file_name(format!(".{name}.part"));
        let note = target.with_file_name(format!(".{name}.part.from"));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| FetchError::io("make", folder, error))?;
        }
        let fault = |error| FetchError::io("open", &path, error);
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(fault)?;
            lock(&file, cancel)?.map_err(fault)?;
            if is_at(&file, &path).map_err(fault)? {
                let mut part =
                    Part { file, note, target: target.to_owned(), hasher: Sha256::new(), length: 0, path };
                part.read()?;
                return Ok(part);
            }
        }
    }

    /// What tells whether the source still has the bytes that are here: an entity tag or a date. `None` where that is not known.
    pub fn validator(&self, url: &str) -> Option<String> {
        let text = fs::read_to_string(&self.note).ok()?;
        let (source, validator) = text.trim_end().split_once('\n')?;
        (source == sha256(url.as_bytes()) && !validator.is_empty()).then(|| validator.to_owned())
    }

    /// Begins anew, with bytes of this source.
    pub fn restart(&mut self, url: &str, validator: Option<&str>) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(|error| FetchError::io("empty", &self.path, error))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|error| FetchError::io("empty", &self.path, error))?;
        self.hasher = Sha256::new();
        self.length = 0;
        // The address may hold a secret, so its digest is kept.
        let note = format!("{}\n{}\n", sha256(url.as_bytes()), validator.unwrap_or_default());
        write_atomic(&self.note, note.as_bytes()).map_err(|error| FetchError::io("write", &self.note, error))
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(|error| FetchError::io("write", &self.path, error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// SHA-256 of all that is here.
    pub fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// SHA-1 by which git knows all that is here.
    pub fn git(&mut self) -> Result<String, FetchError> {
        let length = self.length;
        let digest = self.file.seek(SeekFrom::Start(0)).and_then(|_| git(&mut self.file, length));
        digest.map_err(|error| FetchError::io("read", &self.path, error))
    }

    /// Becomes the target.
    pub fn finish(self) -> Result<(), FetchError> {
        self.file.sync_all().map_err(|error| FetchError::io("write", &self.path, error))?;
        rename_durable(&self.path, &self.target)
            .map_err(|error| FetchError::io("replace", &self.target, error))?;
        // A note without a part says nothing to anyone.
        let _ = fs::remove_file(&self.note);
        Ok(())
    }

    /// Goes away, because its bytes are of no use.
    pub fn discard(self) {
        // Whatever stays is begun anew: the note goes first.
        let _ = fs::remove_file(&self.note);
        let _ = fs::remove_file(&self.path);
    }

    fn read(&mut self) -> Result<(), FetchError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read =
                self.file.read(&mut buffer).map_err(|error| FetchError::io("read", &self.path, error))?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
            self.length += read as u64;
        }
    }
}

/// SHA-1 by which git knows the bytes of a file of this length, read in pieces.
pub fn git(file: &mut File, length: u64) -> io::Result<String> {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {length}\0"));
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn lock(file: &File, cancel: &AtomicBool) -> Result<io::Result<()>, FetchError> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Ok(())),
            Err(TryLockError::Error(error)) => return Ok(Err(error)),
            Err(TryLockError::WouldBlock) if cancel.load(Ordering::Relaxed) => {
                return Err(FetchError::Cancelled);
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
