//! What a process says, as lines with their time and whose they are.

use wootz_schema::task::{LogLine, TaskLabel};

/// A line that is longer is told in pieces, so that one without end takes no memory.
const MOST_BYTES: usize = 64 << 10;

/// Cuts a stream into lines and writes each as a [`LogLine`].
pub(crate) struct Lines {
    /// A line between its time and its text, which are all that changes.
    middle: String,
    pending: Vec<u8>,
}

impl Lines {
    pub fn new(label: &TaskLabel, stream: &str) -> Lines {
        let line = LogLine {
            timestamp: String::new(),
            workflow_id: label.workflow_id.clone(),
            run_id: label.run_id.clone(),
            step_id: label.step_id.clone(),
            step_name: label.step_name.clone(),
            attempt: label.attempt,
            stream: stream.to_owned(),
            message: String::new(),
            partial: false,
        };
        let text = serde_json::to_string(&line).expect("a line has text keys and plain values only");
        let middle = text
            .strip_prefix(r#"{"timestamp":"""#)
            .and_then(|text| text.strip_suffix(r#""","partial":false}"#));
        Lines {
            middle: middle.expect("the fields stand in the order of the type").to_owned(),
            pending: Vec::new(),
        }
    }

    /// Takes the next bytes; the lines that they end go to `out`.
    pub fn take(&mut self, mut bytes: &[u8], timestamp: &str, out: &mut Vec<u8>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.pending.is_empty() {
                self.write(line, false, timestamp, out);
            } else {
                self.pending.extend_from_slice(line);
                let whole = std::mem::take(&mut self.pending);
                self.write(&whole, false, timestamp, out);
            }
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= MOST_BYTES {
            self.end(timestamp, out);
        }
    }

    /// Tells what is left of a line that was not ended.
    pub fn end(&mut self, timestamp: &str, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.write(&rest, true, timestamp, out);
        }
    }

    fn write(&self, line: &[u8], partial: bool, timestamp: &str, out: &mut Vec<u8>) {
        let line = if partial { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        out.extend_from_slice(br#"{"timestamp":""#);
        out.extend_from_slice(timestamp.as_bytes());
        out.push(b'"');
        out.extend_from_slice(self.middle.as_bytes());
        let text = String::from_utf8_lossy(line);
        serde_json::to_writer(&mut *out, text.as_ref()).expect("text can be written to memory");
        out.extend_from_slice(if partial { b",\"partial\":true}\n" } else { b",\"partial\":false}\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let (workflow_id, run_id) = ("w\"".to_owned(), "r".to_owned());
        let label = TaskLabel {
            workflow_id,
            run_id,
            step_id: "s".to_owned(),
            step_name: "a\nb".to_owned(),
            attempt: 3,
        };
        let mut lines = Lines::new(&label, "stderr");
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| lines.take(piece, "2026-01-01T00:00:00Z", &mut out));
        lines.end("2026-01-01T00:00:00Z", &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<LogLine>(line).unwrap());
        lines
            .map(|line| {
                assert_eq!(
                    (line.workflow_id.as_str(), line.step_name.as_str(), line.attempt),
                    ("w\"", "a\nb", 3)
                );
                assert_eq!(
                    (line.stream.as_str(), line.timestamp.as_str()),
                    ("stderr", "2026-01-01T00:00:00Z")
                );
                (line.message, line.partial)
            })
            .collect()
    }

    #[test]
    fn lines_are_cut_at_their_ends_wherever_the_pieces_end() {
        let text = "one\r\ntwo \"quoted\"\n\nfünf\u{1}\r\r\nrest\r";
        let expected = [
            ("one", false),
            ("two \"quoted\"", false),
            ("", false),
            ("fünf\u{1}\r", false),
            ("rest\r", true),
        ];
        let expected: Vec<(String, bool)> =
            expected.map(|(text, partial)| (text.to_owned(), partial)).to_vec();
        for cut in 0..=text.len() {
            let (before, behind) = text.as_bytes().split_at(cut);
            assert_eq!(told(&[before, behind]), expected, "{cut}");
        }
        assert_eq!(told(&[b"\xff\n"]), [("\u{fffd}".to_owned(), false)]);
        assert!(told(&[]).is_empty());
    }

    #[test]
    fn a_line_without_end_is_told_in_pieces() {
        let piece = vec![b'x'; 10_000];
        let lines = told(&vec![piece.as_slice(); 30]);
        assert!(lines.len() > 3 && lines.iter().all(|(text, partial)| *partial && text.len() < 80_000));
        assert_eq!(lines.iter().map(|(text, _)| text.len()).sum::<usize>(), 300_000);
    }
}
