//! The scanner cuts where a regex engine cuts.

use proptest::prelude::*;
use wootz_tokenizer::{PATTERN, pieces};

fn by_regex<'a>(regex: &fancy_regex::Regex, text: &'a str) -> Vec<&'a str> {
    let cut: Vec<&str> = regex.find_iter(text).map(|m| m.unwrap().as_str()).collect();
    assert_eq!(cut.concat(), text, "the pattern covers every text");
    cut
}

fn check(regex: &fancy_regex::Regex, text: &str) {
    let cut: Vec<&str> = pieces(text.as_bytes()).map(|p| std::str::from_utf8(p).unwrap()).collect();
    assert_eq!(cut, by_regex(regex, text));
}

#[test]
fn source_code_is_cut_like_the_regex_does() {
    let regex = fancy_regex::Regex::new(PATTERN).unwrap();
    for text in crate::rust_sources(1_000_000) {
        check(&regex, &text);
    }
}

#[test]
fn every_character_has_the_class_that_the_regex_gives_it() {
    let regex = fancy_regex::Regex::new(PATTERN).unwrap();
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    // Between letters, digits and punctuation each class shows by where the cuts fall.
    for chunk in all.chunks(4096) {
        let text: String =
            chunk.iter().flat_map(|c| [*c, 'a', *c, '.', *c, *c, '1', '\'', *c, 'e', ' ', *c]).collect();
        check(&regex, &text);
    }
}

proptest! {
    #[test]
    fn any_text_is_cut_like_the_regex_does(
        parts in proptest::collection::vec(
            prop_oneof![
                Just(" "), Just("  "), Just("\t"), Just("\n"), Just("\r\n"), Just("\u{a0}"), Just("\u{2028}"), Just("\u{3000}"),
                Just("a"), Just("é"), Just("日"), Just("S"), Just("ſ"), Just("ll"), Just("VE"), Just("re"), Just("m"),
                Just("1"), Just("²"), Just("٣"), Just("'"), Just("’"), Just("."), Just("_"), Just("💡"), Just("\u{301}"), Just("\u{85}"),
            ],
            0..24,
        ),
    ) {
        let regex = fancy_regex::Regex::new(PATTERN).unwrap();
        check(&regex, &parts.concat());
    }

    #[test]
    fn pieces_of_any_bytes_make_the_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let cut: Vec<&[u8]> = pieces(&bytes).collect();
        prop_assert!(cut.iter().all(|piece| !piece.is_empty()));
        prop_assert_eq!(cut.concat(), bytes);
    }
}
