//! The tracker as a library: the store, races, and what it does with files that other programs wrote.

mod suite {
    mod store;
}
