//! Whole files: their lines by ID, which of them are merged, and which are taken as they are.

use super::conflict::{Conflict, conflict};
use super::mirror;
use super::record;
use super::value::Fields;
use crate::record::Record;
use crate::scan;
use crate::store::TrackerError;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A file, and the name that errors call it by.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its name.
    pub name: &'a Path,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// What a merge made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The file, sorted by ID.
    pub bytes: Vec<u8>,
    /// What both sides changed differently and neither knew of, by record.
    pub conflicts: Vec<Conflict>,
}

/// Merges two files that come from one; where they come from none, `base` is empty.
pub fn merge(base: Source<'_>, left: Source<'_>, right: Source<'_>) -> Result<Merged, TrackerError> {
    let mut conflicts = Conflicts::new();
    let bytes = merge_into(base, left, right, &mut conflicts)?;
    Ok(Merged { bytes, conflicts: told(conflicts) })
}

/// Conflicts as they are told.
pub(super) fn told(conflicts: Conflicts) -> Vec<Conflict> {
    conflicts.into_iter().map(|(id, field, value)| Conflict { id, field, value }).collect()
}

pub(super) fn merge_into(
    base: Source<'_>,
    left: Source<'_>,
    right: Source<'_>,
    conflicts: &mut Conflicts,
) -> Result<Vec<u8>, TrackerError> {
    let mut in_lines = Conflicts::new();
    let base_file = File::read(base, None, &mut Conflicts::new())?;
    let left_file = File::read(left, Some(&base_file), &mut in_lines)?;
    let right_file = File::read(right, Some(&base_file), &mut in_lines)?;
    let whole = match (base.bytes, left.bytes, right.bytes) {
        (_, left, right) if left == right => Some(left),
        (base, left, right) if base == left => Some(right),
        (base, left, right) if base == right => Some(left),
        _ => None,
    };
    if let Some(bytes) = whole {
        return Ok(bytes.to_vec());
    }
    conflicts.extend(in_lines);
    let mut merged = File {
        has_bom: of_three(base_file.has_bom, left_file.has_bom, right_file.has_bom),
        ..File::default()
    };
    let keys: BTreeSet<&Key> = left_file.lines.keys().chain(right_file.lines.keys()).collect();
    for key in keys {
        let [b, l, r] = [&base_file, &left_file, &right_file].map(|file| file.lines.get(key));
        if let Some(line) = merge_lines(key, b, l, r, conflicts) {
            merged.lines.insert(key.clone(), line);
        }
    }
    mirror::mend(&base_file, &left_file, &right_file, &mut merged);
    Ok(merged.bytes())
}

/// ID, field and value: the order in which conflicts are told.
pub(super) type Conflicts = BTreeSet<(String, String, String)>;

/// A file in the order of IDs, in which each of them stands once.
pub(super) fn tidied(source: Source<'_>, conflicts: &mut Conflicts) -> Result<Vec<u8>, TrackerError> {
    Ok(File::read(source, None, conflicts)?.bytes())
}

/// What a line is known by. Issues have an ID; records that are no issues have what they call their key, or all that they say,
/// and stand before the issues.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub id: String,
    other: String,
}

impl Key {
    pub fn issue(id: &str) -> Key {
        Key { id: id.to_owned(), other: String::new() }
    }

    fn of(bytes: &[u8], record: &Record) -> Result<Key, &'static str> {
        if let Some(id) = scan::leading_id(bytes) {
            return Ok(Key::issue(id));
        }
        let Some(kind) = record.text("_type").filter(|kind| kind != "issue") else {
            let id = record.text("id").filter(|id| !id.is_empty());
            return id.map(|id| Key::issue(&id)).ok_or("missing field `id`");
        };
        let fields = Fields::new(record);
        let name = ["key", "id"].into_iter().find_map(|key| Some((key, fields.get(key)?.canon())));
        let other = match name {
            Some((key, value)) => format!("{kind} {key} {value}"),
            None => format!("{kind} {}", super::value::Value::new(&record.to_raw()).canon()),
        };
        Ok(Key { id: String::new(), other })
    }
}

/// A line without its end; a carriage return before the end belongs to it.
pub(super) type Line<'a> = Cow<'a, [u8]>;

/// A file's lines by their keys.
#[derive(Debug, Default)]
pub(super) struct File<'a> {
    has_bom: bool,
    pub lines: BTreeMap<Key, Line<'a>>,
}

impl<'a> File<'a> {
    /// Lines with one key are merged, as if each came from `base`'s line.
    fn read(
        source: Source<'a>,
        base: Option<&File<'_>>,
        conflicts: &mut Conflicts,
    ) -> Result<File<'a>, TrackerError> {
        let mut file = File { has_bom: source.bytes.starts_with(BOM), lines: BTreeMap::new() };
        let mut doubled: BTreeMap<Key, BTreeSet<Line<'a>>> = BTreeMap::new();
        let mut rest = source.bytes.strip_prefix(BOM).unwrap_or(source.bytes);
        let mut number = 0;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let corrupt =
                |why: String| TrackerError::Corrupt { file: source.name.to_owned(), line: number, why };
            let bytes = content(line);
            let record = Record::read(bytes).map_err(|error| corrupt(why(bytes, &error)))?;
            let key = Key::of(bytes, &record).map_err(|why| corrupt(why.to_owned()))?;
            if let Some(other) = file.lines.insert(key.clone(), Cow::Borrowed(line)) {
                doubled.entry(key).or_default().extend([other, Cow::Borrowed(line)]);
            }
        }
        for (key, lines) in doubled {
            let ancestor = base.and_then(|base| base.lines.get(&key));
            let one = lines.into_iter().reduce(|one, other| {
                merge_lines(&key, ancestor, Some(&one), Some(&other), conflicts).unwrap_or(one)
            });
            file.lines.extend(one.map(|line| (key, line)));
        }
        Ok(file)
    }

    fn bytes(&self) -> Vec<u8> {
        let length: usize = self.lines.values().map(|line| line.len() + 1).sum();
        let mut bytes = Vec::with_capacity(length + BOM.len());
        if self.has_bom {
            bytes.extend_from_slice(BOM);
        }
        for line in self.lines.values() {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        bytes
    }
}

/// The object of a line.
pub(super) fn content(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The fields of a line that has been read before.
pub(super) fn fields(line: &[u8]) -> Fields {
    // A line that can be read once can be read again.
    Record::read(content(line)).map(|record| Fields::new(&record)).unwrap_or_default()
}

pub(super) fn why(line: &[u8], error: &serde_json::Error) -> String {
    if super::markers::is_marker(line) {
        return "a conflict marker".to_owned();
    }
    error.to_string().replace(" at line 1 column", " at column")
}

/// One record's line, or none where one side took it away and the other left it as it was.
fn merge_lines<'a>(
    key: &Key,
    base: Option<&Line<'_>>,
    left: Option<&Line<'a>>,
    right: Option<&Line<'a>>,
    conflicts: &mut Conflicts,
) -> Option<Line<'a>> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (one, other) => {
            let line = one.or(other)?;
            let is_untouched = base.is_some_and(|base| base == line || fields(base) == fields(line));
            return (!is_untouched).then(|| line.clone());
        }
    };
    if left == right || base == Some(right) {
        return Some(left.clone());
    }
    if base == Some(left) {
        return Some(right.clone());
    }
    let base_fields = base.map(|base| fields(base));
    let (left_fields, right_fields) = (fields(left), fields(right));
    // Two that say the same in other words are merged as well: of each field one spelling stands, whatever was merged before.
    match &base_fields {
        _ if left_fields == right_fields => {}
        Some(base) if *base == left_fields => return Some(right.clone()),
        Some(base) if *base == right_fields => return Some(left.clone()),
        _ => {}
    }
    let (record, new) = record::merge(base_fields.as_ref(), &left_fields, &right_fields);
    let told = new.iter().filter_map(|entry| conflict(&key.id, entry));
    conflicts.extend(told.map(|Conflict { id, field, value }| (id, field, value)));
    let mut line = record.line().into_bytes();
    let ends_cr = |line: &Line<'_>| line.ends_with(b"\r");
    if of_three(base.is_some_and(ends_cr), ends_cr(left), ends_cr(right)) {
        line.push(b'\r');
    }
    Some(Cow::Owned(line))
}

/// What one side changed is so.
fn of_three(base: bool, left: bool, right: bool) -> bool {
    if left == base { right } else { left }
}
