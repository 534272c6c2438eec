//! The hub's client and the fake hub, each against the official client.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod official;
    mod patterns;
    mod python;
    mod snapshot;
    mod splits;
}
