//! What a wheel's file name says, and the order of wheels.
//!
//! The grammar is that of the binary distribution format (PEP 427) with versions of PEP 440, tag sets of PEP 425 and project
//! names of PEP 503, read as PyPA's `packaging` reads them; a test compares the two on 100,000 names. PEP 825, a draft, adds the
//! label of a variant, which is read only where it is asked for.
//!
//! Stricter than `packaging`: a name is made of ASCII letters, digits and `._+!-` alone. It also takes blanks around a version,
//! other scripts in a project and anything at all in the tags of ABI and platform, `/` among them; no index could serve those.
//! Not covered: numbers of more than 64 bits.

use pep440_rs::Version;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A wheel's file name.
#[derive(Debug, Clone)]
pub struct WheelName {
    /// The project as an index calls it: see [`project`].
    pub project: String,
    /// The project as the name writes it.
    pub distribution: String,
    /// The version.
    pub version: Version,
    /// The version as the name writes it: `1.0.0` and `1.0` are one version.
    pub version_text: String,
    /// Which of several builds of one version it is; a later build wins.
    pub build: Option<Build>,
    /// Interpreters, as written: `cp312`, or `py2` and `py3`.
    pub python: Vec<String>,
    /// ABIs, as written: `cp312`, `abi3`, `none`.
    pub abi: Vec<String>,
    /// Platforms, as written: `manylinux_2_28_x86_64`, `any`.
    pub platform: Vec<String>,
    /// The label of a variant (PEP 825).
    pub variant: Option<String>,
}

/// Whether names may end in the label of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variants {
    /// They may not: the names of today's standard.
    Refused,
    /// They may: the draft PEP 825.
    Allowed,
}

/// The build part of a name: digits, then anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// What the digits say.
    pub number: u64,
    /// What follows them.
    pub suffix: String,
    /// The part as written: `01` is the number 1.
    pub text: String,
}

/// One combination of interpreter, ABI and platform, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The interpreter.
    pub python: String,
    /// The ABI.
    pub abi: String,
    /// The platform.
    pub platform: String,
}

/// Why a file name is not a wheel's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read the wheel name `{name}`: {rule}")]
pub struct NameError {
    /// The name.
    pub name: String,
    /// What the standard asks for, and what stands there instead.
    pub rule: String,
}

/// The normalised name of a project (PEP 503): lower case, and one `-` for each run of `-`, `_` and `.`.
pub fn project(name: &str) -> String {
    let is_normal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.bytes().all(is_normal) {
        return name.to_owned();
    }
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            letter => normal.extend(letter.to_lowercase()),
        }
    }
    normal
}

impl WheelName {
    /// Reads the last part of a path or of a decoded URL.
    pub fn parse(name: &str, variants: Variants) -> Result<WheelName, NameError> {
        read(name, variants).map_err(|rule| NameError { name: name.to_owned(), rule })
    }

    /// Every combination that the tag sets stand for.
    pub fn tags(&self) -> BTreeSet<Tag> {
        let mut tags = BTreeSet::new();
        for python in &self.python {
            for abi in &self.abi {
                tags.extend(self.platform.iter().map(|platform| Tag::new(python, abi, platform)));
            }
        }
        tags
    }

    /// By project, version and build.
    pub(crate) fn wanted(&self, other: &WheelName) -> Ordering {
        let versions = || match self.version_text == other.version_text {
            true => Ordering::Equal,
            false => self.version.cmp(&other.version),
        };
        self.project.cmp(&other.project).then_with(versions).then_with(|| self.build.cmp(&other.build))
    }

    /// The name under another version.
    pub fn with_version(&self, version: Version) -> WheelName {
        WheelName { version_text: version.to_string(), version, ..self.clone() }
    }

    /// The name of the folder that holds the wheel's metadata, as the name writes its parts.
    pub fn dist_info(&self) -> String {
        format!("{}-{}.dist-info", self.distribution, self.version_text)
    }
}

impl FromStr for WheelName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<WheelName, NameError> {
        WheelName::parse(name, Variants::Refused)
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.distribution, self.version_text)?;
        if let Some(build) = &self.build {
            write!(f, "-{}", build.text)?;
        }
        write!(f, "-{}-{}-{}", self.python.join("."), self.abi.join("."), self.platform.join("."))?;
        match &self.variant {
            Some(label) => write!(f, "-{label}.whl"),
            None => f.write_str(".whl"),
        }
    }
}

/// By project, version and build, the order in which installers prefer; then by what is written, so that no two names are equal.
impl Ord for WheelName {
    fn cmp(&self, other: &WheelName) -> Ordering {
        self.wanted(other).then_with(|| self.to_string().cmp(&other.to_string()))
    }
}

impl PartialOrd for WheelName {
    fn partial_cmp(&self, other: &WheelName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for WheelName {
    fn eq(&self, other: &WheelName) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for WheelName {}

impl Ord for Build {
    fn cmp(&self, other: &Build) -> Ordering {
        let suffixes = || self.suffix.cmp(&other.suffix);
        self.number.cmp(&other.number).then_with(suffixes).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Build {
    fn partial_cmp(&self, other: &Build) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Tag {
    fn new(python: &str, abi: &str, platform: &str) -> Tag {
        let lower = str::to_ascii_lowercase;
        Tag { python: lower(python), abi: lower(abi), platform: lower(platform) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

/// The parts of a name, by their places.
struct Parts<'a> {
    build: Option<&'a str>,
    tags: [&'a str; 3],
    variant: Option<&'a str>,
}

fn read(name: &str, variants: Variants) -> Result<WheelName, String> {
    let Some(stem) = name.strip_suffix(".whl") else { return Err("it does not end in `.whl`".to_owned()) };
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'!' | b'-');
    if !stem.bytes().all(is_plain)
        && let Some(odd) = stem.chars().find(|c| u8::try_from(*c).map_or(true, |byte| !is_plain(byte)))
    {
        return Err(format!("{odd:?} is no ASCII letter, no digit, and none of `._+!-`"));
    }
    let parts: Vec<&str> = stem.split('-').collect();
    let [distribution, version, rest @ ..] = parts.as_slice() else {
        return Err(count(parts.len(), variants));
    };
    let places = places(rest, variants).ok_or_else(|| count(parts.len(), variants))?;
    let [python, abi, platform] = places.tags;
    let python = tag_set("Python", python)?;
    if let Some(odd) = python.iter().find(|tag| !is_identifier(tag)) {
        return Err(format!("the Python tag `{odd}` is not a word that begins with a letter"));
    }
    Ok(WheelName {
        project: distribution_name(distribution)?,
        distribution: (*distribution).to_owned(),
        version: read_version(version)?,
        version_text: (*version).to_owned(),
        build: places.build.map(read_build).transpose()?,
        python,
        abi: tag_set("ABI", abi)?,
        platform: tag_set("platform", platform)?,
        variant: places.variant.map(read_variant).transpose()?,
    })
}

/// What stands behind the version. Of four parts the first is a build if it begins with a digit; with variants, the last is a
/// label if it does not, since no Python tag begins with a digit.
fn places<'a>(rest: &[&'a str], variants: Variants) -> Option<Parts<'a>> {
    match *rest {
        [python, abi, platform] => Some(Parts { build: None, tags: [python, abi, platform], variant: None }),
        [python, abi, platform, label]
            if variants == Variants::Allowed && !python.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            Some(Parts { build: None, tags: [python, abi, platform], variant: Some(label) })
        }
        [build, python, abi, platform] => {
            Some(Parts { build: Some(build), tags: [python, abi, platform], variant: None })
        }
        [build, python, abi, platform, label] if variants == Variants::Allowed => {
            Some(Parts { build: Some(build), tags: [python, abi, platform], variant: Some(label) })
        }
        _ => None,
    }
}

fn count(found: usize, variants: Variants) -> String {
    let most = if variants == Variants::Allowed { "5, 6 or 7" } else { "5 or 6" };
    format!(
        "{found} parts between dashes, where a wheel has {most}: project, version, build if any, Python, ABI, platform"
    )
}

fn distribution_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the project's name is empty".to_owned());
    }
    if text.contains("__") {
        return Err(format!(
            "the project `{text}` has two underscores in a row; one stands for any run of `-_.`"
        ));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._".contains(*c)) {
        Some(odd) => Err(format!("the project `{text}` has {odd:?}, which is written `_` in a file name")),
        None => Ok(project(text)),
    }
}

fn read_version(text: &str) -> Result<Version, String> {
    Version::from_str(text).map_err(|error| format!("`{text}` is no version: {error}"))
}

fn read_build(text: &str) -> Result<Build, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    if number.is_empty() {
        return Err(format!("the build `{text}` does not begin with a digit"));
    }
    let number =
        number.parse().map_err(|_| format!("the build `{text}` is a number of more than 64 bits"))?;
    Ok(Build { number, suffix: suffix.to_owned(), text: text.to_owned() })
}

fn tag_set(what: &str, text: &str) -> Result<Vec<String>, String> {
    let tags: Vec<String> = text.split('.').map(str::to_owned).collect();
    match tags.iter().any(String::is_empty) {
        true => Err(format!("a {what} tag is empty in `{text}`")),
        false => Ok(tags),
    }
}

fn is_identifier(tag: &str) -> bool {
    !tag.starts_with(|c: char| c.is_ascii_digit())
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_variant(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!("the variant's label `{text}` is not made of `a` to `z`, digits, `_` and `.`")),
    }
}
