//! What holds for any bytes: pieces tile the file, items ascend, nothing panics.

use proptest::prelude::*;
use wootz_chunk::{Chunker, Item, Language, PieceKind, languages::LANGUAGES, split};

/// Fragments of code of all languages: joined at random they are far more hostile than random letters.
const FRAGMENTS: &[&str] = &[
    "fn a() {}\n",
    "struct S;",
    "impl S {",
    "}",
    "{",
    "namespace n {",
    "#ifdef X\n",
    "#else\n",
    "#endif\n",
    "// c\n",
    "/* c */",
    "/*",
    "\"",
    "'",
    "`",
    "def f():\n    pass\n",
    "@dec\n",
    "class K:\n",
    "class K {};",
    "x = 1\n",
    "func F() {\n",
    "package p\n",
    "type T struct{}\n",
    "export ",
    "const a = 1;\n",
    "namespace N { let x }",
    ";",
    "\n\n",
    "  ",
    "\t",
    "é",
    "(",
    ")",
    "<",
    ">",
    "template <",
    "#[a]\n",
    "#![a]\n",
    "//! d\n",
    "mod m {\n",
    "extern \"C\" {",
    "r#\"",
    "=>",
    "\\\n",
    "\r\n",
    "\u{feff}",
];

fn code() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        20 => prop::sample::select(FRAGMENTS).prop_map(|fragment| fragment.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(fragment, 0..40).prop_map(|fragments| fragments.concat())
}

fn check(language: &dyn Language, source: &[u8], max_bytes: usize) {
    let parsed = Chunker::new().parse(language, source);
    ascending(&parsed.items, 0..source.len());
    let whole = Chunker::new().parse_whole(language, source);
    if !whole.has_errors {
        assert_eq!(
            parsed.items,
            whole.items,
            "bodies left out change nothing: {:?}",
            String::from_utf8_lossy(source)
        );
    }
    let pieces = split(&parsed, source, max_bytes);
    let mut at = 0;
    for piece in &pieces {
        assert_eq!(piece.range.start, at, "pieces tile the file");
        assert!(piece.kind == PieceKind::Oversized || piece.range.len() <= max_bytes, "{piece:?}");
        at = piece.range.end;
        if let Ok(text) = std::str::from_utf8(source) {
            assert!(text.get(piece.range.clone()).is_some(), "{piece:?} cuts a character");
        }
    }
    assert_eq!(at, source.len());
}

fn ascending(items: &[Item], within: std::ops::Range<usize>) {
    let mut at = within.start;
    for item in items {
        assert!(at <= item.range.start && item.range.start < item.range.end, "{item:?}");
        at = item.range.end;
        ascending(&item.members, item.range.clone());
    }
    assert!(at <= within.end);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn pieces_tile_any_code(language in 0..LANGUAGES.len(), source in code(), max_bytes in 1usize..200) {
        check(LANGUAGES[language], &source, max_bytes);
    }

    #[test]
    fn pieces_tile_any_bytes(
        language in 0..LANGUAGES.len(),
        source in prop::collection::vec(any::<u8>(), 0..300),
        max_bytes in 0usize..50,
    ) {
        check(LANGUAGES[language], &source, max_bytes);
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    for language in LANGUAGES {
        for open in ["(", "{", "[", "namespace a {", "mod m {", "#if X\n", "<T", "!"] {
            check(*language, open.repeat(3_000).as_bytes(), 1000);
        }
    }
}
