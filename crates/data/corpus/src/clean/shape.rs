//! Files whose shape is not that of code people write: squeezed into few lines, or data in the form of code.
//!
//! One scan divides a file's bytes into white space, comments, literals and the rest. A table shows in lines that
//! hold literals and punctuation only; a blob shows in strings without a space; squeezed code shows in long lines with
//! hardly any white space. All thresholds are shares of the whole file, so that a table beside the code that reads it stays.

/// Smaller files are left alone, bytes outside of comments.
const MIN_BYTES: usize = 4 << 10;

/// A table with hardly more code than it takes to declare it is data, bytes.
const MIN_CODE: usize = 512;

/// Lines from this length on are long, bytes.
const LONG_LINE: usize = 500;

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Code.
    Code,
    /// Code squeezed into few lines.
    Minified,
    /// Tables or blobs.
    Data,
}

/// Judges a file's shape; `language` by name.
pub fn shape(text: &str, language: &str) -> Shape {
    if text.len() < MIN_BYTES {
        return Shape::Code;
    }
    let counts = Counts::of(text.as_bytes(), language);
    let solid = counts.solid.max(1);
    if solid < MIN_BYTES {
        return Shape::Code;
    }
    let share = |part: usize, of: usize| part as f64 / of as f64;
    let literals = counts.numbers.max(counts.table);
    let is_data = share(literals, solid) > 0.9
        || share(literals, solid) > 0.6 && solid - literals <= MIN_CODE
        || share(counts.blob, solid) > 0.5;
    if is_data {
        return Shape::Data;
    }
    let code = counts.solid + counts.white;
    if share(counts.in_long_lines, code) > 0.5 && share(counts.white, code) < 0.15 {
        return Shape::Minified;
    }
    Shape::Code
}

/// Bytes of each sort, comments left out of all.
#[derive(Default)]
struct Counts {
    /// Neither white space nor comment.
    solid: usize,
    white: usize,
    /// In number literals, and the commas behind them.
    numbers: usize,
    /// In lines without a word, an assignment, a call or a `;`.
    table: usize,
    /// In string literals of 64 bytes and more without white space.
    blob: usize,
    in_long_lines: usize,
}

/// What stands in the line that is being read.
#[derive(Default)]
struct Line {
    solid: usize,
    white: usize,
    literals: usize,
    has_code: bool,
}

impl Counts {
    fn of(bytes: &[u8], language: &str) -> Counts {
        let hash_comments = language == "python";
        // Elsewhere a back quote stands in prose.
        let back_quotes = matches!(language, "javascript" | "typescript" | "go");
        let mut counts = Counts::default();
        let mut line = Line::default();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            let next = bytes.get(at + 1).copied();
            match byte {
                b'\n' => {
                    counts.end(std::mem::take(&mut line));
                    at += 1;
                }
                b' ' | b'\t' | b'\r' => {
                    line.white += 1;
                    at += 1;
                }
                b'/' if next == Some(b'/') && !hash_comments => at = end_of_line(bytes, at),
                b'#' if hash_comments => at = end_of_line(bytes, at),
                b'/' if next == Some(b'*') && !hash_comments => at = end_of_block(bytes, at),
                b'"' if hash_comments && bytes[at..].starts_with(b"\"\"\"") => {
                    at = end_of_docstring(bytes, at)
                }
                b'"' | b'\'' | b'`' if byte != b'`' || back_quotes => {
                    let end = end_of_string(bytes, at);
                    counts.blob += blob(&bytes[at..end]);
                    line.solid += end - at;
                    line.literals += end - at;
                    at = end;
                }
                b'0'..=b'9' => {
                    let mut end = word_end(bytes, at);
                    end += usize::from(bytes.get(end) == Some(&b','));
                    counts.numbers += end - at;
                    line.solid += end - at;
                    line.literals += end - at;
                    at = end;
                }
                b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => {
                    let end = word_end(bytes, at);
                    line.solid += end - at;
                    line.has_code = true;
                    at = end;
                }
                _ => {
                    line.has_code |= matches!(byte, b';' | b'=' | b'(' | b'#' | b'<' | b'>');
                    line.solid += 1;
                    at += 1;
                }
            }
        }
        counts.end(line);
        counts
    }

    fn end(&mut self, line: Line) {
        self.solid += line.solid;
        self.white += line.white + 1;
        if line.literals > 0 && !line.has_code {
            self.table += line.solid;
        }
        if line.solid + line.white >= LONG_LINE {
            self.in_long_lines += line.solid + line.white;
        }
    }
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length)
}

fn end_of_block(bytes: &[u8], at: usize) -> usize {
    memchr::memmem::find(&bytes[at + 2..], b"*/").map_or(bytes.len(), |length| at + 2 + length + 2)
}

/// A text in three quotes is prose as a rule.
fn end_of_docstring(bytes: &[u8], at: usize) -> usize {
    memchr::memmem::find(&bytes[at + 3..], b"\"\"\"").map_or(bytes.len(), |length| at + 3 + length + 3)
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || *byte >= 0x80;
    bytes[at..].iter().position(|byte| !is_word(byte)).map_or(bytes.len(), |length| at + length)
}

/// End of a string on its line; a quote without its partner (a lifetime, an apostrophe) is one byte.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'\\' => end += 2,
            b'\n' if quote != b'`' => return at + 1,
            _ if byte == quote => return end + 1,
            _ => end += 1,
        }
    }
    at + 1
}

/// Length of a string that is a blob, else 0.
fn blob(string: &[u8]) -> usize {
    let is_blob = string.len() >= 64 && !string.iter().any(u8::is_ascii_whitespace);
    if is_blob { string.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Shape) {
        assert_eq!(shape(text, "javascript"), expected, "{}", &text[..80.min(text.len())]);
    }

    #[test]
    fn data() {
        check(
            &format!("const int table[] = {{\n{}}};\n", "    0x12, 0x34, 0x56, 0x78,\n".repeat(400)),
            Shape::Data,
        );
        check(
            &format!("static const char *blob =\n{};\n", format!("\"{}\"\n", "QUJD".repeat(19)).repeat(100)),
            Shape::Data,
        );
        check(&format!("words = [\n{}]\n", "  \"apple pie\", \"banana\",\n".repeat(400)), Shape::Data);
        check(&format!("x=\"{}\"", "\\x1f\\x8b".repeat(1000)), Shape::Data);
    }

    #[test]
    fn minified() {
        check(&"function a(b,c){return b+c(a)}var d=a(e,f);".repeat(200), Shape::Minified);
    }

    #[test]
    fn code() {
        let function = "int add(int a, int b) {\n    // adds 1, 2, 3\n    return a + b + 17;\n}\n\n";
        check(&function.repeat(200), Shape::Code);
        // A table in as much code, a table of calls, one long line, a small table.
        let table = "    0x12, 0x34, 0x56, 0x78,\n".repeat(100);
        check(&format!("int t[] = {{\n{table}}};\n{}", function.repeat(60)), Shape::Code);
        check(&"    {\"name\", add(1), FLAG_A},\n".repeat(300), Shape::Code);
        check(&format!("{}// {}\n", function.repeat(100), "word ".repeat(200)), Shape::Code);
        check(&format!("int t[] = {{\n{}}};\n", "1, 2, 3,\n".repeat(20)), Shape::Code);
        check(&"// 1, 2, 3, 4\n".repeat(1000), Shape::Code);
        let documented = "def f(x):\n    \"\"\"Calls `g`, that's 1, 2, 3.\"\"\"\n    return g(x)\n\n";
        assert_eq!(shape(&documented.repeat(200), "python"), Shape::Code);
    }
}
