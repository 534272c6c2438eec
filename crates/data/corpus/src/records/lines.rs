//! The lines of a file of records, of which no more is kept in memory than a record can be long.

use super::MAX_ABOUT_BYTES;
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use wootz_stdx::digest;

/// A letter of JSON is at most so many bytes of the line for each of its text.
const ESCAPED: u64 = 6;

/// Reads lines; those that are blank are none.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    left: u64,
    offset: u64,
    number: u64,
    bytes: Vec<u8>,
    hasher: Sha256,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    /// From 1, blank ones counted.
    pub number: u64,
    pub offset: u64,
    /// With its line break.
    pub length: u64,
}

/// Its bytes are absent where they are too many.
pub(crate) type Line<'a> = (At, Option<&'a [u8]>);

impl<R: Read> Lines<R> {
    /// At most `max` lines of a file whose lines hold at most `text_bytes` of text.
    pub fn new(file: R, text_bytes: u64, max: Option<u64>) -> Lines<R> {
        let limit = text_bytes.saturating_mul(ESCAPED).saturating_add(MAX_ABOUT_BYTES);
        Lines {
            reader: BufReader::with_capacity(1 << 20, file),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            left: max.unwrap_or(u64::MAX),
            offset: 0,
            number: 0,
            bytes: Vec::new(),
            hasher: Sha256::new(),
        }
    }

    /// The next line, without a byte order mark.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            let Some(length) = self.fill()? else { return Ok(None) };
            self.number += 1;
            let at = At { number: self.number, offset: self.offset, length };
            self.offset += length;
            let start = if at.offset == 0 { mark(&self.bytes) } else { 0 };
            if !self.bytes[start..].trim_ascii().is_empty() {
                self.left -= 1;
                let whole = length == self.bytes.len() as u64;
                return Ok(Some((at, whole.then_some(&self.bytes[start..]))));
            }
        }
    }

    /// Lower-case hex SHA-256 of what was read.
    pub fn sha256(self) -> String {
        digest::hex(&self.hasher.finalize())
    }

    /// Reads a line as far as the limit; its whole length, or `None` at the end.
    fn fill(&mut self) -> io::Result<Option<u64>> {
        self.bytes.clear();
        let mut length = 0;
        loop {
            let buffer = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.map_or(buffer.len(), |end| end + 1)];
            self.hasher.update(part);
            let room = self.limit.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&part[..part.len().min(room)]);
            let read = part.len();
            length += read as u64;
            self.reader.consume(read);
            if end.is_some() || read == 0 {
                return Ok((length > 0).then_some(length));
            }
        }
    }
}

/// Length of the byte order mark in front of a file.
pub(super) fn mark(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_not_kept() {
        let long = "x".repeat(MAX_ABOUT_BYTES as usize + 7);
        let text = format!("\u{feff}ab\n \r\n{long}\n\nlast");
        let mut lines = Lines::new(text.as_bytes(), 1, None);
        let mut read = Vec::new();
        while let Some((at, bytes)) = lines.next().unwrap() {
            read.push((
                at.number,
                at.offset,
                at.length,
                bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()),
            ));
        }
        let length = long.len() as u64 + 1;
        assert_eq!(
            read,
            [
                (1, 0, 6, Some("ab\n".to_owned())),
                (3, 9, length, None),
                (5, 10 + length, 4, Some("last".to_owned())),
            ]
        );
        assert_eq!(lines.sha256(), digest::hex(&Sha256::digest(&text)));
    }

    #[test]
    fn some_of_the_lines() {
        let mut lines = Lines::new("a\n\nb\nc\n".as_bytes(), 1, Some(2));
        let mut read = 0;
        while lines.next().unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, 2, "blank lines are no lines");
    }
}
