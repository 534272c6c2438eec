//! Items: what a file is made of at its top.

use std::ops::Range;

/// A top-level item, or a container of items.
///
/// Ranges of siblings ascend and do not overlap; between them is white space only (and a container's own brackets
/// around its members).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Bytes of the item: from its first attribute or comment to its last token (and a comment on that line).
    pub range: Range<usize>,
    /// Names it declares, unqualified.
    pub names: Vec<String>,
    /// For a container: what the members' names are qualified with, separator included.
    pub prefix: String,
    /// For a container: the items inside.
    pub members: Vec<Item>,
}

/// Names that are longer are none: no code has them, and hostile text could have them repeated without end.
pub(crate) const MAX_NAME_BYTES: usize = 1000;

/// Whether a text from where a name should stand is one: not what broken code leaves there, nor one with a body in
/// it, of which a skeleton has only the braces.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains('{')
}

impl Item {
    pub(crate) fn new(range: Range<usize>, names: Vec<String>) -> Item {
        Item { range, names, prefix: String::new(), members: Vec::new() }
    }

    /// Appends the qualified names of this item and everything in it.
    pub fn symbols(&self, prefix: &str, into: &mut Vec<String>) {
        into.extend(self.names.iter().map(|name| format!("{prefix}{name}")));
        if !self.members.is_empty() {
            let prefix = self.qualified(prefix);
            self.members.iter().for_each(|member| member.symbols(&prefix, into));
        }
    }

    /// What the names of a container's members are qualified with where `prefix` is what its own is.
    pub(crate) fn qualified(&self, prefix: &str) -> String {
        let grown = if prefix.len() + self.prefix.len() <= MAX_NAME_BYTES { &self.prefix } else { "" };
        format!("{prefix}{grown}")
    }
}
