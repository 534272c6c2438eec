//! `issues.index`: of a large file, the issues that questions about work are about, with what a scan finds in them.
//!
//! It holds every issue that is not done, that depends on another, or that another depends on: what is ready, held up or to be listed is the
//! same whether it is asked of these or of all. It is never the truth. It counts for a file of the device, inode, length and times that its
//! head names, and its parts are checked by checksums; where something does not hold it is as if it were not there, and who reads the whole
//! file next writes it anew. A writer adds what it changed behind the rest, then writes the head; nothing is synced.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `wootzix1` |
//! | 56 | stamp of the file: device, inode, length, when it was written and changed, each in seconds and nanoseconds |
//! | 8 | 1 where a line can be inserted without looking at the others: all begin with their IDs, which ascend |
//! | 3 × 8 | length of each part |
//! | 3 × 4, 4 | CRC-32C of each part, of the head up to here |
//! | | views, sorted by ID, each behind the length of its line; no length where it is done |
//! | | those lines, in the same order |
//! | | views that were added, each behind a byte that is 1, or 0 where the issue went, and the length of the line that follows it |
//!
//! Not covered: a program that changes the file in its place, to the same length, in the clock tick in which a command of ours looked at it.
//!
//! Notes: of 100,000 issues in 38 MB, of which 74,000 are needed, the first part has 15 MB.

use super::{Issues, save};
use crate::record::Record;
use crate::shares::in_shares;
use crate::view::View;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Smaller files are read whole.
pub(super) const LEAST_BYTES: u64 = 1 << 20;
const MAGIC: &[u8; 8] = b"wootzix1";
const HEAD: usize = 112;
/// More than this is not added.
const MOST_ADDED: u64 = 1 << 20;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([i64; 7]);

impl Stamp {
    pub fn of(file: &Metadata) -> Stamp {
        let [device, inode, length] = [file.dev(), file.ino(), file.len()].map(u64::cast_signed);
        let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        Stamp([device, inode, length, times[0], times[1], times[2], times[3]])
    }
}

/// Where it stands.
fn path(folder: &Path) -> PathBuf {
    folder.join("issues.index")
}

/// A part of the file: its length and checksum.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    length: u64,
    checksum: u32,
}

impl Part {
    /// The same with these bytes at its end.
    fn with(self, bytes: &[u8]) -> Part {
        let checksum = crc32c::crc32c_append(self.checksum, bytes);
        Part { length: self.length + bytes.len() as u64, checksum }
    }

    /// Its bytes, if they are what the checksum promises.
    fn read(self, file: &File, at: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length).ok()?];
        file.read_exact_at(&mut bytes, at).ok()?;
        (crc32c::crc32c(&bytes) == self.checksum).then_some(bytes)
    }
}

#[derive(Debug, Clone, Copy)]
struct Head {
    stamp: Stamp,
    is_plain: bool,
    views: Part,
    lines: Part,
    added: Part,
}

impl Head {
    fn bytes(&self) -> [u8; HEAD] {
        let parts = [self.views, self.lines, self.added];
        let mut bytes = Vec::with_capacity(HEAD);
        bytes.extend(MAGIC);
        self.stamp.0.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(u64::from(self.is_plain).to_le_bytes());
        parts.iter().for_each(|part| bytes.extend(part.length.to_le_bytes()));
        parts.iter().for_each(|part| bytes.extend(part.checksum.to_le_bytes()));
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().expect("all fields together are HEAD bytes")
    }

    /// `None` where these are not the bytes of a head.
    fn read(bytes: &[u8; HEAD]) -> Option<Head> {
        let (told, checksum) = bytes.split_last_chunk::<4>()?;
        if !told.starts_with(MAGIC) || crc32c::crc32c(told).to_le_bytes() != *checksum {
            return None;
        }
        let number = |at: usize| told[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let part = |nth: usize| {
            let checksum = u32::from_le_bytes(*told[96 + 4 * nth..].first_chunk()?);
            Some(Part { length: number(72 + 8 * nth)?, checksum })
        };
        let mut stamp = [0; 7];
        for (at, place) in stamp.iter_mut().enumerate() {
            *place = number(8 + 8 * at)?.cast_signed();
        }
        let is_plain = number(64)? == 1;
        Some(Head { stamp: Stamp(stamp), is_plain, views: part(0)?, lines: part(1)?, added: part(2)? })
    }

    /// That of an index which counts for a file in this state.
    fn of_file(file: &File, stamp: Stamp) -> Option<Head> {
        let mut bytes = [0; HEAD];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let head = Head::read(&bytes).filter(|head| head.stamp == stamp)?;
        (file.metadata().ok()?.len() >= head.end()?).then_some(head)
    }

    fn end(&self) -> Option<u64> {
        let parts = [self.views, self.lines, self.added];
        parts.iter().try_fold(HEAD as u64, |end, part| end.checked_add(part.length))
    }
}

/// An index that counts.
pub(super) struct Index {
    views: Vec<u8>,
    /// Empty where they were not asked for.
    lines: Vec<u8>,
    added: Vec<u8>,
}

impl Index {
    /// That of a file in this state, if there is one.
    pub fn read(folder: &Path, stamp: Stamp, with_lines: bool) -> Option<Index> {
        let file = File::open(path(folder)).ok()?;
        let head = Head::of_file(&file, stamp)?;
        let lines_at = HEAD as u64 + head.views.length;
        let views = head.views.read(&file, HEAD as u64)?;
        let lines = if with_lines { head.lines.read(&file, lines_at)? } else { Vec::new() };
        let added = head.added.read(&file, lines_at + head.lines.length)?;
        Some(Index { views, lines, added })
    }

    /// Its issues, sorted by ID; `None` where they are not what the checksums promise.
    pub fn views(&self) -> Option<Vec<View<'_>>> {
        let mut added = self.added()?.into_iter().peekable();
        let mut views = Vec::with_capacity(self.views.len() / 160);
        let (mut rest, mut lines) = (self.views.as_slice(), self.lines.as_slice());
        while !rest.is_empty() {
            let (length, behind) = length(rest)?;
            let (mut view, behind) = View::stored(behind)?;
            rest = behind;
            if !self.lines.is_empty() {
                let (line, behind) = lines.split_at_checked(length)?;
                lines = behind;
                view = view.with_line(line);
            }
            while let Some((_, before)) = added.next_if(|(id, _)| *id < view.id()) {
                views.extend(before);
            }
            match added.next_if(|(id, _)| *id == view.id()) {
                Some((_, instead)) => views.extend(instead),
                None => views.push(view),
            }
        }
        views.extend(added.filter_map(|(_, view)| view));
        Some(views)
    }

    /// What was added, the last of each ID; `None` for one that went.
    fn added(&self) -> Option<BTreeMap<&str, Option<View<'_>>>> {
        let mut added = BTreeMap::new();
        let mut rest = self.added.as_slice();
        while let Some((is_there, behind)) = rest.split_first() {
            let (length, behind) = length(behind)?;
            let (view, behind) = View::stored(behind)?;
            let (line, behind) = behind.split_at_checked(length)?;
            added.insert(view.id(), (*is_there == 1).then(|| view.with_line(line)));
            rest = behind;
        }
        Some(added)
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*length) as usize, rest))
}

/// What an index says of the file in this state, if there is one that counts for it: whether a line can be inserted without looking at the
/// others.
pub(super) fn is_plain(folder: &Path, stamp: Stamp) -> Option<bool> {
    Head::of_file(&File::open(path(folder)).ok()?, stamp).map(|head| head.is_plain)
}

/// Writes the index of a file from all its issues; false where it cannot have one.
pub(super) fn write(folder: &Path, stamp: Stamp, is_plain: bool, all: &[View<'_>]) -> io::Result<bool> {
    let Some((views, lines)) = stored(all) else { return Ok(false) };
    let (mut of_views, mut of_lines) = (Part::default(), Part::default());
    views.iter().for_each(|bytes| of_views = of_views.with(bytes));
    lines.iter().for_each(|bytes| of_lines = of_lines.with(bytes));
    let head = Head { stamp, is_plain, views: of_views, lines: of_lines, added: Part::default() };
    ignore(folder)?;
    let path = path(folder);
    let temporary = save::temporary(&path);
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(&head.bytes())?;
        views.iter().chain(&lines).try_for_each(|bytes| file.write_all(bytes))
    });
    written.and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    })?;
    Ok(true)
}

type Pieces = Vec<Vec<u8>>;

/// Views that are needed, and their lines, each in some pieces; `None` where one is too long.
fn stored(all: &[View<'_>]) -> Option<(Pieces, Pieces)> {
    let edges = all.iter().filter(|view| view.has_edges()).flat_map(View::edges);
    let depended_on: HashSet<_> = edges.map(|edge| edge.on).collect();
    let stored = |share: &[View<'_>]| {
        let (mut views, mut lines, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for view in share {
            if !view.is_done() || view.has_edges() || depended_on.contains(view.id()) {
                let line = if view.is_done() { &[][..] } else { view.line() };
                views.extend((line.len() as u32).to_le_bytes());
                view.store(&mut found, &mut views)?;
                lines.extend(line);
            }
        }
        Some((views, lines))
    };
    let parts: Option<Vec<_>> = in_shares(all, |share| vec![stored(share)]).into_iter().collect();
    parts.map(|parts| parts.into_iter().unzip())
}

/// Keeps the index out of git, where nobody has said yet what is to be kept out.
fn ignore(folder: &Path) -> io::Result<()> {
    match File::create_new(folder.join(".gitignore")) {
        Ok(mut file) => file.write_all(b"/issues.index*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a change of the file is to its index.
pub(super) struct Update<'a> {
    /// The file before and after.
    pub stamps: [Stamp; 2],
    /// Issues as they are now, with their lines; those without one went.
    pub issues: Vec<(&'a str, Option<String>)>,
}

impl<'a> Update<'a> {
    /// The changes, and what they say is depended on, which may not have been in the index.
    pub fn of(stamps: [Stamp; 2], issues: &'a Issues) -> Update<'a> {
        let changed = issues.changed().map(|(id, record)| (id, record.map(Record::line)));
        let mut all: Vec<(&str, Option<String>)> = changed.collect();
        let mut targets = Vec::new();
        for (id, line) in &all {
            let line = line.as_deref().unwrap_or_default();
            let view = View::of_line(id, line.as_bytes(), &mut Vec::new());
            let edges = view.iter().flat_map(View::edges);
            targets.extend(edges.filter_map(|edge| issues.unchanged(&edge.on)));
        }
        let text = |line| String::from_utf8_lossy(line).into_owned();
        all.extend(targets.into_iter().map(|(id, line)| (id, Some(text(line)))));
        Update { stamps, issues: all }
    }
}

/// Brings an index that counted for the file before a change to what it is after it; for a caller that holds the lock.
/// Where that cannot be, it counts no more.
pub(super) fn update(folder: &Path, update: &Update<'_>) -> Option<()> {
    let [old, new] = update.stamps;
    let file = OpenOptions::new().read(true).write(true).open(path(folder)).ok()?;
    let head = Head::of_file(&file, old)?;
    let mut added = Vec::new();
    let mut is_plain = head.is_plain;
    for (id, line) in &update.issues {
        let gone = format!("{{\"id\":{},\"created_at\":\"\"}}", serde_json::Value::from(*id));
        let text = line.as_ref().unwrap_or(&gone);
        is_plain &= crate::scan::leading_id(text.as_bytes()) == Some(id);
        added.push(u8::from(line.is_some()));
        added.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
        let mut found = Vec::new();
        View::of_line(id, text.as_bytes(), &mut found)?.store(&mut found, &mut added)?;
        added.extend(text.as_bytes());
    }
    let head = Head { stamp: new, is_plain, added: head.added.with(&added), ..head };
    if head.added.length > MOST_ADDED {
        return None;
    }
    file.write_all_at(&added, head.end()? - added.len() as u64).ok()?;
    file.write_all_at(&head.bytes(), 0).ok()
}
