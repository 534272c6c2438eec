//! A view in bytes, so that a line which was scanned once need not be scanned again: what the scan found, the ID, and a part of the line.
//!
//! Of the line there is what questions are about: of an issue that is done, what others ask of it; of another, all but long texts. Numbers are
//! little-endian: lengths of ID and part, the places of the values in it, status, flags, priority, age.

use super::{KEYS, Key, Known, View};
use crate::scan;

/// Bytes before the ID.
const FIXED: usize = 4 * 2 + 2 * KEYS.len() + 2 + 8 + 16;
const STATUSES: [Known; 5] = [Known::Open, Known::InProgress, Known::Closed, Known::Tombstone, Known::Told];
/// Values that are longer are left out, where no view knows their places.
const MOST_OF_VALUE: usize = 64;
/// What others ask of an issue that is done.
const OF_DONE: [usize; 7] = [
    Key::Status as usize,
    Key::OriginalStatus as usize,
    Key::CreatedAt as usize,
    Key::DeferUntil as usize,
    Key::CloseReason as usize,
    Key::BlockedBy as usize,
    Key::Dependencies as usize,
];

impl<'a> View<'a> {
    /// Adds it to bytes; `None`, and nothing of use in them, where it is too long.
    pub(crate) fn store(&self, found: &mut Vec<(&'a [u8], &'a [u8])>, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        out.extend([0; FIXED]);
        out.extend(self.id.as_bytes());
        let part = out.len();
        let mut places = [0; KEYS.len()];
        scan::fields(self.scanned, found)?;
        let mut before = b'{';
        for (key, value) in found.iter() {
            let known = KEYS.iter().position(|known| known == key);
            let is_kept = match (self.is_done(), known) {
                (true, known) => known.is_some_and(|known| OF_DONE.contains(&known)),
                (false, known) => known.is_some() || value.len() <= MOST_OF_VALUE,
            };
            if is_kept {
                out.extend([before, b'"']);
                out.extend(*key);
                out.extend(b"\":");
                known.into_iter().for_each(|known| places[known] = out.len() - part);
                out.extend(*value);
                before = b',';
            }
        }
        out.push(b'}');
        let mut fixed = Vec::with_capacity(FIXED);
        fixed.extend(u32::try_from(self.id.len()).ok()?.to_le_bytes());
        fixed.extend(u32::try_from(out.len() - part).ok()?.to_le_bytes());
        for place in places {
            fixed.extend(u16::try_from(place).ok()?.to_le_bytes());
        }
        fixed.push(STATUSES.iter().position(|status| *status == self.status)? as u8);
        let flags = [self.is_aside, self.has_blockers, self.has_dependencies];
        fixed.push(flags.iter().rev().fold(0, |all, flag| all << 1 | u8::from(*flag)));
        fixed.extend(self.priority.to_le_bytes());
        fixed.extend(self.age.to_le_bytes());
        out[start..start + FIXED].copy_from_slice(&fixed);
        Some(())
    }

    /// The view that stands first in bytes, and what stands behind it.
    pub(crate) fn stored(bytes: &'a [u8]) -> Option<(View<'a>, &'a [u8])> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let mut at = 0;
        let id_bytes = u32::from_le_bytes(number(fixed, &mut at)) as usize;
        let line_bytes = u32::from_le_bytes(number(fixed, &mut at)) as usize;
        let (id, rest) = rest.split_at_checked(id_bytes)?;
        let (line, rest) = rest.split_at_checked(line_bytes)?;
        let mut places = [0; KEYS.len()];
        for place in &mut places {
            *place = u32::from(u16::from_le_bytes(number(fixed, &mut at)));
        }
        let [status, flags] = number(fixed, &mut at);
        let view = View {
            id: std::str::from_utf8(id).ok()?,
            line,
            scanned: line,
            places,
            status: *STATUSES.get(usize::from(status))?,
            is_aside: flags & 1 != 0,
            has_blockers: flags & 2 != 0,
            has_dependencies: flags & 4 != 0,
            priority: i64::from_le_bytes(number(fixed, &mut at)),
            age: u128::from_le_bytes(number(fixed, &mut at)),
        };
        Some((view, rest))
    }

    /// The same, with the whole line behind what it knows of it.
    pub(crate) fn with_line(self, line: &'a [u8]) -> View<'a> {
        View { line, ..self }
    }
}

/// The next bytes of a number.
fn number<const BYTES: usize>(fixed: &[u8; FIXED], at: &mut usize) -> [u8; BYTES] {
    let bytes = fixed[*at..].first_chunk().expect("all numbers together are FIXED bytes");
    *at += BYTES;
    *bytes
}
