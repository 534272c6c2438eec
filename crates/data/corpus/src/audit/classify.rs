//! A compiler's first complaint, sorted by its wording into what went wrong.
//!
//! The wording is that of GCC and Clang in the C locale; the first pattern that is found decides, so the more
//! particular stand first. What neither says is [`Failure::Other`].

use wootz_schema::audit::Failure;

/// The first error in a compiler's output, without its place, and its class. `None` where there is no error.
pub(super) fn first_failure(output: &str) -> Option<(Failure, String)> {
    let message = output.lines().find_map(|line| {
        let (_, message) = line.split_once("fatal error: ").or_else(|| line.split_once("error: "))?;
        Some(message.trim())
    })?;
    Some((class(message), message.to_owned()))
}

fn class(message: &str) -> Failure {
    let plain = message.replace(['‘', '’', '`'], "'");
    let found = PATTERNS.iter().find(|(_, needles)| needles.iter().any(|needle| plain.contains(needle)));
    found.map_or(Failure::Other, |(failure, _)| *failure)
}

const PATTERNS: [(Failure, &[&str]); 6] = [
    (Failure::MissingHeader, &["No such file or directory", "file not found"]),
    (
        Failure::IncompleteType,
        &[
            "incomplete type",
            "incomplete definition",
            "incomplete enum",
            "has incomplete",
            "implicit instantiation of undefined",
        ],
    ),
    (
        Failure::Redefinition,
        &[
            "redefinition",
            "redeclar",
            "conflicting types",
            "conflicting declaration",
            "previously d",
            "already d",
            "duplicate",
            "multiple definition",
            "different type specifier",
            "ambiguat",
            "cannot be overloaded",
            "default argument given for parameter",
        ],
    ),
    (
        Failure::MissingSemicolon,
        &[
            "expected ';'",
            "expected semicolon",
            "expected initializer before",
            "two or more data types",
            "cannot combine with previous",
        ],
    ),
    (
        Failure::Undeclared,
        &[
            "undeclared",
            "not declared",
            "not been declared",
            "unknown type name",
            "unknown class name",
            "does not name a type",
            "does not name a template",
            "does not name a",
            "is not a member of",
            "has no member named",
            "no member named",
            "no type named",
            "no template named",
            "is not a type",
            "is not a class",
            "is not a namespace",
            "is not a template",
            "is not a function or variable",
            "implicit declaration",
            "must be available",
            "must be available",
            "invalid in C99",
            "does not match any",
            "no matching function",
            "no declaration matches",
            "expected class-name",
            "expected class name",
            "expected namespace name",
            "expected type-specifier",
            "expected template-name",
            "expected a type",
            "expected nested-name-specifier",
            "has not been defined",
            "no such",
        ],
    ),
    (
        Failure::Syntax,
        &[
            "expected",
            "stray",
            "missing terminating",
            "unterminated",
            "extraneous",
            "unexpected",
            "#endif without",
            "#else without",
            "#elif without",
            "missing binary operator",
            "a function-definition is not allowed",
            "function definition is not allowed",
            "cannot appear",
            "not allowed here",
            "at end of input",
            "invalid preprocessing directive",
            "invalid token",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_compilers_wordings_come_to_the_same_class() {
        let cases = [
            (Failure::MissingHeader, "a.h: No such file or directory", "'a.h' file not found"),
            (Failure::Undeclared, "'x' was not declared in this scope", "use of undeclared identifier 'x'"),
            (Failure::Undeclared, "unknown type name 'T'", "unknown type name 'T'"),
            (Failure::Undeclared, "'f' is not a member of 'n'", "no member named 'f' in namespace 'n'"),
            (
                Failure::Undeclared,
                "implicit declaration of function 'f'",
                "call to undeclared function 'f'; ISO C99 and later do not support implicit function declarations",
            ),
            (Failure::Undeclared, "expected class-name before '{' token", "expected class name"),
            (Failure::MissingSemicolon, "expected ';' after struct definition", "expected ';' after struct"),
            (Failure::Syntax, "expected '}' at end of input", "expected '}'"),
            (Failure::Syntax, "#endif without #if", "#endif without #if"),
            (Failure::Redefinition, "redefinition of 'int f()'", "redefinition of 'f'"),
            (Failure::Redefinition, "conflicting types for 'f'", "conflicting types for 'f'"),
            (
                Failure::IncompleteType,
                "invalid use of incomplete type 'struct S'",
                "member access into incomplete type 'S'",
            ),
            (
                Failure::IncompleteType,
                "aggregate 'S s' has incomplete type and cannot be defined",
                "variable has incomplete type 'S'",
            ),
            (Failure::Other, "static assertion failed: no", "static assertion failed: no"),
        ];
        for (expected, gcc, clang) in cases {
            for wording in [gcc, clang] {
                let output = format!("In file included from <stdin>:1:\na.h:3:1: error: {wording}\n");
                assert_eq!(first_failure(&output), Some((expected, wording.to_owned())));
            }
        }
    }

    #[test]
    fn quotes_of_any_kind_and_fatal_errors_are_read() {
        let typographic = "<stdin>:1:2: error: expected ‘;’ before ‘}’ token";
        assert_eq!(first_failure(typographic).unwrap().0, Failure::MissingSemicolon);
        let fatal = "<stdin>:1:10: fatal error: b.h: No such file or directory\ncompilation terminated.";
        assert_eq!(
            first_failure(fatal).unwrap(),
            (Failure::MissingHeader, "b.h: No such file or directory".to_owned())
        );
        assert_eq!(first_failure("<stdin>:1:2: warning: unused\n"), None);
    }
}
