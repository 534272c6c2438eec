//! The include paths of a project that does not say them, found by what its files include.
//!
//! A path `a/b.h` that is included and stands at `x/a/b.h` speaks for the folder `x`. The project's root, `include`,
//! `src` and `lib` come first, then as few more as cover what is left, those that cover most first.
//!
//! Not covered: headers that a build makes, and two folders with a header of one name that need different files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Folders beyond which no more are taken: a project with more has copies of itself in it.
const MAX_FOLDERS: usize = 64;

/// Paths that a file includes, each once, as written.
pub(super) fn included(text: &str) -> BTreeSet<&str> {
    let path = |line: &str| -> Option<(usize, usize)> {
        let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?.trim_start();
        let close = match rest.as_bytes().first()? {
            b'"' => '"',
            b'<' => '>',
            _ => return None,
        };
        let start = line.len() - rest.len() + 1;
        Some((start, start + line[start..].find(close)?))
    };
    text.lines().filter_map(|line| path(line).map(|(start, end)| &line[start..end])).collect()
}

/// What the files of a project include: by path, how many files include it that do not find it beside themselves.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    counts: BTreeMap<String, u64>,
}

impl Wanted {
    /// Adds a file at `path` below the project; `files` are all of the project's.
    pub fn add(&mut self, path: &str, text: &str, files: &BTreeSet<String>) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for included in included(text) {
            if !included.contains("..") && !files.contains(&join(folder, included)) {
                *self.counts.entry(included.to_owned()).or_default() += 1;
            }
        }
    }
}

/// Folders below the project (`""` for its root) in the order in which they are to be searched.
pub(super) fn folders(wanted: &Wanted, files: &BTreeSet<String>) -> Vec<String> {
    let mut chosen: Vec<String> = ["", "include", "src", "lib"].map(str::to_owned).into();
    chosen.retain(|folder| folder.is_empty() || has_folder(files, folder));
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        by_name.entry(name(file)).or_default().push(file);
    }
    let mut open: BTreeMap<&str, (u64, Vec<&str>)> = BTreeMap::new();
    for (path, count) in &wanted.counts {
        if is_standard(path) || chosen.iter().any(|folder| files.contains(&join(folder, path))) {
            continue;
        }
        let candidates = by_name.get(name(path)).into_iter().flatten();
        let folders: Vec<&str> = candidates.filter_map(|file| folder_for(file, path)).collect();
        if !folders.is_empty() {
            open.insert(path, (*count, folders));
        }
    }
    while !open.is_empty() && chosen.len() < MAX_FOLDERS {
        let mut votes: BTreeMap<&str, u64> = BTreeMap::new();
        for (count, folders) in open.values() {
            folders.iter().for_each(|folder| *votes.entry(folder).or_default() += count);
        }
        // Most votes, then the shortest path, then the first by name.
        let best =
            votes.iter().min_by_key(|(folder, votes)| (std::cmp::Reverse(**votes), folder.len(), **folder));
        let Some((&best, _)) = best else { break };
        chosen.push(best.to_owned());
        open.retain(|_, (_, folders)| !folders.contains(&best));
    }
    chosen
}

/// Whether a folder holds a file by whose name the system's own header would be hidden.
pub(super) fn hides_system_headers(folder: &str, files: &BTreeSet<String>) -> bool {
    let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let below = files.range(start.clone()..).take_while(|file| file.starts_with(&start));
    below.filter_map(|file| file.strip_prefix(&start)).any(|name| !name.contains('/') && is_standard(name))
}

/// Headers of the languages and of POSIX; those of C++ have no extension.
fn is_standard(path: &str) -> bool {
    let c = |name: &str| STANDARD.contains(&name);
    path.strip_suffix(".h").map_or_else(|| is_cpp_header(path), |name| c(name) || name.starts_with("sys/"))
}

fn is_cpp_header(path: &str) -> bool {
    !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

const STANDARD: [&str; 60] = [
    "alloca",
    "assert",
    "byteswap",
    "complex",
    "ctype",
    "dirent",
    "dlfcn",
    "elf",
    "endian",
    "errno",
    "execinfo",
    "fcntl",
    "features",
    "fenv",
    "float",
    "fnmatch",
    "getopt",
    "glob",
    "grp",
    "inttypes",
    "iso646",
    "langinfo",
    "libgen",
    "limits",
    "link",
    "locale",
    "malloc",
    "math",
    "memory",
    "netdb",
    "poll",
    "pthread",
    "pwd",
    "regex",
    "resolv",
    "sched",
    "search",
    "semaphore",
    "setjmp",
    "signal",
    "spawn",
    "stdalign",
    "stdarg",
    "stdatomic",
    "stdbool",
    "stddef",
    "stdint",
    "stdio",
    "stdlib",
    "stdnoreturn",
    "string",
    "strings",
    "syslog",
    "termios",
    "tgmath",
    "threads",
    "time",
    "unistd",
    "utime",
    "wchar",
];

fn has_folder(files: &BTreeSet<String>, folder: &str) -> bool {
    let start = format!("{folder}/");
    files.range(start.clone()..).next().is_some_and(|file| file.starts_with(&start))
}

fn name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// The folder from which `path` leads to `file`.
fn folder_for<'a>(file: &'a str, path: &str) -> Option<&'a str> {
    let folder = file.strip_suffix(path)?;
    if folder.is_empty() { Some("") } else { folder.strip_suffix('/') }
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let names: BTreeSet<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let mut wanted = Wanted::default();
        files.iter().for_each(|(path, text)| wanted.add(path, text, &names));
        folders(&wanted, &names)
    }

    #[test]
    fn folders_are_those_that_make_includes_resolve() {
        let files = [
            (
                "src/a.cc",
                "#include <lib/x.h>\n # include \"beside.h\"\n#include <vector>\n#include \"deep/y.h\"\n",
            ),
            ("src/beside.h", "#include <time.h>\n#include MACRO\n"),
            ("third/api/lib/x.h", ""),
            ("gen/out/deep/y.h", ""),
            ("gen/out/deep/time.h", ""),
            ("tests/b.cc", "#include \"lib/x.h\"\n#include \"../src/beside.h\"\n#include \"absent.h\"\n"),
        ];
        assert_eq!(found(&files), ["", "src", "third/api", "gen/out"]);
    }

    #[test]
    fn one_folder_that_covers_all_is_enough() {
        let files = [
            ("m/a.c", "#include \"x.h\"\n#include \"y.h\"\n"),
            ("one/x.h", ""),
            ("other/x.h", ""),
            ("other/y.h", ""),
        ];
        assert_eq!(found(&files), ["", "other"]);
    }

    #[test]
    fn folders_that_hide_the_systems_headers_are_known() {
        let files: BTreeSet<String> =
            ["a/string.h", "a/b/own.h", "version", "c/x.h"].map(str::to_owned).into();
        let hides = |folder| hides_system_headers(folder, &files);
        assert_eq!([hides("a"), hides("a/b"), hides(""), hides("c")], [true, false, true, false]);
    }
}
