//! Expressions, and which of several statements about a license holds.

use super::tree::{MIT, Tree};
use wootz_corpus::{Allowed, canonical_expression};

const BSD: &str =
    "Redistribution and use in source and binary forms, with or without modification, are permitted";
const APACHE: &str = "Apache License Version 2.0, January 2004 … 3. Grant of Patent License.";

#[test]
fn allowed_lists() {
    for (allowed, expression, permitted) in [
        ("MIT", "MIT", true),
        ("MIT", "Apache-2.0", false),
        ("MIT", "MIT OR GPL-3.0-only", true),
        ("MIT", "MIT AND Zlib", false),
        ("MIT Zlib", "MIT AND Zlib", true),
        ("MIT", "(MIT OR Apache-2.0) AND Zlib", false),
        ("MIT Zlib", "(MIT OR Apache-2.0) AND Zlib", true),
        ("Apache-2.0", "Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0-only", "GPL-2.0-only WITH Classpath-exception-2.0", true),
        ("GPL-3.0-only", "GPL-2.0-only", false),
        ("GPL-2.0-or-later", "GPL-2.0-or-later", true),
        ("MIT", "NOASSERTION", false),
        ("NOASSERTION", "NOASSERTION", true),
        ("NOASSERTION", "MIT", false),
        ("", "MIT", false),
        ("MIT", "no expression", false),
    ] {
        let ids: Vec<_> = allowed.split_whitespace().map(str::to_owned).collect();
        assert_eq!(Allowed::new(&ids).unwrap().permits(expression), permitted, "{allowed}: {expression}");
    }
    let with_exception = Allowed::new(&["Apache-2.0 WITH LLVM-exception".to_owned()]).unwrap();
    assert!(with_exception.permits("Apache-2.0 WITH LLVM-exception"));
    assert!(!with_exception.permits("Apache-2.0"));
}

#[test]
fn one_spelling_each() {
    for (text, expected) in [
        ("MIT", Some("MIT")),
        (" MIT ", Some("MIT")),
        ("MIT/Apache-2.0", Some("Apache-2.0 OR MIT")),
        ("MIT OR Apache-2.0 OR MIT", Some("Apache-2.0 OR MIT")),
        ("Zlib AND MIT", Some("MIT AND Zlib")),
        ("(MIT OR Apache-2.0) AND Zlib", Some("(MIT OR Apache-2.0) AND Zlib")),
        ("GPL-2.0", Some("GPL-2.0-only")),
        ("GPL-2.0+", Some("GPL-2.0-or-later")),
        ("LicenseRef-Own", Some("LicenseRef-Own")),
        ("", None),
        ("MIT OR", None),
        ("Proprietary", None),
    ] {
        assert_eq!(canonical_expression(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn the_nearest_statement_holds() {
    let cargo = |license: &str| format!("[package]\nlicense = \"{license}\"\n");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "NOASSERTION"),
        (&[("LICENSE", MIT)], "MIT"),
        (&[("LICENCE.md", MIT)], "MIT"),
        (&[("COPYING", MIT), ("LICENSE", BSD)], "BSD-2-Clause AND MIT"),
        (&[("LICENSE-MIT", MIT), ("LICENSE-BSD", BSD)], "BSD-2-Clause OR MIT"),
        (
            &[("LICENSE-MIT", MIT), ("LICENSE-APACHE", APACHE), ("Cargo.toml", &cargo("MIT OR Apache-2.0"))],
            "Apache-2.0 OR MIT",
        ),
        (&[("LICENSE", MIT), ("Cargo.toml", &cargo("MIT AND Zlib"))], "MIT AND Zlib"),
        (&[("LICENSE", BSD), ("Cargo.toml", &cargo("Zlib"))], "BSD-2-Clause"),
        (&[("LICENSE", "ask first"), ("Cargo.toml", &cargo("Zlib"))], "Zlib"),
        (&[("LICENSE", MIT), ("sub/LICENSE", "ask first")], "NOASSERTION"),
        (&[("LICENSE", MIT), ("sub/COPYING", BSD)], "BSD-2-Clause"),
        (&[("LICENSE", MIT), ("sub/Cargo.toml", &cargo("Zlib"))], "Zlib"),
        (&[("LICENSE", MIT), ("sub/Cargo.toml", "[package]\nlicense.workspace = true\n")], "MIT"),
        (&[("LICENSE", MIT), ("sub/license.py", "x = 1")], "MIT"),
        (&[("../LICENSE", MIT)], "NOASSERTION"),
    ];
    for (files, expected) in cases {
        let tree = Tree::new(&[("p/sub/a.rs", "fn a() {}\n")]);
        files.iter().for_each(|(path, text)| tree.put(&format!("p/{path}"), text.as_bytes()));
        // A license beside the project is not the project's.
        if files.iter().any(|(path, _)| path.starts_with("..")) {
            std::fs::rename(tree.source().join("LICENSE"), tree.source().with_file_name("LICENSE")).unwrap();
        }
        tree.build(&tree.options()).unwrap();
        let document = tree.documents().into_iter().find(|document| document.language == "rust").unwrap();
        assert_eq!(
            document.license,
            *expected,
            "{:?}",
            files.iter().map(|(path, _)| path).collect::<Vec<_>>()
        );
    }
}
