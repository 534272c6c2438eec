//! The local part of a version, where it says which CUDA and which torch a wheel was built for.
//!
//! Builders write it in several ways; all of these are read: `cu128torch2.9`, `cu12torch2.6cxx11abiTRUE`, `cu130.torch2.11`,
//! `cu.12.8.torch.2.11`, `rocm7.2torch2.14`, `pt270cu126`, each perhaps with more behind it (`gitabc123`).

use std::fmt;

/// Major and minor version.
pub type Minor = (u32, Option<u32>);

/// What a local version says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// The CUDA it was built with; of some builders only the major version.
    pub cuda: Option<Minor>,
    /// The ROCm it was built with.
    pub rocm: Option<Minor>,
    /// The torch it was built with.
    pub torch: Option<Minor>,
    /// Whether its C++ standard library has the ABI of C++11.
    pub cxx11abi: Option<bool>,
}

impl Label {
    /// Reads a local version, without its `+`.
    pub fn read(local: &str) -> Label {
        let mut label = Label::default();
        let words = words(&local.to_lowercase());
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let numbers = words[at + 1..].iter().map_while(Word::number).count();
            let given: Vec<&str> = words[at + 1..at + 1 + numbers].iter().filter_map(Word::number).collect();
            match word {
                Word::Letters(name) if name == "cu" || name == "cuda" => label.cuda = minor(&given, 2),
                Word::Letters(name) if name == "rocm" => label.rocm = minor(&given, 1),
                Word::Letters(name) if name == "torch" => label.torch = minor(&given, 1),
                // `pt270` is torch 2.7.0.
                Word::Letters(name) if name == "pt" => label.torch = minor(&given, 1),
                Word::Letters(name) if name == "cxx" && given.first() == Some(&"11") => {
                    let said = words.get(at + 2).and_then(Word::letters).unwrap_or_default();
                    label.cxx11abi = match said {
                        "abitrue" => Some(true),
                        "abifalse" => Some(false),
                        _ => None,
                    };
                }
                _ => {}
            }
            at += 1;
        }
        label
    }

    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Label::default()
    }

    /// The sub-index of its CUDA: `cu128`.
    pub fn cuda_name(&self) -> Option<String> {
        let (major, minor) = self.cuda?;
        Some(format!("cu{major}{}", minor.map(|minor| minor.to_string()).unwrap_or_default()))
    }

    /// The torch: `2.9`.
    pub fn torch_name(&self) -> Option<String> {
        self.torch.map(shown)
    }
}

/// A version as it is written.
pub fn shown((major, minor): Minor) -> String {
    minor.map_or_else(|| major.to_string(), |minor| format!("{major}.{minor}"))
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.cuda.map(|cuda| format!("CUDA {}", shown(cuda))));
        parts.extend(self.rocm.map(|rocm| format!("ROCm {}", shown(rocm))));
        parts.extend(self.torch.map(|torch| format!("torch {}", shown(torch))));
        parts.extend(self.cxx11abi.map(|abi| format!("C++11 ABI {}", if abi { "yes" } else { "no" })));
        f.write_str(&parts.join(", "))
    }
}

#[derive(Debug)]
enum Word {
    Letters(String),
    Digits(String),
}

impl Word {
    fn number(&self) -> Option<&str> {
        if let Word::Digits(digits) = self { Some(digits) } else { None }
    }

    fn letters(&self) -> Option<&str> {
        if let Word::Letters(letters) = self { Some(letters) } else { None }
    }
}

/// Runs of letters and runs of digits; what separates them is left out.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut is_new = true;
    for letter in text.chars() {
        match (letter, words.last_mut()) {
            (digit @ '0'..='9', Some(Word::Digits(word))) if !is_new => word.push(digit),
            (digit @ '0'..='9', _) => words.push(Word::Digits(digit.to_string())),
            (letter @ 'a'..='z', Some(Word::Letters(word))) if !is_new => word.push(letter),
            (letter @ 'a'..='z', _) => words.push(Word::Letters(letter.to_string())),
            _ => {
                is_new = true;
                continue;
            }
        }
        is_new = false;
    }
    words
}

/// A version from its parts; one part is a major version of `major` digits with the minor version behind it.
fn minor(parts: &[&str], major: usize) -> Option<Minor> {
    match *parts {
        [] => None,
        [together] if together.len() > major => {
            let (first, rest) = together.split_at(major);
            // `270` is 2.7.0.
            let rest = if major == 1 { &rest[..1] } else { rest };
            Some((first.parse().ok()?, Some(rest.parse().ok()?)))
        }
        [major] => Some((major.parse().ok()?, None)),
        [major, minor, ..] => Some((major.parse().ok()?, Some(minor.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_of_writing_it_are_read() {
        let label = |cuda: Option<Minor>, torch: Option<Minor>| Label { cuda, torch, ..Label::default() };
        for (local, expected) in [
            ("cu128torch2.9", label(Some((12, Some(8))), Some((2, Some(9))))),
            ("cu130.torch2.11", label(Some((13, Some(0))), Some((2, Some(11))))),
            ("cu.12.8.torch.2.11", label(Some((12, Some(8))), Some((2, Some(11))))),
            ("pt270cu126", label(Some((12, Some(6))), Some((2, Some(7))))),
            ("cu118", label(Some((11, Some(8))), None)),
            ("cu126torch2.10gitdeadbe1", label(Some((12, Some(6))), Some((2, Some(10))))),
            ("gitdeadbe1", Label::default()),
            ("cpu", Label::default()),
        ] {
            assert_eq!(Label::read(local), expected, "{local}");
        }
        let abi = Label { cxx11abi: Some(true), ..label(Some((12, None)), Some((2, Some(6)))) };
        assert_eq!(Label::read("cu12torch2.6cxx11abiTRUE"), abi);
        assert_eq!(Label::read("cu12torch2.6cxx11abiFALSE"), Label { cxx11abi: Some(false), ..abi });
        let rocm = Label { rocm: Some((7, Some(2))), ..label(None, Some((2, Some(14)))) };
        assert_eq!(Label::read("rocm7.2torch2.14"), rocm);
        assert_eq!(abi.to_string(), "CUDA 12, torch 2.6, C++11 ABI yes");
        assert_eq!(label(Some((12, Some(8))), None).cuda_name().as_deref(), Some("cu128"));
    }
}
