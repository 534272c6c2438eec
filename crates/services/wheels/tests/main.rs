//! The wheels' library: names beside PyPA's own reader, and wheels that were built here.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod fatbin;
    mod inspect;
    mod label;
    mod library;
    mod name;
    mod name_beside_packaging;
    mod python;
    mod relabel;
    mod wheel_file;
}
