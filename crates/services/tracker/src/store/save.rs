//! Writing the file of issues: a temporary file beside it, the disk's word that it has it, a rename.
//!
//! The temporary file has the old one's mode; where `issues.jsonl` is a symbolic link its target is replaced and the link stays. A process
//! that is killed leaves the old file or the new one, and perhaps a temporary file, which `doctor` removes.
//!
//! Notes: of 25 MB the copy takes 7 ms and the sync behind it 12; when the kernel is told after each piece that it will not be read
//! (`POSIX_FADV_DONTNEED`), writing to the disk begins at once, beside the copying, and the sync takes 1 to 3.

use super::issues::Issues;
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Files from this size on are handed to the disk while they are written.
const EAGER_BYTES: u64 = 1 << 20;

pub(super) fn save(path: &Path, issues: &Issues) -> io::Result<()> {
    let pieces = issues.pieces();
    let pieces: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
    replace(path, &pieces)
}

/// Replaces a file by pieces one behind the other.
pub(crate) fn replace(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let write = |file: &mut Writer| pieces.iter().try_for_each(|piece| file.write(piece));
    replace_with(path, None, write)
}

/// Replaces a file by what `write` writes; `old` is the file, if the caller has it open and nobody else needs it any more.
pub(super) fn replace_with(
    path: &Path,
    old: Option<File>,
    write: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> io::Result<()> {
    let target = if path.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() };
    let temporary = temporary(&target);
    let written = Writer::create(&target, &temporary).and_then(|mut file| {
        write(&mut file)?;
        thread::scope(|scope| {
            // The pages of the old file go while the disk writes the new one.
            let drop_pages = |old| fadvise(old, 0, None, Advice::DontNeed);
            old.as_ref().map(|old| scope.spawn(move || drop_pages(old)));
            file.file.sync_all()
        })
    });
    written.and_then(|()| fs::rename(&temporary, &target)).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    })?;
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    old.into_iter().for_each(release);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| {
        let told = format!("it has the change, but the disk does not promise to keep it: {error}");
        io::Error::new(error.kind(), told)
    })
}

/// Lets go of a file that has no name any more. With its last reader it gives back its place on the disk, which takes long where the disk
/// is told of each piece (the mount option `discard`); so the last reader is a process that nobody waits for.
fn release(old: File) {
    let mut reader = Command::new("true");
    reader.stdin(old).stdout(Stdio::null()).stderr(Stdio::null());
    // Where there is no such program the place is given back here.
    if let Ok(mut reader) = reader.spawn() {
        // For processes that live on; one that ends does not wait for it either.
        thread::spawn(move || reader.wait());
    }
}

/// A file that the disk begins to write while it grows.
pub(super) struct Writer {
    file: File,
    written: u64,
    /// How much of it the disk has been told of.
    told: u64,
}

impl Writer {
    fn create(target: &Path, temporary: &Path) -> io::Result<Writer> {
        let file = OpenOptions::new().write(true).create_new(true).open(temporary)?;
        match fs::metadata(target) {
            Ok(metadata) => file.set_permissions(metadata.permissions())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Writer { file, written: 0, told: 0 })
    }

    /// Takes the place that the whole file will need, which the disk finds faster at once than bit by bit.
    pub fn expect(&self, bytes: u64) {
        // Where there is no such thing, or no place, writing tells.
        let _ = fallocate(&self.file, FallocateFlags::empty(), 0, bytes);
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(EAGER_BYTES as usize) {
            self.file.write_all(part)?;
            self.written += part.len() as u64;
            if let Some(length) =
                NonZeroU64::new(self.written - self.told).filter(|length| length.get() >= EAGER_BYTES)
            {
                // Advice: where it is not taken, the sync does it all.
                let _ = fadvise(&self.file, self.told, Some(length), Advice::DontNeed);
                self.told = self.written;
            }
        }
        Ok(())
    }
}

/// A name beside the file that no other process takes.
pub(super) fn temporary(target: &Path) -> PathBuf {
    let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    target.with_file_name(format!("{name}.tmp.{}.{nanoseconds}", std::process::id()))
}
