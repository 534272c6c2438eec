//! Downloads that resume, are checked and appear whole.

mod address;
mod download;
mod part;

pub use download::{FetchError, Fetched, Fetcher, Pace, Wanted};
