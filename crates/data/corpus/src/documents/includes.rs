//! Where an include leads inside the project.
//!
//! In the order in which compilers and build files of ordinary projects look: the including file's own folder (for
//! quotes), the folders a compile database names, the project's root, `include/`, `src/`; as a last resort the one
//! file whose path ends in what was written. An angle include without a folder (`<string.h>`) is the system's unless
//! a named folder has it: projects do have files of those names.
//!
//! Not covered: include paths that differ from file to file, `#include MACRO`, `#include_next`.

use std::collections::HashMap;

/// Where an include leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To this file of the project.
    File(u32),
    /// Out of the project.
    Outside,
    /// Perhaps to a file of the project, but which is not known.
    Unclear,
}

impl Target {
    /// The file, where it is known.
    pub fn file(self) -> Option<u32> {
        match self {
            Target::File(file) => Some(file),
            Target::Outside | Target::Unclear => None,
        }
    }
}

/// The files of a project by path.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    by_path: HashMap<&'a str, u32>,
    /// Files by the last part of their path.
    by_name: HashMap<&'a str, Vec<u32>>,
    paths: Vec<&'a str>,
    /// Folders that the project names.
    named: Vec<String>,
}

/// Folders that are searched in every project, with the `/` that ends them.
const USUAL_FOLDERS: [&str; 3] = ["", "include/", "src/"];

impl<'a> Resolver<'a> {
    /// For the files with these paths; `named` are the project's own include folders.
    pub fn new(paths: Vec<&'a str>, named: &[String]) -> Resolver<'a> {
        let mut by_name: HashMap<&str, Vec<u32>> = HashMap::new();
        for (index, path) in paths.iter().enumerate() {
            by_name.entry(name_of(path)).or_default().push(index as u32);
        }
        let by_path = paths.iter().enumerate().map(|(index, path)| (*path, index as u32)).collect();
        let named = named
            .iter()
            .map(|folder| match folder.trim_matches('/') {
                "" | "." => String::new(),
                folder => format!("{folder}/"),
            })
            .collect();
        Resolver { by_path, by_name, paths, named }
    }

    /// Where an include of `written` in file `from` leads.
    pub fn resolve(&self, from: u32, written: &str, system: bool) -> Target {
        let own_folder = folder_of(self.paths[from as usize]);
        let own = (!system).then(|| self.at(own_folder, written)).flatten();
        if let Some(found) = own.or_else(|| self.in_folders(written, system)) {
            return Target::File(found);
        }
        if system && !written.contains('/') {
            return Target::Outside;
        }
        let same_end = |file: &&u32| {
            let path = self.paths[**file as usize];
            path.strip_suffix(written).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        let named_so = self.by_name.get(name_of(written)).map_or(&[][..], Vec::as_slice);
        let mut matches = named_so.iter().filter(same_end);
        match (matches.next(), matches.next()) {
            (Some(only), None) => Target::File(*only),
            (None, _) if system || named_so.is_empty() => Target::Outside,
            _ => Target::Unclear,
        }
    }

    /// Whether a compiler that is given the project's folders finds `written` from anywhere, and finds that file.
    pub fn reaches(&self, written: &str, system: bool, file: u32) -> bool {
        self.in_folders(written, system) == Some(file)
    }

    fn in_folders(&self, written: &str, system: bool) -> Option<u32> {
        let usual = USUAL_FOLDERS.iter().filter(|_| !system || written.contains('/'));
        let folders = self.named.iter().map(String::as_str).chain(usual.copied());
        folders.into_iter().find_map(|folder| self.at(folder, written))
    }

    fn at(&self, folder: &str, written: &str) -> Option<u32> {
        if !written.starts_with('.') && !written.contains("/.") {
            // Without steps up the path is what it says.
            if folder.is_empty() {
                return self.by_path.get(written).copied();
            }
            return self.by_path.get(format!("{folder}{written}").as_str()).copied();
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in folder.split('/').chain(written.split('/')) {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        self.by_path.get(parts.join("/").as_str()).copied()
    }
}

/// The folder of a path, with the `/` that ends it; empty at the root.
pub(super) fn folder_of(path: &str) -> &str {
    &path[..path.rfind('/').map_or(0, |slash| slash + 1)]
}

fn name_of(path: &str) -> &str {
    &path[folder_of(path).len()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, written: &str, expected: Target) {
        let paths = vec![
            "deps/lua/src/lua.h",
            "include/db/slice.h",
            "src/string.h",
            "src/util/a.cc",
            "src/util/coding.h",
            "table/format.h",
            "test/format.h",
        ];
        let from = paths.iter().position(|path| *path == from).unwrap() as u32;
        let (system, written) = match written.strip_prefix('<') {
            Some(rest) => (true, rest.trim_end_matches('>')),
            None => (false, written),
        };
        let resolver = Resolver::new(paths, &["table/".to_owned()]);
        assert_eq!(resolver.resolve(from, written, system), expected, "{written}");
    }

    #[test]
    fn folders_are_searched_in_order() {
        check("src/util/a.cc", "coding.h", Target::File(4));
        check("src/util/a.cc", "../string.h", Target::File(2));
        check("src/util/a.cc", "util/coding.h", Target::File(4));
        check("src/util/a.cc", "db/slice.h", Target::File(1));
        check("src/util/a.cc", "<db/slice.h>", Target::File(1));
        // A named folder comes before the search by name, which finds two.
        check("src/util/a.cc", "format.h", Target::File(5));
    }

    #[test]
    fn the_systems_headers_stay_the_systems() {
        check("src/util/a.cc", "<string.h>", Target::Outside);
        check("src/util/a.cc", "<vector>", Target::Outside);
        check("src/util/a.cc", "gtest/gtest.h", Target::Outside);
    }

    #[test]
    fn an_end_of_a_path_counts_only_if_it_is_the_only_one() {
        check("table/format.h", "lua.h", Target::File(0));
        check("src/util/a.cc", "x/format.h", Target::Unclear);
    }
}
