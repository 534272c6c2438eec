//! From documents to rows of tokens.
//!
//! `write` turns a corpus into parquet shards; `Loader` reads shards, encodes them and packs the tokens into rows for
//! training, endlessly, with a cursor from which another loader goes on exactly; `pack` writes such rows to a file.
//! The tokenizer itself is pure, so its files are read and written here too (`tokenizer_file`).
//!
//! Not covered: shuffling between epochs, masks between the documents of a row, shards in object stores.

mod choose;
mod documents;
mod folder;
mod inspect;
mod loader;
mod npy;
mod pack;
mod packer;
mod rows;
mod shard;
mod stream;
mod tokenizer_file;
mod write;

pub use folder::{DatasetError, MANIFEST};
pub use inspect::{inspect, stats};
pub use loader::{Loader, TokenCounts};
pub use pack::{pack, pack_manifest_path};
pub use packer::BUFFERED_DOCUMENTS;
pub use rows::rows;
pub use tokenizer_file::{load_tokenizer, save_tokenizer, train_tokenizer};
pub use wootz_schema::dataset::{Cursor, DatasetManifest, DatasetOptions, Split};
pub use write::write;
