//! A file without its bodies: what stands inside braces at the top declares nothing at the top.
//!
//! The trick that makes chunking several times faster than the parser it rests on: a scanner that knows only
//! comments, literals and braces finds the bodies at hundreds of MB/s, and the parser reads what is left, which
//! has the same items. Where the scanner is not sure (braces that do not match, a literal that does not end), or
//! the parser can make nothing of what is left, the whole file is parsed instead. A file with errors in its bodies
//! comes out better than from the parser alone: they cannot spill over into the items around.
//!
//! Not covered: languages whose bodies are not braces (Python) or whose literals need a parser (JavaScript).

use std::ops::Range;

/// What the scanner has to know about a language.
pub(crate) struct Lexis {
    /// Bytes at which a comment or literal may begin.
    pub starts: &'static [u8],
    /// The end of the comment or literal that begins at a position; see [`Token`].
    pub token: fn(&[u8], usize) -> Token,
    /// Whether a brace may open a container, whose members stand at the top: by the text since the statement
    /// before. A yes too many only keeps text that could have gone; a no too many would lose items.
    pub opens_container: fn(&[u8]) -> bool,
    /// Whether a long `[…]` after `=` or `&` is a table, which is a body too.
    pub tables: bool,
}

/// What begins at a position.
pub(crate) enum Token {
    /// A comment or literal that ends here.
    Ends(usize),
    /// Neither.
    Plain,
    /// Something that does not end as it should: the scanner gives up.
    Broken,
}

/// Tables that are shorter than this stay.
const MIN_TABLE_BYTES: usize = 64;

/// The bodies of a file: ascending ranges between braces, or `None` where the scanner is not sure.
pub(crate) fn bodies(source: &[u8], lexis: &Lexis) -> Option<Vec<Range<usize>>> {
    let stops = stops(lexis);
    let mut bodies = Vec::new();
    let mut containers = 0usize;
    let mut statement = 0;
    let mut at = 0;
    while let Some(step) = source[at..].iter().position(|byte| stops[usize::from(*byte)]) {
        at += step;
        match source[at] {
            b'{' if (lexis.opens_container)(&source[statement..at]) => {
                containers += 1;
                at += 1;
                statement = at;
            }
            b'{' => {
                let close = closing(source, at, (b'{', b'}'), lexis, &stops)?;
                bodies.push(at + 1..close);
                at = close + 1;
                statement = at;
            }
            b'}' => {
                containers = containers.checked_sub(1)?;
                at += 1;
                statement = at;
            }
            b';' => {
                at += 1;
                statement = at;
            }
            b'[' if lexis.tables && follows_table_start(source, at) => {
                let close = closing(source, at, (b'[', b']'), lexis, &stops)?;
                if close - at > MIN_TABLE_BYTES {
                    bodies.push(at + 1..close);
                }
                at = close + 1;
            }
            _ => at = past(source, at, lexis)?,
        }
    }
    (containers == 0).then_some(bodies)
}

/// The bytes at which the scanner has to look closer.
fn stops(lexis: &Lexis) -> [bool; 256] {
    let mut stops = [false; 256];
    for byte in lexis.starts.iter().chain(b"{}[];") {
        stops[usize::from(*byte)] = true;
    }
    stops
}

/// Where the bracket that opens at `open` closes.
fn closing(
    source: &[u8],
    open: usize,
    (opening, closing): (u8, u8),
    lexis: &Lexis,
    stops: &[bool; 256],
) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = open;
    loop {
        at += source[at..].iter().position(|byte| stops[usize::from(*byte)])?;
        let byte = source[at];
        if byte == opening {
            depth += 1;
            at += 1;
        } else if byte == closing {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
            at += 1;
        } else {
            at = past(source, at, lexis)?;
        }
    }
}

/// Past the comment or literal at a position, or past one byte.
fn past(source: &[u8], at: usize, lexis: &Lexis) -> Option<usize> {
    match (lexis.token)(source, at) {
        Token::Ends(end) => Some(end),
        Token::Plain => Some(at + 1),
        Token::Broken => None,
    }
}

fn follows_table_start(source: &[u8], at: usize) -> bool {
    let before = source[..at].trim_ascii_end();
    matches!(before.last(), Some(b'=' | b'&'))
}

/// A file's text without its bodies, and the way back to the file's positions.
pub(crate) struct Skeleton {
    pub text: Vec<u8>,
    /// Position in `text` at which bytes are missing, and how many are missing up to and including there.
    missing: Vec<(usize, usize)>,
}

impl Skeleton {
    pub fn new(source: &[u8], bodies: &[Range<usize>]) -> Skeleton {
        let mut skeleton = Skeleton { text: Vec::with_capacity(source.len() / 2), missing: Vec::new() };
        let (mut from, mut gone) = (0, 0);
        for body in bodies.iter().filter(|body| !body.is_empty()) {
            skeleton.text.extend_from_slice(&source[from..body.start]);
            gone += body.len();
            skeleton.missing.push((skeleton.text.len(), gone));
            from = body.end;
        }
        skeleton.text.extend_from_slice(&source[from..]);
        skeleton
    }

    /// The file's position for one in the skeleton. Never asked for the inside of a brace pair.
    pub fn original(&self, position: usize) -> usize {
        let before = self.missing.partition_point(|(at, _)| *at < position);
        position + before.checked_sub(1).map_or(0, |last| self.missing[last].1)
    }
}

/// The end of a `/* … */` comment that begins at `at`, nested or not.
pub(crate) fn block_comment(source: &[u8], at: usize, nested: bool) -> Token {
    let mut depth = 1;
    let mut next = at + 2;
    while let Some(step) =
        source.get(next..).and_then(|rest| rest.iter().position(|b| matches!(b, b'*' | b'/')))
    {
        next += step;
        match source.get(next..next + 2) {
            Some(b"*/") => {
                depth -= 1;
                next += 2;
                if depth == 0 {
                    return Token::Ends(next);
                }
            }
            Some(b"/*") if nested => {
                depth += 1;
                next += 2;
            }
            _ => next += 1,
        }
    }
    Token::Broken
}

/// The end of a line, its newline excluded.
pub(crate) fn line_end(source: &[u8], at: usize) -> usize {
    source[at..].iter().position(|byte| *byte == b'\n').map_or(source.len(), |step| at + step)
}

/// The end of a literal between `quote`s with backslash escapes; `lines`: whether it may hold a newline.
pub(crate) fn quoted(source: &[u8], at: usize, quote: u8, lines: bool) -> Token {
    let mut next = at + 1;
    while let Some(byte) = source.get(next) {
        match byte {
            b'\\' => next += 2,
            byte if *byte == quote => return Token::Ends(next + 1),
            b'\n' if !lines => return Token::Broken,
            _ => next += 1,
        }
    }
    Token::Broken
}

/// Whether a word stands near the end of a statement's head.
pub(crate) fn ends_near(head: &[u8], word: &[u8]) -> bool {
    let part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    head[head.len().saturating_sub(200)..].split(|byte| !part_of_word(byte)).any(|part| part == word)
}
