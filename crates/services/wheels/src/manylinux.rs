//! Which manylinux platform a library can run on (PEP 600): `manylinux_2_28_x86_64` promises glibc 2.28 and the runtime
//! libraries of compilers of that time.
//!
//! The versions of the runtime libraries are what the distributions of each glibc ship; a platform between two rows has those of
//! the earlier. Not covered: single symbols that a platform lacks although their version is there, and musllinux.

use std::collections::{BTreeMap, BTreeSet};

/// By set of symbols: a glibc 2.x, and the latest version on its systems and later ones.
const RUNTIMES: [(&str, &[(u32, &str)]); 5] = [
    (
        "GLIBCXX",
        &[
            (5, "3.4.8"),
            (12, "3.4.13"),
            (17, "3.4.19"),
            (24, "3.4.22"),
            (27, "3.4.24"),
            (31, "3.4.28"),
            (34, "3.4.29"),
            (35, "3.4.30"),
            (39, "3.4.33"),
        ],
    ),
    (
        "CXXABI",
        &[
            (5, "1.3.1"),
            (12, "1.3.3"),
            (17, "1.3.7"),
            (24, "1.3.10"),
            (27, "1.3.11"),
            (31, "1.3.12"),
            (34, "1.3.13"),
            (39, "1.3.15"),
        ],
    ),
    ("GCC", &[(5, "4.2.0"), (12, "4.3.0"), (17, "4.8.0"), (27, "7.0.0"), (35, "12.0.0"), (39, "14.0.0")]),
    ("LIBATOMIC", &[(24, "1.2")]),
    ("ZLIB", &[(12, "1.2.2.4"), (17, "1.2.5.2"), (27, "1.2.9"), (37, "1.2.12")]),
];

/// The glibc of the first manylinux platform.
const FIRST: u32 = 5;

/// Versions without a number, and the glibc 2.x that first has them; the second is for glibc's own libraries only.
const UNNUMBERED: [(&str, Option<u32>); 4] = [
    ("GLIBC_ABI_DT_RELR", Some(36)),
    ("GLIBC_PRIVATE", None),
    ("CXXABI_FLOAT128", Some(24)),
    ("CXXABI_TM_1", Some(17)),
];

/// The libraries that a manylinux system has (PEP 600 and its predecessors).
const ON_EVERY_SYSTEM: [&str; 26] = [
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libGL.so.1",
    "libICE.so.6",
    "libSM.so.6",
    "libX11.so.6",
    "libXext.so.6",
    "libXrender.so.1",
    "libanl.so.1",
    "libatomic.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libexpat.so.1",
    "libgcc_s.so.1",
    "libglib-2.0.so.0",
    "libgobject-2.0.so.0",
    "libgthread-2.0.so.0",
    "libm.so.6",
    "libmvec.so.1",
    "libnsl.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
    "libz.so.1",
];

/// How libraries begin that a wheel for GPUs takes from others that it requires, or from the driver.
const OF_THE_GPU_STACK: [&str; 14] = [
    "libtorch",
    "libc10",
    "libshm",
    "libcu",
    "libnv",
    "libnccl",
    "libnpp",
    "libamdhip",
    "libhip",
    "libroc",
    "librccl",
    "libMIOpen",
    "libhsa",
    "libtriton",
];

/// A version as numbers, to be compared; of no version, none.
pub(crate) fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// Keeps the latest version of each set.
pub(crate) fn keep_latest(symbols: &mut BTreeMap<String, String>, set: &str, version: &str) {
    let kept = symbols.entry(set.to_owned()).or_default();
    if numbers(kept) < numbers(version) {
        version.clone_into(kept);
    }
}

/// The earliest glibc 2.x whose systems have these symbols; `None` where no system has.
pub fn earliest(symbols: &BTreeMap<String, String>) -> Option<u32> {
    let mut minor = FIRST;
    for (set, version) in symbols {
        minor = minor.max(first_with(set, version)?);
    }
    Some(minor)
}

/// The glibc 2.x that first has a version of a set of symbols; 0 for sets of other libraries.
fn first_with(set: &str, version: &str) -> Option<u32> {
    if let Some((_, minor)) = UNNUMBERED.iter().find(|(name, _)| *name == set) {
        return *minor;
    }
    let wanted = numbers(version);
    if set == "GLIBC" {
        return wanted.get(1).copied();
    }
    match RUNTIMES.iter().find(|(name, _)| *name == set) {
        Some((_, rows)) => rows.iter().find(|(_, latest)| numbers(latest) >= wanted).map(|(minor, _)| *minor),
        None => Some(0),
    }
}

/// The symbols that systems of glibc 2.x lack, as they are written.
pub(crate) fn beyond(symbols: &BTreeMap<String, String>, minor: u32) -> Vec<String> {
    let lacking =
        symbols.iter().filter(|(set, version)| first_with(set, version).is_none_or(|first| first > minor));
    lacking
        .map(|(set, version)| if version.is_empty() { set.clone() } else { format!("{set}_{version}") })
        .collect()
}

/// What a platform tag promises: the x of glibc 2.x, and the processor. `None` for other tags.
pub(crate) fn promise(platform: &str) -> Option<(u32, &str)> {
    for (name, minor) in [("manylinux1_", 5), ("manylinux2010_", 12), ("manylinux2014_", 17)] {
        if let Some(machine) = platform.strip_prefix(name) {
            return Some((minor, machine));
        }
    }
    let (minor, machine) = platform.strip_prefix("manylinux_2_")?.split_once('_')?;
    Some((minor.parse().ok()?, machine))
}

/// Of the libraries that are needed, those that are neither in the wheel nor on every system.
pub(crate) fn outside(needed: &BTreeSet<&str>, inside: &BTreeSet<&str>) -> Vec<String> {
    let not_here = needed.iter().filter(|name| !inside.contains(*name) && !ON_EVERY_SYSTEM.contains(name));
    not_here.map(|name| (*name).to_owned()).collect()
}

/// Whether a library comes with torch, CUDA or ROCm.
pub(crate) fn is_of_the_gpu_stack(library: &str) -> bool {
    OF_THE_GPU_STACK.iter().any(|beginning| library.starts_with(beginning))
}
