//! Documents from projects in memory: closed, in order, minimal, within the wall, the same on any number of threads.

use proptest::prelude::*;
use std::collections::BTreeSet;
use wootz_corpus::documents::{Composed, Counter, Counts, Granularity, Mode, Project, SourceFile, Wish};
use wootz_schema::document::DocumentKind;
use wootz_tokenizer::{SPECIAL_TOKENS, Tokenizer};

const WISH: Wish = Wish {
    mode: Mode::Compilable,
    granularity: Granularity::Functions,
    cross_depth: 3,
    max_tokens: 100_000,
    headers: false,
};

/// Every byte is a token.
fn bytes() -> Tokenizer {
    Tokenizer::new(Vec::new(), SPECIAL_TOKENS.iter().map(|name| (*name).to_owned()).collect()).unwrap()
}

fn documents(files: &[(&str, &str)], wish: &Wish, threads: usize) -> (Vec<Composed>, Counts) {
    let tokenizer = bytes();
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| SourceFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            language: wootz_chunk::detect(path, text.as_bytes()).unwrap(),
        })
        .collect();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let project = Project::new(files, &[]);
        let mut all = Vec::new();
        let counts = project.documents(wish, &Counter::new(&tokenizer), &mut |one| all.push(one));
        (all, counts)
    })
}

/// The document whose root is this function or type of a file.
fn document(files: &[(&str, &str)], path: &str, root: &str) -> String {
    let (all, _) = documents(files, &WISH, 1);
    let of_file = |one: &&Composed| one.path == path && one.kind != DocumentKind::File;
    let found = all.iter().filter(of_file).find(|one| one.symbols.last().is_some_and(|last| last == root));
    found.unwrap_or_else(|| panic!("no document of {root}")).text.clone()
}

fn position(text: &str, part: &str) -> usize {
    text.find(part).unwrap_or_else(|| panic!("no {part:?} in\n{text}"))
}

const SHAPES: [(&str, &str); 4] = [
    (
        "src/shape.h",
        "#ifndef SHAPE_H_\n#define SHAPE_H_\n#include <vector>\n\n#define SIDES 4\n#define UNUSED 5\n\nnamespace geo {\n\
         struct Point { int x, y; };\nstruct Circle { int r; };\nclass Shape {\n public:\n  int area(Point p) const;\n};\n\
         int norm(const Point& p);\n}\n#endif\n",
    ),
    (
        "src/shape.cc",
        "#include \"shape.h\"\n\nnamespace geo {\nint norm(const Point& p) { return p.x + p.y; }\n}\n",
    ),
    (
        "src/use.cc",
        "#include <stdio.h>\n#include \"shape.h\"\n\nstatic int later(int n);\nstatic int spare() { return 7; }\n\
         static int first(int n) { return n ? later(n - 1) : SIDES; }\nstatic int later(int n) { return first(n); }\n\
         int root(geo::Point p) { return geo::norm(p) + first(2); }\n",
    ),
    ("src/other.cc", "static int spare() { return 8; }\nint alone() { return spare(); }\n"),
];

#[test]
fn a_function_comes_with_all_it_needs_and_nothing_else() {
    let text = document(&SHAPES, "src/use.cc", "root");
    let root = position(&text, "int root(");
    for needed in
        ["#define SIDES 4", "struct Point", "int norm(const Point& p);", "static int first(int n) {"]
    {
        assert!(position(&text, needed) < root, "{needed} in\n{text}");
    }
    for unused in ["UNUSED", "Circle", "class Shape", "spare", "shape.h", "SHAPE_H_"] {
        assert!(!text.contains(unused), "{unused} in\n{text}");
    }
}

#[test]
fn a_definition_from_another_file_comes_before_its_caller() {
    let text = document(&SHAPES, "src/use.cc", "root");
    assert!(position(&text, "int norm(const Point& p) {") < position(&text, "int root("), "{text}");
    let near = Wish { cross_depth: 0, ..WISH };
    let (all, _) = documents(&SHAPES, &near, 1);
    let root = all.iter().find(|one| one.symbols.last().is_some_and(|last| last == "root")).unwrap();
    assert!(
        root.text.contains("#include \"shape.h\"") && !root.text.contains("struct Point"),
        "{}",
        root.text
    );
    assert_eq!(root.drawn_from, ["src/use.cc"]);
}

#[test]
fn recursion_is_opened_by_its_prototype() {
    let text = document(&SHAPES, "src/use.cc", "root");
    let prototype = position(&text, "static int later(int n);");
    assert!(prototype < position(&text, "static int first(int n) {"), "{text}");
    assert!(position(&text, "static int first(int n) {") < position(&text, "int root("), "{text}");
}

#[test]
fn a_callee_further_down_moves_its_caller_behind_it() {
    let files = [("a.c", "int low(int);\nint high(void) { return low(1); }\nint low(int n) { return n; }\n")];
    let (all, _) = documents(&files, &WISH, 1);
    let high =
        all.iter().find(|one| one.kind == DocumentKind::Function && one.text.contains("high")).unwrap();
    let order =
        ["int low(int);", "int low(int n) {", "int high(void) {"].map(|part| position(&high.text, part));
    assert!(order.is_sorted(), "{}", high.text);
}

#[test]
fn a_name_that_two_files_keep_to_themselves_is_each_files_own() {
    let header = ("api.h", "#pragma once\nint one();\nint two();\n");
    let one = ("one.cc", "#include \"api.h\"\nstatic int limit = 1;\nint one() { return limit + two(); }\n");
    let two = ("two.cc", "#include \"api.h\"\nstatic int limit = 2;\nint two() { return limit; }\n");
    let text = document(&[header, one, two], "one.cc", "one");
    assert!(
        text.contains("limit = 1") && !text.contains("limit = 2") && text.contains("int two();"),
        "{text}"
    );
}

#[test]
fn a_type_declared_ahead_is_complete_where_its_members_are_used() {
    let files = [
        ("box.h", "#pragma once\nclass Lid;\nclass Box {\n public:\n  Lid* lid;\n};\n"),
        ("lid.h", "#pragma once\nclass Lid {\n public:\n  void open();\n};\n"),
        (
            "use.cc",
            "#include \"box.h\"\n#include \"lid.h\"\nvoid open_it(Box* box) { box->lid->open(); }\n\
             Box* same(Box* box) { return box; }\n",
        ),
    ];
    let used = document(&files, "use.cc", "open_it");
    assert!(position(&used, "class Lid {") < position(&used, "void open_it"), "{used}");
    let unused = document(&files, "use.cc", "same");
    assert!(unused.contains("class Lid;") && !unused.contains("class Lid {"), "{unused}");
}

#[test]
fn branches_namespaces_and_linkage_are_opened_again() {
    let files = [(
        "a.cc",
        "#ifdef FAST\n#define STEP 2\n#else\n#define STEP 1\n#endif\nnamespace n {\nnamespace {\nint step() { return STEP; }\n\
         int idle() { return 0; }\n}  // namespace\n}  // namespace n\nextern \"C\" {\nint go(void) { return n::step(); }\n}\n",
    )];
    let text = document(&files, "a.cc", "go");
    let parts =
        ["#ifdef FAST", "STEP 2", "#else", "STEP 1", "#endif", "namespace n {", "namespace {", "int step()"];
    let order = parts.map(|part| position(&text, part));
    assert!(order.is_sorted() && !text.contains("idle"), "{text}");
    assert!(position(&text, "extern \"C\" {") < position(&text, "int go("), "{text}");
    assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
}

#[test]
fn a_header_that_cannot_be_taken_apart_stays_an_include_with_all_it_includes() {
    let files = [
        ("low.h", "#pragma once\nstruct Low { int a; };\n"),
        ("odd.h", "#include \"low.h\"\nstruct Odd { Low low; };\n"),
        (
            "use.cc",
            "#include \"odd.h\"\n#include \"low.h\"\nint root(Odd odd, Low low) { return odd.low.a + low.a; }\n",
        ),
    ];
    let text = document(&files, "use.cc", "root");
    assert!(text.contains("#include \"odd.h\"") && !text.contains("struct Low {"), "{text}");
}

#[test]
fn what_does_not_fit_is_counted_and_never_cut() {
    let big = format!("int big() {{ return {}0; }}\nint small() {{ return 1; }}\n", "1 + ".repeat(100));
    let wish = Wish { max_tokens: 200, ..WISH };
    let (all, counts) = documents(&[("a.cc", &big)], &wish, 1);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].symbols, ["small"]);
    assert_eq!((counts.oversized_items, counts.oversized_files), (1, 0));
}

/// A project of `layers` headers and sources; function `f_i` of file `k` calls what its numbers say.
fn synthetic(calls: &[Vec<u8>]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (number, file) in calls.iter().enumerate() {
        let mut header = format!(
            "#pragma once\n#define LIMIT_{number} {number}\nstruct Type_{number} {{ int value_{number}; }};\n"
        );
        let mut source: String =
            (0..calls.len()).map(|other| format!("#include \"part_{other}.h\"\n")).collect();
        source.push_str(&format!("namespace part {{\nstatic int hidden = LIMIT_{number};\n}}\n"));
        for (index, call) in file.iter().enumerate() {
            header.push_str(&format!("int call_{number}_{index}(Type_{number} value);\n"));
            let other = usize::from(*call) % calls.len();
            let callee = usize::from(*call) % calls[other].len().max(1);
            let body = if calls[other].is_empty() {
                format!("return value.value_{number} + LIMIT_{other} + part::hidden;")
            } else {
                format!(
                    "Type_{other} next{{LIMIT_{other}}}; return call_{other}_{callee}(next) + value.value_{number};"
                )
            };
            source.push_str(&format!("int call_{number}_{index}(Type_{number} value) {{\n  {body}\n}}\n"));
        }
        files.push((format!("part_{number}.h"), header));
        files.push((format!("part_{number}.cc"), source));
    }
    files
}

/// Names of the synthetic projects in order of appearance, and whether each stands where it is declared.
fn names(text: &str) -> Vec<(&str, bool)> {
    let mut names = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("#include")) {
        let declares =
            ["#define ", "struct ", "int ", "static int "].iter().find_map(|start| line.strip_prefix(start));
        let declared =
            declares.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""));
        let ours = |word: &&str| ["LIMIT_", "Type_", "call_"].iter().any(|start| word.starts_with(start));
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(ours);
        names.extend(words.map(|word| (word, declared == Some(word))));
    }
    names
}

/// Pieces of C++ that rarely make sense one after another.
const SOUP: [&str; 36] = [
    "#if A\n",
    "#ifdef B\n",
    "#else\n",
    "#endif\n",
    "#define X ",
    "#include \"a.h\"\n",
    "#include <b>\n",
    "#\n",
    "\n",
    "{",
    "}",
    "(",
    ")",
    ";",
    "=",
    "<",
    ">",
    "::",
    "operator",
    "template",
    "template <>",
    "struct S",
    "class",
    "enum E { A, B };",
    "namespace n {",
    "extern \"C\" {",
    "int f(int a)",
    "\"",
    "'",
    "R\"(",
    "/*",
    "// c\n",
    "->",
    "##",
    "\\",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_harm(
        parts in prop::collection::vec(prop::collection::vec(0..SOUP.len(), 0..24), 1..4),
    ) {
        let names = ["a.h", "b.cc", "c.c"];
        let texts: Vec<String> =
            parts.iter().map(|part| part.iter().map(|at| SOUP[*at]).collect::<Vec<_>>().join(" ")).collect();
        let files: Vec<_> = names.iter().zip(&texts).map(|(name, text)| (*name, text.as_str())).collect();
        let (all, _) = documents(&files, &WISH, 1);
        prop_assert!(all.iter().filter(|one| one.kind == DocumentKind::File).all(|one| texts.contains(&one.text)));
    }

    #[test]
    fn documents_are_closed_minimal_in_order_and_within_the_wall(
        calls in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 1..5),
        wall in 150u64..3000,
        depth in 0u32..4,
        crossed in any::<bool>(),
    ) {
        let files = synthetic(&calls);
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let mode = if crossed { Mode::CrossFile } else { Mode::Compilable };
        let wish = Wish { max_tokens: wall, cross_depth: depth, mode, ..WISH };
        let (all, counts) = documents(&files, &wish, 1);
        prop_assert_eq!(&documents(&files, &wish, 3), &(all.clone(), counts));
        let tokenizer = bytes();
        let counter = Counter::new(&tokenizer);
        for one in &all {
            prop_assert!(one.tokens <= wall && one.tokens == counter.count(&one.text));
            prop_assert_eq!(one.text.matches('{').count(), one.text.matches('}').count());
            let included = one.text.contains("#include \"");
            let mut declared = BTreeSet::new();
            for (name, declares) in names(&one.text) {
                if declares {
                    declared.insert(name);
                }
                prop_assert!(included || declared.contains(name), "{} before its declaration in\n{}", name, one.text);
            }
            if one.kind == DocumentKind::Function {
                let root = names(&one.text).into_iter().rfind(|(name, declares)| *declares && name.starts_with("call_"));
                for name in &declared {
                    let uses = names(&one.text).iter().filter(|(word, declares)| word == name && !declares).count();
                    let is_root = one.symbols.last().is_some_and(|last| last == name)
                        || root.is_some_and(|(root, _)| root == *name);
                    prop_assert!(uses > 0 || is_root, "{} is unused in\n{}", name, one.text);
                }
            }
        }
    }
}
