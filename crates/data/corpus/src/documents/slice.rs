//! The slice: from some entries of a unit to all that they need, and to definitions of what they call.
//!
//! An entry needs what its words name among the entries before it; that is the compiler's own rule, so following it
//! transitively gives a text that can be compiled, in the unit's order. Two kinds of entries take effect where they
//! are used and not where they stand: the words of a macro, and of a template, are looked up from there.
//!
//! Three things are needed without being named. A type that was declared ahead must be complete where its members
//! are used: it is drawn in if any of the words that stand after `.` or `->` is in it. So is a type's own type that
//! is defined outside it. A specialisation comes when
//! all of the project's types in its head are there. An operator comes when one of the types in its head is there:
//! its sign need not be seen, because the standard's algorithms use it too.
//!
//! Definitions of called functions are welcome, not needed: each comes in with all it needs, or not at all.

use std::collections::VecDeque;

use super::entry::{Entry, Kind, Mention, NONE, Traits};
use super::index::Index;
use super::pieces::Measure;
use super::visible::Unit;

/// Entries drawn from a unit. Used for slice after slice of one unit.
pub(super) struct Slice<'u, 'p> {
    pub index: &'p Index,
    pub unit: &'u mut Unit<'p>,
    measure: Measure<'u, 'p>,
    /// By entry: from which position on its words are looked up; 0 where it is not drawn.
    limits: Vec<u32>,
    /// By symbol: whether it stands after `.` or `->` somewhere.
    members: Vec<bool>,
    brackets: Vec<bool>,
    /// Entries in the order in which they were drawn.
    pub drawn: Vec<u32>,
    queue: Vec<u32>,
    /// Specialisations and operators that may come in yet.
    waiting: Vec<u32>,
    /// Drawn declarations of types.
    forward: Vec<u32>,
    /// Types that are named ahead of their definition, each with a file that names it.
    ahead: Vec<(u32, u32)>,
    /// By entry: whether it is in `ahead`.
    awaited: Vec<bool>,
    undo: Vec<Undo>,
    /// Tokens of the drawn entries; brackets are not in it.
    pub tokens: u64,
    wall: u64,
}

/// A change that can be taken back.
#[derive(Debug, Clone, Copy)]
enum Undo {
    Limit(u32, u32),
    Member(u32),
    Bracket(u32),
    Waiting,
    Forward,
    Ahead,
}

/// How things stood at a moment.
#[derive(Debug, Clone, Copy)]
struct Mark {
    undo: usize,
    drawn: usize,
    tokens: u64,
}

impl<'u, 'p> Slice<'u, 'p> {
    /// An empty slice of a unit, for documents of at most `wall` tokens.
    pub fn new(
        unit: &'u mut Unit<'p>,
        index: &'p Index,
        measure: Measure<'u, 'p>,
        wall: u64,
    ) -> Slice<'u, 'p> {
        Slice {
            index,
            unit,
            measure,
            limits: vec![0; index.entries.len()],
            members: vec![false; index.symbols as usize],
            brackets: vec![false; index.brackets.len()],
            drawn: Vec::new(),
            queue: Vec::new(),
            waiting: Vec::new(),
            forward: Vec::new(),
            ahead: Vec::new(),
            awaited: vec![false; index.entries.len()],
            undo: Vec::new(),
            tokens: 0,
            wall,
        }
    }

    /// Draws `roots` and all that they need. `false` where that is more than the wall.
    pub fn draw_needed(&mut self, roots: &[u32]) -> bool {
        self.back_to(Mark { undo: 0, drawn: 0, tokens: 0 });
        let last = roots.iter().map(|root| self.position(*root)).max().unwrap_or(0);
        let order = std::mem::take(&mut self.unit.order);
        let seen = &order[..order.partition_point(|entry| self.unit.position[*entry as usize] <= last)];
        let last_include = seen.iter().rposition(|entry| self.index.entry(*entry).kind == Kind::Include);
        for (at, entry) in seen.iter().enumerate() {
            if self.is_always_there(*entry, last_include.is_some_and(|last| at < last)) {
                self.draw(*entry, self.position(*entry) + 1);
            }
        }
        self.unit.order = order;
        for at in 0..self.unit.named_in_closed.len() {
            let named = self.unit.named_in_closed[at];
            self.await_completion(named, self.unit.root);
        }
        for root in roots {
            self.draw(*root, self.position(*root) + 1);
        }
        self.settle(last)
    }

    /// Draws the definitions of functions that `roots` call, and those that these call, `depth` calls deep; from
    /// other files, and from the unit's own. What does not fit stays out.
    pub fn draw_called(&mut self, roots: &[u32], depth: u32) {
        let mut asked: Vec<u32> = Vec::new();
        let mut queue: VecDeque<(u32, u32)> = roots.iter().map(|root| (*root, 0)).collect();
        while let Some((caller, level)) = queue.pop_front() {
            if level == depth || asked.contains(&caller) {
                continue;
            }
            asked.push(caller);
            for word in self.index.words(&self.index.entry(caller).words) {
                if !word.is(Mention::CALL) {
                    continue;
                }
                if let Some(callee) = self.definition(caller, *word)
                    && (self.holds(callee) || self.draw_if_it_fits(callee))
                {
                    queue.push_back((callee, level + 1));
                }
            }
        }
    }

    /// Whether an entry is drawn.
    pub fn holds(&self, entry: u32) -> bool {
        self.limits[entry as usize] != 0
    }

    /// Position of an entry in the unit.
    pub fn position(&self, entry: u32) -> u32 {
        self.unit.position[entry as usize]
    }

    /// Includes, and macros that steer them, are there whether or not anything names them.
    fn is_always_there(&self, entry: u32, before_include: bool) -> bool {
        let of = self.index.entry(entry);
        match of.kind {
            Kind::Include => true,
            Kind::Macro | Kind::Undefine => {
                let steers = || self.index.names(&of.names).iter().any(|name| self.unit.steers(name.symbol));
                of.traits.has(Traits::FEATURE) || before_include && (of.file == self.unit.root || steers())
            }
            Kind::Layout => of.file == self.unit.root,
            Kind::Opening => true,
            _ => false,
        }
    }

    fn draw(&mut self, entry: u32, limit: u32) {
        let known = self.limits[entry as usize];
        if known >= limit {
            return;
        }
        self.undo.push(Undo::Limit(entry, known));
        self.limits[entry as usize] = limit;
        self.queue.push(entry);
        if known == 0 {
            let of = self.index.entry(entry);
            self.drawn.push(entry);
            self.tokens += self.measure.entry(entry);
            if of.kind == Kind::Forward || of.kind == Kind::Alias {
                self.forward.push(entry);
                self.undo.push(Undo::Forward);
            }
        }
    }

    /// Follows names until nothing new comes in.
    fn settle(&mut self, last: u32) -> bool {
        loop {
            while let Some(entry) = self.queue.pop() {
                if self.tokens > self.wall {
                    self.queue.clear();
                    return false;
                }
                self.expand(entry);
            }
            self.complete_types(last);
            self.draw_waiting(last);
            if self.queue.is_empty() {
                return self.tokens <= self.wall;
            }
        }
    }

    fn expand(&mut self, entry: u32) {
        let index = self.index;
        let of = index.entry(entry);
        let limit = self.limits[entry as usize];
        for word in index.words(&of.words) {
            self.look_up(entry, *word, limit);
        }
        if of.kind == Kind::Include {
            for at in 0..self.unit.presumed_at(entry).len() {
                let word = self.unit.presumed_at(entry)[at];
                self.look_up(entry, word, limit);
            }
        }
        for bracket in index.brackets_of(entry) {
            if !self.brackets[bracket as usize] {
                self.brackets[bracket as usize] = true;
                self.undo.push(Undo::Bracket(bracket));
                for word in index.words(&index.bracket(bracket).words) {
                    self.look_up(entry, *word, limit);
                }
            }
        }
        for name in index.names(&of.names) {
            for about in index.about.of(name.symbol) {
                if self.position(*about) != super::visible::UNSEEN && !self.holds(*about) {
                    self.waiting.push(*about);
                    self.undo.push(Undo::Waiting);
                }
            }
        }
    }

    fn look_up(&mut self, from: u32, word: Mention, limit: u32) {
        let symbol = word.symbol();
        if word.is(Mention::MEMBER) && !self.members[symbol as usize] {
            self.members[symbol as usize] = true;
            self.undo.push(Undo::Member(symbol));
        }
        let index = self.index;
        let user = index.entry(from);
        for candidate in index.declares.of(symbol) {
            let position = self.position(*candidate);
            let of = index.entry(*candidate);
            if position >= limit && position != super::visible::UNSEEN && is_type_of_c(index, of) {
                self.await_completion(*candidate, user.file);
            }
            if of.kind == Kind::Macro && position == super::visible::UNSEEN && self.unit.is_closed(of.file) {
                self.follow(*candidate, limit);
            }
            if position >= limit || *candidate == from {
                continue;
            }
            // What is not looked up from where it stands is looked up from where it is used.
            let stays = self.position(from).checked_add(1).is_some_and(|own| limit <= own);
            if stays && !self.unit.is_seen_by(of.file, user.file) {
                continue;
            }
            match of.kind {
                Kind::Macro | Kind::Undefine => self.draw(*candidate, limit),
                _ if !word.is(Mention::PLAIN) => {}
                Kind::Prototype if is_own_name(index, user, symbol) => {}
                Kind::Function if self.is_stood_for(*candidate, symbol, limit) => {}
                _ if of.traits.has(Traits::TEMPLATE) => self.draw(*candidate, limit),
                _ => self.draw(*candidate, position + 1),
            }
        }
    }

    /// Follows the words of an entry that comes with an include: those of a macro are looked up where it is used.
    fn follow(&mut self, entry: u32, limit: u32) {
        let known = self.limits[entry as usize];
        if known < limit {
            self.undo.push(Undo::Limit(entry, known));
            self.limits[entry as usize] = limit;
            self.queue.push(entry);
        }
    }

    /// Notes a type that a file names ahead of its definition, as in `struct a *`.
    fn await_completion(&mut self, of: u32, user: u32) {
        if !self.awaited[of as usize] {
            self.awaited[of as usize] = true;
            self.ahead.push((of, user));
            self.undo.push(Undo::Ahead);
        }
    }

    /// Whether a prototype that is seen does for a function.
    fn is_stood_for(&self, function: u32, symbol: u32, limit: u32) -> bool {
        let of = self.index.entry(function);
        !of.traits.has(Traits::NEEDS_BODY)
            && !of.traits.has(Traits::TEMPLATE)
            && self.index.declares.of(symbol).iter().any(|other| {
                let entry = self.index.entry(*other);
                entry.kind == Kind::Prototype
                    && entry.parameters == of.parameters
                    && self.position(*other) < limit
            })
    }

    /// Types that were declared ahead and whose members are used.
    fn complete_types(&mut self, last: u32) {
        let index = self.index;
        let mut at = 0;
        while let Some((ahead, user)) = self.ahead.get(at).copied() {
            at += 1;
            let of = index.entry(ahead);
            let position = self.position(ahead);
            if position <= last
                && !self.holds(ahead)
                && self.unit.is_seen_by(of.file, user)
                && self.uses_members_of(of, NONE)
            {
                self.draw(ahead, position + 1);
            }
        }
        let mut at = 0;
        while let Some(forward) = self.forward.get(at).copied() {
            at += 1;
            for name in index.names(&index.entry(forward).names) {
                for candidate in index.declares.of(name.symbol) {
                    let position = self.position(*candidate);
                    let of = index.entry(*candidate);
                    let user = index.entry(forward).file;
                    if of.kind == Kind::Type
                        && position <= last
                        && (of.file == self.unit.root || self.unit.is_seen_by(of.file, user))
                        && !self.holds(*candidate)
                        && self.uses_members_of(index.entry(*candidate), name.symbol)
                    {
                        self.draw(*candidate, position + 1);
                    }
                }
            }
        }
    }

    fn uses_members_of(&self, of: &Entry, name: u32) -> bool {
        let words = self.index.words(&of.words);
        words.iter().any(|word| word.symbol() != name && self.members[word.symbol() as usize])
    }

    fn draw_waiting(&mut self, last: u32) {
        let mut at = 0;
        while let Some(entry) = self.waiting.get(at).copied() {
            at += 1;
            let position = self.position(entry);
            let of = self.index.entry(entry);
            let seen = of.file == self.unit.root || !self.unit.is_private(of.file);
            if seen && !self.holds(entry) && position <= last && self.belongs(of) {
                self.draw(entry, position + 1);
            }
        }
    }

    /// Whether a specialisation, operator or type of a type is about what was drawn.
    fn belongs(&self, of: &Entry) -> bool {
        let heads = self.index.words(&of.words).iter().filter(|word| word.is(Mention::HEAD));
        let mut types = heads.filter_map(|word| self.holds_type(word.symbol()));
        if of.kind == Kind::Type {
            let scope = self.index.names(&of.names).first().map_or(NONE, |name| name.scope);
            return of.file != self.unit.root || self.uses_members_of(of, scope);
        }
        if of.traits.has(Traits::OPERATOR) {
            return types.any(|holds| holds);
        }
        types.all(|holds| holds)
    }

    /// Whether the type of a name that is seen is drawn; `None` where no type of that name is seen.
    fn holds_type(&self, symbol: u32) -> Option<bool> {
        let candidates = self.index.declares.of(symbol).iter().filter(|candidate| {
            let kind = self.index.entry(**candidate).kind;
            matches!(kind, Kind::Type | Kind::Forward | Kind::Alias)
                && self.position(**candidate) != super::visible::UNSEEN
        });
        candidates.map(|candidate| self.holds(*candidate)).reduce(|one, other| one || other)
    }

    /// The one definition of what `word` calls in `caller`, if it is known which one that is.
    fn definition(&mut self, caller: u32, word: Mention) -> Option<u32> {
        let index = self.index;
        let caller_entry = index.entry(caller);
        let caller_scope = index.names(&caller_entry.names).first().map_or(NONE, |name| name.scope);
        let mut found = None;
        for candidate in index.defines.of(word.symbol()) {
            let of = index.entry(*candidate);
            let own = of.file == caller_entry.file;
            if *candidate == caller || !own && of.traits.has(Traits::LOCAL) {
                continue;
            }
            let seen = own && self.position(*candidate) != super::visible::UNSEEN;
            if !seen && self.unit.is_refused_by(of.file) {
                continue;
            }
            let Some(name) = index.names(&of.names).iter().find(|name| name.symbol == word.symbol()) else {
                continue;
            };
            let declared = if name.scope == NONE {
                if !word.is(Mention::PLAIN) {
                    continue;
                }
                self.drawn_declaration(word.symbol(), |entry| {
                    entry.kind == Kind::Prototype && entry.parameters == of.parameters
                })
            } else {
                let in_reach = word.is(Mention::MEMBER) || name.scope == caller_scope || {
                    index.words(&caller_entry.words).iter().any(|word| word.symbol() == name.scope)
                };
                if !in_reach {
                    continue;
                }
                self.drawn_declaration(name.scope, |entry| entry.kind == Kind::Type)
            };
            let Some(declared) = declared else { continue };
            if !seen && !self.unit.borrow_from(of.file, index.entry(declared).file) {
                continue;
            }
            // One that could as well be another is none, unless it stands in the same file.
            match found {
                None => found = Some((*candidate, own)),
                Some((_, true)) if !own => {}
                Some((_, false)) if own => found = Some((*candidate, own)),
                Some(_) => return None,
            }
        }
        found.map(|(candidate, _)| candidate)
    }

    fn drawn_declaration(&self, symbol: u32, is: impl Fn(&Entry) -> bool) -> Option<u32> {
        let declares = self.index.declares.of(symbol);
        declares.iter().copied().find(|entry| self.holds(*entry) && is(self.index.entry(*entry)))
    }

    /// Draws a definition with all it needs, or nothing.
    fn draw_if_it_fits(&mut self, callee: u32) -> bool {
        let mark = self.mark();
        let file = self.index.entry(callee).file;
        if let Some(lender) = self.unit.lenders.iter().find(|lender| lender.file == file) {
            let includes: Vec<u32> = lender.order.clone();
            for entry in includes {
                if self.index.entry(entry).kind == Kind::Include {
                    self.draw(entry, self.position(entry) + 1);
                }
            }
        }
        let position = self.position(callee);
        self.draw(callee, position + 1);
        if self.settle(position) && !self.clashes(mark.drawn, file) {
            return true;
        }
        self.back_to(mark);
        false
    }

    /// Whether what was drawn since `since` from the private part of `file` means something else to the others.
    fn clashes(&self, since: usize, file: u32) -> bool {
        if file == self.unit.root {
            return false;
        }
        let (before, new) = self.drawn.split_at(since);
        let private = |entry: &&u32| self.index.entry(**entry).file == file;
        let taken = new.iter().filter(private).any(|entry| {
            let of = self.index.entry(*entry);
            self.index.names(&of.names).iter().any(|name| match of.kind {
                Kind::Prototype | Kind::Forward => false,
                Kind::Macro | Kind::Undefine => self.is_used(before, name.symbol),
                _ => self.is_declared_elsewhere(name.symbol, name.scope, of),
            })
        });
        taken
            || before.iter().any(|entry| {
                let of = self.index.entry(*entry);
                matches!(of.kind, Kind::Macro)
                    && self.unit.is_private(of.file)
                    && of.file != file
                    && self.index.names(&of.names).iter().any(|name| self.is_used(new, name.symbol))
            })
    }

    fn is_used(&self, entries: &[u32], symbol: u32) -> bool {
        let first = Mention::new(symbol, 0);
        entries.iter().any(|entry| {
            let words = self.index.words(&self.index.entry(*entry).words);
            let at = words.partition_point(|word| word.0 < first.0);
            words.get(at).is_some_and(|word| word.symbol() == symbol)
        })
    }

    fn is_declared_elsewhere(&self, symbol: u32, scope: u32, of: &Entry) -> bool {
        let others = self.index.declares.of(symbol).iter().chain(self.index.defines.of(symbol));
        others.copied().any(|other| {
            let entry = self.index.entry(other);
            let same_scope = self
                .index
                .names(&entry.names)
                .iter()
                .any(|name| name.symbol == symbol && name.scope == scope);
            entry.file != of.file
                && self.holds(other)
                && same_scope
                && !matches!(entry.kind, Kind::Prototype | Kind::Forward)
        })
    }

    fn mark(&self) -> Mark {
        let Slice { undo, drawn, tokens, .. } = self;
        Mark { undo: undo.len(), drawn: drawn.len(), tokens: *tokens }
    }

    fn back_to(&mut self, mark: Mark) {
        for undo in self.undo.drain(mark.undo..).rev() {
            match undo {
                Undo::Limit(entry, limit) => self.limits[entry as usize] = limit,
                Undo::Member(symbol) => self.members[symbol as usize] = false,
                Undo::Bracket(bracket) => self.brackets[bracket as usize] = false,
                Undo::Waiting => {
                    self.waiting.pop();
                }
                Undo::Forward => {
                    self.forward.pop();
                }
                Undo::Ahead => {
                    if let Some((of, _)) = self.ahead.pop() {
                        self.awaited[of as usize] = false;
                    }
                }
            }
        }
        self.drawn.truncate(mark.drawn);
        self.tokens = mark.tokens;
        self.queue.clear();
    }
}

/// Whether an entry is a type that C knows by its tag from the first mention on.
fn is_type_of_c(index: &Index, of: &Entry) -> bool {
    matches!(of.kind, Kind::Type | Kind::Alias) && index.file(of.file).language.name() == "c"
}

/// Whether a function names itself: it needs no prototype for that.
fn is_own_name(index: &Index, function: &Entry, symbol: u32) -> bool {
    function.kind == Kind::Function && index.names(&function.names).iter().any(|name| name.symbol == symbol)
}
