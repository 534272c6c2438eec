//! `issues.jsonl` as it is, line by line: issues, other records, what cannot be read, and the markers that a merge of branches left.

use crate::merge;
use crate::record::Record;

/// A line that is not empty.
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// Without the line feed.
    pub(super) bytes: &'a [u8],
    pub(super) content: Content,
}

pub(super) enum Content {
    Issue(String, Record),
    /// A record of another kind.
    Other(Record),
    /// What stands between two versions of some lines.
    Marker,
    /// Why it is no record; whether it is the last line and has no end.
    Unreadable(String, bool),
}

/// The lines of a file, in order.
pub(super) fn read(bytes: &[u8]) -> Vec<Line<'_>> {
    let is_ended = bytes.ends_with(b"\n");
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let all = bytes.split(|byte| *byte == b'\n');
    let last = all.clone().count() - 1;
    let lines = all.enumerate().filter(|(_, bytes)| !bytes.trim_ascii().is_empty());
    lines
        .map(|(at, bytes)| Line { number: at + 1, bytes, content: content(bytes, !is_ended && at == last) })
        .collect()
}

fn content(bytes: &[u8], is_last: bool) -> Content {
    if merge::is_marker(bytes) {
        return Content::Marker;
    }
    let record = match Record::read(bytes) {
        Ok(record) => record,
        // The line within the line is always the first.
        Err(error) => {
            let why = error.to_string().replace(" at line 1 column", " at column");
            return Content::Unreadable(why, is_last);
        }
    };
    if record.text("_type").is_some_and(|kind| kind != "issue") {
        return Content::Other(record);
    }
    match record.text("id").filter(|id| !id.is_empty()) {
        Some(id) => Content::Issue(id, record),
        None => Content::Unreadable("missing field `id`".to_owned(), false),
    }
}
