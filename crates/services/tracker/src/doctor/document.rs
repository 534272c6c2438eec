//! `issues.jsonl` as it is: lines that are issues, lines that are not, and what a merge of branches left between its markers.

use crate::record::Record;

/// The file.
pub(super) struct Document<'a> {
    /// Lines outside conflicts, in order.
    pub(super) lines: Vec<Line<'a>>,
    /// What stands between markers.
    pub(super) conflicts: Vec<Conflict<'a>>,
}

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
    /// Why it is no record; whether it is the last line and has no end.
    Unreadable(String, bool),
}

/// Both sides of a conflict, and where they came from if the marker style tells.
#[derive(Default)]
pub(super) struct Conflict<'a> {
    /// The line of the first marker.
    pub(super) number: usize,
    pub(super) ours: Vec<Line<'a>>,
    pub(super) base: Option<Vec<Line<'a>>>,
    pub(super) theirs: Vec<Line<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Outside,
    Ours,
    Base,
    Theirs,
}

impl<'a> Document<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Document<'a> {
        let is_ended = bytes.ends_with(b"\n");
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut document = Document { lines: Vec::new(), conflicts: Vec::new() };
        let mut side = Side::Outside;
        let mut all = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
        while let Some((at, bytes)) = all.next() {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let number = at + 1;
            if let Some(next) = marker(bytes, side) {
                match next {
                    Side::Ours => document.conflicts.push(Conflict { number, ..Conflict::default() }),
                    Side::Base => {
                        let conflict = document.conflicts.last_mut();
                        conflict.into_iter().for_each(|conflict| conflict.base = Some(Vec::new()));
                    }
                    Side::Outside | Side::Theirs => {}
                }
                side = next;
                continue;
            }
            let is_torn = !is_ended && all.peek().is_none();
            let line = Line { number, bytes, content: content(bytes, is_torn) };
            let into = match (side, document.conflicts.last_mut()) {
                (Side::Ours, Some(conflict)) => &mut conflict.ours,
                (Side::Base, Some(conflict)) => conflict.base.get_or_insert_default(),
                (Side::Theirs, Some(conflict)) => &mut conflict.theirs,
                _ => &mut document.lines,
            };
            into.push(line);
        }
        document
    }
}

/// The side that begins with this line; one that stands in the wrong place is no marker.
fn marker(line: &[u8], side: Side) -> Option<Side> {
    match (line.get(..7)?, side) {
        (b"<<<<<<<", Side::Outside) => Some(Side::Ours),
        (b"|||||||", Side::Ours) => Some(Side::Base),
        (b"=======", Side::Ours | Side::Base) => Some(Side::Theirs),
        (b">>>>>>>", Side::Theirs) => Some(Side::Outside),
        _ => None,
    }
}

fn content(bytes: &[u8], is_last: bool) -> Content {
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
