//! What the local label of a version says about the build: `2.8.3+cu128torch2.9` is for CUDA 12.8 and torch 2.9.
//!
//! No standard says how; these are the forms in use: `cu128torch2.9`, `cu12torch2.6cxx11abiTRUE`, `cu130.torch2.11`,
//! `cu.12.8.torch.2.11`, `rocm7.2torch2.14`, `pt270cu126`, `cu130_torch29`. A label is words, each a name and a number; the
//! separators of PEP 440 may stand anywhere between. A number without dots is cut by the name's custom: CUDA's last digit is the
//! minor one, torch's first digit the major one, and behind `pt` the last digit is a patch.
//!
//! Not covered: what other words mean. They are kept, in their order.

use std::fmt;

/// What a local label says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// The CUDA toolkit.
    pub cuda: Option<Cuda>,
    /// The torch release; the patch does not matter to binaries.
    pub torch: Option<Minor>,
    /// The ROCm release.
    pub rocm: Option<Minor>,
    /// Whether `std::string` is that of C++11.
    pub cxx11abi: Option<bool>,
    /// The words that say something else, as written: `gite2743ab`, `cpu`.
    pub others: Vec<String>,
}

/// A version of CUDA: builds for one minor run under each later one of the same major, so some labels name the major only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cuda {
    /// 12 of 12.8.
    pub major: u32,
    /// 8 of 12.8.
    pub minor: Option<u32>,
}

/// A version as far as it tells binaries apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minor {
    /// 2 of 2.11.
    pub major: u32,
    /// 11 of 2.11.
    pub minor: u32,
}

impl Label {
    /// Reads the part of a version behind `+`; upper and lower case are one. A word that says nothing known is kept in `others`.
    pub fn read(text: &str) -> Label {
        let text = text.to_ascii_lowercase();
        let mut label = Label::default();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            rest = rest.trim_start_matches(is_separator);
            match label.take(rest) {
                Some(left) => rest = left,
                None => {
                    let end = unknown(rest);
                    label.others.extend((end > 0).then(|| rest[..end].to_owned()));
                    rest = &rest[end..];
                }
            }
        }
        label
    }

    /// Takes one known word off the front, unless the label has it already.
    fn take<'a>(&mut self, rest: &'a str) -> Option<&'a str> {
        if let Some(left) = rest.strip_prefix("cxx11abi").filter(|_| self.cxx11abi.is_none()) {
            let left = left.trim_start_matches(is_separator);
            let yes = ["true", "1"].iter().find_map(|word| left.strip_prefix(word)).map(|left| (true, left));
            let no = ["false", "0"].iter().find_map(|word| left.strip_prefix(word)).map(|left| (false, left));
            let (value, left) = yes.or(no)?;
            self.cxx11abi = Some(value);
            return Some(left);
        }
        if let Some(left) = word(rest, &["cuda", "cu"]).filter(|_| self.cuda.is_none()) {
            let (number, left) = number(left)?;
            self.cuda = Some(cuda(number)?);
            return Some(left);
        }
        if let Some(left) = word(rest, &["rocm"]).filter(|_| self.rocm.is_none()) {
            let (number, left) = number(left)?;
            self.rocm = Some(minor(number)?);
            return Some(left);
        }
        if self.torch.is_some() {
            return None;
        }
        let (torch, left) = match (word(rest, &["torch"]), word(rest, &["pt"])) {
            (Some(left), _) => number(left).map(|(number, left)| (minor(number), left))?,
            (None, Some(left)) => number(left).map(|(number, left)| (patched(number), left))?,
            (None, None) => return None,
        };
        self.torch = Some(torch?);
        Some(left)
    }
}

impl fmt::Display for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            Some(minor) => write!(f, "{}.{minor}", self.major),
            None => write!(f, "{}", self.major),
        }
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}

fn word<'a>(rest: &'a str, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| rest.strip_prefix(name))
}

/// How far a word goes that is not known: to the next separator.
fn unknown(rest: &str) -> usize {
    rest.find(is_separator).unwrap_or(rest.len())
}

/// The numbers in front, between which stand dots, and what is left.
fn number(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.trim_start_matches(is_separator);
    let mut end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 {
        return None;
    }
    while let Some(next) = rest[end..].strip_prefix('.') {
        let digits = next.find(|c: char| !c.is_ascii_digit()).unwrap_or(next.len());
        if digits == 0 {
            break;
        }
        end += 1 + digits;
    }
    Some((&rest[..end], &rest[end..]))
}

/// 12.8 of `12.8`, `12.8.1` and `128`; 12 of `12`.
fn cuda(text: &str) -> Option<Cuda> {
    let (major, minor) = match text.split_once('.') {
        Some((major, minor)) => (major, minor.split('.').next()),
        None if text.len() > 2 => (&text[..text.len() - 1], Some(&text[text.len() - 1..])),
        None => (text, None),
    };
    Some(Cuda { major: major.parse().ok()?, minor: minor.map(str::parse).transpose().ok()? })
}

/// 2.11 of `2.11`, `2.11.1` and `211`; 2.9 of `29`.
fn minor(text: &str) -> Option<Minor> {
    let (major, minor) = text.split_once('.').unwrap_or_else(|| text.split_at(1));
    Some(Minor { major: major.parse().ok()?, minor: minor.split('.').next()?.parse().ok()? })
}

/// 2.7 of `270`, `27` and `2.7.0`; 2.11 of `2110`.
fn patched(text: &str) -> Option<Minor> {
    let patch = usize::from(!text.contains('.') && text.len() > 2);
    minor(&text[..text.len() - patch])
}
