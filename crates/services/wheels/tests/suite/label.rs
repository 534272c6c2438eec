//! Labels as people write them.

use wootz_testkit::Random;
use wootz_wheels::{Label, Variants, WheelName};

/// What a label says, in one line.
fn told(text: &str) -> String {
    let label = Label::read(text);
    let mut parts = Vec::new();
    parts.extend(label.cuda.map(|cuda| format!("cuda {cuda}")));
    parts.extend(label.rocm.map(|rocm| format!("rocm {rocm}")));
    parts.extend(label.torch.map(|torch| format!("torch {torch}")));
    parts.extend(label.cxx11abi.map(|abi| format!("cxx11abi {abi}")));
    parts.extend(label.others);
    parts.join(", ")
}

#[test]
fn every_form_in_use_is_read() {
    let cases = [
        ("cu128torch2.9", "cuda 12.8, torch 2.9"),
        ("cu12torch2.6cxx11abiTRUE", "cuda 12, torch 2.6, cxx11abi true"),
        ("cu12torch2.6cxx11abifalse", "cuda 12, torch 2.6, cxx11abi false"),
        ("cu130.torch2.11", "cuda 13.0, torch 2.11"),
        ("cu.12.8.torch.2.11", "cuda 12.8, torch 2.11"),
        ("rocm7.2torch2.14", "rocm 7.2, torch 2.14"),
        ("pt270cu126", "cuda 12.6, torch 2.7"),
        ("pt2110cu130", "cuda 13.0, torch 2.11"),
        ("cu130_torch29", "cuda 13.0, torch 2.9"),
        ("cu130.torch210", "cuda 13.0, torch 2.10"),
        ("cu118", "cuda 11.8"),
        ("rocm6.4", "rocm 6.4"),
        ("torch2.9.1.cuda12.8.1", "cuda 12.8, torch 2.9"),
        ("cu132torch2.13gite2743ab", "cuda 13.2, torch 2.13, gite2743ab"),
        ("cu126torch2.10git1234567", "cuda 12.6, torch 2.10, git1234567"),
        ("cpu", "cpu"),
        ("cu", "cu"),
        ("torch", "torch"),
        ("pt2", "pt2"),
        ("cxx11abi.maybe", "cxx11abi, maybe"),
        ("cu118.cu128", "cuda 11.8, cu128"),
        ("ubuntu.22.04", "ubuntu, 22, 04"),
        ("cu99999999999999.torch2.1", "torch 2.1, cu99999999999999"),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn labels_of_published_wheels_name_cuda_and_torch() {
    for line in include_str!("../data/filenames.txt").lines() {
        let name = WheelName::parse(line, Variants::Refused).unwrap();
        let text = name.version_text.split_once('+').unwrap().1;
        let label = Label::read(text);
        let (cuda, torch) = (label.cuda.expect(line), label.torch.expect(line));
        let digits = cuda.to_string().replace('.', "");
        let git = label.others.iter().all(|word| word.starts_with("git"));
        assert!(text.starts_with(&format!("cu{digits}torch{torch}")) && git, "{line}");
        // The version normalises the label; that loses nothing.
        let normal: Vec<String> = name.version.local().iter().map(ToString::to_string).collect();
        assert_eq!(Label::read(&normal.join(".")), label);
    }
}

#[test]
fn every_word_of_a_label_is_told_once() {
    let mut random = Random::of(9, "labels");
    let words = [
        "cu", "cuda", "torch", "pt", "rocm", "cxx11abi", "true", "git1f", "128", "2", "12", "0", ".", "_",
        "-", "x",
    ];
    for _ in 0..50_000 {
        let text: String = (0..random.below(9)).map(|_| words[random.below(words.len())]).collect();
        let label = Label::read(&text);
        assert_eq!(label, Label::read(&text.to_uppercase()), "{text}");
        let known =
            [label.cuda.is_some(), label.torch.is_some(), label.rocm.is_some(), label.cxx11abi.is_some()];
        let told = known.iter().filter(|known| **known).count() + label.others.len();
        assert!(told > 0 || text.chars().all(|c| ".-_".contains(c)), "{text}");
        for other in &label.others {
            assert!(text.contains(other.as_str()), "{text}: {other}");
        }
    }
}
