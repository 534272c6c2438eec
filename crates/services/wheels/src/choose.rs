//! Which wheel fits a machine: of a project's files those for its CUDA, torch, Python and platform, the best of them, and why not the others.

use crate::catalogue::Entry;
use crate::label::{Cuda, Label, Minor};
use crate::name::WheelName;
use crate::pages::label_of;
use std::cmp::Reverse;

/// What a machine has; what is not known is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Of torch.
    pub torch: Option<Minor>,
    /// Of CUDA.
    pub cuda: Option<Cuda>,
    /// Of CPython, and whether it is free-threaded.
    pub python: Option<(u32, u32, bool)>,
    /// As `linux_x86_64`, `win_amd64`, `macosx_11_0_arm64`.
    pub platform: Option<String>,
    /// The minor version of glibc 2, where the platform is Linux.
    pub glibc: Option<u32>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The best.
    pub best: Option<&'a Entry>,
    /// How many others would do.
    pub others: usize,
    /// Why not the others, with how many these are, the most frequent first.
    pub reasons: Vec<(String, usize)>,
}

/// Chooses among the files of a project.
pub fn choose<'a>(entries: &'a [Entry], machine: &Machine) -> Choice<'a> {
    let mut fitting: Vec<&Entry> = Vec::new();
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for entry in entries {
        match misfit(entry, machine) {
            None => fitting.push(entry),
            Some(reason) => match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            },
        }
    }
    reasons.sort_by_key(|(reason, count)| (Reverse(*count), reason.clone()));
    fitting.sort_by_key(|entry| Reverse(rank(entry)));
    Choice { best: fitting.first().copied(), others: fitting.len().saturating_sub(1), reasons }
}

/// The later version, then what says most, then the later build.
fn rank(entry: &Entry) -> (pep440_rs::Version, usize, &WheelName) {
    let Label { cuda, torch, cxx11abi, .. } = label_of(entry);
    let said = [
        cuda.is_some(),
        cuda.is_some_and(|cuda| cuda.minor.is_some()),
        torch.is_some(),
        cxx11abi == Some(true),
    ];
    (entry.name.version.clone().without_local(), said.iter().filter(|said| **said).count(), &entry.name)
}

fn misfit(entry: &Entry, machine: &Machine) -> Option<String> {
    let label = label_of(entry);
    if !entry.line.yanked.is_no() {
        return Some("taken back".to_owned());
    }
    if let Some(label) = &entry.name.variant {
        return Some(format!("of the variant {label}, which pip and uv pass over"));
    }
    if let Some((major, minor, is_free)) = machine.python
        && !fits_python(&entry.name, major, minor, is_free)
    {
        return Some(format!("for {}", entry.name.python.join(", ")));
    }
    if let Some(platform) = &machine.platform
        && !entry.name.platform.iter().any(|tag| fits_platform(tag, platform, machine.glibc))
    {
        return Some(format!("for {}", entry.name.platform.join(", ")));
    }
    if let Some(torch) = machine.torch
        && label.torch.is_some_and(|built| built != torch)
    {
        return label.torch.map(|built| format!("for torch {built}"));
    }
    if let Some(cuda) = machine.cuda {
        if label.cuda.is_some_and(|built| !fits(built, cuda)) {
            return label.cuda.map(|built| format!("for CUDA {built}"));
        }
        if label.rocm.is_some() {
            return Some("for ROCm".to_owned());
        }
    }
    None
}

/// What only says its major version fits all of it.
fn fits(built: Cuda, has: Cuda) -> bool {
    built.major == has.major && built.minor.zip(has.minor).is_none_or(|(built, has)| built == has)
}

fn fits_python(name: &WheelName, major: u32, minor: u32, is_free: bool) -> bool {
    let fits_abi = |python: &str, abi: &str| {
        let exact = format!("cp{major}{minor}");
        let older = python.strip_prefix(&format!("cp{major}")).and_then(|minor| minor.parse::<u32>().ok());
        match abi {
            "none" => {
                python == exact
                    || python == format!("py{major}")
                    || python == format!("py{major}{minor}")
                    || python
                        .strip_prefix(&format!("py{major}"))
                        .and_then(|one| one.parse::<u32>().ok())
                        .is_some_and(|one| one <= minor)
            }
            "abi3" => !is_free && older.is_some_and(|older| older <= minor),
            abi => python == exact && abi == format!("{exact}{}", if is_free { "t" } else { "" }),
        }
    };
    name.python.iter().any(|python| name.abi.iter().any(|abi| fits_abi(python, abi)))
}

/// Whether a platform's tag fits; of Linux wheels for an older glibc do as well.
fn fits_platform(tag: &str, platform: &str, glibc: Option<u32>) -> bool {
    if tag == "any" || tag == platform {
        return true;
    }
    let Some(machine) = platform.strip_prefix("linux_") else { return false };
    let needed = match tag.strip_suffix(machine).and_then(|tag| tag.strip_suffix('_')) {
        Some("manylinux1") => Some(5),
        Some("manylinux2010") => Some(12),
        Some("manylinux2014") => Some(17),
        Some(tag) => tag.strip_prefix("manylinux_2_").and_then(|minor| minor.parse().ok()),
        None => None,
    };
    needed.is_some_and(|needed: u32| glibc.is_none_or(|glibc| needed <= glibc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Variants, catalogue};
    use std::path::Path;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let line = |name: &&str| {
            format!(
                "{{\"url\":\"https://a.test/{name}\",\"filename\":\"{name}\",\"sha256\":\"{}\",\"size\":1,\"upload_time\":\"2026-01-01T00:00:00Z\"}}\n",
                "0".repeat(64)
            )
        };
        let text: String = names.iter().map(line).collect();
        let catalogue = catalogue::of_lines(Path::new("c"), text.as_bytes(), Variants::Allowed).unwrap();
        catalogue::unite(catalogue.files, None).unwrap()
    }

    #[test]
    fn the_one_that_fits_is_chosen() {
        let all = entries(&[
            "flash_attn-2.8.3+cu128torch2.9-cp312-cp312-linux_x86_64.whl",
            "flash_attn-2.8.3+cu130torch2.9-cp312-cp312-linux_x86_64.whl",
            "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-linux_x86_64.whl",
            "flash_attn-2.7.4+cu128torch2.9-cp312-cp312-manylinux_2_28_x86_64.whl",
            "flash_attn-2.8.3+cu128torch2.9-cp313-cp313t-linux_x86_64.whl",
            "flash_attn_3-3.0.0+cu128torch2.9-cp39-abi3-linux_x86_64.whl",
        ]);
        let machine = Machine {
            torch: Some(Minor { major: 2, minor: 9 }),
            cuda: Some(Cuda { major: 12, minor: Some(8) }),
            python: Some((3, 12, false)),
            platform: Some("linux_x86_64".to_owned()),
            glibc: Some(35),
        };
        let (three, two): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|entry| entry.name.project == "flash-attn-3");
        let best = |machine: &Machine| choose(&two, machine).best.map(|entry| entry.line.filename.clone());
        assert_eq!(
            best(&machine).as_deref(),
            Some("flash_attn-2.8.3+cu128torch2.9-cp312-cp312-linux_x86_64.whl")
        );
        let other = Machine { cuda: Some(Cuda { major: 13, minor: Some(0) }), ..machine.clone() };
        assert_eq!(
            best(&other).as_deref(),
            Some("flash_attn-2.8.3+cu130torch2.9-cp312-cp312-linux_x86_64.whl")
        );
        let free = Machine { python: Some((3, 13, true)), ..machine.clone() };
        assert_eq!(
            best(&free).as_deref(),
            Some("flash_attn-2.8.3+cu128torch2.9-cp313-cp313t-linux_x86_64.whl")
        );
        let none = choose(&two, &Machine { torch: Some(Minor { major: 2, minor: 5 }), ..machine.clone() });
        assert_eq!(none.best, None);
        assert_eq!(none.reasons[0], ("for torch 2.9".to_owned(), 3));
        assert!(choose(&three, &machine).best.is_some() && choose(&three, &free).best.is_none());
        let old = Machine { glibc: Some(27), ..machine };
        assert!(fits_platform("manylinux_2_24_x86_64", "linux_x86_64", old.glibc));
        assert!(!fits_platform("manylinux_2_28_x86_64", "linux_x86_64", old.glibc));
        assert!(!fits_platform("manylinux_2_17_aarch64", "linux_x86_64", old.glibc));
    }
}
