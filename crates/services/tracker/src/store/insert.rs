//! A new line in a large file, without reading the issues: its place is searched in the file, and the old file is copied around it.
//!
//! Searching takes for granted that the file is sorted and has nothing but lines that begin with their IDs. Another thread looks whether
//! that holds while the copy is made; where it does not the copy is thrown away, and the caller takes the way that works with any file.
//!
//! Notes, 100,000 issues in 38 MB: the copy takes 9 to 12 ms with the disk working beside it, the sync behind it 1 to 3, the end of the old
//! file 5 (the file system's accounts; its pages are dropped during the sync); a process needs 3 to start. Predicted and seen: no look at
//! the order where the index tells it, 3 and 2; the end of the old file beside the folder's sync, 3 and 2; pieces of 1 MB instead of 4 to
//! the disk, 3 and 3.3; the whole place taken at once, 1 and 3; another thread that reads ahead, 3 and 0 (not kept);
//! the old file's end left to a process that nobody waits for (the disk here is told of each piece given back), 5 and 5; pages copied by the
//! kernel (`copy_file_range`), 4 and 0, and that process started beside the copy, 2 and 0 (neither kept: the disk is what is waited for, 10 to
//! 14 for 33 MB with any way of copying).

use super::{TrackerError, save};
use crate::scan;
use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

/// Smaller files are read whole.
const LEAST_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: usize = 1 << 20;

/// Puts a line into the file; where `is_plain` it is known to be as it must be. `make` gives ID and line, and is told which IDs are taken, `announce` is called before anything is written.
/// `None`, and no change, where the file is not as it must be.
pub(super) fn insert<T>(
    path: &Path,
    is_plain: bool,
    make: impl FnOnce(&dyn Fn(&str) -> bool) -> (String, String, T),
    announce: impl FnOnce(&str, &T) -> Result<(), TrackerError>,
) -> Result<Option<T>, TrackerError> {
    let failed = |error| TrackerError::io("write", path, error);
    let Ok(file) = File::open(path) else { return Ok(None) };
    let length = file.metadata().map_err(failed)?.len();
    if length < LEAST_BYTES || !ends_line(&file, length).map_err(failed)? {
        return Ok(None);
    }
    // An error of the search is met again by whoever reads the whole file.
    let taken = |id: &str| matches!(place(&file, length, id), Ok((true, _)));
    let (id, line, made) = make(&taken);
    let Ok((false, at)) = place(&file, length, &id) else { return Ok(None) };
    announce(&id, &made)?;
    let old = file.try_clone().map_err(failed)?;
    let replaced = save::replace_with(path, Some(file), |new| {
        new.expect(length + line.len() as u64 + 1);
        let is_sorted: io::Result<bool> = thread::scope(|scope| {
            let sorted = scope.spawn(|| Ok(is_plain || is_sorted(&old)?));
            copy(&old, new, 0..at)?;
            new.write(line.as_bytes())?;
            new.write(b"\n")?;
            copy(&old, new, at..length)?;
            sorted.join().expect("reading does not panic")
        });
        // Its last reader is to be the one that was handed over.
        drop(old);
        if is_sorted? { Ok(()) } else { Err(io::Error::from(io::ErrorKind::InvalidData)) }
    });
    match replaced {
        Ok(()) => Ok(Some(made)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn ends_line(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == [b'\n'])
}

fn copy(from: &File, to: &mut save::Writer, range: std::ops::Range<u64>) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(BLOCK_BYTES as u64) as usize;
        from.read_exact_at(&mut block[..wanted], at)?;
        to.write(&block[..wanted])?;
        at += wanted as u64;
    }
    Ok(())
}

/// Whether there is a line with this ID, and where it begins or would begin.
fn place(file: &File, length: u64, id: &str) -> io::Result<(bool, u64)> {
    let (mut low, mut high) = (0, length);
    // Lines that begin before `low` have smaller IDs, those from `high` on do not.
    while low < high {
        let middle = low + (high - low) / 2;
        let (start, line) = line_over(file, length, middle, low)?;
        let found = scan::leading_id(&line).ok_or(io::ErrorKind::InvalidData)?;
        match found.cmp(id) {
            Ordering::Less => low = start + line.len() as u64 + 1,
            Ordering::Equal => return Ok((true, start)),
            Ordering::Greater => high = start,
        }
    }
    Ok((false, low))
}

/// The line that has the byte at `at`, and where it begins, not before `least`.
fn line_over(file: &File, length: u64, at: u64, least: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut reach = 2048;
    loop {
        let start = at.saturating_sub(reach).max(least);
        let end = (at + reach).min(length);
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        let (before, behind) = bytes.split_at((at - start) as usize);
        let first = memchr::memrchr(b'\n', before).map(|end| end + 1).or((start == least).then_some(0));
        let last = memchr::memchr(b'\n', behind);
        match first.zip(last) {
            Some((first, last)) => {
                return Ok((start + first as u64, bytes[first..before.len() + last].to_vec()));
            }
            None if start == least && end == length => return Err(io::ErrorKind::InvalidData.into()),
            None => reach *= 4,
        }
    }
}

/// Whether every line begins with its ID, and no ID comes again or before a smaller one.
fn is_sorted(file: &File) -> io::Result<bool> {
    let mut bytes = vec![0; BLOCK_BYTES];
    let (mut held, mut at) = (0, 0);
    let mut last: Vec<u8> = Vec::new();
    loop {
        if held == bytes.len() {
            bytes.resize(held * 2, 0);
        }
        let read = file.read_at(&mut bytes[held..], at)?;
        at += read as u64;
        held += read;
        let Some(end) = memchr::memrchr(b'\n', &bytes[..held]) else {
            if read == 0 {
                return Ok(held == 0);
            }
            continue;
        };
        for line in scan::lines_within(&bytes[..end + 1]) {
            match scan::leading_id(line) {
                Some(id) if id.as_bytes() > last.as_slice() => {
                    last.clear();
                    last.extend_from_slice(id.as_bytes());
                }
                _ => return Ok(false),
            }
        }
        bytes.copy_within(end + 1..held, 0);
        held -= end + 1;
    }
}
