//! Short pieces as a fixed-size key: fifteen bytes and their length in two words.
//!
//! More than 95 of 100 pieces of code are this short, so most look-ups compare two words and never follow a pointer.

/// Longest piece that has a key, in bytes.
pub(crate) const LONGEST: usize = 15;

/// A piece of 1 to 15 bytes; the length is the top byte of `high`, so no key is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Key {
    /// The key of `text[start..end]`, which is 1 to 15 bytes long.
    #[inline]
    pub(crate) fn new(text: &[u8], start: usize, end: usize) -> Key {
        let len = end - start;
        let (low, high) = match text.get(start..start + 16) {
            Some(window) => words(window),
            None => {
                let mut window = [0u8; 16];
                window[..len].copy_from_slice(&text[start..end]);
                words(&window)
            }
        };
        let tag = (len as u64) << 56;
        if len < 8 {
            Key { low: low & !(u64::MAX << (len * 8)), high: tag }
        } else {
            Key { low, high: high & !(u64::MAX << ((len - 8) * 8)) | tag }
        }
    }

    /// A hash whose high bits are as good as its low ones.
    #[inline]
    pub(crate) fn hash(self) -> u64 {
        fold(self.low ^ 0x9E37_79B9_7F4A_7C15, self.high ^ 0xC2B2_AE3D_27D4_EB4F)
    }

    /// Length of the piece in bytes; 0 for the empty slot.
    pub(crate) fn len(self) -> usize {
        (self.high >> 56) as usize
    }

    /// The piece itself: the first `len` bytes of the array.
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&self.low.to_le_bytes());
        bytes[8..].copy_from_slice(&(self.high & (u64::MAX >> 8)).to_le_bytes());
        bytes
    }
}

/// Hash of a byte string of any length.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64 ^ 0x27D4_EB2F_1656_67C5;
    for chunk in bytes.chunks(16) {
        let mut window = [0u8; 16];
        window[..chunk.len()].copy_from_slice(chunk);
        let (low, high) = words(&window);
        state =
            fold(state ^ low ^ 0x9E37_79B9_7F4A_7C15, high ^ 0xC2B2_AE3D_27D4_EB4F ^ state.rotate_left(32));
    }
    state
}

/// Both halves of the 128-bit product, mixed.
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn words(window: &[u8]) -> (u64, u64) {
    let word = |at: usize| {
        let bytes = window[at..at + 8].try_into().expect("eight bytes, because the window has sixteen");
        u64::from_le_bytes(bytes)
    };
    (word(0), word(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_their_piece_wherever_it_stands() {
        let text = b"the quick brown fox jumps over";
        for start in 0..text.len() {
            for end in start + 1..=text.len().min(start + LONGEST) {
                let key = Key::new(text, start, end);
                let piece = &text[start..end];
                assert_eq!(&key.bytes()[..key.len()], piece);
                assert_eq!(key, Key::new(piece, 0, piece.len()), "what follows a piece must not show");
            }
        }
    }
}
