//! Device code: files of NVIDIA's own tool, containers written by hand, and damage.

use std::collections::BTreeMap;
use wootz_testkit::Random;
use wootz_wheels::architectures;

const KINDS: &[u8] = include_bytes!("../data/kinds.fatbin");
const COMPRESSED: &[u8] = include_bytes!("../data/compressed.fatbin");
const JOINED: &[u8] = include_bytes!("../data/joined.fatbin");
const IDENTIFIED: &[u8] = include_bytes!("../data/identified.fatbin");

fn listed(section: &[u8]) -> String {
    let found = architectures(section).unwrap();
    found.iter().map(|(arch, images)| format!("{arch}:{images}")).collect::<Vec<String>>().join(" ")
}

#[test]
fn what_the_vendors_tool_made_is_read() {
    let machine = "sm_100a:1 sm_100f:1 sm_80:1 sm_90a:1";
    assert_eq!(listed(KINDS), format!("compute_100f:1 compute_80:1 compute_90a:1 {machine}"));
    assert_eq!(listed(COMPRESSED), machine);
    assert_eq!(listed(JOINED), format!("compute_90a:1 {machine}"));
    assert_eq!(listed(IDENTIFIED), "compute_90:1 sm_100f:1 sm_120a:1 sm_80:1 sm_90a:1");
    // A linker puts one behind the other, aligned.
    let together = [KINDS, &[0; 24], JOINED].concat();
    assert!(listed(&together).contains("compute_90a:2") && listed(&together).contains("sm_80:2"));
    assert_eq!(listed(&[]), "");
    assert_eq!(listed(&[0; 64]), "");
}

/// A container with images of these kinds, architectures and flags.
fn container(images: &[(u16, u32, u64)], random: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, arch, flags) in images {
        let header = [64, 72, 80, 112][random.below(4)];
        let code: Vec<u8> = (0..8 * random.below(40)).map(|_| random.bits() as u8).collect();
        let mut image = vec![0; header];
        image[0..2].copy_from_slice(&kind.to_le_bytes());
        image[4..8].copy_from_slice(&(header as u32).to_le_bytes());
        image[8..16].copy_from_slice(&(code.len() as u64).to_le_bytes());
        image[28..32].copy_from_slice(&arch.to_le_bytes());
        image[40..48].copy_from_slice(&flags.to_le_bytes());
        body.extend([image, code].concat());
    }
    let mut container = 0xba55_ed50_u32.to_le_bytes().to_vec();
    container.extend([1, 0, 16, 0]);
    container.extend((body.len() as u64).to_le_bytes());
    container.extend(body);
    container
}

#[test]
fn every_image_of_every_container_is_counted() {
    let mut random = Random::of(3, "containers");
    for _ in 0..300 {
        let (mut section, mut expected) = (Vec::new(), BTreeMap::new());
        for _ in 0..random.below(4) {
            let images: Vec<(u16, u32, u64)> = (0..random.below(6))
                .map(|_| {
                    let kind = [1, 2][random.below(2)];
                    let arch = [52, 75, 80, 86, 90, 100, 120][random.below(7)];
                    (kind, arch, [0x11, 0x8011, 0x2011, 0x10_0011, 0x20_8011][random.below(5)])
                })
                .collect();
            for (kind, arch, flags) in &images {
                let word = if *kind == 1 { "compute" } else { "sm" };
                let suffix = match flags >> 20 {
                    1 => "a",
                    2 => "f",
                    _ => "",
                };
                *expected.entry(format!("{word}_{arch}{suffix}")).or_insert(0) += 1;
            }
            section.extend(container(&images, &mut random));
            section.extend(vec![0; 8 * random.below(3)]);
        }
        assert_eq!(architectures(&section).unwrap(), expected);
    }
}

#[test]
fn damage_is_told_and_never_counted_as_whole() {
    for whole in [KINDS, COMPRESSED, JOINED, IDENTIFIED] {
        for end in (1..whole.len()).step_by(if whole.len() > 10_000 { 7 } else { 1 }) {
            let error = architectures(&whole[..end]).unwrap_err();
            assert!(error.contains("of .nv_fatbin"), "{error}");
        }
    }
    let mut random = Random::of(4, "damage");
    for turn in 0..20_000 {
        let whole = [JOINED, IDENTIFIED][turn % 2];
        let mut damaged = whole.to_vec();
        for _ in 0..1 + random.below(6) {
            let at = random.below(1000);
            damaged[at] = random.bits() as u8;
        }
        // Whatever it says, it ends, and says no more images than fit.
        if let Ok(found) = architectures(&damaged) {
            assert!(found.values().sum::<u64>() < whole.len() as u64 / 64);
        }
    }
}
