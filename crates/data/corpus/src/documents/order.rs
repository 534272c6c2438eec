//! The order of a document: the unit's, with functions after those they call.
//!
//! The unit's order compiles as it is. A function whose callee stands further down moves down to just after it, and
//! with it whatever needs the function's definition; nothing ever moves up, so whatever stood before an entry still
//! does. Functions that call each other keep their order, and the prototypes between them, which were there.
//!
//! The system's headers, and the macros that steer them, come first.

use super::entry::{Kind, NONE, Traits};
use super::includes::Target;
use super::index::Index;
use super::pieces::Piece;
use super::slice::Slice;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The pieces of a slice in order.
pub(super) fn arrange(slice: &Slice<'_, '_>) -> Vec<Piece> {
    let index = slice.index;
    let mut entries = slice.drawn.clone();
    entries.sort_unstable_by_key(|entry| slice.position(*entry));
    let places = places(slice, &entries);
    let place = |entry: &u32| {
        let (place, rank) = places.get(entry).copied().unwrap_or((slice.position(*entry), 0));
        (stage(slice, *entry), place, rank)
    };
    entries.sort_by_key(place);
    without_repeats(slice, &mut entries);
    without_empty_openings(slice, &mut entries);
    bracketed(index, &entries)
}

/// Entries that move: to which position, and in which order there.
fn places(slice: &Slice<'_, '_>, entries: &[u32]) -> BTreeMap<u32, (u32, u32)> {
    let mut walk = Walk { slice, state: BTreeMap::new(), rank: 0, moved: false };
    for entry in entries {
        walk.visit(*entry, 0);
    }
    if !walk.moved || crosses_a_redefinition(slice, entries, &walk.state) {
        return BTreeMap::new();
    }
    let places: BTreeMap<_, _> =
        walk.state.into_iter().filter_map(|(entry, place)| place.map(|place| (entry, place))).collect();
    if leaves_a_use_behind(slice, &places) { BTreeMap::new() } else { places }
}

/// A walk over calls, callees first.
struct Walk<'s, 'u, 'p> {
    slice: &'s Slice<'u, 'p>,
    /// Entries that were met; `None` while below them.
    state: BTreeMap<u32, Option<(u32, u32)>>,
    rank: u32,
    moved: bool,
}

/// Calls are followed this deep; beyond, the unit's order stays.
const MAX_DEPTH: u32 = 500;

impl Walk<'_, '_, '_> {
    /// The position after which an entry can stand.
    fn visit(&mut self, entry: u32, depth: u32) -> u32 {
        let own = self.slice.position(entry);
        match self.state.get(&entry) {
            Some(Some((place, _))) => return *place,
            Some(None) => return own,
            None if depth == MAX_DEPTH => return own,
            None => {}
        }
        self.state.insert(entry, None);
        let index = self.slice.index;
        let mut place = own;
        for word in index.words(&index.entry(entry).words) {
            for callee in index.defines.of(word.symbol()) {
                if self.slice.holds(*callee) && *callee != entry && self.waits(entry, *callee) {
                    place = place.max(self.visit(*callee, depth + 1));
                }
            }
        }
        self.moved |= place != own;
        self.rank += 1;
        self.state.insert(entry, Some((place, self.rank)));
        place
    }

    /// Whether an entry stands after a function that it names: functions do, and what had it above itself.
    fn waits(&self, entry: u32, callee: u32) -> bool {
        let index = self.slice.index;
        match index.entry(entry).kind {
            Kind::Function => true,
            Kind::Type | Kind::Global | Kind::Specialization | Kind::Assertion | Kind::Call => {
                !index.entry(callee).traits.has(Traits::SCOPED)
                    && self.slice.position(callee) < self.slice.position(entry)
            }
            _ => false,
        }
    }
}

/// Whether a function would move below a use of it that no prototype precedes, as in a circle of calls.
fn leaves_a_use_behind(slice: &Slice<'_, '_>, places: &BTreeMap<u32, (u32, u32)>) -> bool {
    let index = slice.index;
    places.iter().any(|(user, place)| {
        index.words(&index.entry(*user).words).iter().any(|word| {
            let symbol = word.symbol();
            let declared = || {
                index.declares.of(symbol).iter().any(|entry| {
                    index.entry(*entry).kind == Kind::Prototype
                        && slice.holds(*entry)
                        && slice.position(*entry) < place.0
                })
            };
            index.defines.of(symbol).iter().any(|function| {
                function != user
                    && !index.entry(*function).traits.has(Traits::SCOPED)
                    && places.get(function).is_some_and(|other| {
                        other.0 != slice.position(*function)
                            && slice.position(*function) < slice.position(*user)
                            && other > place
                    })
                    && !declared()
            })
        })
    })
}

/// Whether an entry would move past a line that changes a macro it uses.
fn crosses_a_redefinition(
    slice: &Slice<'_, '_>,
    entries: &[u32],
    places: &BTreeMap<u32, Option<(u32, u32)>>,
) -> bool {
    let index = slice.index;
    let changes: Vec<(u32, u32)> = entries
        .iter()
        .filter(|entry| matches!(index.entry(**entry).kind, Kind::Macro | Kind::Undefine))
        .flat_map(|entry| {
            let names = index.names(&index.entry(*entry).names);
            names.iter().map(|name| (name.symbol, slice.position(*entry)))
        })
        .collect();
    places.iter().any(|(entry, place)| {
        let Some((place, _)) = place else { return false };
        let own = slice.position(*entry);
        *place != own
            && changes.iter().any(|(symbol, position)| {
                (own..*place).contains(position)
                    && index.words(&index.entry(*entry).words).iter().any(|word| word.symbol() == *symbol)
            })
    })
}

/// Macros that the system's headers read come before these, and these before all else: a definition that another file lends has
/// its own includes, which may stand above the root file's macros. Below a header that stays an include and steers them, they stay.
fn stage(slice: &Slice<'_, '_>, entry: u32) -> u8 {
    let index = slice.index;
    let is_steered =
        index.entry(entry).kind == Kind::Include && slice.position(entry) > slice.unit.steered_from;
    match !is_steered && comes_first(index, entry) {
        true if index.entry(entry).kind == Kind::Include => 1,
        true => 0,
        false => 2,
    }
}

fn comes_first(index: &Index, entry: u32) -> bool {
    let of = index.entry(entry);
    match of.kind {
        Kind::Include => {
            let includes = &index.file(of.file).includes;
            let at = includes.partition_point(|include| include.entry < entry);
            let is_outside = includes[at].target == Target::Outside && !of.traits.has(Traits::TEXTUAL);
            of.bracket == NONE && of.traits.has(Traits::ANGLE) && is_outside
        }
        Kind::Macro | Kind::Undefine => {
            let mut brackets = index.brackets_of(entry);
            // What names nothing of the project but macros of this sort holds anywhere: conditions on the machine and the compiler.
            let is_free = |words: &Range<u32>| {
                let of_this_sort = |entry: &u32| index.entry(*entry).traits.has(Traits::FEATURE);
                index
                    .words(words)
                    .iter()
                    .all(|word| index.declares.of(word.symbol()).iter().all(of_this_sort))
            };
            of.traits.has(Traits::FEATURE)
                && is_free(&of.words)
                && brackets.all(|bracket| is_free(&index.bracket(bracket).words))
        }
        _ => false,
    }
}

/// Takes out includes that are there already.
fn without_repeats(slice: &Slice<'_, '_>, entries: &mut Vec<u32>) {
    let index = slice.index;
    let mut included = BTreeSet::new();
    entries.retain(|entry| {
        let of = index.entry(*entry);
        if of.kind != Kind::Include {
            return true;
        }
        let includes = &index.file(of.file).includes;
        let include = &includes[includes.partition_point(|include| include.entry < *entry)];
        let counts_once = match include.target {
            Target::File(target) => index.file(target).guarded,
            Target::Outside => of.traits.has(Traits::ANGLE) && !of.traits.has(Traits::TEXTUAL),
            Target::Unclear => false,
        };
        let key = match include.target {
            Target::File(target) => (index.file(target).path.as_str(), false),
            _ => (include.written.as_str(), true),
        };
        // An include in a branch counts for that branch only.
        if of.bracket != NONE {
            return !included.contains(&key) || !counts_once;
        }
        !counts_once || included.insert(key)
    });
}

/// Takes out the opening of namespaces of which nothing was drawn: their names are not known then.
fn without_empty_openings(slice: &Slice<'_, '_>, entries: &mut Vec<u32>) {
    let index = slice.index;
    let names = |bracket: u32| index.names(&index.bracket(bracket).names).iter().map(|name| name.symbol);
    let opened = |entry: u32| index.names(&index.entry(entry).names).first().map(|name| name.symbol);
    if !entries.iter().any(|entry| index.entry(*entry).kind == Kind::Opening) {
        return;
    }
    let mut met = BTreeSet::new();
    let mut stated = BTreeSet::new();
    entries.retain(|entry| {
        let of = index.entry(*entry);
        if of.kind == Kind::Opening {
            let in_headers = || {
                let files = (0..index.files.len() as u32).filter(|file| slice.unit.is_open(*file));
                let mut brackets = files.flat_map(|file| index.file(file).brackets.clone());
                brackets.any(|bracket| names(bracket).any(|name| opened(*entry) == Some(name)))
            };
            let known = opened(*entry).is_none_or(|name| met.contains(&name)) || !in_headers();
            return known && stated.insert((of.bracket, opened(*entry)));
        }
        index.brackets_of(*entry).for_each(|bracket| met.extend(names(bracket)));
        true
    });
}

/// The pieces of entries in order: brackets are closed and opened where neighbours differ in them.
fn bracketed(index: &Index, entries: &[u32]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(entries.len() * 2);
    let mut open: Vec<u32> = Vec::new();
    for entry in entries {
        let mut path: Vec<u32> = index.brackets_of(*entry).collect();
        path.reverse();
        let mut common = open.iter().zip(&path).take_while(|(one, other)| one == other).count();
        // Behind `#else` there is no way back to its `#if`.
        while common > 0 && common < open.len() && index.bracket(open[common]).close.is_empty() {
            common -= 1;
        }
        while open.len() > common {
            pieces.extend(open.pop().map(Piece::Close));
        }
        for bracket in &path[common..] {
            pieces.push(Piece::Open(*bracket));
            open.push(*bracket);
        }
        pieces.push(Piece::Entry(*entry));
    }
    pieces.extend(open.into_iter().rev().map(Piece::Close));
    pieces
}
