//! Source files as top-level items, and documents that are runs of them.
//!
//! [`Chunker::parse`] reads a file once into a tree of [`Item`]s with exact byte ranges and names; [`split`]
//! turns that into documents: the whole file where it fits, else runs of consecutive items. No item is ever
//! cut, and the documents of a file, joined with what was too large, are the file byte for byte.
//!
//! [`Chunker::definitions`] finds functions and types at any depth, for whoever must know in which one a line stands.
//!
//! Pure: bytes in, ranges out. Not covered: references between items, order by dependency, other files.

mod budget;
mod definitions;
mod item;
mod language;
pub mod languages;
mod outline;
mod parse;
mod skeleton;
mod split;

pub use definitions::{Definition, DefinitionKind};
pub use item::Item;
pub use language::{Language, Role, detect, language_names};
pub use outline::{Import, Outline, OutlineBracket, Part, PartKind};
pub use parse::{Chunker, Parsed};
pub use split::{Piece, PieceKind, split};
