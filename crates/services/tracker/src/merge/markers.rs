//! Files in which a merge without this driver left its markers: the versions between them are merged, and lines with one ID become one.
//!
//! Git's three styles are read: `merge` without what was there before, `diff3` and `zdiff3` with it, and markers within markers, which come
//! from merging what was committed with them. Markers that lost their partners are dropped, and what stood between them stays: two
//! versions of one issue are then two lines with one ID.
//!
//! Without the version before, whatever differs counts as changed on both sides, and what only one side has stays.

use super::conflict::Conflict;
use super::file::{Conflicts, Merged, Source, content, merge_into, tidied, told, why};
use crate::record::Record;
use crate::store::TrackerError;
use std::path::Path;

/// Merges what stands between markers, and lines with one ID. `base` is the version before, where git still has it.
pub fn mend(source: Source<'_>, base: Option<&[u8]>) -> Result<Merged, TrackerError> {
    for (at, line) in lines(source.bytes).enumerate() {
        if line.trim_ascii().is_empty() || is_marker(line) {
            continue;
        }
        if let Err(error) = Record::read(content(line)) {
            let (file, why) = (source.name.to_owned(), why(line, &error));
            return Err(TrackerError::Corrupt { file, line: at + 1, why });
        }
    }
    let mut conflicts = Conflicts::new();
    let pieces = parse(source.bytes);
    let merged = merged(source.name, &pieces, base, &mut conflicts)?;
    let bytes = tidied(Source { name: source.name, bytes: &merged }, &mut conflicts)?;
    let conflicts: Vec<Conflict> = told(conflicts);
    Ok(Merged { bytes, conflicts })
}

/// Whether a line is one that a merge writes between versions. No line of JSON is.
pub(crate) fn is_marker(line: &[u8]) -> bool {
    marker(line).is_some()
}

fn marker(line: &[u8]) -> Option<u8> {
    let line = content(line);
    let first = *line.first().filter(|byte| b"<|=>".contains(byte))?;
    let run = line.iter().take_while(|byte| **byte == first).count();
    (run >= 7 && matches!(line.get(run), None | Some(b' '))).then_some(first)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).split(|byte| *byte == b'\n')
}

enum Piece<'a> {
    Line(&'a [u8]),
    Region(Region<'a>),
}

/// Versions of some lines.
#[derive(Default)]
struct Region<'a> {
    left: Vec<Piece<'a>>,
    base: Option<Vec<Piece<'a>>>,
    right: Vec<Piece<'a>>,
    /// Whether the right version has begun.
    is_right: bool,
}

impl<'a> Region<'a> {
    fn current(&mut self) -> &mut Vec<Piece<'a>> {
        match (&mut self.base, self.is_right) {
            (_, true) => &mut self.right,
            (Some(base), false) => base,
            (None, false) => &mut self.left,
        }
    }
}

/// Nobody nests markers deeper.
const DEEPEST: usize = 32;

fn parse(bytes: &[u8]) -> Vec<Piece<'_>> {
    let mut file = Vec::new();
    let mut open: Vec<Region<'_>> = Vec::new();
    for line in lines(bytes) {
        match marker(line) {
            None if line.trim_ascii().is_empty() => {}
            None => open.last_mut().map_or(&mut file, Region::current).push(Piece::Line(line)),
            Some(b'<') if open.len() < DEEPEST => open.push(Region::default()),
            Some(b'|') => {
                if let Some(region) = open.last_mut().filter(|region| !region.is_right) {
                    region.base.get_or_insert_default();
                }
            }
            Some(b'=') => {
                if let Some(region) = open.last_mut() {
                    region.is_right = true;
                }
            }
            Some(b'>') => close(&mut open, &mut file),
            Some(_) => {}
        }
    }
    while !open.is_empty() {
        close(&mut open, &mut file);
    }
    file
}

fn close<'a>(open: &mut Vec<Region<'a>>, file: &mut Vec<Piece<'a>>) {
    if let Some(region) = open.pop() {
        open.last_mut().map_or(file, Region::current).push(Piece::Region(region));
    }
}

/// The lines of pieces, with their regions merged.
fn merged(
    name: &Path,
    pieces: &[Piece<'_>],
    before: Option<&[u8]>,
    conflicts: &mut Conflicts,
) -> Result<Vec<u8>, TrackerError> {
    let [mut base, mut left, mut right] = [Vec::new(), Vec::new(), Vec::new()];
    let mut has_regions = false;
    for piece in pieces {
        match piece {
            Piece::Line(line) => {
                for side in [&mut base, &mut left, &mut right] {
                    side.extend_from_slice(line);
                    side.push(b'\n');
                }
            }
            Piece::Region(region) => {
                has_regions = true;
                left.extend(merged(name, &region.left, None, conflicts)?);
                right.extend(merged(name, &region.right, None, conflicts)?);
                if let Some(before) = &region.base {
                    base.extend(merged(name, before, None, conflicts)?);
                }
            }
        }
    }
    if !has_regions {
        return Ok(left);
    }
    let source = |bytes| Source { name, bytes };
    merge_into(source(before.unwrap_or(&base)), source(&left), source(&right), conflicts)
}
