//! The file name of a wheel: `distribution-version[-build]-python-abi-platform.whl` (PEP 427), its version by PEP 440, its tags by PEP 425.
//!
//! What PyPA's `packaging` refuses is refused, and what it takes is taken; a test compares the two. A seventh part, the label of a variant
//! (PEP 825, a draft), is read only where it is asked for.
//!
//! Not covered: build numbers of more than 64 bits, identifiers of Python in other scripts than `char::is_alphanumeric` tells.

use crate::project::normalize;
use pep440_rs::Version;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// What a file name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// The whole name.
    pub file: String,
    /// The project, normalised.
    pub project: String,
    /// Its version, with the local part.
    pub version: Version,
    /// Number and rest of the build tag.
    pub build: Option<(u64, String)>,
    /// Interpreters: `cp312`, `py3`.
    pub pythons: Vec<String>,
    /// ABIs: `cp312`, `abi3`, `none`.
    pub abis: Vec<String>,
    /// Platforms: `manylinux_2_28_x86_64`, `any`.
    pub platforms: Vec<String>,
    /// The label of a variant.
    pub variant: Option<String>,
}

/// Why a name is not one of a wheel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Another extension.
    #[error("{0}: the extension is not .whl")]
    Extension(String),
    /// Too few or too many.
    #[error("{file}: {parts} parts between dashes, where a wheel has 5, or 6 with a build tag")]
    Parts {
        /// The name.
        file: String,
        /// How many there are.
        parts: usize,
    },
    /// The first part.
    #[error("{file}: {part:?} is no name of a project (letters, digits, `.` and single `_`)")]
    Project {
        /// The name.
        file: String,
        /// That part.
        part: String,
    },
    /// The second part.
    #[error("{file}: {part:?} is no version (PEP 440)")]
    Version {
        /// The name.
        file: String,
        /// That part.
        part: String,
    },
    /// The part before the tags.
    #[error("{file}: {part:?} is no build tag, which begins with a digit")]
    Build {
        /// The name.
        file: String,
        /// That part.
        part: String,
    },
    /// The last three.
    #[error("{file}: {part:?} is no tag of an interpreter, an ABI or a platform")]
    Tag {
        /// The name.
        file: String,
        /// The tag.
        part: String,
    },
    /// The label of a variant.
    #[error("{file}: {part:?} is no label of a variant (lower case letters, digits, `_` and `.`)")]
    Variant {
        /// The name.
        file: String,
        /// The label.
        part: String,
    },
}

impl WheelName {
    /// Reads a name.
    pub fn parse(file: &str) -> Result<WheelName, NameError> {
        let stem = stem(file)?;
        WheelName::of_parts(file, &stem.split('-').collect::<Vec<_>>())
    }

    /// Reads a name that may end in the label of a variant.
    pub fn parse_variant(file: &str) -> Result<WheelName, NameError> {
        let parts: Vec<&str> = stem(file)?.split('-').collect();
        // Of six parts the third is a build tag or the sixth a label; an interpreter's name begins with no digit.
        let has_build =
            parts.get(2).is_some_and(|part| part.starts_with(|first: char| first.is_ascii_digit()));
        let has_label = parts.len() == 7 || parts.len() == 6 && !has_build;
        let Some((label, rest)) = parts.split_last().filter(|_| has_label) else {
            return WheelName::of_parts(file, &parts);
        };
        let is_label = !label.is_empty()
            && label.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'.'));
        if !is_label {
            return Err(NameError::Variant { file: file.to_owned(), part: (*label).to_owned() });
        }
        let name = WheelName::of_parts(file, rest)?;
        Ok(WheelName { variant: Some((*label).to_owned()), ..name })
    }

    fn of_parts(file: &str, parts: &[&str]) -> Result<WheelName, NameError> {
        let (project, version, build, tags) = match *parts {
            [project, version, python, abi, platform] => (project, version, None, [python, abi, platform]),
            [project, version, build, python, abi, platform] => {
                (project, version, Some(build), [python, abi, platform])
            }
            _ => return Err(NameError::Parts { file: file.to_owned(), parts: parts.len() }),
        };
        let wrong = |part: &str| (file.to_owned(), part.to_owned());
        let is_project = !project.is_empty()
            && !project.contains("__")
            && project.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'));
        if !is_project {
            let (file, part) = wrong(project);
            return Err(NameError::Project { file, part });
        }
        let parsed = Version::from_str(version).map_err(|_| {
            let (file, part) = wrong(version);
            NameError::Version { file, part }
        })?;
        let build = build.map(|build| {
            build_tag(build).ok_or_else(|| {
                let (file, part) = wrong(build);
                NameError::Build { file, part }
            })
        });
        let mut lists = [Vec::new(), Vec::new(), Vec::new()];
        for (at, (tags, list)) in tags.iter().zip(&mut lists).enumerate() {
            for tag in tags.split('.') {
                if tag.is_empty() || at == 0 && !is_identifier(tag) {
                    let (file, part) = wrong(tag);
                    return Err(NameError::Tag { file, part });
                }
                list.push(tag.to_lowercase());
            }
        }
        let [pythons, abis, platforms] = lists;
        Ok(WheelName {
            file: file.to_owned(),
            project: normalize(project),
            version: parsed,
            build: build.transpose()?,
            pythons,
            abis,
            platforms,
            variant: None,
        })
    }

    /// All tags that it stands for, as `python-abi-platform`, sorted.
    pub fn tags(&self) -> Vec<String> {
        let mut tags = Vec::new();
        for python in &self.pythons {
            for abi in &self.abis {
                tags.extend(self.platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
            }
        }
        tags.sort();
        tags.dedup();
        tags
    }
}

/// By project, version, and build; names that differ in nothing of it by themselves.
impl Ord for WheelName {
    fn cmp(&self, other: &WheelName) -> Ordering {
        let project = self.project.cmp(&other.project);
        let version = || self.version.cmp(&other.version);
        let build = || self.build.cmp(&other.build);
        project.then_with(version).then_with(build).then_with(|| self.file.cmp(&other.file))
    }
}

impl PartialOrd for WheelName {
    fn partial_cmp(&self, other: &WheelName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)
    }
}

fn stem(file: &str) -> Result<&str, NameError> {
    file.strip_suffix(".whl").ok_or_else(|| NameError::Extension(file.to_owned()))
}

fn build_tag(part: &str) -> Option<(u64, String)> {
    let digits = part.bytes().take_while(u8::is_ascii_digit).count();
    let number = part[..digits].parse().ok()?;
    Some((number, part[digits..].to_owned()))
}

fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
}
