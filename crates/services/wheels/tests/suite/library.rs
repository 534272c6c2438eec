//! Shared libraries that the machine's compiler builds: what they need, torch's ABI, device code, and what platforms promise.

use super::python;
use super::wheel_file::WheelFile;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use wootz_schema::wheel::{WheelInspection, WheelRule};
use wootz_wheels::{Variants, earliest, inspect, library};

/// Calls into torch's namespaces, with a string of whichever ABI the compiler was asked for.
const TORCH: &str = r#"
#include <string>
namespace c10 { struct Error { static void raise(int, const std::string& Ssss); }; template <int N> void many(int); }
namespace at { int rank(); }
extern "C" void aoti_torch_delete(void*);
extern "C" int call() { c10::Error::raise(1, "x"); c10::many<80>(2); aoti_torch_delete(nullptr); return at::rank(); }
"#;

/// Compiles a library.
fn compile(compiler: &str, source: &str, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("source.cc"), folder.path().join("made.so"));
    std::fs::write(&input, source).unwrap();
    let made = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&output, &input])
        .args(flags)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; `dev/setup.sh` installs it"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(output).unwrap()
}

fn looked(tags: &str, files: &[(&str, &[u8])]) -> WheelInspection {
    let folder = tempfile::tempdir().unwrap();
    inspect(&WheelFile::new(tags, files).write(folder.path()), Variants::Refused).unwrap()
}

fn rules(told: &WheelInspection) -> Vec<WheelRule> {
    told.findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn torchs_abi_is_told_from_the_strings_in_its_symbols() {
    for (flag, expected) in [("1", true), ("0", false)] {
        let made = compile("c++", TORCH, &[&format!("-D_GLIBCXX_USE_CXX11_ABI={flag}")]);
        let facts = library(&made).unwrap().unwrap().facts;
        let torch = facts.torch.unwrap();
        assert_eq!((torch.unstable, torch.stable, torch.cxx11abi), (3, 1, Some(expected)));
        assert_eq!(facts.machine, std::env::consts::ARCH);
        assert!(facts.needed.contains(&"libstdc++.so.6".to_owned()), "{:?}", facts.needed);
    }
    let without = TORCH.replace("const std::string& Ssss", "const char* Ssss");
    let torch = library(&compile("c++", &without, &[])).unwrap().unwrap().facts.torch.unwrap();
    assert_eq!((torch.unstable, torch.cxx11abi), (3, None));
    let plain = library(&compile("cc", "int x;", &["-x", "c", "-nostdlib"])).unwrap().unwrap();
    assert_eq!((plain.facts.torch, plain.facts.symbols.len(), plain.device_code), (None, 0, None));
}

#[test]
fn needs_of_several_libraries_are_told_together() {
    let device = |file: &str| {
        format!(
            "asm(\".section .nv_fatbin,\\\"a\\\"\\n.balign 8\\n.incbin \\\"{file}\\\"\\n.previous\\n\"); int x;"
        )
    };
    let flags = ["-x", "c", "-nostdlib", "-Wl,-soname,libinside.so.1"];
    let inside = compile("cc", &device("kinds.fatbin"), &flags);
    let outside = compile("cc", &device("joined.fatbin"), &["-x", "c", "-nostdlib", "-Wl,-soname,libc10.so"]);
    // A library that needs both: one is in the wheel, the other comes with torch.
    let folder = tempfile::tempdir().unwrap();
    let paths = [("libinside.so", &inside), ("libc10.so", &outside)].map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let flags = ["-Wl,--no-as-needed", &paths[0], &paths[1], "-Wl,-rpath,$ORIGIN/../lib"];
    let above = compile("c++", TORCH, &flags);
    let tag = format!("cp312-cp312-linux_{}", std::env::consts::ARCH);
    let told = looked(&tag, &[("foo/lib1.so", &inside), ("foo/_C.so", &above), ("foo/x.py", b"")]);
    assert_eq!(told.findings, []);
    let needs = told.needs.unwrap();
    assert_eq!(needs.outside, ["libc10.so"]);
    assert_eq!(needs.cuda.join(" "), "sm_80 sm_90a sm_100a sm_100f compute_80 compute_90a compute_100f");
    assert_eq!(needs.cxx11abi, Some(true));
    assert_eq!(told.libraries["foo/lib1.so"].cuda["sm_90a"], 1);
    assert_eq!(told.libraries["foo/lib1.so"].soname.as_deref(), Some("libinside.so.1"));
    assert_eq!(told.libraries["foo/_C.so"].search, ["$ORIGIN/../lib"]);
    // The tag that was earned holds, and one below it does not.
    let earned = needs.manylinux.unwrap();
    let held = looked(&format!("cp312-cp312-{earned}"), &[("foo/lib1.so", &inside), ("foo/_C.so", &above)]);
    assert_eq!(held.findings, []);
    let minor: u32 = earned.split('_').nth(2).unwrap().parse().unwrap();
    let less = format!("cp312-cp312-manylinux_2_{}_{}", minor - 1, std::env::consts::ARCH);
    let broken = looked(&less, &[("foo/lib1.so", &inside), ("foo/_C.so", &above)]);
    assert_eq!(rules(&broken), [WheelRule::Manylinux]);
    assert!(broken.findings[0].message.contains(&format!("manylinux_2_{} promises less", minor - 1)));
    assert_eq!(broken.findings[0].entry.as_deref(), Some("foo/_C.so"));
}

#[test]
fn libraries_are_for_the_platform_and_python_that_the_name_says() {
    let made = compile("cc", "int x;", &["-x", "c", "-nostdlib"]);
    let arch = std::env::consts::ARCH;
    let own = format!("foo/_C.cpython-312-{arch}-linux-gnu.so");
    assert_eq!(rules(&looked(&format!("cp312-cp312-linux_{arch}"), &[(&own, &made)])), []);
    let other = looked(&format!("cp313-cp313-linux_{arch}"), &[(&own, &made)]);
    assert_eq!(other.findings[0].message, "it is for the ABI cp312, and the wheel is for cp313");
    for platform in ["any", "win_amd64", "linux_riscv64", "macosx_11_0_arm64"] {
        let told = looked(&format!("py3-none-{platform}"), &[("foo/lib.so", &made)]);
        assert_eq!(rules(&told), [WheelRule::Library], "{platform}");
    }
    let (mut cut, mut code) = (made.clone(), made.clone());
    cut.truncate(made.len() / 2);
    assert_eq!(
        rules(&looked(&format!("py3-none-linux_{arch}"), &[("foo/lib.so", &cut)])),
        [WheelRule::Library]
    );
    // Code for a GPU, of which wheels hold files too, is no library.
    code[18..20].copy_from_slice(&190_u16.to_le_bytes());
    assert_eq!(library(&code).unwrap(), None);
    let needs =
        "asm(\".section .nv_fatbin,\\\"a\\\"\\n.string \\\"no container\\\"\\n.previous\\n\"); int x;";
    let made = compile("cc", needs, &["-x", "c", "-nostdlib"]);
    let told = looked(&format!("py3-none-linux_{arch}"), &[("foo/lib.so", &made)]);
    assert_eq!(told.findings[0].message, "byte 0 of .nv_fatbin: no container begins here");
    assert_eq!(rules(&told), [WheelRule::DeviceCode]);
}

#[test]
fn a_library_that_no_system_has_breaks_the_promise() {
    let foreign = compile("cc", "int x;", &["-x", "c", "-nostdlib", "-Wl,-soname,libforeign.so.3"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libforeign.so");
    std::fs::write(&path, &foreign).unwrap();
    let made = compile(
        "cc",
        "int y;",
        &["-x", "c", "-nostdlib", "-x", "none", "-Wl,--no-as-needed", path.to_str().unwrap()],
    );
    let told =
        looked(&format!("py3-none-manylinux_2_17_{}", std::env::consts::ARCH), &[("foo/lib.so", &made)]);
    assert_eq!(
        told.findings[0].message,
        "libforeign.so.3 is needed, and neither in the wheel nor on every Linux"
    );
    let both = [("foo/lib.so", made.as_slice()), ("foo.libs/libforeign.so.3", &foreign)];
    assert_eq!(rules(&looked(&format!("py3-none-manylinux_2_17_{}", std::env::consts::ARCH), &both)), []);
}

#[test]
fn the_earliest_platform_is_that_of_the_latest_symbol() {
    let of = |symbols: &[(&str, &str)]| {
        let symbols: BTreeMap<String, String> =
            symbols.iter().map(|(set, version)| ((*set).to_owned(), (*version).to_owned())).collect();
        earliest(&symbols)
    };
    assert_eq!(of(&[]), Some(5));
    assert_eq!(of(&[("GLIBC", "2.2.5")]), Some(5));
    assert_eq!(of(&[("GLIBC", "2.14")]), Some(14));
    assert_eq!(of(&[("GLIBC", "2.14"), ("GLIBCXX", "3.4.20")]), Some(24));
    assert_eq!(of(&[("GLIBC", "2.28"), ("CXXABI", "1.3.11"), ("GCC", "7.0.0")]), Some(28));
    assert_eq!(of(&[("GCC", "12.0.0")]), Some(35));
    assert_eq!(of(&[("ZLIB", "1.2.9")]), Some(27));
    assert_eq!(of(&[("GLIBCXX", "3.4.99")]), None);
    assert_eq!(of(&[("GLIBC_ABI_DT_RELR", "")]), Some(36));
    assert_eq!(of(&[("GLIBC_PRIVATE", "")]), None);
    assert_eq!(of(&[("libcudart.so.12", ""), ("OPENSSL", "3.0.0")]), Some(5));
}

/// Every version of auditwheel's platforms for x86_64, with the earliest that has it, and its libraries.
const POLICIES: &str = r#"
import json
from auditwheel.architecture import Architecture
from auditwheel.libc import Libc
from auditwheel.policy import WheelPolicies
first, platforms = {}, []
for policy in sorted(WheelPolicies(libc=Libc.GLIBC, arch=Architecture.x86_64), key=lambda policy: -policy.priority):
    if not policy.symbol_versions:
        continue
    minor = int(policy.name.split("_")[2])
    platforms.append(minor)
    for name, versions in policy.symbol_versions.items():
        for version in versions:
            first.setdefault(f"{name} {version}", minor)
print(json.dumps([platforms, first]))
"#;

#[test]
fn auditwheel_has_each_symbol_on_the_same_platforms() {
    let told = python::run(POLICIES, &[], Vec::new());
    let (platforms, first): (Vec<u32>, BTreeMap<String, u32>) = serde_json::from_str(&told).unwrap();
    assert!(platforms.len() > 10 && first.len() > 100, "{told}");
    for (symbol, theirs) in first {
        let (set, version) = symbol.split_once(' ').unwrap();
        let numbered = version.starts_with(|c: char| c.is_ascii_digit());
        let key = if numbered {
            (set.to_owned(), version.to_owned())
        } else {
            (format!("{set}_{version}"), String::new())
        };
        let ours = earliest(&BTreeMap::from([key])).expect(&symbol);
        // auditwheel names some platforms, PEP 600 has one for each glibc.
        let listed = platforms.iter().filter(|minor| **minor >= ours).min();
        assert_eq!(listed, Some(&theirs), "{symbol}: we say 2.{ours}");
    }
}

#[test]
fn symbols_of_a_library_in_the_wheel_are_no_need() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("versions");
    std::fs::write(&script, "GLIBCXX_3.4.99 { global: *; };").unwrap();
    let version = format!("-Wl,--version-script={}", script.display());
    let own = compile(
        "cc",
        "int own(void) { return 1; }",
        &["-x", "c", "-nostdlib", &version, "-Wl,-soname,libstdc++.so.6"],
    );
    let path = folder.path().join("libown.so");
    std::fs::write(&path, &own).unwrap();
    let source = "int own(void); int y(void) { return own(); }";
    let made = compile("cc", source, &["-x", "c", "-nostdlib", "-x", "none", path.to_str().unwrap()]);
    let tag = format!("py3-none-manylinux_2_28_{}", std::env::consts::ARCH);
    let alone = looked(&tag, &[("foo/lib.so", &made)]);
    assert_eq!(rules(&alone), [WheelRule::Manylinux]);
    assert_eq!(alone.findings[0].message, "it needs GLIBCXX_3.4.99, and manylinux_2_28 promises less");
    assert_eq!(alone.needs.unwrap().manylinux, None);
    let with = looked(&tag, &[("foo/lib.so", &made), ("foo.libs/libstdc++.so.6", &own)]);
    assert_eq!(rules(&with), []);
    assert!(with.needs.unwrap().manylinux.is_some());
}

#[test]
fn no_damage_to_a_library_is_more_than_an_error() {
    let made = compile("c++", TORCH, &[]);
    let mut random = wootz_testkit::Random::of(5, "elf");
    for _ in 0..3000 {
        let mut damaged = made.clone();
        for _ in 0..1 + random.below(4) {
            let at = if random.below(2) == 0 { random.below(64) } else { random.below(made.len()) };
            damaged[at] = random.bits() as u8;
        }
        // A fault or an answer: it ends, and does not panic.
        let _ = library(&damaged);
        let _ = library(&made[..random.below(made.len())]);
    }
}
