//! `compile_commands.json` and `compile_flags.txt`: the flags under which a project's files compile.
//!
//! Only what has a say in the meaning of the text is taken over (include paths, definitions, the standard, switches
//! of the dialect); warnings, outputs and plugins are left behind, so that no flag can make a compiler write.
//!
//! Source of the formats: Clang's documentation, "JSON Compilation Database Format Specification".

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Flags of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// Everything but the standard, paths absolute.
    pub arguments: Vec<String>,
    /// `c++17` of `-std=c++17`.
    pub standard: Option<String>,
}

/// The flags of a project's files, by path.
#[derive(Debug, Default)]
pub(super) struct Commands {
    by_file: BTreeMap<PathBuf, Flags>,
}

impl Commands {
    /// Reads `compile_commands.json`; the message says what is wrong with it.
    pub fn read(json: &[u8], folder: &Path) -> Result<Commands, String> {
        let value: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let entries = value.as_array().ok_or("it is no list of commands")?;
        let mut by_file = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let text = |key: &str| entry[key].as_str();
            let file = text("file").ok_or_else(|| format!("entry {index} has no `file`"))?;
            let directory = absolute(folder, text("directory").unwrap_or("."));
            let words = match entry["arguments"].as_array() {
                Some(words) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                None => words(text("command").ok_or_else(|| format!("entry {index} has no `command`"))?),
            };
            // The first of several commands for one file, as tools that read these do.
            by_file.entry(absolute(&directory, file)).or_insert_with(|| meaning(&words, &directory));
        }
        Ok(Commands { by_file })
    }

    /// The flags of `file`; those of the nearest file for one that is not compiled itself, e.g. a header.
    pub fn of(&self, file: &Path) -> Flags {
        let file = absolute(Path::new("/"), &file.to_string_lossy());
        if let Some(flags) = self.by_file.get(&file) {
            return flags.clone();
        }
        let near = |other: &Path| {
            let pairs = file.components().zip(other.components());
            pairs.take_while(|(one, other)| one == other).count()
        };
        // Of equally near ones the first.
        let nearest = self.by_file.iter().rev().max_by_key(|(other, _)| near(other));
        nearest.map(|(_, flags)| flags.clone()).unwrap_or_default()
    }
}

/// Reads `compile_flags.txt`: one argument a line.
pub(super) fn read_flags(text: &str, folder: &Path) -> Flags {
    let words: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    meaning(&words, folder)
}

/// Flags that take a path: beside them or as the next word.
const PATHS: [&str; 6] = ["-isystem", "-iquote", "-idirafter", "-include", "-imacros", "-I"];
/// Switches of the dialect, without `-f` and `no-`.
const DIALECT: [&str; 12] = [
    "exceptions",
    "rtti",
    "ms-extensions",
    "char8_t",
    "coroutines",
    "concepts",
    "gnu-keywords",
    "signed-char",
    "unsigned-char",
    "short-enums",
    "sized-deallocation",
    "openmp",
];

fn meaning(words: &[String], directory: &Path) -> Flags {
    let mut flags = Flags::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(flag) = PATHS.iter().find(|flag| word.starts_with(**flag)) {
            let beside = &word[flag.len()..];
            let path = if beside.is_empty() { words.next().map_or("", String::as_str) } else { beside };
            flags.arguments.push((*flag).to_owned());
            flags.arguments.push(absolute(directory, path).to_string_lossy().into_owned());
        } else if let Some(standard) = word.strip_prefix("-std=") {
            flags.standard = Some(standard.to_owned());
        } else if word == "-D" || word == "-U" {
            flags.arguments.push(format!("{word}{}", words.next().map_or("", String::as_str)));
        } else if is_meaning(word) {
            flags.arguments.push(word.clone());
        }
    }
    flags
}

/// Whether a word without a path has a say in what the text means.
fn is_meaning(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-=._+".contains(&byte);
    let dialect = |switch: &str| DIALECT.contains(&switch.strip_prefix("no-").unwrap_or(switch));
    word.starts_with("-D")
        || word.starts_with("-U")
        || word == "-pthread"
        || (word.starts_with("-m") && word.bytes().all(plain))
        || word.strip_prefix("-f").is_some_and(dialect)
}

/// The path with its dots resolved by name alone.
fn absolute(folder: &Path, path: &str) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The words of a command line, as a shell parts them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('\''), letter) => word.get_or_insert_default().push(letter),
            (_, '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_meaning_are_kept_with_absolute_paths() {
        let json = r#"[
            {"directory": "/p/build", "file": "../src/a.cc",
             "command": "c++ -I../include -isystem /q -DNAME='\"a b\"' -D X -std=c++20 -fno-rtti -fplugin=x.so -O2 -Wall -MF a.d -o a.o -c ../src/a.cc"},
            {"directory": "/p", "file": "lib/b.c", "arguments": ["cc", "-Ig", "-march=native", "-o", "b.o"]}
        ]"#;
        let commands = Commands::read(json.as_bytes(), Path::new("/p/build")).unwrap();
        let a = commands.of(Path::new("/p/src/a.cc"));
        let arguments = ["-I", "/p/include", "-isystem", "/q", "-DNAME=\"a b\"", "-DX", "-fno-rtti"];
        assert_eq!(
            a,
            Flags { arguments: arguments.map(str::to_owned).to_vec(), standard: Some("c++20".to_owned()) }
        );
        // A header has the flags of its neighbours.
        assert_eq!(commands.of(Path::new("/p/src/a.h")), a);
        assert_eq!(commands.of(Path::new("/p/lib/deep/b.h")).arguments, ["-I", "/p/g", "-march=native"]);
    }

    #[test]
    fn what_is_no_list_of_commands_is_an_error() {
        for (json, message) in [("{}", "no list"), ("[{}]", "entry 0 has no `file`"), ("[", "EOF")] {
            let error = Commands::read(json.as_bytes(), Path::new("/p")).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_file_of_flags_is_read() {
        let flags = read_flags("-Ia\n\n-DB=1\n-Werror\n", Path::new("/p"));
        assert_eq!(flags.arguments, ["-I", "/p/a", "-DB=1"]);
    }
}
