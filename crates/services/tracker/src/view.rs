//! What questions about many issues need to know of each: slices of the file, found by one scan on several threads.

use crate::scan;
use crate::store::{Issues, Line, TrackerError};
use crate::time;
use jiff::Timestamp;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::thread;

/// The key under which a status stands that the line's `status` cannot say.
pub const ORIGINAL_STATUS: &str = "original_status";

/// An issue as it stands in the file.
#[derive(Debug, Clone, Default)]
pub struct View<'a> {
    /// Its ID.
    pub id: Cow<'a, str>,
    /// Its title.
    pub title: Cow<'a, str>,
    /// Its status: one of the three, or one that an import brought.
    pub status: Cow<'a, str>,
    /// Whose it is.
    pub session: Option<Cow<'a, str>>,
    /// Who is to do it.
    pub assignee: Option<Cow<'a, str>>,
    /// From 0, the most urgent.
    pub priority: i64,
    /// Its type.
    pub kind: Cow<'a, str>,
    /// When it was made, as it stands.
    pub created_at: Cow<'a, str>,
    /// Before when nobody should work on it.
    pub defer_until: Option<Cow<'a, str>>,
    /// Why it was closed.
    pub close_reason: Option<Cow<'a, str>>,
    /// Pinned, or not to be kept: not work.
    pub is_aside: bool,
    blocked_by: &'a [u8],
    dependencies: &'a [u8],
    labels: &'a [u8],
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
    fn read(line: &'a [u8], found: &mut Vec<(&'a [u8], &'a [u8])>) -> Option<View<'a>> {
        scan::fields(line, found)?;
        let mut view = View { priority: 2, ..View::default() };
        let mut original = None;
        for (key, value) in found.iter() {
            let text = || scan::text(value);
            match *key {
                b"id" => view.id = text()?,
                b"title" => view.title = text().unwrap_or_default(),
                b"status" => view.status = text()?,
                b"original_status" => original = text(),
                b"session_id" => view.session = text(),
                b"assignee" => view.assignee = text().filter(|name| !name.is_empty()),
                b"priority" => view.priority = std::str::from_utf8(value).ok()?.parse().ok()?,
                b"issue_type" => view.kind = text().unwrap_or_default(),
                b"created_at" => view.created_at = text()?,
                b"defer_until" => view.defer_until = text(),
                b"close_reason" => view.close_reason = text(),
                b"pinned" | b"ephemeral" | b"wisp" => view.is_aside |= *value == b"true",
                b"blocked_by" => view.blocked_by = value,
                b"dependencies" => view.dependencies = value,
                b"labels" => view.labels = value,
                _ => {}
            }
        }
        if view.status.is_empty() {
            view.status = Cow::Borrowed("open");
        }
        if let Some(original) = original {
            view.status = original;
        }
        Some(view)
    }

    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        scan::texts(self.labels)
    }

    /// The issues that `blocked_by` names.
    pub fn blockers(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        scan::texts(self.blocked_by)
    }

    /// Whether it depends on anything.
    pub fn has_edges(&self) -> bool {
        self.blocked_by.len() > 2 || self.dependencies.len() > 2
    }

    /// All that it depends on: what `blocked_by` names, and dependencies of other types than `blocks`, of which that list is the truth.
    pub fn edges(&self) -> Vec<Edge<'a>> {
        let blocks = self.blockers().map(|on| Edge { kind: Cow::Borrowed("blocks"), on, metadata: None });
        let mut edges: Vec<Edge<'a>> = blocks.collect();
        if self.dependencies.len() > 2 {
            edges.extend(dependencies(self.dependencies).filter(|edge| edge.kind != "blocks"));
        }
        edges
    }

    /// By when they were made.
    pub fn by_age(&self, other: &View<'_>) -> Ordering {
        let (own, others) = (self.created_at.as_ref(), other.created_at.as_ref());
        let plain = |text: &str| text.len() == 20 && text.ends_with('Z');
        if plain(own) && plain(others) {
            return own.cmp(others);
        }
        self.created().cmp(&other.created())
    }

    /// When it was made; where that cannot be read, before everything.
    pub fn created(&self) -> Timestamp {
        time::read(&self.created_at).unwrap_or(Timestamp::MIN)
    }

    /// Whether nobody works on it or will.
    pub fn is_done(&self) -> bool {
        matches!(self.status.as_ref(), "closed" | "tombstone")
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
            let parts = lines.chunks(share).enumerate();
            let workers: Vec<_> = parts
                .map(|(part, own)| {
                    scope.spawn(move || {
                        self.views_of(own, &lines[(part * share + own.len()).min(lines.len())..])
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("a scan does not panic")).collect()
        });
        let mut views = Vec::with_capacity(lines.len());
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
            match View::read(self.bytes_of(line), &mut found) {
                Some(view) => views.push(view),
                None => return Err(self.unreadable(line)),
            }
        }
        Ok(views)
    }
}

/// The issue of an ID among views that are sorted by it.
pub fn view_of<'v, 'a>(views: &'v [View<'a>], id: &str) -> Option<&'v View<'a>> {
    views.binary_search_by(|view| view.id.as_ref().cmp(id)).ok().map(|at| &views[at])
}
