//! The end of a file, and what is added to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much is read at once.
const PIECE_BYTES: u64 = 64 << 10;

/// The last lines of a file, and where they end.
pub fn last_lines(path: &Path, lines: usize) -> io::Result<(Vec<u8>, Tail)> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let (mut begin, mut found) = (end, Vec::new());
    // A line more than asked for begins before the lines that are: its end is what is looked for.
    while begin > 0 && starts(&found).len() <= lines {
        let from = begin.saturating_sub(PIECE_BYTES);
        let mut piece = vec![0; usize::try_from(begin - from).unwrap_or(usize::MAX)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut piece)?;
        piece.append(&mut found);
        (begin, found) = (from, piece);
    }
    let starts = starts(&found);
    let first = starts.len().saturating_sub(lines);
    let from = starts.get(first).copied().unwrap_or(found.len());
    Ok((found.split_off(from), Tail { file, read: end }))
}

/// Where lines start.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let behind = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind).filter(|at| *at < bytes.len()).collect()
}

/// A file that is followed.
#[derive(Debug)]
pub struct Tail {
    file: File,
    read: u64,
}

impl Tail {
    /// What was added since the last time; a piece of it where it is much.
    pub fn news(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.read))?;
        (&mut self.file).take(PIECE_BYTES).read_to_end(&mut bytes)?;
        self.read += bytes.len() as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("wootz-tail-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_last_lines_are_those_that_a_whole_read_tells() {
        let long = "y".repeat(40_000);
        for text in ["", "a", "a\n", "a\nb", "a\n\n\nb\n", &format!("{long}\n").repeat(9)] {
            let path = file("lines", text);
            for count in [0, 1, 2, 3, 5, 100] {
                let all: Vec<&str> = text.split_inclusive('\n').collect();
                let expected = all[all.len().saturating_sub(count)..].concat();
                assert_eq!(last_lines(&path, count).unwrap().0, expected.as_bytes(), "{count}");
            }
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_is_added_follows_without_a_gap() {
        let path = file("news", "a\nb");
        let (_, mut tail) = last_lines(&path, 1).unwrap();
        assert_eq!(tail.news().unwrap(), b"");
        fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail.news().unwrap(), b"\nc\n");
        assert_eq!(tail.news().unwrap(), b"");
        fs::remove_file(path).unwrap();
    }
}
