//! Items, documents and languages of `wootz-chunk`.

mod items;
mod properties;
mod splits;
