//! Nesting without end, lines without end, and text that a parser stumbles over at every byte: no stack overflows, and
//! everything ends soon.

use super::laws::{rejoined, tiled};
use wootz_chunk::{Chunker, Language, detect};

/// Every public function, on a thread with the stack that threads have.
fn survives(language: &'static dyn Language, source: Vec<u8>) {
    let work = move || {
        let mut chunker = Chunker::new();
        let parsed = chunker.parse(language, &source);
        assert_eq!(rejoined(&parsed, &source), source);
        tiled(&parsed, &source, 1000);
        let mut symbols = Vec::new();
        parsed.items.iter().for_each(|item| item.symbols("", &mut symbols));
        let definitions = chunker.definitions(language, &source);
        assert!(definitions.iter().all(|definition| definition.name.len() <= 2100), "names do not grow");
        detect("a.h", &source);
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap();
    thread.join().unwrap();
}

fn nested(open: &str, close: &str, levels: usize) -> Vec<u8> {
    [open.repeat(levels), close.repeat(levels)].concat().into_bytes()
}

fn language(name: &str) -> &'static dyn Language {
    detect(&format!("a.{name}"), b"").unwrap()
}

#[test]
fn code_nested_a_hundred_thousand_deep() {
    for (names, open, close) in [
        (&["c", "cc", "go", "py", "rs", "js", "ts"][..], "(", ")"),
        (&["cc", "go", "rs", "js"], "{", "}"),
        (&["c", "cc"], "#if A\n", "#endif\n"),
        (&["c", "cc"], "struct a {", "};"),
        (&["cc"], "extern \"C\" ", "int x;"),
        (&["cc"], "namespace a {", "}"),
        (&["cc"], "class A {", "};"),
        (&["cc"], "template <class T> ", "int x;"),
        (&["c", "js"], "if (x) ", ";"),
        (&["rs"], "mod m {", "}"),
        (&["rs"], "fn f() {", "}"),
        (&["rs"], "impl A {", "}"),
        (&["go"], "func() {", "}"),
        (&["py"], "[", "]"),
        (&["py"], "lambda: ", "1"),
        (&["js"], "function f() {", "}"),
        (&["ts"], "namespace N {", "}"),
        (&["ts"], "export namespace N {", "}"),
        (&["js"], "<a>", "</a>"),
    ] {
        for name in names {
            survives(language(name), nested(open, close, 100_000));
        }
    }
}

#[test]
fn python_indented_without_end() {
    let lines = (0..1_500).map(|depth| format!("{}if x:\n", " ".repeat(depth)));
    survives(language("py"), lines.collect::<String>().into_bytes());
}

/// Text at which a lexer or parser begins anew at every byte; what it makes of that is one item or some.
#[test]
fn text_to_stumble_over() {
    for (names, text) in [
        (&["c", "cc", "go", "rs", "js", "ts", "tsx", "py"][..], "<<<<"),
        (&["c", "cc"], "template<"),
        (&["c", "cc"], "#if "),
        (&["c", "cc"], "#if A\n"),
        (&["c", "cc", "go", "js", "ts"], "/* "),
        (&["c", "cc"], "1'"),
        (&["c", "cc"], "'"),
        (&["c", "cc", "py"], "\\\n"),
        (&["cc"], "R\"("),
        (&["rs"], "r#\""),
        (&["go", "js"], "`"),
        (&["py"], "'''"),
    ] {
        for name in names {
            survives(language(name), text.repeat(20_000 / text.len()).into_bytes());
        }
    }
}

#[test]
fn lines_of_megabytes() {
    for (name, code) in [
        ("c", "int f(int a) { return a; } "),
        ("cc", "struct S { int x; }; int S::f() { return x; } "),
        ("go", "func f(a int) int { return a }; "),
        ("py", "x = 1; "),
        ("rs", "fn f(a: u8) -> u8 { a } "),
        ("js", "function f(a) { return a } "),
        ("ts", "const f = (a: number) => a; "),
    ] {
        let count = (1 << 20) / code.len();
        let source = code.repeat(count).into_bytes();
        let parsed = Chunker::new().parse(language(name), &source);
        assert!(!parsed.has_errors && parsed.items.len() >= count, "{name} is read to its end");
        survives(language(name), source);
    }
    survives(language("c"), vec![b'x'; 4 << 20]);
}
