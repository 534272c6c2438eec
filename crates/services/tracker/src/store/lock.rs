//! `issues.lock`: the file that every program of this family locks with `flock`, readers shared and writers alone.
//!
//! The system gives a lock back when its holder ends, however it ends; so a lock is never stale, and the only thing to do about one that
//! is held is to wait, up to a limit, and then to say who holds it.

use super::TrackerError;
use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a lock is waited for.
pub const LOCK_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

/// Held until it is dropped.
pub(super) struct Lock {
    _file: Option<File>,
}

impl Lock {
    pub fn take(folder: &Path, mode: Mode, limit: Duration) -> Result<Lock, TrackerError> {
        let path = folder.join("issues.lock");
        let file = match open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TrackerError::NoStore { lock: path });
            }
            // A store that cannot be written can be read: nobody here can change it.
            Err(_) if mode == Mode::Shared => return Ok(Lock { _file: None }),
            Err(error) => return Err(TrackerError::io("open the lock", &path, error)),
        };
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Lock { _file: Some(file) }),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if start.elapsed() < limit => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(TrackerError::Locked { holder: holder(&file), lock: path, waited: limit });
                }
                Err(error) => return Err(TrackerError::io("lock", &path, error.into())),
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
        }
        opened => opened,
    }
}

/// The process that holds a lock on this file, as Linux lists it.
fn holder(file: &File) -> Option<u32> {
    let inode = fstat(file).ok()?.st_ino;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let of_file = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("FLOCK") && line.contains(&format!(":{inode} "))
    };
    let line = locks.lines().find(of_file)?;
    line.split_whitespace().nth(4)?.parse().ok()
}
