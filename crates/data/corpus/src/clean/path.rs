//! What the path of a file says: another project's file, a test, the output of a known generator.
//!
//! Names that mean nothing but a copy of others' work count at any depth; names that a project may also give to
//! its own parts (`deps`, `external`) only in the two topmost folders.

/// Folders of others' files wherever they stand.
const VENDORED: [&str; 17] = [
    "third_party",
    "third-party",
    "thirdparty",
    "3rdparty",
    "3rd_party",
    "3rd-party",
    "vendor",
    "vendored",
    "_vendor",
    "node_modules",
    "bower_components",
    "jspm_packages",
    "site-packages",
    "dist-packages",
    "Godeps",
    "Pods",
    "Carthage",
];

/// Folders of others' files where they stand near the root.
const VENDORED_NEAR_ROOT: [&str; 7] =
    ["deps", "_deps", "external", "externals", "extern", "submodules", "subprojects"];

/// Folders of tests and of what tests read.
const TESTS: [&str; 12] = [
    "test",
    "tests",
    "testing",
    "testdata",
    "test_data",
    "unittest",
    "unittests",
    "__tests__",
    "__mocks__",
    "spec",
    "specs",
    "testcases",
];

/// Whether a file below a project's root lies in a folder of another project.
pub fn is_vendored(path: &str) -> bool {
    let Some((folders, _)) = path.rsplit_once('/') else { return false };
    folders.split('/').enumerate().any(|(depth, folder)| {
        VENDORED.contains(&folder) || depth < 2 && VENDORED_NEAR_ROOT.contains(&folder)
    })
}

/// Whether a file is a test by the customs of its language.
pub fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    if folders.split('/').any(|folder| TESTS.contains(&folder)) {
        return true;
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let ends = ["_test", "_tests", "_unittest", "_unittests", "-test", ".test", ".spec"];
    ends.iter().any(|end| stem.ends_with(end)) || stem.starts_with("test_") || stem == "conftest"
}

/// Whether a file's name is one that a generator gives and people do not.
pub fn is_generated(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ends = [
        ".pb.cc",
        ".pb.c",
        ".pb.h",
        ".pb.go",
        ".pb.gw.go",
        ".pb.rs",
        ".pbobjc.h",
        "_pb2.py",
        "_pb2_grpc.py",
        "_pb.js",
        "_pb.d.ts",
        ".upb.c",
        ".upb.h",
        ".upbdefs.c",
        ".upbdefs.h",
        ".tab.c",
        ".tab.h",
        ".tab.cc",
        ".tab.cpp",
        ".tab.hh",
        ".tab.hpp",
        ".yy.c",
        ".yy.cc",
        "_generated.h",
        ".generated.h",
        ".generated.cc",
        ".generated.go",
        ".generated.ts",
        ".gen.go",
        ".gen.ts",
    ];
    let around = [("moc_", ".cpp"), ("qrc_", ".cpp"), ("zz_generated", ".go"), ("lex.", ".c")];
    ends.iter().any(|end| name.len() > end.len() && name.ends_with(end))
        || around.iter().any(|(start, end)| name.starts_with(start) && name.ends_with(end))
}

/// Whether a file's name says that it was squeezed.
pub fn is_minified(path: &str) -> bool {
    [".min.js", "-min.js", ".bundle.js", ".min.mjs"].iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendored() {
        for path in ["third_party/a.c", "src/vendor/x/a.go", "deps/lua/l.c", "src/external/a.h"] {
            assert!(is_vendored(path), "{path}");
        }
        for path in ["vendor.go", "src/vendors.rs", "src/core/deps/graph.cc", "a/b/external/x.py", "deps.rs"]
        {
            assert!(!is_vendored(path), "{path}");
        }
    }

    #[test]
    fn tests_by_custom() {
        for path in
            ["tests/a.rs", "src/a_test.go", "test_a.py", "src/a.spec.ts", "a/testdata/b.c", "x_unittest.cc"]
        {
            assert!(is_test(path), "{path}");
        }
        for path in ["src/testing.rs", "src/attest.c", "contest/a.py", "src/latest.go", "inspect.ts"] {
            assert!(!is_test(path), "{path}");
        }
    }

    #[test]
    fn generated_names() {
        for path in ["a/b.pb.cc", "x_pb2.py", "moc_window.cpp", "parse.tab.c", "zz_generated.deepcopy.go"] {
            assert!(is_generated(path), "{path}");
        }
        for path in ["generated_message_util.cc", "tab.c", "generator.go", "pb.h", "ui_manager.h", "lexer.c"]
        {
            assert!(!is_generated(path), "{path}");
        }
    }
}
