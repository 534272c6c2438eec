//! An event is written before the change that it tells of, and counts when the change is made.
//!
//! 1. `events.open` gets the length of the history: what stands behind it is open.
//! 2. The event is added to the history.
//! 3. The change is made, in one moment, by a rename.
//! 4. `events.open` goes: the event counts.
//!
//! Everything that may fail for want of space comes before the change. A command that ends between two of these leaves `events.open`; who
//! works with the store next, or `doctor`, settles it: where the issues are what the event left the change was made, else the event is cut off.
//!
//! Not covered: a machine that stops. Neither file is synced, and an event whose change is on disk may be lost.

use super::{Event, file_in};
use crate::record::Record;
use crate::scan;
use crate::store::{Issues, Store, TrackerError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file that says from where on history is open.
pub(crate) fn marker(folder: &Path) -> PathBuf {
    folder.join("events.open")
}

/// An event whose change is about to be made.
#[must_use]
pub(crate) struct Announced {
    folder: PathBuf,
    start: u64,
}

/// Writes an event ahead of its change.
pub(crate) fn announce(folder: &Path, event: &Event) -> Result<Announced, TrackerError> {
    let (path, marker) = (file_in(folder), marker(folder));
    let failed = |error| TrackerError::io("write", &path, error);
    let mut file = OpenOptions::new().append(true).read(true).create(true).open(&path).map_err(failed)?;
    // What a crash of the machine cut is ended here, so that it spoils no more than itself.
    let is_torn = !ends_line(&mut file).map_err(failed)?;
    let start = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let announced = Announced { folder: folder.to_owned(), start };
    let written = fs::write(&marker, format!("{start}\n")).and_then(|()| {
        file.write_all(format!("{}{}", if is_torn { "\n" } else { "" }, event.line()).as_bytes())
    });
    match written {
        Ok(()) => Ok(announced),
        Err(error) => {
            announced.withdraw();
            Err(failed(error))
        }
    }
}

impl Announced {
    /// The change is made.
    pub fn settle(self) {
        // Where it cannot go, the next command finds that the change was made.
        let _ = fs::remove_file(marker(&self.folder));
    }

    /// The change is not made.
    pub fn withdraw(self) {
        cut(&self.folder, self.start);
    }
}

/// Where history is open, as a command left it that did not end well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// Unknown where the command did not come as far as to write the event.
    start: Option<u64>,
}

/// Whether history is open; for a caller that holds the lock.
pub(crate) fn open(folder: &Path) -> Result<Option<Open>, TrackerError> {
    let path = marker(folder);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TrackerError::io("read", &path, error)),
        Ok(text) => Ok(Some(Open { start: text.strip_suffix('\n').and_then(|text| text.parse().ok()) })),
    }
}

impl Open {
    /// Where the open part of a history of this length starts.
    pub fn start(&self, length: usize) -> usize {
        self.start.and_then(|start| usize::try_from(start).ok()).map_or(length, |start| start.min(length))
    }

    /// Whether the announced change was made; a store that cannot be read does not tell.
    pub fn happened(&self, store: &Store) -> bool {
        Issues::read(&store.file()).is_ok_and(|issues| self.happened_to(store.folder(), &issues))
    }

    fn happened_to(&self, folder: &Path, issues: &Issues) -> bool {
        let read = |start| {
            let mut file = File::open(file_in(folder)).ok()?;
            file.seek(SeekFrom::Start(start)).ok()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).ok()?;
            scan::lines(&bytes).find_map(Event::read)
        };
        let Some(event) = self.start.and_then(read) else { return false };
        let now = |id: &str| if issues.has(id) { issues.get(id).ok() } else { None };
        // All were made or none; another program may have changed some of them since.
        event.changes.iter().any(|change| is_made(&change.before, &change.after, &now(&change.id)))
    }
}

fn is_made(before: &Option<Record>, after: &Option<Record>, now: &Option<Record>) -> bool {
    now == after && before != after
}

/// Settles what a command left open, for a caller that holds the lock alone; whether anything was.
pub(crate) fn settle(folder: &Path, issues: &Issues) -> Result<bool, TrackerError> {
    let Some(open) = open(folder)? else { return Ok(false) };
    match open.start {
        Some(start) if !open.happened_to(folder, issues) => cut(folder, start),
        _ => drop(fs::remove_file(marker(folder))),
    }
    Ok(true)
}

/// Takes away what stands behind a place; where that fails the marker stays, and the next command tries.
fn cut(folder: &Path, start: u64) {
    let cut = OpenOptions::new().write(true).open(file_in(folder)).and_then(|file| file.set_len(start));
    if cut.is_ok() {
        let _ = fs::remove_file(marker(folder));
    }
}

fn ends_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}
