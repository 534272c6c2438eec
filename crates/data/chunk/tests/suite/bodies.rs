//! Bodies that are left out of the parse: whatever stands in them, the items are those of the whole parse.

use wootz_chunk::{Chunker, Parsed, detect};

/// Each source is valid code with braces where a careless scanner would count them.
fn check(file_name: &str, source: &str) {
    let language = detect(file_name, source.as_bytes()).unwrap();
    let left_out: usize = language.bodies(source.as_bytes()).unwrap().iter().map(|body| body.len()).sum();
    assert!(left_out > 0, "nothing is left out of {source}");
    let parsed = Chunker::new().parse(language, source.as_bytes());
    let whole = Chunker::new().parse_whole(language, source.as_bytes());
    assert!(!whole.has_errors, "valid code: {source}");
    assert_eq!(parsed, whole, "{source}");
}

#[test]
fn rust() {
    check("a.rs", "fn f<'a>(x: &'a str) { let _ = ('{', '\\'', '\\u{7b}', b'}', 'é'); }\nfn g() {}\n");
    check("a.rs", "fn f() { let _ = (\"}\\\"\", r\"\\\", r#\"\"}\"#, br##\"}\"#}\"##); }\nstruct S;\n");
    check("a.rs", "fn f() { /* } /* } */ */ // }\n}\n/* { */ fn g() { 'l: loop { break 'l } }\n");
    check(
        "a.rs",
        "mod a { pub mod b { fn f() { x() } }\nextern \"C\" { fn c(); } fn g() { y() } }\nfn h() { z() }\n",
    );
    check("a.rs", "extern { fn c(); }\nmod m\n{ impl A for B { fn x() { y } } }\nuse a::{b, c::{d}};\n");
    check(
        "a.rs",
        "macro_rules! m { ($x:tt) => { mod $x { fn f() {} } }; }\nm! { { } }\nm!({ a });\nm![{ b }];\n",
    );
    check(
        "a.rs",
        "enum E { A { x: u8 }, B }\nconst C: E = E::A { x: 1 };\nfn f() where [u8; { 3 }]: Sized {}\n",
    );
    let table = "1, [2, 3], ".repeat(20);
    check(
        "a.rs",
        &format!("static T: &[X] = &[{table}];\n#[cfg(any({}))]\nfn f() {{ x }}\n", "unix, ".repeat(30)),
    );
    check("a.rs", "/// mod x {\n#[doc = \"mod {\"]\npub struct S { x: u8 }\nfn f() { x }\n");
}

#[test]
fn cpp() {
    check(
        "a.cc",
        "void f() { auto a = '{', b = '\\''; int n = 1'000'000; char c = u8'}'; }\nint g() { return 0xA'B; }\n",
    );
    check("a.cc", "auto s = R\"x(}\")x\";\nvoid f() { g(\"}\\\"\", R\"(})\"); }\nstruct S { int x; };\n");
    check("a.cc", "#define OPEN {\n#define LONG \\\n  } /* { \n } */\nvoid f() { x(); // } \\\n }\n}\n");
    check(
        "a.cc",
        "namespace a::b { inline namespace c { void f() { x(); } } int y; }\nextern \"C\" { int c() { return 1; } }\n",
    );
    check(
        "a.cc",
        "namespace [[deprecated]] a\n{\nclass K : public L { void m() { } };\n}\nextern \"C\" int f() { return 0; }\n",
    );
    check(
        "a.cc",
        "struct S { S() : a{1}, b{2} { f(); } int a, b; } s = { 1, 2 }, t{3};\nenum class E { A, B };\n",
    );
    check(
        "a.c",
        "#ifdef A\nint f(void) { return '}'; }\n#else\nint g(void) { return 1; }\n#endif\nint t[] = { 1, { 2 } };\n",
    );
}

#[test]
fn go() {
    check(
        "a.go",
        "package a\nfunc f() { x := `}\\`; y := '}'; z := \"}\\\"\"; _, _, _ = x, y, z }\nfunc g() { h() }\n",
    );
    check(
        "a.go",
        "package a\ntype (\n\tT struct { A int }\n\tU interface { M() }\n)\nvar v = T{ 1 } // }\n/* } */ var w = 2\n",
    );
}

#[test]
fn where_the_scanner_is_not_sure_everything_is_parsed() {
    for (file_name, source) in [
        ("a.c", "#if A\nint f(int x) {\n#else\nint f(long x) {\n#endif\n  return x;\n}\n"),
        ("a.rs", "fn f() { \"no end }\n"),
        ("a.rs", "fn f() { } }\n"),
        ("a.py", "def f():\n    return {}\n"),
        ("a.js", "const r = /[{]/; f`}`\n"),
    ] {
        let language = detect(file_name, source.as_bytes()).unwrap();
        assert_eq!(language.bodies(source.as_bytes()), None, "{source}");
        let parsed: Parsed = Chunker::new().parse(language, source.as_bytes());
        assert_eq!(parsed, Chunker::new().parse_whole(language, source.as_bytes()));
    }
}
