//! Documents of small projects go through this machine's C and C++ compilers: what was left out is what they did not need.

use std::process::Command;
use wootz_corpus::documents::{Counter, Granularity, Mode, Project, SourceFile, Wish};
use wootz_schema::document::DocumentKind;
use wootz_tokenizer::{SPECIAL_TOKENS, Tokenizer};

/// Every document of a function or type of these files compiles in a folder that holds the files; gives the one of
/// `root`.
fn check(files: &[(&str, &str)], root: &str) -> String {
    let tokenizer =
        Tokenizer::new(Vec::new(), SPECIAL_TOKENS.iter().map(|name| (*name).to_owned()).collect()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sources = files.iter().map(|(path, text)| {
        std::fs::write(folder.path().join(path), text).unwrap();
        SourceFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            language: wootz_chunk::detect(path, text.as_bytes()).unwrap(),
        }
    });
    let wish = Wish {
        mode: Mode::Compilable,
        granularity: Granularity::Functions,
        cross_depth: 3,
        max_tokens: 100_000,
        headers: false,
    };
    let mut found = None;
    Project::new(sources.collect(), &[]).documents(&wish, &Counter::new(&tokenizer), &mut |one| {
        if one.kind == DocumentKind::File {
            return;
        }
        let is_c = one.language == "c";
        let path = folder.path().join(if is_c { "document.c" } else { "document.cc" });
        std::fs::write(&path, &one.text).unwrap();
        let mut compiler = Command::new(if is_c { "cc" } else { "c++" });
        compiler.arg("-fsyntax-only");
        if is_c {
            compiler.args(["-std=c11", "-Werror=implicit-function-declaration"]);
        }
        let output = compiler.arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", one.text);
        if one.symbols.last().is_some_and(|last| last == root) {
            found = Some(one.text);
        }
    });
    found.unwrap_or_else(|| panic!("no document of {root}"))
}

/// A header that cannot be taken apart: it includes what a macro says.
const STEERED: &str = "#ifndef API_H\n#define API_H\n#define BASE <stddef.h>\n#include BASE\n\
     #ifdef INSIDE\ntypedef struct Real *Handle;\n#else\ntypedef void *Handle;\n#endif\n#endif\n";

#[test]
fn macros_that_an_include_asks_for_stand_before_it_in_whichever_file_they_are() {
    let files = [
        ("api.h", STEERED),
        ("all.h", "#pragma once\n#define INSIDE 1\n#define ASIDE 2\n#include \"api.h\"\n"),
        ("use.c", "#include \"all.h\"\nstruct Real { int n; };\nint root(Handle h) { return h->n; }\n"),
    ];
    let text = check(&files, "root");
    assert!(text.contains("#define INSIDE 1") && !text.contains("ASIDE"), "{text}");
}

#[test]
fn a_lent_definition_brings_its_includes_behind_the_macros_of_the_file_it_comes_to() {
    let files = [
        ("api.h", STEERED),
        ("lend.h", "#pragma once\nint twice(int n);\n"),
        ("lend.c", "#include \"lend.h\"\n#include \"api.h\"\nint twice(int n) { return 2 * n; }\n"),
        (
            "use.c",
            "#include \"lend.h\"\n#define INSIDE 1\n#include \"api.h\"\nstruct Real { int n; };\n\
             int root(Handle h) { return twice(h->n); }\n",
        ),
    ];
    check(&files, "root");
}

#[test]
fn a_tag_that_is_named_ahead_of_its_type_is_complete_where_its_members_are_used() {
    let files = [
        ("client.h", "#pragma once\nstruct client { struct command *command; struct idle *idle; };\n"),
        (
            "command.h",
            "#pragma once\nstruct idle { int unused; };\nstruct command { int arity; struct more *more; };\n\
             typedef struct more { int depth; } more;\n",
        ),
        (
            "use.c",
            "#include \"client.h\"\n#include \"command.h\"\n\
             int root(struct client *c) { return c->command->arity + c->command->more->depth; }\n",
        ),
    ];
    let text = check(&files, "root");
    assert!(text.contains("struct command {") && !text.contains("struct idle {"), "{text}");
}

#[test]
fn a_definition_whose_file_includes_what_counts_each_time_is_not_lent() {
    let files = [
        ("pair.h", "struct pair { int one, two; };\n"),
        ("lend.h", "#pragma once\nint twice(int n);\n"),
        ("lend.c", "#include \"lend.h\"\n#include \"pair.h\"\nint twice(int n) { return 2 * n; }\n"),
        (
            "use.c",
            "#include \"lend.h\"\n#include \"pair.h\"\nint root(struct pair *p) { return twice(p->one); }\n",
        ),
    ];
    let text = check(&files, "root");
    assert!(text.contains("int twice(int n);") && !text.contains("return 2 * n"), "{text}");
}

#[test]
fn a_header_that_stays_an_include_finds_what_it_takes_from_those_above_it() {
    let files = [
        ("names.h", "#pragma once\ntypedef void (*callback)(int n);\n#define LIMIT 4\n#define IDLE 5\n"),
        (
            "leaning.h",
            "#ifndef LEANING_H\n#define LEANING_H\n#define BASE <stddef.h>\n#include BASE\n\
             struct entry { callback call; int room[LIMIT]; };\n#endif\n",
        ),
        (
            "use.c",
            "#include \"names.h\"\n#include \"leaning.h\"\nint root(struct entry *e) { return e->room[0]; }\n",
        ),
    ];
    let text = check(&files, "root");
    assert!(text.contains("callback") && !text.contains("IDLE"), "{text}");
}

#[test]
fn names_of_functions_are_found_behind_macros_and_in_parentheses() {
    let files = [
        (
            "api.h",
            "#pragma once\n#define API extern\n#define OF(args) args\ntypedef unsigned long size;\n\
             API size getn (int *t);\nAPI int (raise) (int l);\n\
             API size (check) (int *t);\nextern int deflate OF((int a, int b));\n",
        ),
        (
            "use.c",
            "#include \"api.h\"\nsize one(int *t) { return getn(t); }\nint two(int *t) { return raise(*t) + (int)check(t); }\n\
             int three(void) { return deflate(1, 2); }\n",
        ),
    ];
    check(&files, "one");
    check(&files, "two");
    check(&files, "three");
}

#[test]
fn a_keyword_of_the_other_language_is_a_name() {
    let files = [(
        "use.c",
        "typedef unsigned char bool;\nenum { false, true };\nstatic int try(int class) { return class; }\n\
         bool idle(void) { return false; }\nbool root(int this) { return try(this) == true; }\n",
    )];
    let text = check(&files, "root");
    assert!(!text.contains("idle"), "{text}");
}

#[test]
fn a_class_that_a_header_only_declares_is_complete_where_its_members_are_used() {
    let files = [
        (
            "pool.h",
            "#ifndef POOL_H\n#define POOL_H\n#define BASE <cstddef>\n#include BASE\nnamespace n {\nclass Files;\n\
             class Pool {\n public:\n  int find();\n  class Tables;\n  Tables* tables_;\n  Files* files_;\n};\n}\n#endif\n",
        ),
        (
            "pool.cc",
            "#include \"pool.h\"\nnamespace n {\nclass Idle { int idle; };\n\
             class Files {\n public:\n  int count() { return 1; }\n};\n\
             class Pool::Tables {\n public:\n  int by_name() { return 2; }\n};\n\
             int Pool::find() { return tables_->by_name() + files_->count(); }\n}\n",
        ),
    ];
    let text = check(&files, "n::Pool::find");
    assert!(text.contains("class Pool::Tables {") && !text.contains("Idle"), "{text}");
}

#[test]
fn a_macro_of_a_header_that_stays_an_include_finds_what_it_uses_where_it_is_used() {
    let files = [
        (
            "stack.h",
            "#ifndef STACK_H\n#define STACK_H\n#define BASE <stddef.h>\n#include BASE\n\
             #define CHECK(n) collect(LIMIT, n)\n#endif\n",
        ),
        ("collect.h", "#pragma once\n#define LIMIT 3\n#define IDLE 4\nint collect(int limit, int n);\n"),
        ("use.c", "#include \"stack.h\"\n#include \"collect.h\"\nint root(int n) { return CHECK(n); }\n"),
    ];
    let text = check(&files, "root");
    assert!(text.contains("int collect(") && !text.contains("IDLE"), "{text}");
}

#[test]
fn the_systems_headers_stay_below_a_header_that_steers_them() {
    let files = [
        ("features.h", "#ifndef FEATURES_H\n#define FEATURES_H\n#define _GNU_SOURCE 1\n#endif\n"),
        (
            "all.h",
            "#ifndef ALL_H\n#define ALL_H\n#include \"features.h\"\n#define BASE <stddef.h>\n#include BASE\n\
             #include <string.h>\nstruct all { char *name; };\n#endif\n",
        ),
        (
            "use.c",
            "#include \"all.h\"\n#include <string.h>\n\
             int root(struct all *a) { return strcasestr(a->name, \"x\") != 0 && mempcpy(a, a, 1) != 0; }\n",
        ),
    ];
    let text = check(&files, "root");
    assert!(text.find("all.h") < text.find("<string.h>"), "{text}");
}
