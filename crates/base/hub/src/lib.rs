//! Models and data sets of the Hugging Face hub, in the cache that its own client uses.
//!
//! A snapshot that was downloaded here is used by `huggingface_hub` as it is, and the other way round.

mod cache;
mod files;
mod listing;
mod patterns;
mod share;
mod snapshot;
mod splits;

pub use patterns::Patterns;
pub use snapshot::{Downloaded, Hub, HubError, Place, Wanted};
pub use splits::{Slice, files_of_split};
