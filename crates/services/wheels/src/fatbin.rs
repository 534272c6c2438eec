//! Device code in a shared library: the section `.nv_fatbin`, whose format NVIDIA does not document.
//!
//! It is a row of containers, each a header of 16 bytes (magic number, version, header size, size) and images; an image is a
//! header, mostly of 64 bytes, and code that may be compressed. What is told here stands in the headers, so nothing is decompressed:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 2 | kind: 1 PTX, 2 machine code, 0x100 several images that were compressed as one |
//! | 4 | 4 | size of this header |
//! | 8 | 8 | size of what follows it |
//! | 20 | 4 | where in this header attributes begin, or 0 |
//! | 28 | 4 | architecture: 90 |
//! | 32 | 4 + 4 | where in this header an identifier begins, or 0, and its length |
//! | 40 | 8 | flags: bit 20 is the `a` of `sm_90a`, bit 21 the `f` of `sm_100f` |
//!
//! Observed in files of `fatbinary` 13.5 and in published wheels of CUDA 11.8 to 13.2, beside what `cuobjdump` says of them.
//! Not covered: relocatable code that is linked when the program is (`__nv_relfatbin`), and what each image contains.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xba55_ed50;
const CONTAINER_HEADER: usize = 16;
/// The fixed part of an image's header.
const IMAGE_HEADER: usize = 64;
const PTX: u16 = 1;
const MACHINE_CODE: u16 = 2;
const JOINED: u16 = 0x100;
const FLAG_ARCHITECTURE: u64 = 1 << 20;
const FLAG_FAMILY: u64 = 1 << 21;

/// How many images a section holds for each architecture: `sm_90a` for machine code, `compute_90` for PTX.
pub fn architectures(section: &[u8]) -> Result<BTreeMap<String, u64>, String> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    while at < section.len() {
        // Between containers there are zeros, up to where the next is aligned.
        if section[at] == 0 {
            at += 1;
            continue;
        }
        at = container(section, at, &mut found)?;
    }
    Ok(found)
}

/// Reads one container and returns where it ends.
fn container(section: &[u8], at: usize, found: &mut BTreeMap<String, u64>) -> Result<usize, String> {
    let fault = |what: &str| format!("byte {at} of .nv_fatbin: {what}");
    let bytes = Bytes(&section[at..]);
    if bytes.u32(0) != Some(MAGIC) {
        return Err(fault("no container begins here"));
    }
    let header = usize::from(bytes.u16(6).unwrap_or(0));
    let size = bytes.u64(8).and_then(|size| usize::try_from(size).ok());
    let end = size.and_then(|size| header.checked_add(size)).filter(|end| *end <= section.len() - at);
    let Some(end) = end.filter(|_| header >= CONTAINER_HEADER) else {
        return Err(fault("the container is cut off"));
    };
    let mut image = header;
    while image < end {
        let bytes = Bytes(&section[at + image..at + end]);
        let next = images(bytes, found)
            .ok_or_else(|| format!("byte {} of .nv_fatbin: no image of a known form", at + image))?;
        image += next;
    }
    Ok(at + end)
}

/// Counts one image, or several that are joined, and returns its size.
fn images(bytes: Bytes, found: &mut BTreeMap<String, u64>) -> Option<usize> {
    let header = usize::try_from(bytes.u32(4)?).ok()?;
    let size = header.checked_add(usize::try_from(bytes.u64(8)?).ok()?)?;
    if header < IMAGE_HEADER || size > bytes.0.len() {
        return None;
    }
    if bytes.u16(0)? == JOINED {
        joined(Bytes(&bytes.0[IMAGE_HEADER..header]), found)?;
    } else {
        *found.entry(architecture(bytes)?).or_default() += 1;
    }
    Some(size)
}

/// Images that were compressed as one keep their headers in front, each with an offset where its size would stand: first how
/// many there are, then how long all of them are.
fn joined(bytes: Bytes, found: &mut BTreeMap<String, u64>) -> Option<()> {
    let (count, end) = (bytes.u32(0)?, usize::try_from(bytes.u32(4)?).ok()?);
    let mut at = 8;
    for _ in 0..count {
        let image = Bytes(bytes.0.get(at..end)?);
        *found.entry(architecture(image)?).or_default() += 1;
        at = at.checked_add(own_size(image)?)?;
    }
    (at == end).then_some(())
}

/// The size of an image's header where the header does not say: the fixed part, an identifier with a zero at its end, and an
/// offset, a length and as many bytes of attributes with four more; each is aligned to eight.
fn own_size(image: Bytes) -> Option<usize> {
    let number = |at: usize| usize::try_from(image.u32(at)?).ok();
    let (attributes, identifier, length) = (number(20)?, number(32)?, number(36)?);
    if attributes > 0 {
        let end = number(attributes)?.checked_add(number(attributes.checked_add(4)?)?)?;
        return end.checked_add(4)?.checked_next_multiple_of(8);
    }
    let end = if identifier > 0 { identifier.checked_add(length)?.checked_add(1)? } else { IMAGE_HEADER };
    end.checked_next_multiple_of(8)
}

fn architecture(image: Bytes) -> Option<String> {
    let kind = match image.u16(0)? {
        PTX => "compute_".to_owned(),
        MACHINE_CODE => "sm_".to_owned(),
        other => format!("kind{other}_"),
    };
    let flags = image.u64(40)?;
    let suffix = match (flags & FLAG_ARCHITECTURE != 0, flags & FLAG_FAMILY != 0) {
        (true, _) => "a",
        (false, true) => "f",
        (false, false) => "",
    };
    Some(format!("{kind}{}{suffix}", image.u32(28)?))
}

/// Numbers at offsets, the lowest byte first.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }
    fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
    fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }
    fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}
