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

impl Item {
    pub(crate) fn new(range: Range<usize>, names: Vec<String>) -> Item {
        Item { range, names, prefix: String::new(), members: Vec::new() }
    }

    /// Appends the qualified names of this item and everything in it.
    pub fn symbols(&self, prefix: &str, into: &mut Vec<String>) {
        into.extend(self.names.iter().map(|name| format!("{prefix}{name}")));
        if !self.members.is_empty() {
            let prefix = format!("{prefix}{}", self.prefix);
            self.members.iter().for_each(|member| member.symbols(&prefix, into));
        }
    }
}
