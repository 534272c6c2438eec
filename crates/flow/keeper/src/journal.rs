//! The journals of a run's keepers: one file each, locked for as long as its keeper lives.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use wootz_schema::task::TaskEvent;

/// The journal that a keeper writes.
pub(crate) struct Journal {
    file: File,
    /// Lines that are not in the file yet.
    pending: Vec<u8>,
    must_sync: bool,
}

impl Journal {
    pub fn create(path: &Path) -> io::Result<Journal> {
        let file = File::create_new(path)?;
        file.lock()?;
        Ok(Journal { file, pending: Vec::new(), must_sync: false })
    }

    /// Adds an event, which [`Journal::flush`] writes.
    pub fn add(&mut self, event: &TaskEvent) {
        serde_json::to_writer(&mut self.pending, event)
            .expect("an event has text keys and finite figures only");
        self.pending.push(b'\n');
        self.must_sync |= matches!(event, TaskEvent::Exited { .. } | TaskEvent::Refused { .. });
    }

    /// Writes what was added; ends are on the disk afterwards. What could not be written is kept for the next time.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let length = self.file.metadata()?.len();
            // A part of a line would spoil the ones behind it.
            self.file.write_all(&self.pending).inspect_err(|_| drop(self.file.set_len(length)))?;
            self.pending.clear();
        }
        if self.must_sync {
            self.file.sync_data()?;
            self.must_sync = false;
        }
        Ok(())
    }
}

/// The journal of a keeper that another engine started.
#[derive(Debug)]
pub(crate) struct Past {
    path: PathBuf,
    file: File,
    /// Bytes read, up to the end of a line.
    read: u64,
    pub is_closed: bool,
}

impl Past {
    pub fn open(path: &Path) -> io::Result<Past> {
        Ok(Past { path: path.to_owned(), file: File::open(path)?, read: 0, is_closed: false })
    }

    /// Whether its keeper lives.
    pub fn is_alive(&self) -> io::Result<bool> {
        // A handle of its own: to let go of the lock again must not be forgotten.
        match File::open(&self.path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Events that were not read yet.
    pub fn news(&mut self) -> io::Result<Vec<TaskEvent>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_to_end(&mut bytes)?;
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        self.read += bytes.len() as u64;
        let events = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let events: Vec<TaskEvent> = events.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        self.is_closed |= events.contains(&TaskEvent::Closed);
        Ok(events)
    }
}

/// Whether a keeper lives that has its journal in this folder, and with it processes, or an engine.
pub fn is_alive(folder: &Path) -> io::Result<bool> {
    for path in paths(folder)? {
        if Past::open(&path)?.is_alive()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The journals in a folder, oldest first; none where there is no folder.
pub(crate) fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| number(path).is_some());
    paths.sort_by_key(|path| number(path));
    Ok(paths)
}

/// A path for one more journal.
pub(crate) fn next_path(folder: &Path) -> io::Result<PathBuf> {
    let last = paths(folder)?.last().and_then(|path| number(path)).unwrap_or(0);
    Ok(folder.join(format!("{}.jsonl", last + 1)))
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".jsonl")?.parse().ok()
}
