//! Snapshots: documents of files that are longer than the limit.

use expect_test::{Expect, expect};
use wootz_chunk::{Chunker, detect, split};

fn check(file_name: &str, source: &str, max_bytes: usize, expected: Expect) {
    let language = detect(file_name, source.as_bytes()).unwrap();
    let parsed = Chunker::new().parse(language, source.as_bytes());
    let pieces = split(&parsed, source.as_bytes(), max_bytes);
    let lines: Vec<_> = pieces
        .iter()
        .map(|piece| {
            format!("{:?} {} {:?}\n", piece.kind, piece.symbols.join(" "), &source[piece.range.clone()])
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn a_file_that_fits_is_one_document() {
    check(
        "a.rs",
        "fn a() {}\nimpl A { fn x() {} }\nimpl A {}\n",
        1000,
        expect![[r#"
        File a A "fn a() {}\nimpl A { fn x() {} }\nimpl A {}\n"
    "#]],
    );
    check(
        "a.rs",
        "",
        0,
        expect![[r#"
        File  ""
    "#]],
    );
}

#[test]
fn runs_end_between_items() {
    check(
        "a.rs",
        "//! Head.\n\nfn a() {}\n\n/// Doc.\nfn b() {}\nfn c() {}\n",
        24,
        expect![[r#"
        Items a "//! Head.\n\nfn a() {}\n\n"
        Items b "/// Doc.\nfn b() {}\n"
        Items c "fn c() {}\n"
    "#]],
    );
}

#[test]
fn an_item_above_the_limit_is_reported() {
    check(
        "a.py",
        "import x\ndef long():\n    return 'a string that is too long'\ny = 1\n",
        30,
        expect![[r#"
        Items  "import x\n"
        Oversized long "def long():\n    return 'a string that is too long'\n"
        Items y "y = 1\n"
    "#]],
    );
}

#[test]
fn containers_open_only_where_they_must() {
    check(
        "a.cc",
        "#include <x>\nnamespace n {\nint a;\nint b;\nnamespace small { int c; }\n}  // n\nint d;\n",
        30,
        expect![[r##"
            Items  "#include <x>\n"
            Items n::a n::b "namespace n {\nint a;\nint b;\n"
            Oversized n::small::c "namespace small { int c; }\n}  // n\n"
            Items d "int d;\n"
        "##]],
    );
}
