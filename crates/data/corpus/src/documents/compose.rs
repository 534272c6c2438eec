//! From a project to its documents: what is asked for, and which form each file's documents take.
//!
//! A file that fits is a document as it stands. Of a larger one, each function and each type is the root of one:
//! with all that it needs of the project's headers and of its own file, and with definitions of what it calls as far
//! as they fit; where that is too much, with its own file's part only and the headers as `#include` lines; where that
//! is too much as well, it is counted as oversized.

use rayon::prelude::*;
use std::collections::BTreeSet;
use wootz_schema::document::DocumentKind;

use super::Project;
use super::entry::Kind;
use super::index::Index;
use super::order::arrange;
use super::pieces::{Count, Measure, Piece};
use super::slice::Slice;
use super::tokens::Counter;
use super::visible::Unit;

/// What documents are wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Of what a document is made.
    pub mode: Mode,
    /// When a file is taken apart.
    pub granularity: Granularity,
    /// How many calls away from its root a definition may stand that a document takes in; with 0, headers stay
    /// includes as well and every document is a part of one file.
    pub cross_depth: u32,
    /// The wall: no document has more tokens.
    pub max_tokens: u64,
    /// Whether headers have documents of their own.
    pub headers: bool,
}

/// Of what a document is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Of one file, or of one function or type with what it needs.
    Compilable,
    /// Of one file with what it needs from others; where that does not fit, as [`Mode::Compilable`].
    CrossFile,
}

/// When a file is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// When it does not fit.
    Fitting,
    /// Always: beside the file's document, each function and each type has one.
    Functions,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// Its text.
    pub text: String,
    /// Path of the file that its root stands in.
    pub path: String,
    /// Name of that file's language.
    pub language: &'static str,
    /// What its root is.
    pub kind: DocumentKind,
    /// Qualified names of its items, in order, each once.
    pub symbols: Vec<String>,
    /// Its length.
    pub tokens: u64,
    /// Paths of all files that it holds text of, sorted.
    pub drawn_from: Vec<String>,
}

/// What did not become a document, and what was hard to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Functions and types that do not fit with the least they need.
    pub oversized_items: u64,
    /// Files that do not fit and cannot be taken apart.
    pub oversized_files: u64,
    /// Files with text that could not be read.
    pub files_with_errors: u64,
}

/// Roots that are worked on together: enough to share the layout of their unit, few enough to spread over threads.
const ROOTS_PER_TASK: usize = 16;

/// Tasks whose documents are in memory at once.
const TASKS_AT_ONCE: usize = 64;

/// A piece of work.
enum Task {
    /// The documents of a file that fits, or for [`Mode::CrossFile`].
    Whole(u32),
    /// Documents of these roots of one file.
    Roots(u32, Vec<u32>),
}

impl Project {
    /// Gives the project's documents, in the order of files and of the items in them, whatever the threads.
    pub fn documents(&self, wish: &Wish, counter: &Counter<'_>, sink: &mut dyn FnMut(Composed)) -> Counts {
        let index = &self.index;
        let count = |text: &str| counter.count(text);
        let tokens: Vec<u64> = index.files.par_iter().map(|file| count(&file.text)).collect();
        let mut counts = Counts::default();
        let mut tasks = Vec::new();
        for (number, file) in index.files.iter().enumerate() {
            counts.files_with_errors += u64::from(file.has_errors);
            if is_header(&file.path) && !wish.headers {
                continue;
            }
            let number = number as u32;
            let fits = tokens[number as usize] <= wish.max_tokens;
            if fits {
                tasks.push(Task::Whole(number));
            }
            if fits && wish.granularity == Granularity::Fitting {
                continue;
            }
            let roots = roots(index, number);
            if !fits && (!file.understood || roots.is_empty()) {
                counts.oversized_files += 1;
                continue;
            }
            tasks.extend(roots.chunks(ROOTS_PER_TASK).map(|some| Task::Roots(number, some.to_vec())));
        }
        for some in tasks.chunks(TASKS_AT_ONCE) {
            let done: Vec<(Vec<Composed>, u64)> = some
                .par_iter()
                .with_max_len(1)
                .map(|task| Composer { index, wish, count: &count, tokens: &tokens }.perform(task))
                .collect();
            for (documents, oversized) in done {
                counts.oversized_items += oversized;
                documents.into_iter().for_each(&mut *sink);
            }
        }
        self.modules.documents(wish, &count, &mut counts, sink);
        counts
    }
}

/// The entries of a file that documents are made for.
fn roots(index: &Index, file: u32) -> Vec<u32> {
    if !index.file(file).understood {
        return Vec::new();
    }
    let is_root = |entry: &u32| matches!(index.entry(*entry).kind, Kind::Function | Kind::Type);
    index.file(file).entries.clone().filter(is_root).collect()
}

fn is_header(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    !matches!(extension, "c" | "cc" | "cpp" | "cxx" | "c++" | "C" | "cu")
}

struct Composer<'c, 'p> {
    index: &'p Index,
    wish: &'c Wish,
    count: &'c Count<'c>,
    tokens: &'c [u64],
}

impl<'c, 'p> Composer<'c, 'p> {
    fn perform(&self, task: &Task) -> (Vec<Composed>, u64) {
        match task {
            Task::Whole(file) => {
                let crossed = (self.wish.mode == Mode::CrossFile).then(|| self.crossed_file(*file)).flatten();
                (vec![crossed.unwrap_or_else(|| self.whole_file(*file))], 0)
            }
            Task::Roots(file, roots) => self.documents_of(*file, roots),
        }
    }

    fn whole_file(&self, file: u32) -> Composed {
        let of = self.index.file(file);
        Composed {
            text: of.text.clone(),
            path: of.path.clone(),
            language: of.language.name(),
            kind: DocumentKind::File,
            symbols: each_once(of.titles.iter().flat_map(|titles| titles.iter().cloned())),
            tokens: self.tokens[file as usize],
            drawn_from: vec![of.path.clone()],
        }
    }

    /// A file with what it needs of others; `None` where it needs nothing or has nothing of its own, or more than fits.
    fn crossed_file(&self, file: u32) -> Option<Composed> {
        let of = self.index.file(file);
        if self.wish.cross_depth == 0 || !of.understood || is_header(&of.path) {
            return None;
        }
        let own = |entry: &u32| {
            !matches!(self.index.entry(*entry).kind, Kind::Include | Kind::Idle | Kind::Unknown)
        };
        let roots: Vec<u32> = of.entries.clone().filter(own).collect();
        if roots.is_empty() {
            // Nothing but includes and comments.
            return None;
        }
        let mut unit = Unit::new(self.index, file, true);
        let mut slice = Slice::new(&mut unit, self.index, self.measure(file), self.wish.max_tokens);
        let composed = self.compose(&mut slice, &roots, DocumentKind::Unit)?;
        (composed.drawn_from.len() > 1).then_some(composed)
    }

    fn documents_of(&self, file: u32, roots: &[u32]) -> (Vec<Composed>, u64) {
        let mut open = (self.wish.cross_depth > 0).then(|| Unit::new(self.index, file, true));
        let measure = self.measure(file);
        let wall = self.wish.max_tokens;
        let mut open = open.as_mut().map(|unit| Slice::new(unit, self.index, measure, wall));
        let mut closed_unit = None;
        let mut documents = Vec::new();
        let mut left: Vec<u32> = Vec::new();
        for root in roots {
            let kind = self.kind_of(*root);
            let composed = open.as_mut().and_then(|slice| self.compose(slice, &[*root], kind));
            match composed {
                Some(composed) => documents.push((*root, composed)),
                None => left.push(*root),
            }
        }
        let mut oversized = 0;
        if !left.is_empty() {
            let unit = closed_unit.insert(Unit::new(self.index, file, false));
            let mut slice = Slice::new(unit, self.index, measure, wall);
            for root in left {
                match self.compose(&mut slice, &[root], self.kind_of(root)) {
                    Some(composed) => documents.push((root, composed)),
                    None => oversized += 1,
                }
            }
        }
        documents.sort_by_key(|(root, _)| *root);
        (documents.into_iter().map(|(_, composed)| composed).collect(), oversized)
    }

    fn measure(&self, root: u32) -> Measure<'c, 'p> {
        Measure { index: self.index, count: self.count, root }
    }

    fn kind_of(&self, root: u32) -> DocumentKind {
        match self.index.entry(root).kind {
            Kind::Type => DocumentKind::Class,
            _ => DocumentKind::Function,
        }
    }

    /// A document of some roots, with called definitions if it then fits, else without.
    fn compose(&self, slice: &mut Slice<'_, 'p>, roots: &[u32], kind: DocumentKind) -> Option<Composed> {
        if !slice.draw_needed(roots) {
            return None;
        }
        let needed = slice.drawn.len();
        slice.draw_called(roots, self.wish.cross_depth.max(1));
        if let Some(composed) = self.write(slice, roots, kind) {
            return Some(composed);
        }
        if slice.drawn.len() == needed || !slice.draw_needed(roots) {
            return None;
        }
        self.write(slice, roots, kind)
    }

    fn write(&self, slice: &Slice<'_, 'p>, roots: &[u32], kind: DocumentKind) -> Option<Composed> {
        let measure = self.measure(slice.unit.root);
        let pieces = arrange(slice);
        let tokens = pieces.iter().map(|piece| measure.piece(*piece)).sum();
        if tokens > self.wish.max_tokens {
            return None;
        }
        let mut text = String::new();
        let mut files = BTreeSet::new();
        let mut symbols = Vec::new();
        for piece in &pieces {
            measure.write(*piece, &mut text);
            if let Piece::Entry(entry) = piece {
                let file = self.index.entry(*entry).file;
                if self.index.entry(*entry).kind != Kind::Include {
                    files.insert(file);
                }
                let of = self.index.file(file);
                symbols.extend(of.titles[(entry - of.entries.start) as usize].iter().cloned());
            }
        }
        let root = self.index.file(self.index.entry(roots[0]).file);
        Some(Composed {
            text,
            path: root.path.clone(),
            language: root.language.name(),
            kind,
            symbols: each_once(symbols.into_iter()),
            tokens,
            drawn_from: files.into_iter().map(|file| self.index.file(file).path.clone()).collect(),
        })
    }
}

/// Overloads and specialisations repeat a name; a document lists it once.
pub(super) fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}
