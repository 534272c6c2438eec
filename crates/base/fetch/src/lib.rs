//! Downloads that resume, are checked and appear whole.

mod address;
mod client;
mod download;
mod part;
mod stores;

pub use client::{Fetcher, Pace, Page};
pub use download::{Check, FetchError, Fetched, Wanted};
pub use stores::{Gs, Keys, S3, Stores, profile};
