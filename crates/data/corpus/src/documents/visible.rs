//! What a file sees: its translation unit, laid out in the compiler's own order.
//!
//! A unit is the file's own entries and, where they are included, the entries of the project's headers, each once. A
//! header takes part only if it can be taken apart: it is understood throughout, it counts once however often it is
//! included, and it is included unconditionally. Any other stays an `#include` line, and so does all that such a
//! header includes in turn: what it brings along must not be there twice.

use super::entry::{Kind, Mention, NONE, Name, Traits};
use super::includes::{Target, folder_of};
use super::index::Index;
use std::collections::BTreeSet;

/// Position of an entry that a unit does not see.
pub(super) const UNSEEN: u32 = u32::MAX;

/// Where the root file's own entries begin; other files' come before.
const OWN: u32 = 1 << 30;

/// A translation unit, and other files that lend it definitions.
pub(super) struct Unit<'p> {
    index: &'p Index,
    pub root: u32,
    /// By entry of the project: its position in the unit, or [`UNSEEN`].
    pub position: Vec<u32>,
    /// Entries that the root file sees, in order.
    pub order: Vec<u32>,
    /// By file: what the unit does with it.
    fate: Vec<Fate>,
    /// By symbol: whether a header that stays an include asks for it in a condition.
    steers: Vec<bool>,
    /// Types that a header which stays an include declares, by naming them in C, and that are defined in the open: in C++, in the
    /// root file.
    pub named_in_closed: Vec<u32>,
    /// Includes that stay, each with what its header takes from those above it, as not every header includes all it needs.
    presumed: Vec<(u32, Vec<Mention>)>,
    /// Position of the first include that stays and whose headers define macros which the system's headers may read.
    pub steered_from: u32,
    /// Files whose definitions were asked for.
    pub lenders: Vec<Lender>,
    /// By file: whether it was asked and lends none.
    refuses: Vec<bool>,
    /// Where the next entry of a lender goes: before the root file's own, or after them if it sees them.
    next: [u32; 2],
}

/// A file that was asked for a definition.
#[derive(Debug)]
pub(super) struct Lender {
    pub file: u32,
    /// Whether it can lend any.
    lends: bool,
    /// Files that it sees.
    sees: BTreeSet<u32>,
    /// Its entries, and those of headers that only it sees, in order.
    pub order: Vec<u32>,
}

/// What a unit does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not included.
    Absent,
    /// Its entries take part, for all.
    Open,
    /// Its entries take part, for its own only.
    Private,
    /// It stays an `#include`, or comes with one that does.
    Closed,
}

impl<'p> Unit<'p> {
    /// The unit of a file; `open`: whether headers are taken apart.
    pub fn new(index: &'p Index, root: u32, open: bool) -> Unit<'p> {
        let mut unit = Unit {
            index,
            root,
            position: vec![UNSEEN; index.entries.len()],
            order: Vec::new(),
            fate: vec![Fate::Absent; index.files.len()],
            steers: vec![false; index.symbols as usize],
            named_in_closed: Vec::new(),
            presumed: Vec::new(),
            steered_from: UNSEEN,
            lenders: Vec::new(),
            refuses: vec![false; index.files.len()],
            next: [0; 2],
        };
        let (closed, _) = unit.closed(root, open);
        for file in &closed {
            unit.fate[*file as usize] = Fate::Closed;
            for symbol in &index.file(*file).conditions {
                unit.steers[*symbol as usize] = true;
            }
        }
        let order = unit.lay_out(root);
        // Definitions from elsewhere go between the last header and the file's own entries after it.
        let before = after_headers(index, root, &order);
        for (at, entry) in order.iter().enumerate() {
            let position = if at < before { at } else { OWN as usize + at };
            unit.position[*entry as usize] = position as u32;
        }
        unit.next = [before as u32, OWN + order.len() as u32];
        unit.order = order;
        unit.named_in_closed = unit.types_named_in(&closed);
        unit.presumed = unit.presumed_by(&closed);
        unit.steered_from = unit.first_that_steers(&closed);
        unit
    }

    /// Whether `file`, which must see the file `declared_in`, lends definitions: its entries then have positions
    /// between the headers' and the root file's own.
    pub fn borrow_from(&mut self, file: u32, declared_in: u32) -> bool {
        if let Some(known) = self.lenders.iter().find(|lender| lender.file == file) {
            return known.lends && known.sees.contains(&declared_in);
        }
        let (closed, sees) = self.closed(file, true);
        let lends = self.fate[file as usize] == Fate::Absent
            && self.is_fit_for_pieces(file)
            && self.opens_nothing_new(file)
            && self.repeats_nothing(file)
            && closed.iter().all(|file| self.fate[*file as usize] == Fate::Closed)
            && sees
                .iter()
                .all(|file| self.fate[*file as usize] != Fate::Absent || self.is_self_reliant(*file));
        let mut order = Vec::new();
        if lends {
            order = self.lay_out(file);
            let next = &mut self.next[usize::from(sees.contains(&self.root))];
            for entry in &order {
                self.position[*entry as usize] = *next;
                *next += 1;
            }
        }
        self.refuses[file as usize] = !lends;
        self.lenders.push(Lender { file, lends, sees, order });
        lends && self.lenders.last().is_some_and(|lender| lender.sees.contains(&declared_in))
    }

    /// Whether a file was asked for a definition and lends none.
    pub fn is_refused_by(&self, file: u32) -> bool {
        self.refuses[file as usize]
    }

    /// Whether entries of `file` are seen by its own only.
    pub fn is_private(&self, file: u32) -> bool {
        self.fate[file as usize] == Fate::Private
    }

    /// Whether entries of `user` may name those of `file`, as far as they stand before them.
    pub fn is_seen_by(&self, file: u32, user: u32) -> bool {
        let lender_sees =
            || self.lenders.iter().any(|lender| lender.file == user && lender.sees.contains(&file));
        file == user || !self.is_private(file) || file == self.root && lender_sees()
    }

    fn types_named_in(&self, closed: &BTreeSet<u32>) -> Vec<u32> {
        let index = self.index;
        if closed.is_empty() {
            return Vec::new();
        }
        let is_c = index.file(self.root).language.name() == "c";
        let mut named = vec![false; index.symbols as usize];
        let mut defined = vec![false; index.symbols as usize];
        for entry in closed.iter().flat_map(|file| index.file(*file).entries.clone()) {
            let of = index.entry(entry);
            if is_c {
                index.words(&of.words).iter().for_each(|word| named[word.symbol() as usize] = true);
            } else if of.kind == Kind::Forward {
                index.names(&of.names).iter().for_each(|name| named[name.symbol as usize] = true);
            } else if of.kind == Kind::Type {
                index.names(&of.names).iter().for_each(|name| defined[name.symbol as usize] = true);
            }
        }
        let is_named_type = |entry: &u32| {
            let of = index.entry(*entry);
            let mut names = index.names(&of.names).iter();
            let is_declared = |name: &Name| {
                named[name.symbol as usize] || name.scope != NONE && defined[name.scope as usize]
            };
            let is_type = of.kind == Kind::Type || is_c && of.kind == Kind::Alias;
            // In C++ a name declares a class only where `class` stands before it, or in its own.
            let is_near = is_c || of.file == self.root;
            is_type && is_near && names.any(is_declared)
        };
        self.order.iter().copied().filter(is_named_type).collect()
    }

    fn first_that_steers(&self, closed: &BTreeSet<u32>) -> u32 {
        let index = self.index;
        let steering: Vec<u32> = closed
            .iter()
            .copied()
            .filter(|file| {
                let mut entries = index.file(*file).entries.clone();
                entries.any(|entry| {
                    let of = index.entry(entry);
                    of.kind == Kind::Macro && of.traits.has(Traits::FEATURE)
                })
            })
            .collect();
        let leads_to_one = |entry: &u32| {
            let mut met = BTreeSet::new();
            let mut queue: Vec<u32> = index.target_of(*entry).into_iter().collect();
            while let Some(file) = queue.pop() {
                if steering.binary_search(&file).is_ok() {
                    return true;
                }
                if met.insert(file) {
                    queue
                        .extend(index.file(file).includes.iter().filter_map(|include| include.target.file()));
                }
            }
            false
        };
        if steering.is_empty() {
            return UNSEEN;
        }
        let mut includes = self.order.iter().filter(|entry| index.entry(**entry).kind == Kind::Include);
        includes.find(|entry| leads_to_one(entry)).map_or(UNSEEN, |entry| self.position[*entry as usize])
    }

    /// What the header of an include takes from those above it.
    pub fn presumed_at(&self, include: u32) -> &[Mention] {
        self.presumed.iter().find(|(at, _)| *at == include).map_or(&[], |(_, words)| words)
    }

    /// By include: words of headers that stay includes which only entries above the include declare.
    fn presumed_by(&self, closed: &BTreeSet<u32>) -> Vec<(u32, Vec<Mention>)> {
        let index = self.index;
        let mut known = vec![false; if closed.is_empty() { 0 } else { index.symbols as usize }];
        let of_closed = |file: &u32| index.file(*file).entries.clone();
        for entry in closed.iter().flat_map(of_closed) {
            index.names(&index.entry(entry).names).iter().for_each(|name| known[name.symbol as usize] = true);
        }
        let mut met = BTreeSet::new();
        let mut presumed = Vec::new();
        for include in self.order.iter().filter(|entry| index.entry(**entry).kind == Kind::Include) {
            let position = self.position[*include as usize];
            let mut words = Vec::new();
            let mut queue: Vec<u32> = index.target_of(*include).into_iter().collect();
            while let Some(file) = queue.pop() {
                if !closed.contains(&file) || !met.insert(file) {
                    continue;
                }
                for word in of_closed(&file).flat_map(|entry| index.words(&index.entry(entry).words)) {
                    let symbol = word.symbol() as usize;
                    if !known[symbol] {
                        known[symbol] = index
                            .declares
                            .of(word.symbol())
                            .iter()
                            .any(|entry| self.position[*entry as usize] < position);
                        words.extend(known[symbol].then_some(*word));
                    }
                }
                let includes = index.file(file).includes.iter();
                queue.extend(includes.filter_map(|include| include.target.file()));
            }
            if !words.is_empty() {
                presumed.push((*include, words));
            }
        }
        presumed
    }

    /// Whether a header that stays an include asks for a name in a condition.
    pub fn steers(&self, symbol: u32) -> bool {
        self.steers[symbol as usize]
    }

    /// Whether entries of `file` take part.
    pub fn is_open(&self, file: u32) -> bool {
        matches!(self.fate[file as usize], Fate::Open | Fate::Private)
    }

    /// Whether `file` comes with an include that stays.
    pub fn is_closed(&self, file: u32) -> bool {
        self.fate[file as usize] == Fate::Closed
    }

    /// Whether a file that a unit does not see yet asks for nothing but what every machine has.
    fn is_self_reliant(&self, file: u32) -> bool {
        self.index.file(file).includes.iter().all(|include| match include.target {
            Target::File(_) => true,
            Target::Outside => is_standard(&include.written),
            Target::Unclear => false,
        })
    }

    /// Whether every header that `file` includes counts once: the root file may include it as well.
    fn repeats_nothing(&self, file: u32) -> bool {
        self.index.file(file).includes.iter().all(|include| match include.target {
            Target::File(target) => self.index.file(target).guarded,
            _ => true,
        })
    }

    /// Whether everything that `file` opens with `using namespace` is open in the root file as well.
    fn opens_nothing_new(&self, file: u32) -> bool {
        let openings = |file: u32| {
            let entries = self.index.file(file).entries.clone();
            entries.filter(|entry| self.index.entry(*entry).kind == Kind::Opening)
        };
        let text = |entry: u32| self.index.text(self.index.entry(entry).file, &self.index.entry(entry).text);
        openings(file).all(|theirs| openings(self.root).any(|ours| text(ours) == text(theirs)))
    }

    /// The files below `root` that stay includes, or come with one that does; and all files below it.
    fn closed(&self, root: u32, open: bool) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let mut seen = BTreeSet::from([root]);
        let mut queue = vec![root];
        let mut closed = Vec::new();
        while let Some(file) = queue.pop() {
            for include in &self.index.file(file).includes {
                if let Target::File(target) = include.target {
                    let entry = self.index.entry(include.entry);
                    if !open || entry.bracket != NONE || !self.can_open(target) {
                        closed.push(target);
                    }
                    if seen.insert(target) {
                        queue.push(target);
                    }
                }
            }
        }
        let mut all = BTreeSet::new();
        while let Some(file) = closed.pop() {
            if file != root && all.insert(file) {
                closed.extend(self.index.file(file).includes.iter().filter_map(
                    |include| match include.target {
                        Target::File(target) => Some(target),
                        _ => None,
                    },
                ));
            }
        }
        (all, seen)
    }

    fn can_open(&self, file: u32) -> bool {
        self.index.file(file).guarded && self.is_fit_for_pieces(file)
    }

    /// Whether a file can be taken apart, and its pieces compile in the root file's folder; and whether they can be parsed, if
    /// the root file can.
    fn is_fit_for_pieces(&self, file: u32) -> bool {
        let file = self.index.file(file);
        let same_folder = folder_of(&file.path) == folder_of(&self.index.file(self.root).path);
        let mut includes = file.includes.iter();
        file.understood
            && includes.all(|include| {
                let textual = self.index.entry(include.entry).traits.has(Traits::TEXTUAL);
                !textual && (same_folder || include.target != Target::Unclear)
            })
            && (file.parses() || !self.index.file(self.root).parses())
    }

    /// The entries of a file and of what it includes, as far as they are not in the unit yet.
    fn lay_out(&mut self, root: u32) -> Vec<u32> {
        let index = self.index;
        self.fate[root as usize] = Fate::Private;
        let mut order = Vec::new();
        let mut stack = vec![(root, index.file(root).entries.start, 0)];
        while let Some((file, at, include)) = stack.pop() {
            if at == index.file(file).entries.end {
                continue;
            }
            if index.entry(at).kind != Kind::Include {
                order.push(at);
                stack.push((file, at + 1, include));
                continue;
            }
            stack.push((file, at + 1, include + 1));
            match index.file(file).includes[include].target {
                Target::File(target) => match self.fate[target as usize] {
                    Fate::Absent => {
                        self.fate[target as usize] = Fate::Open;
                        stack.push((target, index.file(target).entries.start, 0));
                    }
                    Fate::Open | Fate::Private => {}
                    Fate::Closed => order.push(at),
                },
                Target::Outside | Target::Unclear => order.push(at),
            }
        }
        order
    }
}

/// How many entries of a unit stand before the place for definitions from elsewhere: whatever comes from headers, and
/// the root file's includes above its first function, which their own macros and each other may steer.
fn after_headers(index: &Index, root: u32, order: &[u32]) -> usize {
    let is_function = |entry: &u32| {
        let of = index.entry(*entry);
        of.file == root && of.kind == Kind::Function
    };
    let first = order.iter().position(is_function).unwrap_or(order.len());
    let is_include = |entry: &u32| index.entry(*entry).kind == Kind::Include;
    let included = order[..first].iter().rposition(is_include).map_or(0, |last| last + 1);
    let opened = order.iter().rposition(|entry| index.entry(*entry).file != root).map_or(0, |last| last + 1);
    included.max(opened)
}

/// Whether a header comes with the language or with every Unix.
fn is_standard(header: &str) -> bool {
    const STANDARD: [&str; 38] = [
        "assert.h",
        "ctype.h",
        "errno.h",
        "fcntl.h",
        "fenv.h",
        "float.h",
        "inttypes.h",
        "iso646.h",
        "limits.h",
        "locale.h",
        "math.h",
        "netdb.h",
        "poll.h",
        "pthread.h",
        "sched.h",
        "semaphore.h",
        "setjmp.h",
        "signal.h",
        "stdalign.h",
        "stdarg.h",
        "stdatomic.h",
        "stdbool.h",
        "stddef.h",
        "stdint.h",
        "stdio.h",
        "stdlib.h",
        "stdnoreturn.h",
        "string.h",
        "strings.h",
        "syslog.h",
        "termios.h",
        "tgmath.h",
        "threads.h",
        "time.h",
        "uchar.h",
        "unistd.h",
        "wchar.h",
        "wctype.h",
    ];
    !header.contains(['.', '/']) || STANDARD.contains(&header) || header.starts_with("sys/")
}
