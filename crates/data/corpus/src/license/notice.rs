//! License notices in prose: the comment at the head of a file that says what the file may be used for.
//!
//! Only the leading comment counts, so that code about licenses is not taken for licensed code.

use super::canonical_expression;
use super::text::{by_sentences, folded};

/// The license that a file's leading comment states in words.
pub(crate) fn in_leading_comment(text: &str) -> Option<String> {
    let comment = leading_comment(text);
    // Cheap refusal: most files begin with none of it.
    if !["icense", "ICENSE", "ermission", "edistribution"].iter().any(|sign| comment.contains(sign)) {
        return None;
    }
    let words = folded(comment);
    if words.contains("alternatively") {
        // A choice told in prose: the package's manifest says it better.
        return None;
    }
    let stated = gnu(&words).or_else(|| named(&words)).or_else(|| by_sentences(&words));
    stated.and_then(|stated| canonical_expression(&stated))
}

/// The lines from the start that are comment or blank, at most 8 KiB of them.
fn leading_comment(text: &str) -> &str {
    let head = &text[..text.floor_char_boundary(8 << 10)];
    let mut in_block = false;
    let mut end = 0;
    for line in head.split_inclusive('\n') {
        let words = line.trim_start();
        let line_comment =
            words.starts_with("//") || words.starts_with('#') && !words.starts_with("#include");
        in_block |= words.starts_with("/*");
        if !(in_block || line_comment || words.is_empty()) {
            break;
        }
        end += line.len();
        in_block &= !words.contains("*/");
    }
    &head[..end]
}

/// `… either version 2.1 of the License, or (at your option) any later version`.
fn gnu(words: &str) -> Option<String> {
    if !words.contains("redistribute it and or modify") {
        return None;
    }
    let kinds = [
        ("gnu affero general public license", "AGPL"),
        ("gnu lesser general public license", "LGPL"),
        ("gnu library general public license", "LGPL"),
        ("gnu general public license", "GPL"),
    ];
    let (at, kind) = kinds.iter().find_map(|(name, kind)| words.find(name).map(|at| (at, *kind)))?;
    let stated = &words[at..];
    let mut version = stated.split_once("version ")?.1.split(' ');
    let version = match (version.next()?, version.next()) {
        ("2", Some("1")) => "2.1".to_owned(),
        (major, _) => format!("{major}.0"),
    };
    let scope = if stated.contains("any later version") { "or-later" } else { "only" };
    let gcc = words.contains("gcc runtime library exception version 3 1");
    Some(format!("{kind}-{version}-{scope}{}", if gcc { " WITH GCC-exception-3.1" } else { "" }))
}

/// `Licensed under the …`, `under the terms of the …`, `released under the …`.
fn named(words: &str) -> Option<String> {
    let has = |sentence: &str| words.contains(sentence);
    let under = |license: &str| {
        let said = [
            "licensed under the ",
            "licensed under ",
            "released under the ",
            "distributed under the ",
            "available under the ",
        ];
        let joined = [
            "under the terms of the ",
            "under terms of the ",
            "covered by the ",
            "subject to the terms of the ",
        ];
        said.iter().chain(&joined).any(|before| words.contains(&format!("{before}{license}")))
    };
    let apache =
        under("apache license version 2 0") || under("apache 2 0 license") || under("apache license 2 0");
    let mit = under("mit license")
        || has("or the mit license")
        || under("mit x11 license")
        || has("licensed under mit ");
    let bsd =
        [("3 clause", "BSD-3-Clause"), ("2 clause", "BSD-2-Clause")].into_iter().find(|(clauses, _)| {
            under(&format!("bsd {clauses}"))
                || under(&format!("{clauses} bsd"))
                || under(&format!("new bsd {clauses}"))
        });
    // One sentence that names two files, the copies of two licenses.
    if has("licensed under both the gplv2") && has("and apache 2 0 license") {
        return Some("Apache-2.0 OR GPL-2.0-only".to_owned());
    }
    let named = match (apache, mit) {
        (true, true) => "Apache-2.0 OR MIT",
        (true, false) if has("llvm exceptions") => "Apache-2.0 WITH LLVM-exception",
        (true, false) => "Apache-2.0",
        (false, true) => "MIT",
        (false, false) if has("the boost software license version 1 0") => "BSL-1.0",
        (false, false) if has("mozilla public license v 2 0") => "MPL-2.0",
        (false, false) => match bsd {
            Some((_, bsd)) => bsd,
            None if under("zlib license") => "Zlib",
            None if under("isc license") => "ISC",
            None => return None,
        },
    };
    Some(named.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(in_leading_comment(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn notices() {
        let gnu = |name: &str, version: &str| {
            format!(
                "// This is free software; you can redistribute it and/or modify it under the terms of the\n\
                 // GNU {name} as published by the Free Software Foundation; {version}\nint x;\n"
            )
        };
        let later = "either version 3, or (at your option) any\n// later version.";
        check(&gnu("General Public License", later), Some("GPL-3.0-or-later"));
        check(&gnu("General Public License", "version 2."), Some("GPL-2.0-only"));
        let lesser = "either version 2.1 of the License, or any later version.";
        check(&gnu("Lesser General Public License", lesser), Some("LGPL-2.1-or-later"));
        let runtime = format!("{later}\n// See the GCC Runtime Library Exception, version 3.1.");
        check(&gnu("General Public License", &runtime), Some("GPL-3.0-or-later WITH GCC-exception-3.1"));
        check("/* Licensed under the Apache License, Version 2.0 (the \"License\") */\n", Some("Apache-2.0"));
        check(
            "// Licensed under the Apache License, Version 2.0 <LICENSE> or the MIT license, at your option.\n",
            Some("Apache-2.0 OR MIT"),
        );
        check("# Distributed under the Boost Software License, Version 1.0.\nx = 1\n", Some("BSL-1.0"));
        check(
            "// Under the Boost Software License, Version 1.0. Alternatively, under another license.\n",
            None,
        );
        check("/* This code is released under the MIT license. */\n", Some("MIT"));
        check("// Distributed under the terms of the 3-Clause BSD License.\n", Some("BSD-3-Clause"));
        check(
            "//  This source code is licensed under both the GPLv2 (found in the\n//  COPYING file in the root directory) and \
             Apache 2.0 License\n",
            Some("Apache-2.0 OR GPL-2.0-only"),
        );
        check("fn f() {}\n// Licensed under the MIT license\n", None);
        for (text, id) in [
            (
                "Permission is hereby granted, free of charge, to any person obtaining a copy\n * of this software and associated documentation files … this permission notice shall be included in all copies",
                "MIT",
            ),
            (
                "Redistribution and use in source and binary forms, with or without\n * modification, are permitted",
                "BSD-2-Clause",
            ),
            (
                "Redistribution and use in source and binary forms, with or without\n * modification, are permitted … Neither the name of X may be used to endorse or promote products",
                "BSD-3-Clause",
            ),
            (
                "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that … this permission notice appear in all copies.",
                "ISC",
            ),
            (
                "This software is provided 'as-is' … Permission is granted to anyone to use this software … 2. Altered source versions must be plainly marked as such, and must not be misrepresented",
                "Zlib",
            ),
            (
                "This Source Code Form is subject to the terms of the Mozilla Public\n * License, v. 2.0.",
                "MPL-2.0",
            ),
        ] {
            check(&format!("/* {text} */\nint x;\n"), Some(id));
        }
        check("// Under a license that can be found in the LICENSE file.\n", None);
    }
}
