//! The seam behind which a language stands, and which language a file is in.

use crate::languages::{LANGUAGES, cpp};
use std::ops::Range;
use tree_sitter::Node;

/// A language: its grammar, and what each node at the top of a file is to a reader.
pub trait Language: Sync {
    /// Lower-case name as documents carry it. Dialects share one name (`typescript` for `.ts` and `.tsx`).
    fn name(&self) -> &'static str;

    /// File extensions without the dot, case as written on disk.
    fn extensions(&self) -> &'static [&'static str];

    /// The grammar.
    fn grammar(&self) -> tree_sitter::Language;

    /// What a named node is when it stands at the top of a file or inside a container.
    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree>;

    /// Ranges that the parser need not read to know the items: ascending, each the inside of one pair of brackets.
    /// `None` where that cannot be told without parsing.
    fn bodies(&self, source: &[u8]) -> Option<Vec<Range<usize>>> {
        let _ = source;
        None
    }
}

/// What a node at the top of a file is.
#[derive(Debug)]
pub enum Role<'tree> {
    /// An item with the names it declares; an import or a statement declares none.
    Item(Vec<String>),
    /// A bracket around items rather than an item: namespace, inline module, linkage block, `#if` branch.
    ///
    /// Its members count as top-level items, and where it is too large for one document it is cut between them.
    Container {
        /// What its members' names are qualified with, separator included; empty for a nameless bracket.
        prefix: String,
        /// The node whose children are the members.
        members: Node<'tree>,
    },
    /// Sticks to the item that follows, whatever stands between: attribute, decorator.
    Attribute,
    /// Sticks to the item that follows unless a blank line parts them, or to the one that ends on its line.
    Comment,
    /// Sticks to the item before: a stray `;`.
    Trailing,
}

/// The language of a file by the extension of its name, or `None` where it is none of ours.
///
/// Three cases look at the text as well. `.h` is C unless [`cpp::looks_like_cpp`] says otherwise: one header
/// alone cannot know who includes it, and C++ parsed as C loses more than C parsed as C++. A name without
/// extension is C++ where the first lines carry the editor mode `-*- C++ -*-`, as the standard library's headers
/// do. Anything else is decided by the name alone, so that a walk can sort files without opening them.
pub fn detect(file_name: &str, text: &[u8]) -> Option<&'static dyn Language> {
    let Some((stem, extension)) = file_name.rsplit_once('.') else {
        return cpp::has_cpp_mode_line(text).then_some(&cpp::Cpp as &dyn Language);
    };
    if stem.is_empty() {
        return None;
    }
    if extension == "h" {
        return Some(if cpp::looks_like_cpp(text) { &cpp::Cpp } else { &cpp::C });
    }
    LANGUAGES.iter().copied().find(|language| language.extensions().contains(&extension))
}

/// The names that documents can carry, sorted, each once.
pub fn language_names() -> Vec<&'static str> {
    let mut names: Vec<_> = LANGUAGES.iter().map(|language| language.name()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
