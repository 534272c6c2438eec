//! Corpora of `wootz-corpus`: what is kept, in which order, under which license, and what happens when it goes wrong.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod audit;
    mod bad_input;
    mod cleaning;
    mod commits;
    mod compiling;
    mod contents;
    mod determinism;
    mod documents;
    mod licenses;
    mod modules;
    mod publishing;
    mod records;
    mod tree;
}
