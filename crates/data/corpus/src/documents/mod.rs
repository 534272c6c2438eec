//! Documents from a project: whole files, and functions and types with all they need and nothing else.
//!
//! The idea: a translation unit, as the compiler sees it, is in an order that compiles; so is any part of it that is
//! closed under "needs", as long as the order stays. A [`Project`] is read once into numbers ([`index`]); a file's
//! unit is laid out from them ([`visible`]), a slice is drawn from the unit ([`slice`]), put in order ([`order`]) and
//! written down ([`pieces`]). Nothing is parsed or scanned twice, and nothing is ever cut: what does not fit within
//! the wall of tokens is counted.
//!
//! Pure: text in, text out. The languages of modules have a room of their own ([`modules`]).

mod compose;
mod entry;
mod includes;
mod index;
mod kinds;
mod lexis;
mod modules;
mod order;
mod parts;
mod pieces;
mod slice;
mod sound;
mod tokens;
mod visible;
mod words;

pub use compose::{Composed, Counts, Granularity, Mode, Wish};
pub use tokens::Counter;

use wootz_chunk::Language;

/// A file of a project, as it was read.
pub struct SourceFile {
    /// Path below the project's root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The language it is in.
    pub language: &'static dyn Language,
}

/// A project in memory, ready to give documents.
pub struct Project {
    index: index::Index,
    modules: modules::Modules,
}

impl Project {
    /// Reads the files of a project, in any order, on the threads of the pool this is called in.
    ///
    /// `include_folders` are the folders below the root that the project's own build searches for headers.
    pub fn new(mut files: Vec<SourceFile>, include_folders: &[String]) -> Project {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let (units, modules) =
            files.into_iter().partition(|file| matches!(file.language.name(), "c" | "cpp"));
        Project { index: index::Index::new(units, include_folders), modules: modules::Modules::new(modules) }
    }
}
