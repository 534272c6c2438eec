//! What is inside a wheel: its metadata, whether its parts bear out one another, and what its libraries need.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of [`WheelInspection`].
pub const VERSION: u32 = 1;

/// What `wootz wheel inspect` found; a function of the file's name and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelInspection {
    /// Format version.
    pub version: u32,
    /// The file's name, without its folder.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// What the file's name says.
    pub name: WheelIdentity,
    /// What `METADATA` says; absent where it cannot be read.
    pub metadata: Option<WheelMetadata>,
    /// What `WHEEL` says; absent where it cannot be read.
    pub wheel: Option<WheelTags>,
    /// Files in the archive.
    pub entries: u64,
    /// The files whose hashes in `RECORD` are right.
    pub verified: u64,
    /// The shared libraries, by their paths.
    pub libraries: BTreeMap<String, WheelLibrary>,
    /// What the libraries need together; absent where there is none.
    pub needs: Option<WheelNeeds>,
    /// What is wrong, in the order of the rules.
    pub findings: Vec<WheelFinding>,
}

/// The parts of a wheel's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelIdentity {
    /// The project's normalised name.
    pub project: String,
    /// The version, normalised.
    pub version: String,
    /// The build, as written.
    pub build: Option<String>,
    /// Every combination of Python, ABI and platform.
    pub tags: Vec<String>,
    /// The label of a variant.
    pub variant: Option<String>,
    /// What the local label says.
    pub label: Option<WheelLabel>,
}

/// What a version's local label says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelLabel {
    /// CUDA, `12.8`, or `12` where the label names the major alone.
    pub cuda: Option<String>,
    /// torch, `2.9`.
    pub torch: Option<String>,
    /// ROCm, `7.2`.
    pub rocm: Option<String>,
    /// Whether `std::string` is that of C++11.
    pub cxx11abi: Option<bool>,
    /// Words that say something else.
    pub others: Vec<String>,
}

/// What installers read of `METADATA`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelMetadata {
    /// Version of the metadata's format.
    pub metadata_version: String,
    /// The project, as written.
    pub name: String,
    /// The version, as written.
    pub version: String,
    /// One line about it.
    pub summary: Option<String>,
    /// Which Pythons it is for.
    pub requires_python: Option<String>,
    /// What it needs.
    pub requires_dist: Vec<String>,
}

/// What `WHEEL` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelTags {
    /// Version of the wheel's format.
    pub wheel_version: String,
    /// What built it.
    pub generator: Option<String>,
    /// Whether it is for the folder of pure Python.
    pub root_is_purelib: Option<bool>,
    /// The tags, as written.
    pub tags: Vec<String>,
    /// The build.
    pub build: Option<String>,
}

/// One shared library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelLibrary {
    /// The processor, as platform tags name it.
    pub machine: String,
    /// The name under which others need it.
    pub soname: Option<String>,
    /// The libraries that it needs, in its order.
    pub needed: Vec<String>,
    /// Where it looks for them beside the system's folders.
    pub search: Vec<String>,
    /// By library: the latest version of each set of symbols that is needed of it, such as `GLIBC` to `2.34` of `libc.so.6`.
    pub symbols: BTreeMap<String, BTreeMap<String, String>>,
    /// What it takes from torch; absent where that is nothing.
    pub torch: Option<WheelTorch>,
    /// Device code, by architecture: `sm_90a` or, for code that the driver compiles, `compute_90`.
    pub cuda: BTreeMap<String, u64>,
}

/// What a library takes from torch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelTorch {
    /// Symbols of its C++ interface, which changes with each minor version.
    pub unstable: u64,
    /// Symbols of its stable C interface.
    pub stable: u64,
    /// Whether `std::string` in them is that of C++11; absent where none holds one, or both do.
    pub cxx11abi: Option<bool>,
}

/// What all libraries of a wheel need together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelNeeds {
    /// The earliest glibc that has every symbol.
    pub glibc: Option<String>,
    /// The earliest manylinux platform of the symbols, `manylinux_2_28_x86_64`; absent where no platform has them.
    pub manylinux: Option<String>,
    /// Libraries that are neither in the wheel nor on every Linux: of CUDA, of torch.
    pub outside: Vec<String>,
    /// Device code of all libraries, by architecture.
    pub cuda: Vec<String>,
    /// Whether `std::string` in what is taken from torch is that of C++11.
    pub cxx11abi: Option<bool>,
}

/// What `wootz wheel relabel` made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelRelabelled {
    /// Format version.
    pub version: u32,
    /// The wheel that it was made from, by its file name.
    pub from: String,
    /// Its path.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// What its label says.
    pub label: WheelLabel,
}

/// One thing that is wrong with a wheel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelFinding {
    /// Which rule is broken.
    pub rule: WheelRule,
    /// The file inside the wheel; absent where it is the wheel itself.
    pub entry: Option<String>,
    /// What stands there, and what should.
    pub message: String,
}

/// The rules that a wheel may break; what an installer looks at first stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WheelRule {
    /// The archive can be read, and reads the same for every reader.
    Archive,
    /// Files stay inside the folder where a wheel is unpacked.
    Path,
    /// There is one folder of metadata, with the name that the wheel's has.
    DistInfo,
    /// `METADATA` is there and says what the wheel's name says.
    Metadata,
    /// `WHEEL` is there and says what the wheel's name says.
    Wheel,
    /// `RECORD` lists every file with its hash and size, and no other.
    Record,
    /// Shared libraries can be read, and are for the platform that the wheel names.
    Library,
    /// Device code can be read.
    DeviceCode,
    /// The libraries need no more than the platform promises.
    Manylinux,
}

impl WheelRule {
    /// The rule's name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            WheelRule::Archive => "archive",
            WheelRule::Path => "path",
            WheelRule::DistInfo => "dist_info",
            WheelRule::Metadata => "metadata",
            WheelRule::Wheel => "wheel",
            WheelRule::Record => "record",
            WheelRule::Library => "library",
            WheelRule::DeviceCode => "device_code",
            WheelRule::Manylinux => "manylinux",
        }
    }
}

/// How a cell of a build matrix came out, one line of `wootz wheel build`'s output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelBuild {
    /// Format version.
    pub version: u32,
    /// The package, as the configuration has it.
    pub package: String,
    /// Its version.
    pub package_version: String,
    /// For which Python.
    pub python: String,
    /// With which CUDA.
    pub cuda: String,
    /// With which torch, `2.8`, if with any.
    pub torch: Option<String>,
    /// How it came out.
    pub status: WheelBuildStatus,
    /// The wheel, unless there is none.
    pub wheel: Option<String>,
    /// SHA-256 of the wheel, in hex.
    pub sha256: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// The file with all that was said.
    pub log: String,
    /// Why there is no wheel.
    pub error: Option<String>,
}

/// How a cell came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WheelBuildStatus {
    /// Its wheel was built and can be imported.
    Built,
    /// Its wheel was there.
    Skipped,
    /// No wheel came of it, or a wrong one.
    Failed,
    /// Its wheel was built and cannot be imported; it is kept beside the log.
    SmokeFailed,
}
