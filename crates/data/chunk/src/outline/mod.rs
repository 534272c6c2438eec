//! What a file of a module language is made of, with what each part declares, mentions and imports: one whole parse.
//!
//! An [`Outline`] is all that is needed to draw a part of a file together with what it needs. Words inside functions
//! that the function itself declares are no mentions; what is needed as soon as a part is loaded (decorators, base
//! classes, defaults, initial values) is told from what is needed only when a function runs.
//!
//! Rust, Python, TypeScript, JavaScript, Go. Not covered: names in strings, names that macros make, block scopes (a
//! name declared in a block counts as declared in its whole function).

mod imports;
mod names;
mod units;

use crate::{Chunker, Language};
use std::ops::Range;
use tree_sitter::Node;

pub(crate) use names::Grammar;

/// The parts of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// In order.
    pub parts: Vec<Part>,
    /// Brackets that stand around parts.
    pub brackets: Vec<OutlineBracket>,
    /// The parser met text that is not the language.
    pub has_errors: bool,
}

/// A part of a file at its top, or a method in a bracket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From the line of its first comment or attribute to its last token (and a comment on that line).
    pub range: Range<usize>,
    /// What it is.
    pub kind: PartKind,
    /// Names it declares in its file or package.
    pub names: Vec<String>,
    /// The name that it changes: it belongs to whatever declares that.
    pub touches: Option<String>,
    /// The type that its members belong to.
    pub owner: Option<String>,
    /// Methods and the like that it adds to its owner.
    pub members: Vec<String>,
    /// Names it mentions that it does not declare itself, sorted.
    pub words: Vec<String>,
    /// Those of them that are needed when it is loaded, sorted.
    pub eager: Vec<String>,
    /// Names it mentions as members of something, sorted.
    pub mentioned_members: Vec<String>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// The bracket it stands in.
    pub bracket: Option<usize>,
    /// Whether documents are made for it.
    pub is_root: bool,
    /// Whether the parser could not read all of it.
    pub has_errors: bool,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// Stands at the beginning of whatever is made of the file: a package clause, inner attributes.
    Header,
    /// Imports.
    Import,
    /// Constants, variables, macros, and statements that declare names.
    Value,
    /// A type, or an inline module.
    Type,
    /// A function or a method.
    Function,
    /// What nothing refers to: comments, calls, documentation of the file.
    Idle,
}

/// Text around parts: the head of an `impl` with its brace, and the closing brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineBracket {
    /// Up to its opening brace.
    pub open: Range<usize>,
    /// Its closing brace.
    pub close: Range<usize>,
}

/// One name that a file imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module as written: `.a.b`, `crate::a`, `./a`, `a/b`; empty where the statement cannot be written otherwise.
    pub module: String,
    /// The name in the module; `None` for the module itself, `*` for all of its names.
    pub name: Option<String>,
    /// The name it has in this file; `*` where all names come, `_` where none does.
    pub local: String,
    /// The statement that imports this alone, before and after the module's name; where that is empty, all of it.
    pub written: [String; 2],
}

impl Chunker {
    /// The parts of a file; `None` for C and C++, and where the parser can make nothing of the text.
    pub fn outline(&mut self, language: &dyn Language, source: &[u8]) -> Option<Outline> {
        let grammar = Grammar::of(language)?;
        let tree = self.tree(language, source)?;
        let root = tree.root_node();
        let mut gathering = Gathering { grammar, source, outline: Outline::default(), pending: None };
        gathering.outline.has_errors = root.has_error();
        gathering.members(root, None);
        gathering.join_overloads();
        Some(gathering.outline)
    }
}

/// Parts so far, and the comments and attributes that wait for the next.
struct Gathering<'s> {
    grammar: Grammar,
    source: &'s [u8],
    outline: Outline,
    /// Their beginning, their end, and whether an attribute is among them.
    pending: Option<(usize, usize, bool)>,
}

impl Gathering<'_> {
    /// The children of a node, all in one bracket.
    fn members(&mut self, parent: Node<'_>, bracket: Option<usize>) {
        self.pending = None;
        for node in parent.children(&mut parent.walk()) {
            let comment = node.kind().ends_with("comment");
            if comment && self.ends_on_line(node) {
                continue;
            }
            let inner_doc = self.grammar == Grammar::Rust
                && comment
                && self.source.get(node.start_byte() + 2) == Some(&b'!');
            let attribute = matches!(node.kind(), "attribute_item" | "decorator");
            if attribute || comment && !inner_doc {
                self.hold(node, attribute);
            } else if !node.is_named() || node.kind() == "empty_statement" {
                if node.kind() != "{" {
                    self.extend(node);
                }
            } else {
                let start = self.start_of(node);
                self.part(node, start, bracket);
            }
        }
        self.pending = None;
    }

    /// A comment behind a part on its last line belongs to it.
    fn ends_on_line(&mut self, node: Node<'_>) -> bool {
        if self.pending.is_some() {
            return false;
        }
        let Some(last) = self.outline.parts.last_mut() else { return false };
        let between = self.source.get(last.range.end..node.start_byte());
        let same = between.is_some_and(|between| between.iter().all(|byte| matches!(byte, b' ' | b'\t')));
        if same {
            last.range.end = trimmed_end(self.source, node);
        }
        same
    }

    /// `;` ends the part before it.
    fn extend(&mut self, node: Node<'_>) {
        if self.pending.is_none()
            && matches!(node.kind(), ";" | "empty_statement")
            && let Some(last) = self.outline.parts.last_mut()
        {
            last.range.end = last.range.end.max(trimmed_end(self.source, node));
        }
    }

    fn hold(&mut self, node: Node<'_>, attribute: bool) {
        let end = trimmed_end(self.source, node);
        self.pending = Some(match self.pending {
            Some((start, before, bound)) if bound || !self.blank_line(before, node.start_byte()) => {
                (start, end, bound || attribute)
            }
            _ => (node.start_byte(), end, attribute),
        });
    }

    fn start_of(&mut self, node: Node<'_>) -> usize {
        match self.pending.take() {
            Some((start, end, bound)) if bound || !self.blank_line(end, node.start_byte()) => start,
            _ => node.start_byte(),
        }
    }

    fn blank_line(&self, from: usize, to: usize) -> bool {
        self.source[from.min(to)..to].iter().filter(|byte| **byte == b'\n').count() > 1
    }

    /// From the beginning of the line where only white space stands before.
    fn line_start(&self, at: usize) -> usize {
        let blank = self.source[..at].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let start = at - blank;
        if start == 0 || self.source[start - 1] == b'\n' { start } else { at }
    }

    /// Signatures of an overloaded function stand next to its body, as one part.
    fn join_overloads(&mut self) {
        if !matches!(self.grammar, Grammar::TypeScript) {
            return;
        }
        let mut joined: Vec<Part> = Vec::with_capacity(self.outline.parts.len());
        for part in std::mem::take(&mut self.outline.parts) {
            match joined.last_mut() {
                Some(last)
                    if part.kind == PartKind::Function
                        && last.kind == PartKind::Function
                        && last.names == part.names
                        && !part.names.is_empty() =>
                {
                    last.range.end = part.range.end;
                    last.has_errors |= part.has_errors;
                    merge(&mut last.words, part.words);
                    merge(&mut last.eager, part.eager);
                    merge(&mut last.mentioned_members, part.mentioned_members);
                }
                _ => joined.push(part),
            }
        }
        self.outline.parts = joined;
    }
}

fn merge(into: &mut Vec<String>, from: Vec<String>) {
    into.extend(from);
    into.sort_unstable();
    into.dedup();
}

fn trimmed_end(source: &[u8], node: Node<'_>) -> usize {
    node.start_byte() + source[node.byte_range()].trim_ascii_end().len()
}
