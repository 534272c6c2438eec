//! Items, documents and languages of `wootz-chunk`.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod bodies;
    mod hostile;
    mod items;
    mod laws;
    mod properties;
    mod splits;
}
