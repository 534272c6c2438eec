//! Snapshots: the items of small files, one line each as `symbols | first line … last line`.

use expect_test::{Expect, expect};
use wootz_chunk::{Chunker, Item, detect};

fn check(file_name: &str, source: &str, expected: Expect) {
    let language = detect(file_name, source.as_bytes()).unwrap();
    let parsed = Chunker::new().parse(language, source.as_bytes());
    let mut text = format!("{}{}\n", language.name(), if parsed.has_errors { ", with errors" } else { "" });
    show(&parsed.items, source, 0, &mut text);
    expected.assert_eq(&text);
}

fn show(items: &[Item], source: &str, depth: usize, into: &mut String) {
    for item in items {
        let text = &source[item.range.clone()];
        let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap().trim());
        let lines = if text.contains('\n') { format!("{first} … {last}") } else { first.to_owned() };
        let names = if item.members.is_empty() { item.names.join(" ") } else { format!("[{}]", item.prefix) };
        into.push_str(&format!("{}{names} | {lines}\n", "  ".repeat(depth)));
        show(&item.members, source, depth + 1, into);
    }
}

#[test]
fn rust() {
    check(
        "lib.rs",
        "#!/usr/bin/env run\n//! Head.\n\n// Licence words.\n\nuse std::fmt;\n\n/// Doc.\n#[derive(Debug)]\n\npub struct A<T>(T); // tail\nimpl<T> fmt::Display for A<T> {}\nimpl<'a> Tr for &'a B {}\nmod tests {\n    #[test]\n    fn works() {}\n}\nmod out;\nextern \"C\" { fn c(); }\nmacro_rules! m { () => {} }\nm!();\nconst X: u8 = 1; static Y: u8 = 2;\n",
        expect![[r#"
            rust
             | #!/usr/bin/env run
             | //! Head.
             | // Licence words.
             | use std::fmt;
            A | /// Doc. … pub struct A<T>(T); // tail
            A | impl<T> fmt::Display for A<T> {}
            B | impl<'a> Tr for &'a B {}
            [tests::] | mod tests { … }
              works | #[test] … fn works() {}
            out | mod out;
            [] | extern "C" { fn c(); }
              c | fn c();
            m | macro_rules! m { () => {} }
             | m!();
            X | const X: u8 = 1;
            Y | static Y: u8 = 2;
        "#]],
    );
}

#[test]
fn python() {
    check(
        "a.py",
        "\"\"\"Doc.\"\"\"\nimport os\n\n# About f.\n@cache\n@other(1)\ndef f():\n    pass  # inside\n\nclass K(Base):\n    x = 1\n\nA = B = 1\nC: int = 2\na.b = 3\nif __name__ == '__main__':\n    f()\nasync def g(): ...\n",
        expect![[r#"
            python
             | """Doc."""
             | import os
            f | # About f. … pass  # inside
            K | class K(Base): … x = 1
            A B | A = B = 1
            C | C: int = 2
             | a.b = 3
             | if __name__ == '__main__': … f()
            g | async def g(): ...
        "#]],
    );
}

#[test]
fn go() {
    check(
        "a.go",
        "// Package a.\npackage a\n\nimport (\n\t\"fmt\"\n)\n\n// T is one.\ntype T[K any] struct{}\n\nfunc (t *T[K]) M() {}\nfunc (T[K]) N() {}\nfunc F() { fmt.Println() }\nconst (\n\tA, B = 1, 2\n\tC = 3\n)\nvar (\n\tx int\n)\nvar y, z = 1, 2\ntype (\n\tU int\n\tV = string\n)\n",
        expect![[r#"
            go
             | // Package a. … package a
             | import ( … )
            T | // T is one. … type T[K any] struct{}
            T.M | func (t *T[K]) M() {}
            T.N | func (T[K]) N() {}
            F | func F() { fmt.Println() }
            A B C | const ( … )
            x | var ( … )
            y z | var y, z = 1, 2
            U V | type ( … )
        "#]],
    );
}

#[test]
fn typescript() {
    check(
        "a.ts",
        "#!/usr/bin/env node\nimport x from 'y';\n/** Doc. */\nexport function f(): void {}\nexport default class K {}\n@dec()\nexport class D {}\nexport const a = 1, b = 2;\nexport interface I { x: number }\ntype U = string;\nenum E { A }\nnamespace N.M { export function g() {} }\ndeclare module 'm' { const q: number; }\ndeclare function h(): void;\nconst { p, r } = x;\nf();;\n",
        expect![[r#"
            typescript
             | #!/usr/bin/env node
             | import x from 'y';
            f | /** Doc. */ … export function f(): void {}
            K | export default class K {}
            D | @dec() … export class D {}
            a b | export const a = 1, b = 2;
            I | export interface I { x: number }
            U | type U = string;
            E | enum E { A }
            [N.M.] | namespace N.M { export function g() {} }
              g | export function g() {}
            [m.] | declare module 'm' { const q: number; }
              q | const q: number;
            h | declare function h(): void;
             | const { p, r } = x;
             | f();;
        "#]],
    );
}

#[test]
fn tsx_and_javascript() {
    check(
        "a.tsx",
        "export const App = () => <div>{1}</div>;\n",
        expect![[r#"
        typescript
        App | export const App = () => <div>{1}</div>;
    "#]],
    );
    check(
        "a.mjs",
        "'use strict'\nfunction* g() {}\nclass K extends L {}\nvar v = <a/>\nmodule.exports = { g }\n",
        expect![[r#"
            javascript
             | 'use strict'
            g | function* g() {}
            K | class K extends L {}
            v | var v = <a/>
             | module.exports = { g }
        "#]],
    );
}

#[test]
fn cpp() {
    check(
        "a.hpp",
        "// Copyright.\n\n#ifndef A_H\n#define A_H\n#include <x>\nnamespace a::b {\n// About S.\nstruct S { int x; };\ntemplate <class T>\nT twice(T x) { return x; }\nnamespace {\nint hidden = 1, *second;\n}\n}  // namespace a::b\nextern \"C\" {\nvoid c_fn(int);\n}\nextern \"C\" int one(void);\n#define M(x) x\nint *S::f(int a) const { return 0; }\nS::operator bool() const { return true; }\nbool operator==(S, S);\nusing U = int; typedef int V;\nenum class E { A };\n#if X\nint i;\n#else\nint j;\n#endif\n#endif\n",
        expect![[r#"
            cpp
             | // Copyright.
            [] | #ifndef A_H … #endif
               | #define A_H
               | #include <x>
              [a::b::] | namespace a::b { … }  // namespace a::b
                S | // About S. … struct S { int x; };
                twice | template <class T> … T twice(T x) { return x; }
                [] | namespace { … }
                  hidden second | int hidden = 1, *second;
              [] | extern "C" { … }
                c_fn | void c_fn(int);
              one | extern "C" int one(void);
              M | #define M(x) x
              S::f | int *S::f(int a) const { return 0; }
              S::operator bool | S::operator bool() const { return true; }
              operator== | bool operator==(S, S);
              U | using U = int;
              V | typedef int V;
              E | enum class E { A };
              [] | #if X … #endif
                i | int i;
                [] | #else … int j;
                  j | int j;
        "#]],
    );
}

#[test]
fn c() {
    check(
        "a.c",
        "#include <stdio.h>\nstatic const int table[] = {1, 2};\nstruct s { int x; } instance;\ntypedef struct t { int y; } t_t;\nint (*callback)(int);\n/* main */ int main(void) { return 0; }\n",
        expect![[r#"
            c
             | #include <stdio.h>
            table | static const int table[] = {1, 2};
            s instance | struct s { int x; } instance;
            t t_t | typedef struct t { int y; } t_t;
            callback | int (*callback)(int);
            main | /* main */ int main(void) { return 0; }
        "#]],
    );
}

#[test]
fn broken_code_keeps_its_items() {
    check(
        "a.rs",
        "fn a() {}\n)) what (\nfn b() {}\n",
        expect![[r#"
        rust, with errors
        a | fn a() {}
         | )) what ( … fn b() {}
    "#]],
    );
    check(
        "a.py",
        "def (\n",
        expect![[r#"
        python, with errors
         | def (
    "#]],
    );
    check(
        "a.go",
        "\n \n",
        expect![[r#"
        go
    "#]],
    );
}

#[test]
fn languages_by_name_and_text() {
    let name = |file: &str, text: &str| detect(file, text.as_bytes()).map(|language| language.name());
    for (file, text, expected) in [
        ("x.rs", "", Some("rust")),
        ("x.c", "", Some("c")),
        ("x.C", "", Some("cpp")),
        ("x.cu", "", Some("cpp")),
        ("x.tsx", "", Some("typescript")),
        ("x.d.ts", "", Some("typescript")),
        ("x.jsx", "", Some("javascript")),
        ("x.pyi", "", Some("python")),
        ("x.txt", "", None),
        (".rs", "", None),
        ("vector", "// <vector> -*- C++ -*-\n", Some("cpp")),
        ("Makefile", "all:\n", None),
        ("x.h", "int f(void);\n", Some("c")),
        ("x.h", "/* class A::b\n class B */\nint f(void);\n", Some("c")),
        ("x.h", "  class A;\n", Some("cpp")),
        ("x.h", "void f(std::string);\n", Some("cpp")),
        ("x.h", "#define S \"a::b\"\n", Some("c")),
    ] {
        assert_eq!(name(file, text), expected, "{file}: {text}");
    }
}

#[test]
fn names_of_functions_behind_macros() {
    check(
        "a.c",
        "API size getn (int *t);\nAPI int (raise) (int l);\nAPI size (check) (int *t);\n\
         int (*pointer)(int);\nstatic OLD(1) int kept(int a);\ntypedef unsigned char bool;\n\
         T APIENTRY make(const char *e);\nint (plain)(int a) { return a; }\n",
        expect![[r#"
            c, with errors
            getn | API size getn (int *t);
            raise | API int (raise) (int l);
            check | API size (check) (int *t);
            pointer | int (*pointer)(int);
            kept | static OLD(1) int kept(int a); … typedef unsigned char bool;
            make | T APIENTRY make(const char *e);
            plain | int (plain)(int a) { return a; }
        "#]],
    );
}
