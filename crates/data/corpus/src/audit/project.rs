//! A project as a compiler has to see it: include paths, definitions, and the standard its files are written in.

use super::commands::{Commands, Flags, read_flags};
use super::includes::{Wanted, folders, hides_system_headers};
use crate::build::CorpusError;
use crate::walk::walk;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use wootz_schema::audit::{FlagOrigin, ProjectFlags};

/// Longer files are not searched for what they include.
const MAX_BYTES: u64 = 4 << 20;

/// A project and its flags.
pub(super) struct Project {
    pub root: PathBuf,
    /// What reports call it.
    pub label: String,
    flags: ProjectWide,
    /// Standard by language, for files whose own flags name none.
    pub standards: BTreeMap<String, String>,
}

enum ProjectWide {
    Commands(Commands),
    Discovered { include: Vec<String>, arguments: Vec<String>, standard: Option<String> },
}

impl Project {
    /// Reads how the project below `root` is compiled.
    pub fn read(root: PathBuf, label: String) -> Result<Project, CorpusError> {
        let flags = match commands_file(&root) {
            Some(path) => ProjectWide::Commands(read_commands(&path)?),
            None => discover(&root)?,
        };
        Ok(Project { root, label, flags, standards: BTreeMap::new() })
    }

    /// The flags of a file at `path` below the project, its own folder first.
    pub fn flags_of(&self, path: &str, language: &str) -> Flags {
        let file = self.root.join(path);
        let own = file.parent().unwrap_or(&self.root).to_string_lossy().into_owned();
        let mut arguments = vec!["-iquote".to_owned(), own];
        let named = match &self.flags {
            ProjectWide::Commands(commands) => {
                let flags = commands.of(&file);
                arguments.extend(flags.arguments);
                flags.standard
            }
            ProjectWide::Discovered { arguments: wide, standard, .. } => {
                arguments.extend(wide.iter().cloned());
                standard.clone()
            }
        };
        // A header of the other language has no use for its neighbour's.
        let named = named.filter(|standard| standard.contains("++") == (language == "cpp"));
        Flags { arguments, standard: named.or_else(|| self.standards.get(language).cloned()) }
    }

    pub fn report(&self) -> ProjectFlags {
        let (origin, include) = match &self.flags {
            ProjectWide::Commands(_) => (FlagOrigin::Commands, Vec::new()),
            ProjectWide::Discovered { include, .. } => (FlagOrigin::Discovered, include.clone()),
        };
        ProjectFlags { origin, include, standards: self.standards.clone() }
    }
}

/// `compile_commands.json` of the project, or of a build folder in it.
fn commands_file(root: &Path) -> Option<PathBuf> {
    let mut folders = vec![root.to_owned()];
    if let Ok(entries) = fs::read_dir(root) {
        let below = entries.filter_map(|entry| Some(entry.ok()?.path()));
        folders.extend(below.filter(|path| path.is_dir()).collect::<BTreeSet<_>>());
    }
    folders.into_iter().map(|folder| folder.join("compile_commands.json")).find(|path| path.is_file())
}

fn read_commands(path: &Path) -> Result<Commands, CorpusError> {
    let json = fs::read(path).map_err(|error| CorpusError::io("read the compile commands", path, error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Commands::read(&json, folder)
        .map_err(|message| CorpusError::CompileCommands { path: path.to_owned(), message })
}

fn discover(root: &Path) -> Result<ProjectWide, CorpusError> {
    let walked = walk(root, 0)?.files;
    let path_of = |path: &Path| path.to_str().map(str::to_owned);
    let files: BTreeSet<String> = walked.iter().filter_map(|file| path_of(&file.path)).collect();
    let mut wanted = Wanted::default();
    for file in walked.iter().filter(|file| file.bytes <= MAX_BYTES) {
        let language = wootz_chunk::detect(&file.name(), b"").map(|language| language.name());
        let (Some("c" | "cpp"), Some(path)) = (language, path_of(&file.path)) else { continue };
        // A file that cannot be read will be missed by the compiler, which says so.
        let Ok(bytes) = fs::read(root.join(&file.path)) else { continue };
        wanted.add(&path, &String::from_utf8_lossy(&bytes), &files);
    }
    let own = fs::read_to_string(root.join("compile_flags.txt"));
    let own = own.map(|text| read_flags(&text, root)).unwrap_or_default();
    let mut arguments = own.arguments;
    let include = folders(&wanted, &files);
    for folder in &include {
        let path = root.join(folder).to_string_lossy().into_owned();
        if hides_system_headers(folder, &files) {
            arguments.extend(["-iquote".to_owned(), path.clone(), "-idirafter".to_owned(), path]);
        } else {
            arguments.extend(["-I".to_owned(), path]);
        }
    }
    let include = include.into_iter().map(|folder| if folder.is_empty() { ".".to_owned() } else { folder });
    Ok(ProjectWide::Discovered { include: include.collect(), arguments, standard: own.standard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let project = Project::read(folder.path().to_owned(), "p".to_owned()).unwrap();
        (folder, project)
    }

    #[test]
    fn own_folder_flags_file_and_discovered_folders_make_the_flags() {
        let files = [
            ("compile_flags.txt", "-DX=1\n-std=c++20\n"),
            ("src/a.cc", "#include <api/b.h>\n#include \"string.h\"\n"),
            ("other/api/b.h", ""),
            ("old/string.h", ""),
        ];
        let (folder, project) = project(&files);
        let flags = project.flags_of("src/a.cc", "cpp");
        let root = folder.path().to_str().unwrap();
        let text = flags.arguments.join(" ").replace(root, "R");
        assert_eq!(text, "-iquote R/src -DX=1 -I R/ -I R/src -I R/other");
        assert_eq!(flags.standard.as_deref(), Some("c++20"));
        assert_eq!(project.flags_of("src/a.h", "c").standard, None);
        assert_eq!(project.report().include, [".", "src", "other"]);
    }

    #[test]
    fn compile_commands_come_before_what_could_be_discovered() {
        let json = r#"[{"directory": "/b", "file": "x.c", "command": "cc -DY -std=gnu99 x.c"}]"#;
        let (_folder, project) = project(&[("build/compile_commands.json", json), ("a.c", "")]);
        let flags = project.flags_of("a.c", "c");
        assert_eq!((flags.arguments[2].as_str(), flags.standard.as_deref()), ("-DY", Some("gnu99")));
        assert_eq!(project.report().origin, FlagOrigin::Commands);
    }
}
