//! The tracker as a library: the store, races, and what it does with files that other programs wrote.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod doctor;
    mod import;
    mod index;
    mod jira;
    mod merge;
    mod merge_git;
    mod merge_laws;
    mod store;
}
