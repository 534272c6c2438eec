//! What a shared library needs: libraries, versions of symbols, torch, and the device code that it carries.
//!
//! Not covered: libraries without a table of sections, ARM of 32 bits before armv7l, and what is opened at run time (`dlopen`),
//! of which a file says nothing.

use crate::fatbin;
use crate::manylinux;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, FileKind};
use std::collections::BTreeMap;
use wootz_schema::wheel::{WheelLibrary, WheelTorch};

/// A library, and what is wrong with its device code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// What it needs and carries.
    pub facts: WheelLibrary,
    /// Why its device code could not be read.
    pub device_code: Option<String>,
}

/// Reads a file; `None` where it is no library or program of a processor, but another file or an object to be linked.
pub fn library(bytes: &[u8]) -> Result<Option<Library>, String> {
    let read = match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => read::<FileHeader64<Endianness>>(bytes),
        Ok(FileKind::Elf32) => read::<FileHeader32<Endianness>>(bytes),
        _ => return Ok(None),
    };
    read.map_err(|error| error.to_string())
}

fn read<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> object::read::Result<Option<Library>> {
    let header = Elf::parse(bytes)?;
    let endian = header.endian()?;
    let machine = header.e_machine(endian);
    let loaded = matches!(header.e_type(endian), elf::ET_DYN | elf::ET_EXEC);
    if !loaded || machine == elf::EM_CUDA {
        return Ok(None);
    }
    let sections = header.sections(endian, bytes)?;
    let mut facts = WheelLibrary { machine: machine_name(machine), ..WheelLibrary::default() };
    let dynamic = sections.dynamic_table(endian, bytes)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for entry in &dynamic {
        match entry.tag {
            elf::DT_NEEDED => facts.needed.push(text(dynamic.string(entry)?)),
            elf::DT_SONAME => facts.soname = Some(text(dynamic.string(entry)?)),
            elf::DT_RPATH | elf::DT_RUNPATH => {
                facts.search.extend(text(dynamic.string(entry)?).split(':').map(str::to_owned));
            }
            _ => {}
        }
    }
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        while let Some((library, mut versions)) = needs.next()? {
            let symbols = facts.symbols.entry(text(library.file(endian, strings)?)).or_default();
            while let Some(version) = versions.next()? {
                latest(symbols, &text(version.name(endian, strings)?));
            }
        }
    }
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
    let mut torch = Torch::default();
    for symbol in symbols.iter().filter(|symbol| symbol.is_undefined(endian)) {
        torch.see(symbol.name(endian, symbols.strings())?);
    }
    facts.torch = torch.facts();
    let mut device_code = None;
    for section in sections.iter() {
        if sections.section_name(endian, section)? == b".nv_fatbin" {
            match fatbin::architectures(section.data(endian, bytes)?) {
                Ok(found) => {
                    found
                        .into_iter()
                        .for_each(|(arch, images)| *facts.cuda.entry(arch).or_default() += images);
                }
                Err(fault) => device_code = Some(fault),
            }
        }
    }
    Ok(Some(Library { facts, device_code }))
}

/// Keeps the latest version of each set: of `GLIBC_2.17` and `GLIBC_2.34` the second. A name without a number stands for itself.
fn latest(symbols: &mut BTreeMap<String, String>, name: &str) {
    let numbered =
        |text: &str| text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let (set, version) = name.rsplit_once('_').filter(|(_, version)| numbered(version)).unwrap_or((name, ""));
    manylinux::keep_latest(symbols, set, version);
}

fn machine_name(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_X86_64 => "x86_64",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_386 => "i686",
        elf::EM_ARM => "armv7l",
        elf::EM_PPC64 => "ppc64le",
        elf::EM_S390 => "s390x",
        elf::EM_RISCV => "riscv64",
        other => return format!("machine {}", other.0),
    };
    name.to_owned()
}

/// What has been seen of torch's interface.
#[derive(Default)]
struct Torch {
    unstable: u64,
    stable: u64,
    new_strings: bool,
    old_strings: bool,
}

impl Torch {
    fn see(&mut self, symbol: &[u8]) {
        if symbol.starts_with(b"aoti_torch_") || symbol.starts_with(b"torch_") {
            self.stable += 1;
        }
        let Some(mangled) = symbol.strip_prefix(b"_Z").filter(|mangled| of_torch(mangled)) else { return };
        self.unstable += 1;
        self.new_strings |= mangled.windows(8).any(|word| word == b"7__cxx11");
        self.old_strings |= holds_old_string(mangled);
    }

    fn facts(self) -> Option<WheelTorch> {
        let cxx11abi = match (self.new_strings, self.old_strings) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        (self.unstable + self.stable > 0).then_some(WheelTorch {
            unstable: self.unstable,
            stable: self.stable,
            cxx11abi,
        })
    }
}

/// Whether a mangled name (Itanium C++ ABI, 5.1) is one of torch's own namespaces.
fn of_torch(mangled: &[u8]) -> bool {
    let table = [b"TI", b"TV", b"TS", b"TT"].iter().any(|kind| mangled.starts_with(*kind));
    let name = if table { &mangled[2..] } else { mangled };
    let Some(nested) = name.strip_prefix(b"N") else { return false };
    let qualifiers = nested.iter().take_while(|letter| b"rVKRO".contains(letter)).count();
    [b"3c10".as_slice(), b"2at", b"5torch", b"6caffe2"]
        .iter()
        .any(|space| nested[qualifiers..].starts_with(space))
}

/// Whether a mangled name holds `Ss`, which is the `std::string` from before C++11; names in it, such as `4Ssss`, are passed over.
fn holds_old_string(mangled: &[u8]) -> bool {
    let mut at = 0;
    while at < mangled.len() {
        match mangled[at] {
            b'S' if mangled.get(at + 1) == Some(&b's') => return true,
            // A substitution or a parameter with its number in base 36: `S1A_`, `T0_`.
            b'S' | b'T' => {
                let number =
                    mangled[at + 1..].iter().take_while(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
                let length = number.count();
                at += if mangled.get(at + 1 + length) == Some(&b'_') { length + 2 } else { 2 };
            }
            // A literal, `Li80E`: its number is no length.
            b'L' if mangled.get(at + 1).is_some_and(u8::is_ascii_lowercase) => {
                at += 2 + mangled[at + 2..].iter().take_while(|b| b.is_ascii_digit() || **b == b'n').count();
            }
            b'0'..=b'9' => {
                let digits = mangled[at..].iter().take_while(|b| b.is_ascii_digit()).count();
                let text = std::str::from_utf8(&mangled[at..at + digits]).unwrap_or_default();
                let length: usize = text.parse().unwrap_or(0);
                at = at.saturating_add(digits).saturating_add(length);
            }
            _ => at += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_strings_are_told_from_all_that_looks_like_them() {
        let cases = [
            ("N3c106detail14torchCheckFailEPKcS2_jRKSs", true),
            (
                "N3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
                false,
            ),
            ("N3c104manyILi80EEEvRKSs", true),
            ("N3c104manyILin80EEEvRKSs", true),
            ("N2at1fERKNS_1AES4_Ss", true),
            ("N2at4SsssEi", false),
            ("N2at1fILi5EEEvT_S1A_i", false),
            ("N2at12isSsOrSomethEv", false),
            ("N2at9999xSs", false),
        ];
        for (mangled, expected) in cases {
            assert_eq!(holds_old_string(mangled.as_bytes()), expected, "{mangled}");
        }
    }

    #[test]
    fn only_what_is_in_torchs_namespaces_is_torchs() {
        for symbol in ["N3c105ErrorC1Ev", "NK2at6Tensor3dimEv", "TIN5torch3nn6ModuleE", "NO2at6Tensor1xEv"] {
            assert!(of_torch(symbol.as_bytes()), "{symbol}");
        }
        for symbol in
            ["N4c10d5ErrorE", "3c10v", "NSt6vectorIN2at6TensorEE4sizeEv", "N11torchvision1fEv", "TI", ""]
        {
            assert!(!of_torch(symbol.as_bytes()), "{symbol}");
        }
    }
}
