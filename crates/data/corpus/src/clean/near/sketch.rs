//! A document as 520 bytes from which its likeness to another can be told.
//!
//! Shingles are runs of three tokens (words, numbers, signs), so that layout does not matter. Each is hashed
//! once: part of the hash chooses one of 1040 bins, the rest competes there for the minimum (one permutation hashing,
//! Li, Owen and Zhang 2012). Bins that stay empty borrow from another for the bands (Shrivastava, "Optimal densification
//! for fast and accurate minwise hashing", 2017) and are left out of the comparison. A bin keeps 4 bits of its minimum
//! (Li and König, "b-bit minwise hashing", 2010), which costs little exactness and lets there be
//! more bins; the chance of equal bits is subtracted.

/// Bands, and rows in each.
const BANDS: usize = 20;
const ROWS: usize = 13;

/// Every fourth bin is a row of a band; the others make the comparison more exact.
const SPREAD: usize = 4;
const BINS: usize = BANDS * ROWS * SPREAD;

/// Keys of a sketch: two for each band.
pub(super) const KEYS: usize = 2 * BANDS;

/// Documents of fewer tokens are too short to be like others; exact copies are found by their digest.
const MIN_TOKENS: usize = 40;

/// Chance that two minima that differ leave the same bits.
const COLLISION: f64 = 1.0 / 15.0;

/// Two bins in a byte; 0 stands for an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch(Box<[u8; BINS / 2]>);

/// Sketches a text; `None` where it is too short.
pub fn sketch(text: &str) -> Option<Sketch> {
    let mut minima = [u32::MAX; BINS];
    let mut tokens = 0_usize;
    let (mut first, mut second) = (0_u64, 0_u64);
    for_each_token(text.as_bytes(), |token| {
        tokens += 1;
        if tokens >= 3 {
            let hash = mixed(first.rotate_left(21) ^ second.rotate_left(42) ^ token);
            let bin = usize::try_from(((hash >> 32) * BINS as u64) >> 32).unwrap_or(0);
            let value = u32::try_from(hash & 0xFFFF_FFFE).unwrap_or(0);
            minima[bin] = minima[bin].min(value);
        }
        (first, second) = (second, token);
    });
    if tokens < MIN_TOKENS {
        return None;
    }
    let mut bins = Box::new([0; BINS / 2]);
    for (bin, minimum) in minima.iter().enumerate().filter(|(_, minimum)| **minimum != u32::MAX) {
        // Minima are small numbers: their bits are mixed before four of them are kept.
        let bits = u8::try_from(mixed(u64::from(*minimum)) % 15).unwrap_or(0) + 1;
        bins[bin / 2] |= bits << (4 * (bin % 2));
    }
    Some(Sketch(bins))
}

impl Sketch {
    /// Estimated Jaccard index of the shingles of two documents.
    pub fn likeness(&self, other: &Sketch) -> f64 {
        let (mut equal, mut both, mut either) = (0_u32, 0_u32, 0_u32);
        for (a, b) in self.0.iter().zip(other.0.iter()) {
            for (a, b) in [(a & 15, b & 15), (a >> 4, b >> 4)] {
                equal += u32::from(a == b && a != 0);
                both += u32::from(a != 0 && b != 0);
                either += u32::from(a | b != 0);
            }
        }
        // Only where both bins are filled can bits be equal by chance.
        let by_chance = COLLISION * f64::from(both);
        (f64::from(equal) - by_chance) / (f64::from(either.max(1)) * (1.0 - COLLISION))
    }

    fn bin(&self, bin: usize) -> u8 {
        self.0[bin / 2] >> (4 * (bin % 2)) & 15
    }

    /// One key for each half of each band.
    pub(super) fn keys(&self) -> [u64; KEYS] {
        let mut dense = [0; BANDS * ROWS];
        for (row, value) in dense.iter_mut().enumerate() {
            *value = self.bin(row * SPREAD);
            let mut attempt = 0;
            while *value == 0 {
                attempt += 1;
                let draw = mixed((row as u64) << 32 | attempt);
                *value = self.bin(usize::try_from(((draw >> 32) * BINS as u64) >> 32).unwrap_or(0));
            }
        }
        let mut keys = [0; KEYS];
        for (band, rows) in dense.chunks_exact(ROWS).enumerate() {
            let halves = rows.split_at(ROWS / 2);
            for (half, rows) in [halves.0, halves.1].into_iter().enumerate() {
                let packed = rows.iter().fold(0, |packed, row| packed << 8 | u64::from(*row));
                keys[2 * band + half] = mixed(packed ^ ((2 * band + half) as u64 + 1) << 56);
            }
        }
        keys
    }
}

/// Calls with the hash of each token: a run of letters, digits and `_`, or any other byte but white space.
fn for_each_token(bytes: &[u8], mut token: impl FnMut(u64)) {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match CLASSES[usize::from(byte)] {
            Class::Space => {}
            Class::Sign => token(mixed(u64::from(byte) << 32)),
            Class::Word => {
                let mut hash = 0xCBF2_9CE4_8422_2325 ^ u64::from(byte);
                while let Some(&byte) =
                    bytes.get(at).filter(|byte| CLASSES[usize::from(**byte)] == Class::Word)
                {
                    hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(byte);
                    at += 1;
                }
                token(mixed(hash));
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Sign,
    Word,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = byte as u8;
        if letter.is_ascii_alphanumeric() || letter == b'_' || byte >= 0x80 {
            classes[byte] = Class::Word;
        } else if letter.is_ascii_whitespace() {
            classes[byte] = Class::Space;
        }
        byte += 1;
    }
    classes
};

/// A bijection of 64 bits in which each bit depends on all (the finalizer of SplitMix64, Steele et al. 2014).
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
