//! Documents of Rust, Python, TypeScript and Go: what they hold, in which order, and that they can be read.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeSet;
use wootz_chunk::Chunker;
use wootz_corpus::documents::{Composed, Counter, Counts, Granularity, Mode, Project, SourceFile, Wish};
use wootz_schema::document::DocumentKind;
use wootz_tokenizer::{SPECIAL_TOKENS, Tokenizer};

const WISH: Wish = Wish {
    mode: Mode::Compilable,
    granularity: Granularity::Functions,
    cross_depth: 3,
    max_tokens: 100_000,
    headers: true,
};

fn documents(files: &[(&str, &str)], wish: &Wish, threads: usize) -> (Vec<Composed>, Counts) {
    // Every byte is a token.
    let names = SPECIAL_TOKENS.iter().map(|name| (*name).to_owned()).collect();
    let tokenizer = Tokenizer::new(Vec::new(), names).unwrap();
    let file = |(path, text): &(&str, &str)| SourceFile {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
        language: wootz_chunk::detect(path, text.as_bytes()).unwrap(),
    };
    let files: Vec<_> = files.iter().map(file).collect();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let mut all = Vec::new();
        let counts =
            Project::new(files, &[]).documents(wish, &Counter::new(&tokenizer), &mut |one| all.push(one));
        (all, counts)
    })
}

fn check(files: &[(&str, &str)], path: &str, root: &str, expected: Expect) {
    let (all, _) = documents(files, &WISH, 1);
    let of_root = |one: &&Composed| {
        one.path == path
            && one.kind != DocumentKind::File
            && one.symbols.last().is_some_and(|last| last == root)
    };
    let found = all.iter().find(of_root).unwrap_or_else(|| panic!("no document of {root} in {all:#?}"));
    expected.assert_eq(&found.text);
}

const PYTHON: [(&str, &str); 4] = [
    ("shop/__init__.py", "from .price import total\n"),
    (
        "shop/price.py",
        "from __future__ import annotations\nimport decimal, os\nfrom .base import Thing as Root, Mark\n\n\
         RATE = decimal.Decimal('0.2')\n\ndef unused():\n    return os\n\n\
         def total(items):\n    return sum(taxed(item) for item in items)\n\ndef taxed(item):\n    RATES = 1\n    return item * RATE + RATES\n",
    ),
    ("shop/base.py", "import abc\n\nclass Mark(abc.ABC):\n    pass\n\nclass Thing(Mark):\n    pass\n"),
    (
        "shop/cart.py",
        "\"\"\"A cart.\"\"\"\nimport sys\nfrom shop import total\nfrom .base import Mark\nimport json\n\nLIMIT = 3\n\n\
         def main():\n    return Cart().total(sys.argv)\n\n@Mark.register\nclass Cart:\n    size: int = LIMIT\n\n    def total(self, items):\n        return total(items)\n",
    ),
];

#[test]
fn python_follows_imports_and_stands_in_the_order_of_loading() {
    check(
        &PYTHON,
        "shop/cart.py",
        "main",
        expect![[r#"
            from __future__ import annotations

            import sys
            import abc
            import decimal

            class Mark(abc.ABC):
                pass

            LIMIT = 3

            RATE = decimal.Decimal('0.2')

            def taxed(item):
                RATES = 1
                return item * RATE + RATES

            def total(items):
                return sum(taxed(item) for item in items)

            @Mark.register
            class Cart:
                size: int = LIMIT

                def total(self, items):
                    return total(items)

            def main():
                return Cart().total(sys.argv)
        "#]],
    );
}

const RUST: [(&str, &str); 3] = [
    ("src/lib.rs", "mod shape;\nmod draw;\npub use shape::Circle;\n"),
    (
        "src/shape.rs",
        "use std::fmt;\n\n/// Round.\n#[derive(Debug)]\npub struct Circle {\n    pub radius: f64,\n}\n\n\
         impl Circle {\n    /// New.\n    pub fn new(radius: f64) -> Self {\n        Circle { radius }\n    }\n\n\
             pub fn area(&self) -> f64 {\n        PI * self.radius\n    }\n}\n\nimpl fmt::Display for Circle {\n    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {\n        write!(f, \"o\")\n    }\n}\n\nconst PI: f64 = 3.14;\n",
    ),
    (
        "src/draw.rs",
        "use crate::{shape::{self, Circle}, Missing};\nuse std::io::Write;\nuse std::collections::{BTreeMap, HashMap};\n\n\
         pub fn all(count: usize) -> BTreeMap<usize, f64> {\n    (0..count).map(|at| (at, one(at))).collect()\n}\n\n\
         fn one(at: usize) -> f64 {\n    Circle::new(twice!(at)).radius\n}\n\nmacro_rules! twice {\n    ($x:expr) => { $x as f64 * 2.0 };\n}\n",
    ),
];

#[test]
fn rust_opens_an_implementation_around_the_methods_that_are_called() {
    check(
        &RUST,
        "src/draw.rs",
        "all",
        expect![[r#"
        use crate::Missing;
        use std::io::Write;
        use std::collections::{BTreeMap, HashMap};

        macro_rules! twice {
            ($x:expr) => { $x as f64 * 2.0 };
        }

        /// Round.
        #[derive(Debug)]
        pub struct Circle {
            pub radius: f64,
        }

        impl Circle {
            /// New.
            pub fn new(radius: f64) -> Self {
                Circle { radius }
            }
        }

        fn one(at: usize) -> f64 {
            Circle::new(twice!(at)).radius
        }

        pub fn all(count: usize) -> BTreeMap<usize, f64> {
            (0..count).map(|at| (at, one(at))).collect()
        }
    "#]],
    );
}

const TYPESCRIPT: [(&str, &str); 4] = [
    ("lib/index.ts", "export * from './money';\n"),
    (
        "lib/money.ts",
        "import { round } from './deep/round';\nexport interface Money { cents: number }\nexport const add = (a: Money, b: Money): Money => ({ cents: round(a.cents + b.cents) });\n",
    ),
    (
        "lib/deep/round.ts",
        "import big from 'big';\nimport { mode } from '../mode';\nexport function round(x: number): number {\n  return big(x, mode);\n}\n",
    ),
    (
        "app.ts",
        "import { add, type Money } from './lib';\nimport * as fs from 'fs';\nimport def, { a as b, c } from 'other';\n\n\
         export function run(all: Money[]): Money {\n  return all.reduce(add, ZERO);\n}\n\nconst ZERO: Money = { cents: b() };\n",
    ),
];

#[test]
fn typescript_follows_index_files_and_keeps_outer_imports() {
    check(
        &TYPESCRIPT,
        "app.ts",
        "run",
        expect![[r#"
        import { a as b } from 'other';
        import big from 'big';
        import { mode } from './lib/mode';

        export interface Money { cents: number }

        const ZERO: Money = { cents: b() };

        export function round(x: number): number {
          return big(x, mode);
        }

        export const add = (a: Money, b: Money): Money => ({ cents: round(a.cents + b.cents) });

        export function run(all: Money[]): Money {
          return all.reduce(add, ZERO);
        }
    "#]],
    );
}

const GO: [(&str, &str); 3] = [
    (
        "queue/item.go",
        "package queue\n\nimport (\n\t\"fmt\"\n\t\"strings\"\n)\n\ntype item struct{ name string }\n\nfunc (i *item) String() string { return fmt.Sprint(i.name) }\n\nfunc (i *item) Upper() string { return strings.ToUpper(i.name) }\n",
    ),
    (
        "queue/queue.go",
        "// Package queue queues.\npackage queue\n\nimport \"sync\"\n\n// Queue is a queue.\ntype Queue struct {\n\tsync.Mutex\n\titems []item\n}\n\nconst limit = 4\n\nfunc (q *Queue) Names() []string {\n\tq.Lock()\n\treturn names(q.items)\n}\n\nfunc names(items []item) (all []string) {\n\tfor _, one := range items {\n\t\tall = append(all, one.String())\n\t}\n\treturn all[:limit]\n}\n",
    ),
    ("other/item.go", "package other\n\ntype item int\n"),
];

#[test]
fn go_sees_the_other_files_of_its_package() {
    check(
        &GO,
        "queue/queue.go",
        "Queue.Names",
        expect![[r#"
        // Package queue queues.
        package queue

        import "sync"
        import "fmt"

        type item struct{ name string }

        // Queue is a queue.
        type Queue struct {
        	sync.Mutex
        	items []item
        }

        const limit = 4

        func (i *item) String() string { return fmt.Sprint(i.name) }

        func names(items []item) (all []string) {
        	for _, one := range items {
        		all = append(all, one.String())
        	}
        	return all[:limit]
        }

        func (q *Queue) Names() []string {
        	q.Lock()
        	return names(q.items)
        }
    "#]],
    );
}

#[test]
fn every_document_can_be_read_and_every_function_stands_in_one() {
    for project in [&PYTHON[..], &RUST, &TYPESCRIPT, &GO] {
        let (all, counts) = documents(project, &WISH, 1);
        let mut reversed = project.to_vec();
        reversed.reverse();
        assert_eq!((all.clone(), counts), documents(&reversed, &WISH, 3));
        assert_eq!(counts, Counts::default());
        let mut chunker = Chunker::new();
        let mut symbols = BTreeSet::new();
        for one in all.iter().filter(|one| one.kind != DocumentKind::File) {
            let language = wootz_chunk::detect(&one.path, b"").unwrap();
            let parsed = chunker.parse_whole(language, one.text.as_bytes());
            assert!(!parsed.has_errors, "{}", one.text);
            assert_eq!(one.tokens, one.text.len() as u64);
            symbols.extend(one.symbols.iter().cloned());
        }
        for (path, text) in project {
            let language = wootz_chunk::detect(path, text.as_bytes()).unwrap();
            for one in chunker.definitions(language, text.as_bytes()) {
                let name = one.name.rsplit([':', '.']).next().unwrap_or("").to_owned();
                let within = |document: &Composed| {
                    document.kind != DocumentKind::File && document.text.contains(&name)
                };
                assert!(all.iter().any(within), "{name} of {path}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_with_other_files_comes_without_them() {
    let wish = Wish { max_tokens: 240, ..WISH };
    let (all, _) = documents(&PYTHON, &wish, 1);
    let main = all.iter().find(|one| one.symbols.last().is_some_and(|last| last == "main")).unwrap();
    assert!(main.text.contains("from shop import total\n") && main.tokens <= 240, "{}", main.text);
    assert_eq!(main.drawn_from, ["shop/cart.py"]);
}

/// Pieces of code that rarely make sense one after another.
const SOUP: [&str; 24] = [
    "def f(a=b):\n    return g(a)\n",
    "class C(f):\n    x = g\n",
    "@f\n",
    "from .m import f, g\n",
    "import m\n",
    "x = f()\n",
    "fn f() { g() }\n",
    "impl C { fn g(&self) {} }\n",
    "impl",
    "use crate::m::{f, g};\n",
    "struct C;\n",
    "mod m {",
    "}",
    "{",
    "(",
    "func g() { f() }\n",
    "package m\n",
    "import \"m\"\n",
    "type C struct { f int }\n",
    "export function f() { return g(); }\n",
    "import { f } from './m';\n",
    "const g = () => f;\n",
    "/* é */\n",
    "\"",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_harm(
        parts in prop::collection::vec(prop::collection::vec(0..SOUP.len(), 0..16), 8),
    ) {
        let names = ["f.py", "m.py", "src/f.rs", "src/m.rs", "f.ts", "m.ts", "f.go", "m.go"];
        let texts: Vec<String> = parts.iter().map(|part| part.iter().map(|at| SOUP[*at]).collect()).collect();
        let files: Vec<_> = names.iter().zip(&texts).map(|(name, text)| (*name, text.as_str())).collect();
        let (all, _) = documents(&files, &WISH, 1);
        prop_assert!(all.iter().all(|one| one.tokens == one.text.len() as u64));
    }
}
