//! What questions about many issues need to know of each: slices of the file, found by one scan on several threads.
//!
//! A view is a line and the places of some values in it, about 120 bytes; a value is read when it is asked for, but for what every
//! issue is asked: whether it is done, how urgent it is and how old. These the threads find out.

mod stored;

use crate::scan;
use crate::store::{Issues, Line, TrackerError};
use crate::time;
use jiff::Timestamp;
use std::borrow::Cow;
use std::thread;

/// The key under which a status stands that the line's `status` cannot say.
pub const ORIGINAL_STATUS: &str = "original_status";

/// A key whose place a view knows.
#[derive(Clone, Copy)]
enum Key {
    Title,
    Status,
    OriginalStatus,
    Session,
    Assignee,
    Priority,
    Kind,
    CreatedAt,
    UpdatedAt,
    DeferUntil,
    CloseReason,
    BlockedBy,
    Dependencies,
    Labels,
}

/// Their names, in the same order.
const KEYS: [&[u8]; 14] = [
    b"title",
    b"status",
    b"original_status",
    b"session_id",
    b"assignee",
    b"priority",
    b"issue_type",
    b"created_at",
    b"updated_at",
    b"defer_until",
    b"close_reason",
    b"blocked_by",
    b"dependencies",
    b"labels",
];

/// An issue as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    id: &'a str,
    line: &'a [u8],
    /// In which it knows the places: the whole line, or a part.
    scanned: &'a [u8],
    /// Where the value of each key starts; 0 where there is none.
    places: [u32; KEYS.len()],
    status: Known,
    priority: i64,
    age: u128,
    /// Pinned, or not to be kept: not work.
    is_aside: bool,
    has_blockers: bool,
    has_dependencies: bool,
}

/// A status that is found out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Open,
    InProgress,
    Closed,
    Tombstone,
    /// Any other.
    Told,
}

/// An edge from an issue to one it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge<'a> {
    /// What kind of dependency.
    pub kind: Cow<'a, str>,
    /// The other issue.
    pub on: Cow<'a, str>,
    /// What else the dependency says, as JSON: whether all children or any are waited for.
    pub metadata: Option<Cow<'a, str>>,
}

impl<'a> View<'a> {
    /// Finds the fields of a line; `None` where it is no issue.
    pub(crate) fn of_line(
        id: &'a str,
        line: &'a [u8],
        found: &mut Vec<(&'a [u8], &'a [u8])>,
    ) -> Option<View<'a>> {
        if u32::try_from(line.len()).is_err() {
            return None;
        }
        scan::fields(line, found)?;
        let mut view = View {
            id,
            line,
            scanned: line,
            places: [0; KEYS.len()],
            status: Known::Open,
            priority: 2,
            age: 0,
            is_aside: false,
            has_blockers: false,
            has_dependencies: false,
        };
        let mut expected = 0;
        for (key, value) in found.iter() {
            // Most lines have their keys in this order.
            let ahead = (expected..KEYS.len()).chain(0..expected).find(|at| KEYS[*at] == *key);
            if let Some(at) = ahead {
                let start = value.as_ptr() as usize - line.as_ptr() as usize;
                view.places[at] = start as u32;
                expected = at + 1;
            } else if matches!(*key, b"pinned" | b"ephemeral" | b"wisp") {
                view.is_aside |= *value == b"true";
            }
        }
        let is_issue = matches!(view.raw(Key::Status).first(), None | Some(b'"'))
            && matches!(view.raw(Key::CreatedAt).first(), Some(b'"'));
        if let Some(priority) =
            std::str::from_utf8(view.raw(Key::Priority)).ok().and_then(|text| text.parse().ok())
        {
            view.priority = priority;
        }
        view.age = view.age_key();
        view.has_blockers = view.raw(Key::BlockedBy).len() > 2;
        view.has_dependencies = view.raw(Key::Dependencies).len() > 2;
        let status = match view.places[Key::OriginalStatus as usize] {
            0 => view.raw(Key::Status),
            _ => view.raw(Key::OriginalStatus),
        };
        view.status = match status {
            b"" | b"\"open\"" => Known::Open,
            b"\"in_progress\"" => Known::InProgress,
            b"\"closed\"" => Known::Closed,
            b"\"tombstone\"" => Known::Tombstone,
            _ => Known::Told,
        };
        is_issue.then_some(view)
    }

    fn raw(&self, key: Key) -> &'a [u8] {
        match self.places[key as usize] as usize {
            0 => &[],
            start => scan::value(self.scanned, start),
        }
    }

    fn text(&self, key: Key) -> Option<Cow<'a, str>> {
        scan::text(self.raw(key))
    }

    /// The line it was found in.
    pub fn line(&self) -> &'a [u8] {
        self.line
    }

    /// Its ID.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// Its title.
    pub fn title(&self) -> Cow<'a, str> {
        self.text(Key::Title).unwrap_or_default()
    }

    /// Its status: one of the three, or one that an import brought.
    pub fn status(&self) -> Cow<'a, str> {
        let told = match self.status {
            Known::Open => "open",
            Known::InProgress => "in_progress",
            Known::Closed => "closed",
            Known::Tombstone => "tombstone",
            Known::Told => {
                let told = self.text(Key::OriginalStatus).or_else(|| self.text(Key::Status));
                return told.unwrap_or(Cow::Borrowed("open"));
            }
        };
        Cow::Borrowed(told)
    }

    /// Its status as the line says it to programs that know three.
    pub fn line_status(&self) -> Cow<'a, str> {
        self.text(Key::Status).unwrap_or(Cow::Borrowed("open"))
    }

    /// Whose it is.
    pub fn session(&self) -> Option<Cow<'a, str>> {
        self.text(Key::Session)
    }

    /// Who is to do it.
    pub fn assignee(&self) -> Option<Cow<'a, str>> {
        self.text(Key::Assignee).filter(|name| !name.is_empty())
    }

    /// From 0, the most urgent.
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// Its type.
    pub fn kind(&self) -> Cow<'a, str> {
        self.text(Key::Kind).unwrap_or_default()
    }

    /// When it was made, as it stands.
    pub fn created_at(&self) -> Cow<'a, str> {
        self.text(Key::CreatedAt).unwrap_or_default()
    }

    /// When it was changed, as it stands.
    pub fn updated_at(&self) -> Cow<'a, str> {
        self.text(Key::UpdatedAt).unwrap_or_default()
    }

    /// Text under any key, found by reading the line again.
    pub fn text_of(&self, key: &str) -> Option<Cow<'a, str>> {
        let mut found = Vec::new();
        scan::fields(self.scanned, &mut found)?;
        let (_, value) = found.iter().rev().find(|(known, _)| *known == key.as_bytes())?;
        scan::text(value)
    }

    /// Before when nobody should work on it.
    pub fn defer_until(&self) -> Option<Cow<'a, str>> {
        self.text(Key::DeferUntil)
    }

    /// Why it was closed.
    pub fn close_reason(&self) -> Option<Cow<'a, str>> {
        self.text(Key::CloseReason)
    }

    /// Pinned, or not to be kept: not work.
    pub fn is_aside(&self) -> bool {
        self.is_aside
    }

    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        scan::texts(self.raw(Key::Labels))
    }

    /// The issues that `blocked_by` names.
    pub fn blockers(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        scan::texts(self.raw(Key::BlockedBy))
    }

    /// Whether it depends on anything.
    pub fn has_edges(&self) -> bool {
        self.has_blockers || self.has_dependencies
    }

    /// All that it depends on: what `blocked_by` names, and dependencies of other types than `blocks`, of which that list is the truth.
    pub fn edges(&self) -> impl Iterator<Item = Edge<'a>> + use<'a> {
        let blockers = self.has_blockers.then(|| self.blockers());
        let blocks = |on| Edge { kind: Cow::Borrowed("blocks"), on, metadata: None };
        blockers.into_iter().flatten().map(blocks).chain(self.dependencies())
    }

    /// What it depends on in other ways than that it is blocked.
    pub fn dependencies(&self) -> impl Iterator<Item = Edge<'a>> + use<'a> {
        let list = self.has_dependencies.then(|| dependencies(self.raw(Key::Dependencies)));
        list.into_iter().flatten().filter(|edge| edge.kind != "blocks")
    }

    /// When it was made; where that cannot be read, before everything.
    pub fn created(&self) -> Timestamp {
        time::read(&self.created_at()).unwrap_or(Timestamp::MIN)
    }

    /// A number that grows with the time when it was made.
    pub fn age(&self) -> u128 {
        self.age
    }

    fn age_key(&self) -> u128 {
        let text = self.created_at();
        time::digits(text.as_bytes()).unwrap_or_else(|| {
            let time = time::read(&text).map(time::stored).unwrap_or_default();
            time::digits(time.as_bytes()).unwrap_or(0)
        })
    }

    /// Whether nobody works on it or will.
    pub fn is_done(&self) -> bool {
        matches!(self.status, Known::Closed | Known::Tombstone)
    }
}

fn dependencies(list: &[u8]) -> impl Iterator<Item = Edge<'_>> {
    let values: Vec<&serde_json::value::RawValue> = serde_json::from_slice(list).unwrap_or_default();
    values.into_iter().filter_map(|value| {
        let mut found = Vec::new();
        scan::fields(value.get().as_bytes(), &mut found)?;
        let text = |key: &[u8]| {
            found.iter().find(|(known, _)| *known == key).and_then(|(_, value)| scan::text(value))
        };
        let on = text(b"depends_on_id")?;
        Some(Edge { kind: text(b"type").unwrap_or(Cow::Borrowed("blocks")), on, metadata: text(b"metadata") })
    })
}

impl Issues {
    /// The issues as they stand in the file, sorted by ID; changes that are not written are not seen.
    pub fn views(&self) -> Result<Vec<View<'_>>, TrackerError> {
        let lines = self.lines();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
        let share = lines.len().div_ceil(threads).max(2_000);
        let parts: Vec<Result<Vec<View<'_>>, TrackerError>> = thread::scope(|scope| {
            let scan = |part: usize| {
                let end = (part + share).min(lines.len());
                move || self.views_of(&lines[part..end], &lines[end..])
            };
            // The first part is scanned here.
            let workers: Vec<_> =
                (share..lines.len()).step_by(share).map(|part| scope.spawn(scan(part))).collect();
            let first = scan(0)();
            let rest = workers.into_iter().map(|worker| worker.join().expect("a scan does not panic"));
            std::iter::once(first).chain(rest).collect()
        });
        let mut parts = parts.into_iter();
        let mut views = parts.next().unwrap_or_else(|| Ok(Vec::new()))?;
        for part in parts {
            views.extend(part?);
        }
        Ok(views)
    }

    fn views_of<'a>(&'a self, lines: &'a [Line], behind: &'a [Line]) -> Result<Vec<View<'a>>, TrackerError> {
        let mut views = Vec::with_capacity(lines.len());
        let mut found = Vec::with_capacity(32);
        for (at, line) in lines.iter().enumerate() {
            let id = self.id_of(line);
            let next = lines.get(at + 1).or(behind.first());
            if id.is_empty() || next.is_some_and(|next| self.id_of(next) == id) {
                continue;
            }
            match View::of_line(id, self.bytes_of(line), &mut found) {
                Some(view) => views.push(view),
                None => return Err(self.unreadable(line)),
            }
        }
        Ok(views)
    }
}

/// Views by their ID.
///
/// The first eight bytes behind what all IDs begin with stand in a list of their own: searching it stays in the cache.
pub struct Index<'v, 'a> {
    views: &'v [View<'a>],
    common: usize,
    keys: Vec<u64>,
}

impl<'v, 'a> Index<'v, 'a> {
    /// Of views that are sorted by ID.
    pub fn new(views: &'v [View<'a>]) -> Index<'v, 'a> {
        let ends = views.first().zip(views.last());
        let common = ends.map_or(0, |(first, last)| {
            first.id.bytes().zip(last.id.bytes()).take_while(|(one, other)| one == other).count()
        });
        let keys = views.iter().map(|view| key(&view.id.as_bytes()[common..])).collect();
        Index { views, common, keys }
    }

    /// All, sorted by ID.
    pub fn views(&self) -> &'v [View<'a>] {
        self.views
    }

    /// The issue of an ID.
    pub fn get(&self, id: &str) -> Option<&'v View<'a>> {
        let first = self.views.first()?;
        if id.len() < self.common || id.as_bytes()[..self.common] != first.id.as_bytes()[..self.common] {
            return None;
        }
        let wanted = key(&id.as_bytes()[self.common..]);
        let start = self.keys.partition_point(|key| *key < wanted);
        let same = self.keys[start..].partition_point(|key| *key == wanted);
        let same = &self.views[start..start + same];
        same.binary_search_by(|view| view.id.cmp(id)).ok().map(|at| &same[at])
    }
}

/// A number that is ordered as the texts are by their first eight bytes.
fn key(id: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = id.len().min(8);
    bytes[..length].copy_from_slice(&id[..length]);
    u64::from_be_bytes(bytes)
}
