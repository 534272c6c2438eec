//! Downloads from servers that misbehave, and the fake object stores against the official clients.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod download;
    mod gcs_official;
    mod python;
    mod s3_official;
    mod server;
    mod stores;
}
