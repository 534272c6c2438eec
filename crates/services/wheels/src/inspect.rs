//! Inspection of a wheel: what it says of itself, whether that is so, and what its libraries need.
//!
//! Everything that is wrong is told, with the rule that it breaks and the file; only what is no wheel at all is an error.
//! Each file is read once: its hash is compared on the way, and shared libraries are kept in memory while they are looked at.

use crate::archive::{Archive, Entry, WheelError};
use crate::elf::{self, Library};
use crate::label::Label;
use crate::name::{Variants, WheelName, project};
use crate::record::{self, Check, Line};
use crate::{manylinux, metadata};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use wootz_schema::wheel::{
    VERSION, WheelFinding, WheelIdentity, WheelInspection, WheelLabel, WheelLibrary, WheelMetadata,
    WheelNeeds, WheelRule, WheelTags,
};
use wootz_stdx::digest;

/// Libraries beyond this are not looked into; those of all of torch are half of it.
const LIBRARY_BYTES_MAX: usize = 4 << 30;

/// The signatures of `RECORD`, which it cannot list.
const SIGNATURES: [&str; 2] = ["RECORD.jws", "RECORD.p7s"];

/// Looks into a wheel.
pub fn inspect(path: &Path, variants: Variants) -> Result<WheelInspection, WheelError> {
    let mut archive = Archive::open(path, variants)?;
    inspect_opened(&mut archive)
}

/// Looks into a wheel that is open.
pub(crate) fn inspect_opened(archive: &mut Archive) -> Result<WheelInspection, WheelError> {
    let path = archive.path.clone();
    let (sha256, bytes) = digest::sha256_file(&path).map_err(|error| WheelError::Io {
        what: "read",
        path: path.to_owned(),
        error,
    })?;
    let mut inspector = Inspector { findings: archive.findings(), ..Inspector::default() };
    let dist_info = inspector.dist_info(archive);
    if let Some(folder) = &dist_info {
        inspector.metadata(archive, folder);
        inspector.wheel(archive, folder);
    }
    inspector.files(archive, dist_info.as_deref());
    let needs = inspector.needs(&archive.name);
    inspector.findings.sort();
    Ok(WheelInspection {
        version: VERSION,
        file: archive.name.to_string(),
        bytes,
        sha256,
        name: identity(&archive.name),
        metadata: inspector.metadata,
        wheel: inspector.wheel,
        entries: archive.entries.len() as u64,
        verified: inspector.verified,
        libraries: inspector.libraries,
        needs,
        findings: inspector.findings,
    })
}

/// What a name says, for programs.
fn identity(name: &WheelName) -> WheelIdentity {
    let local: Vec<String> = name.version.local().iter().map(ToString::to_string).collect();
    WheelIdentity {
        project: name.project.clone(),
        version: name.version.to_string(),
        build: name.build.as_ref().map(|build| build.text.clone()),
        tags: name.tags().iter().map(ToString::to_string).collect(),
        variant: name.variant.clone(),
        label: (!local.is_empty()).then(|| meaning(&local.join("."))),
    }
}

/// What a label says, for programs.
pub(crate) fn meaning(label: &str) -> WheelLabel {
    let label = Label::read(label);
    WheelLabel {
        cuda: label.cuda.map(|cuda| cuda.to_string()),
        torch: label.torch.map(|torch| torch.to_string()),
        rocm: label.rocm.map(|rocm| rocm.to_string()),
        cxx11abi: label.cxx11abi,
        others: label.others,
    }
}

/// What has been found so far.
#[derive(Default)]
struct Inspector {
    findings: Vec<WheelFinding>,
    metadata: Option<WheelMetadata>,
    wheel: Option<WheelTags>,
    verified: u64,
    libraries: BTreeMap<String, WheelLibrary>,
}

impl Inspector {
    fn found(&mut self, rule: WheelRule, entry: Option<&str>, message: impl Into<String>) {
        self.findings.push(WheelFinding { rule, entry: entry.map(str::to_owned), message: message.into() });
    }

    /// The one folder of metadata.
    fn dist_info(&mut self, archive: &Archive) -> Option<String> {
        let tops = archive.entries.iter().filter_map(|entry| entry.path.split_once('/')).map(|(top, _)| top);
        let folders: BTreeSet<&str> = tops.filter(|top| top.ends_with(".dist-info")).collect();
        let rule = WheelRule::DistInfo;
        let mut folders = folders.into_iter();
        let (Some(folder), None) = (folders.next(), folders.next()) else {
            let wanted = archive.name.dist_info();
            self.found(rule, None, format!("there is not one folder `.dist-info`, which should be {wanted}"));
            return None;
        };
        let said = folder.trim_end_matches(".dist-info").rsplit_once('-');
        let same = said.is_some_and(|(name, version)| {
            project(name) == archive.name.project
                && Version::from_str(version).is_ok_and(|version| version == archive.name.version)
        });
        if !same {
            self.found(rule, Some(folder), format!("the wheel's name asks for {}", archive.name.dist_info()));
        }
        Some(folder.to_owned())
    }

    /// A file of the folder of metadata, read by `parse`.
    fn stated<T>(
        &mut self,
        archive: &mut Archive,
        rule: WheelRule,
        path: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Option<T> {
        let bytes = match archive.entry(path).map(|entry| entry.index) {
            Some(index) => archive.read(index).map_err(|error| error.to_string()),
            None => Err("there is no such file".to_owned()),
        };
        bytes.and_then(|bytes| parse(&bytes)).map_err(|fault| self.found(rule, Some(path), fault)).ok()
    }

    fn metadata(&mut self, archive: &mut Archive, folder: &str) {
        let (rule, path) = (WheelRule::Metadata, format!("{folder}/METADATA"));
        let Some(said) = self.stated(archive, rule, &path, metadata::metadata) else { return };
        if project(&said.name) != archive.name.project {
            let message = format!("Name is `{}`, and the wheel is of {}", said.name, archive.name.project);
            self.found(rule, Some(&path), message);
        }
        if Version::from_str(&said.version).as_ref() != Ok(&archive.name.version) {
            let message =
                format!("Version is `{}`, and the wheel's name says {}", said.version, archive.name.version);
            self.found(rule, Some(&path), message);
        }
        self.metadata = Some(said);
    }

    fn wheel(&mut self, archive: &mut Archive, folder: &str) {
        let (rule, path) = (WheelRule::Wheel, format!("{folder}/WHEEL"));
        let Some(said) = self.stated(archive, rule, &path, metadata::wheel) else { return };
        let wanted: BTreeSet<String> = archive.name.tags().iter().map(ToString::to_string).collect();
        let mut tags = BTreeSet::new();
        for tag in &said.tags {
            // A line may hold a set, `py2.py3-none-any`, as a name does.
            match WheelName::parse(&format!("x-0-{tag}.whl"), Variants::Refused) {
                Ok(name) => tags.extend(name.tags().iter().map(ToString::to_string)),
                Err(_) => self.found(rule, Some(&path), format!("Tag is `{tag}`, which is none")),
            }
        }
        if tags != wanted {
            let list = |tags: &BTreeSet<String>| tags.iter().cloned().collect::<Vec<String>>().join(", ");
            let message =
                format!("its tags are {}, and the wheel's name says {}", list(&tags), list(&wanted));
            self.found(rule, Some(&path), message);
        }
        let build = archive.name.build.as_ref().map(|build| build.text.clone());
        if said.build != build {
            let written = |build: &Option<String>| build.clone().unwrap_or_else(|| "none".to_owned());
            let message =
                format!("Build is {}, and the wheel's name says {}", written(&said.build), written(&build));
            self.found(rule, Some(&path), message);
        }
        if !said.wheel_version.starts_with("1.") {
            let message = format!("Wheel-Version is {}, and installers know 1.x", said.wheel_version);
            self.found(rule, Some(&path), message);
        }
        self.wheel = Some(said);
    }

    /// Reads every file once, for its hash and, where it is a library, for what it needs.
    fn files(&mut self, archive: &mut Archive, folder: Option<&str>) {
        let list = folder.map(|folder| format!("{folder}/RECORD"));
        let lines =
            list.as_ref().and_then(|list| self.stated(archive, WheelRule::Record, list, record::read));
        let mut listed: BTreeMap<String, Line> = BTreeMap::new();
        for line in lines.iter().flatten() {
            if listed.insert(line.path.clone(), line.clone()).is_some() {
                self.found(WheelRule::Record, Some(&line.path), "RECORD lists it twice");
            }
        }
        let record = lines.is_some();
        for entry in archive.entries.clone() {
            let line = listed.remove(&entry.path);
            let exempt = Some(&entry.path) == list.as_ref() || is_signature(&entry.path, folder);
            let check = match line {
                Some(line) if !exempt => self.begin(&entry, &line),
                None if record && !exempt => {
                    self.found(WheelRule::Record, Some(&entry.path), "RECORD does not list it");
                    None
                }
                _ => None,
            };
            self.file(archive, &entry, check);
        }
        for path in listed.keys() {
            self.found(WheelRule::Record, Some(path), "RECORD lists it, and it is not there");
        }
    }

    /// Takes from a line what the file is to be compared with.
    fn begin(&mut self, entry: &Entry, line: &Line) -> Option<Check> {
        if !line.size.is_empty() && line.size != entry.bytes.to_string() {
            let message = format!("RECORD says {} bytes, and it has {}", line.size, entry.bytes);
            self.found(WheelRule::Record, Some(&entry.path), message);
        }
        Check::new(&line.hash)
            .map_err(|fault| self.found(WheelRule::Record, Some(&entry.path), format!("in RECORD {fault}")))
            .ok()
    }

    fn file(&mut self, archive: &mut Archive, entry: &Entry, mut check: Option<Check>) {
        let mut kept: Option<Vec<u8>> = None;
        let mut first = true;
        let read = archive.pass(entry.index, |piece| {
            if let Some(check) = &mut check {
                check.take(piece);
            }
            if std::mem::take(&mut first) && piece.starts_with(b"\x7fELF") {
                kept = Some(Vec::new());
            }
            if let Some(kept) = kept.as_mut().filter(|kept| kept.len() <= LIBRARY_BYTES_MAX) {
                kept.extend_from_slice(piece);
            }
        });
        if let Err(error) = read {
            self.found(WheelRule::Archive, Some(&entry.path), format!("it cannot be read: {error}"));
            return;
        }
        match check.map(Check::holds) {
            Some(true) => self.verified += 1,
            Some(false) => {
                self.found(WheelRule::Record, Some(&entry.path), "its hash is not the one in RECORD")
            }
            None => {}
        }
        if kept.as_ref().is_some_and(|bytes| bytes.len() > LIBRARY_BYTES_MAX) {
            let message = format!("it has more than {LIBRARY_BYTES_MAX} bytes and was not looked into");
            self.found(WheelRule::Library, Some(&entry.path), message);
            return;
        }
        match kept.map(|bytes| elf::library(&bytes)) {
            Some(Ok(Some(library))) => self.library(&archive.name, &entry.path, library),
            Some(Err(fault)) => self.found(WheelRule::Library, Some(&entry.path), fault),
            Some(Ok(None)) | None => {}
        }
    }

    fn library(&mut self, name: &WheelName, path: &str, library: Library) {
        let platforms: Vec<String> = name.platform.iter().map(|tag| tag.to_ascii_lowercase()).collect();
        let machine = &library.facts.machine;
        if !platforms.iter().any(|tag| tag.contains("linux") && tag.ends_with(&format!("_{machine}"))) {
            let message =
                format!("it is for Linux on {machine}, and the wheel is for {}", platforms.join(", "));
            self.found(WheelRule::Library, Some(path), message);
        }
        let python = path.split('.').find_map(|part| part.strip_prefix("cpython-"));
        if let Some(abi) = python.and_then(|python| python.split('-').next()).map(|abi| format!("cp{abi}"))
            && !name.abi.iter().any(|tag| tag.eq_ignore_ascii_case(&abi))
        {
            let message = format!("it is for the ABI {abi}, and the wheel is for {}", name.abi.join(", "));
            self.found(WheelRule::Library, Some(path), message);
        }
        if let Some(fault) = library.device_code {
            self.found(WheelRule::DeviceCode, Some(path), fault);
        }
        self.libraries.insert(path.to_owned(), library.facts);
    }

    /// What the libraries need together, compared with what the platform promises.
    fn needs(&mut self, name: &WheelName) -> Option<WheelNeeds> {
        let machine = self.libraries.values().next()?.machine.clone();
        let promised = promised(name);
        let files = self.libraries.keys().map(|path| path.rsplit('/').next().unwrap_or(path));
        let names = self.libraries.values().filter_map(|library| library.soname.as_deref());
        let inside: BTreeSet<&str> = files.chain(names).collect();
        let needed =
            self.libraries.values().flat_map(|library| &library.needed).map(String::as_str).collect();
        let outside = manylinux::outside(&needed, &inside);
        let (mut all, mut faults) = (BTreeMap::new(), Vec::new());
        for (path, library) in &self.libraries {
            let mut own = BTreeMap::new();
            // What comes with the wheel is there on every system.
            let from_system = library.symbols.iter().filter(|(from, _)| !inside.contains(from.as_str()));
            for (set, version) in from_system.flat_map(|(_, symbols)| symbols) {
                manylinux::keep_latest(&mut own, set, version);
                manylinux::keep_latest(&mut all, set, version);
            }
            let beyond = promised.map(|minor| (minor, manylinux::beyond(&own, minor)));
            if let Some((minor, beyond)) = beyond.filter(|(_, beyond)| !beyond.is_empty()) {
                let message =
                    format!("it needs {}, and manylinux_2_{minor} promises less", beyond.join(", "));
                faults.push((Some(path.clone()), message));
            }
        }
        let strange = outside.iter().filter(|library| !manylinux::is_of_the_gpu_stack(library));
        faults.extend(strange.filter(|_| promised.is_some()).map(|library| {
            (None, format!("{library} is needed, and neither in the wheel nor on every Linux"))
        }));
        let abis: BTreeSet<bool> =
            self.libraries.values().filter_map(|library| library.torch.as_ref()?.cxx11abi).collect();
        let cuda: BTreeSet<&String> =
            self.libraries.values().flat_map(|library| library.cuda.keys()).collect();
        let mut cuda: Vec<String> = cuda.into_iter().cloned().collect();
        cuda.sort_by_key(|arch| (arch.starts_with("compute"), arch.len(), arch.clone()));
        let earliest = manylinux::earliest(&all).map(|minor| minor.max(oldest(&machine)));
        for (entry, message) in faults {
            self.found(WheelRule::Manylinux, entry.as_deref(), message);
        }
        Some(WheelNeeds {
            glibc: all.get("GLIBC").cloned(),
            manylinux: earliest.map(|minor| format!("manylinux_2_{minor}_{machine}")),
            outside,
            cuda,
            cxx11abi: abis.first().copied().filter(|_| abis.len() == 1),
        })
    }
}

fn is_signature(path: &str, folder: Option<&str>) -> bool {
    folder.is_some_and(|folder| SIGNATURES.iter().any(|name| path == format!("{folder}/{name}")))
}

/// The glibc 2.x that the wheel promises to need: the earliest of its platforms.
fn promised(name: &WheelName) -> Option<u32> {
    name.platform.iter().filter_map(|tag| manylinux::promise(tag)).map(|(minor, _)| minor).min()
}

/// Before manylinux_2_17 there were platforms of x86 only.
fn oldest(machine: &str) -> u32 {
    if matches!(machine, "x86_64" | "i686") { 5 } else { 17 }
}
