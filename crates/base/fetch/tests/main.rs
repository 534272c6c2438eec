//! Downloads from a server that misbehaves.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod download;
    mod server;
}
