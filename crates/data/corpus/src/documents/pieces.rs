//! The pieces a document is put together from, and their lengths in tokens.
//!
//! A piece is an entry or one end of a bracket. It begins a line and ends with one newline, or with two where its
//! file has a blank line after it: that depends on the piece alone, so its tokens are counted once and add up.

use std::ops::Range;

use super::entry::{Kind, Traits};
use super::includes::{Target, folder_of};
use super::index::Index;

/// A piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Entry(u32),
    Open(u32),
    Close(u32),
}

/// Counts the tokens of a text.
pub(super) type Count<'c> = dyn Fn(&str) -> u64 + Sync + 'c;

/// Text and tokens of pieces.
#[derive(Clone, Copy)]
pub(super) struct Measure<'u, 'p> {
    pub index: &'p Index,
    pub count: &'u Count<'u>,
    /// The file in whose folder the document is to compile.
    pub root: u32,
}

impl Measure<'_, '_> {
    /// Tokens of an entry.
    pub fn entry(&self, entry: u32) -> u64 {
        let of = self.index.entry(entry);
        if of.kind == Kind::Include {
            // What is written depends on the root's folder.
            return self.count(Piece::Entry(entry));
        }
        let cell = &self.index.entry_tokens[entry as usize];
        self.index.counted(cell, || self.count(Piece::Entry(entry)))
    }

    /// Tokens of a piece.
    pub fn piece(&self, piece: Piece) -> u64 {
        match piece {
            Piece::Entry(entry) => self.entry(entry),
            Piece::Open(bracket) => {
                let cell = &self.index.bracket_tokens[bracket as usize][0];
                self.index.counted(cell, || self.count(piece))
            }
            Piece::Close(bracket) => {
                if self.index.bracket(bracket).close.is_empty() {
                    return 0;
                }
                let cell = &self.index.bracket_tokens[bracket as usize][1];
                self.index.counted(cell, || self.count(piece))
            }
        }
    }

    fn count(&self, piece: Piece) -> u64 {
        let mut text = String::new();
        self.write(piece, &mut text);
        (self.count)(&text)
    }

    /// Appends a piece.
    pub fn write(&self, piece: Piece, text: &mut String) {
        match piece {
            Piece::Entry(entry) => {
                let of = self.index.entry(entry);
                match self.rewritten_include(entry) {
                    Some(path) => text.extend(["#include \"", path, "\""]),
                    None => self.write_lines(of.file, &of.text, text),
                }
                text.push('\n');
                let long = matches!(of.kind, Kind::Function | Kind::Type);
                if long || of.traits.has(Traits::BLANK_AFTER) {
                    text.push('\n');
                }
            }
            Piece::Open(bracket) => {
                let of = self.index.bracket(bracket);
                self.write_lines(of.file, &of.open, text);
                text.push('\n');
            }
            Piece::Close(bracket) => {
                let of = self.index.bracket(bracket);
                if !of.close.is_empty() {
                    self.write_lines(of.file, &of.close, text);
                    text.push_str("\n\n");
                }
            }
        }
    }

    /// A part of a file, with the indentation of its first line.
    fn write_lines(&self, file: u32, range: &Range<u32>, text: &mut String) {
        let source = &self.index.file(file).text;
        let before = &source[..range.start as usize];
        let indentation = before.len() - before.trim_end_matches([' ', '\t']).len();
        if before[..before.len() - indentation].ends_with('\n') {
            text.push_str(&before[before.len() - indentation..]);
        }
        text.push_str(&source[range.start as usize..range.end as usize]);
    }

    /// The path from the project's root, for an include that means something else in the root file's folder.
    fn rewritten_include(&self, entry: u32) -> Option<&str> {
        let of = self.index.entry(entry);
        if of.kind != Kind::Include {
            return None;
        }
        let file = self.index.file(of.file);
        let own_folder = folder_of(&self.index.file(self.root).path);
        if folder_of(&file.path) == own_folder {
            return None;
        }
        let at = file.includes.partition_point(|include| include.entry < entry);
        let include = &file.includes[at];
        let Target::File(target) = include.target else { return None };
        let path = self.index.file(target).path.as_str();
        let shadow = format!("{own_folder}{}", include.written);
        let shadowed = shadow != path && self.index.has_path(&shadow);
        (!include.portable || shadowed).then_some(path)
    }
}
