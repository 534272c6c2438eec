//! Any bytes: the first says which language, the rest is the source. See ../README.md.
#![no_main]

#[path = "../../tests/suite/laws.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;
use wootz_chunk::languages::LANGUAGES;

fuzz_target!(|data: &[u8]| {
    if let Some((language, source)) = data.split_first() {
        laws::hold(LANGUAGES[usize::from(*language) % LANGUAGES.len()], source);
    }
});
