//! A file's bytes become its items, in one parse and one pass over the top of the tree.
//!
//! Only the nodes at the top (and inside containers) are looked at, and the parser is spared the bodies in
//! between where that is safe ([`crate::skeleton`]): the cost is the parser's. Its work is
//! walled by a count of operations, not by a clock, so that hostile text ends early and always at the same place.
//!
//! Not covered: what is inside an item.

use crate::budget::Budget;
use crate::item::{MAX_NAME_BYTES, is_name};
use crate::skeleton::Skeleton;
use crate::{Item, Language, Role};
use std::ops::Range;
use tree_sitter::{Node, ParseOptions, Parser, Tree, TreeCursor};

/// Containers inside containers are followed this deep; a deeper one is a plain item.
pub(crate) const MAX_DEPTH: usize = 32;

/// What a file is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The items in order. Empty for a file of white space.
    pub items: Vec<Item>,
    /// The parser met text that is not the language; the items around it still stand. Bodies that were left out of
    /// the parse are not judged.
    pub has_errors: bool,
}

/// A parser that is used for file after file; one per thread.
#[derive(Default)]
pub struct Chunker {
    parser: Parser,
    /// Name of the grammar the parser holds: setting one rebuilds its state.
    grammar: Option<&'static str>,
}

impl Chunker {
    /// A parser with no language yet.
    pub fn new() -> Chunker {
        Chunker::default()
    }

    /// The items of a file. Any bytes are accepted: what cannot be read becomes an item without a name.
    ///
    /// Bodies that no item depends on are left out of the parse where the language can tell them.
    pub fn parse(&mut self, language: &dyn Language, source: &[u8]) -> Parsed {
        if let Some(bodies) = language.bodies(source).filter(|bodies| !bodies.is_empty()) {
            let skeleton = Skeleton::new(source, &bodies);
            if let Some(mut parsed) = self.parse_text(language, &skeleton.text) {
                parsed.items.iter_mut().for_each(|item| restore(item, &skeleton));
                return parsed;
            }
        }
        self.parse_whole(language, source)
    }

    /// The items of a file, every byte of it read by the parser: slower than [`Chunker::parse`], and what defines it.
    pub fn parse_whole(&mut self, language: &dyn Language, source: &[u8]) -> Parsed {
        let parsed = self.parse_text(language, source);
        parsed.unwrap_or_else(|| Parsed { items: unread(source), has_errors: true })
    }

    fn parse_text(&mut self, language: &dyn Language, source: &[u8]) -> Option<Parsed> {
        let tree = self.tree(language, source)?;
        let root = tree.root_node();
        let items = with_rest(items_of(root, language, source, 0), source);
        Some(Parsed { items, has_errors: root.has_error() })
    }

    /// `None` where the parser could make nothing of the text, or spent more than its due on it.
    pub(crate) fn tree(&mut self, language: &dyn Language, source: &[u8]) -> Option<Tree> {
        let key = language.extensions()[0];
        if self.grammar != Some(key) {
            self.parser.set_language(&language.grammar()).expect("grammars load because versions are pinned");
            self.grammar = Some(key);
        }
        let budget = Budget::new(source);
        let mut watch = |_: &tree_sitter::ParseState| budget.report();
        let options = ParseOptions::new().progress_callback(&mut watch);
        let tree = self.parser.parse_with_options(&mut |at, _| budget.read(at), None, Some(options));
        let Some(tree) = tree.filter(|_| !budget.is_spent()) else {
            self.parser.reset();
            return None;
        };
        (!tree.root_node().is_error()).then_some(tree)
    }
}

/// Moves an item of a skeleton to its place in the file.
fn restore(item: &mut Item, skeleton: &Skeleton) {
    item.range = skeleton.original(item.range.start)..skeleton.original(item.range.end);
    item.members.iter_mut().for_each(|member| restore(member, skeleton));
}

/// A file that could not be read at all is one item.
fn unread(source: &[u8]) -> Vec<Item> {
    let range = trimmed(source, 0..source.len());
    if range.is_empty() { Vec::new() } else { vec![Item::new(range, Vec::new())] }
}

fn items_of(parent: Node<'_>, language: &dyn Language, source: &[u8], depth: usize) -> Vec<Item> {
    let mut gathered = Gathered { source, items: Vec::new(), pending: None };
    let mut cursor = parent.walk();
    if cursor.goto_first_child() {
        loop {
            gather(&cursor, language, &mut gathered, depth);
            if !cursor.goto_next_sibling() {
                break;
            }
        }
    }
    gathered.flush();
    gathered.items
}

/// Adds what no node holds as items without names: a parser passes over signs that it does not know.
fn with_rest(items: Vec<Item>, source: &[u8]) -> Vec<Item> {
    let mut whole = Vec::with_capacity(items.len());
    let mut at = 0;
    for item in items {
        let start = item.range.start;
        whole.extend(rest(source, at..start));
        at = item.range.end;
        whole.push(item);
    }
    whole.extend(rest(source, at..source.len()));
    whole
}

fn rest(source: &[u8], between: Range<usize>) -> Option<Item> {
    let range = trimmed(source, between);
    // Escaped newlines, and marks without a width, are white space to a grammar.
    let blank = |letter: char| {
        letter.is_whitespace() || matches!(letter, '\\' | '\u{200b}' | '\u{2060}' | '\u{feff}')
    };
    let text = String::from_utf8_lossy(&source[range.clone()]);
    (!text.chars().all(blank)).then(|| Item::new(range, Vec::new()))
}

fn gather(cursor: &TreeCursor<'_>, language: &dyn Language, gathered: &mut Gathered<'_>, depth: usize) {
    let node = cursor.node();
    let range = trimmed(gathered.source, node.byte_range());
    if range.is_empty() {
        return;
    }
    if !node.is_named() {
        // `{`, `#ifdef` and their like belong to the container; `;` ends the item before it.
        if node.kind() == ";" {
            gathered.trailing(range);
        }
        return;
    }
    // What a container says about itself.
    if depth > 0 && matches!(cursor.field_name(), Some("name" | "condition")) {
        return;
    }
    match language.role(node, gathered.source) {
        Role::Item(mut names) => {
            names.retain(|name| is_name(name));
            gathered.item(Item::new(range, names));
        }
        Role::Container { prefix, members } if depth < MAX_DEPTH => {
            let prefix = if prefix.len() <= MAX_NAME_BYTES { prefix } else { String::new() };
            let members = items_of(members, language, gathered.source, depth + 1);
            gathered.item(Item { range, names: Vec::new(), prefix, members });
        }
        Role::Container { .. } => gathered.item(Item::new(range, Vec::new())),
        Role::Attribute => gathered.leading(range, true),
        Role::Comment => gathered.comment(range),
        Role::Trailing => gathered.trailing(range),
    }
}

/// Items so far, and what waits for the item it belongs to.
struct Gathered<'a> {
    source: &'a [u8],
    items: Vec<Item>,
    pending: Option<Pending>,
}

/// Comments and attributes in front of an item.
struct Pending {
    range: Range<usize>,
    /// An attribute is among them: a blank line does not part it from its item.
    binding: bool,
}

impl Gathered<'_> {
    fn item(&mut self, mut item: Item) {
        if let Some(pending) = self.pending.take() {
            if pending.binding || !self.blank_line(pending.range.end, item.range.start) {
                item.range.start = pending.range.start;
            } else {
                self.items.push(Item::new(pending.range, Vec::new()));
            }
        }
        self.items.push(item);
    }

    fn comment(&mut self, range: Range<usize>) {
        if self.pending.is_none()
            && let Some(last) = self.items.last_mut()
            && !self.source[last.range.end..range.start].contains(&b'\n')
        {
            last.range.end = range.end;
            return;
        }
        self.leading(range, false);
    }

    fn leading(&mut self, range: Range<usize>, binding: bool) {
        if let Some(pending) = &mut self.pending {
            let blank_line = newlines(self.source, pending.range.end, range.start) > 1;
            if pending.binding || !blank_line {
                pending.range.end = range.end;
                pending.binding |= binding;
                return;
            }
            self.flush();
        }
        self.pending = Some(Pending { range, binding });
    }

    fn trailing(&mut self, range: Range<usize>) {
        match (&mut self.pending, self.items.last_mut()) {
            (Some(pending), _) => pending.range.end = range.end,
            (None, Some(last)) => last.range.end = range.end,
            (None, None) => self.items.push(Item::new(range, Vec::new())),
        }
    }

    fn flush(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.items.push(Item::new(pending.range, Vec::new()));
        }
    }

    fn blank_line(&self, from: usize, to: usize) -> bool {
        newlines(self.source, from, to) > 1
    }
}

fn newlines(source: &[u8], from: usize, to: usize) -> usize {
    source[from..to].iter().filter(|byte| **byte == b'\n').count()
}

/// A range without the white space at its ends: grammars differ in whether a line comment owns its newline.
fn trimmed(source: &[u8], range: Range<usize>) -> Range<usize> {
    let bytes = &source[range.clone()];
    let end = range.start + bytes.trim_ascii_end().len();
    let start = range.end - bytes.trim_ascii_start().len();
    start.min(end)..end
}
