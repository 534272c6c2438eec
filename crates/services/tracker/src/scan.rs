//! Finds the fields of a line without building anything: what tells an open issue from a closed one among 100,000.
//!
//! A string is skipped from quote to quote with vector search, a list or an object by counting its brackets. A line that this
//! accepts is closed: no text and no bracket is left open, and nothing follows the object. Whether what stands between is JSON to the last
//! letter is for [`crate::Record::read`] to say.

use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Lines of a file, each without its end; a byte order mark is none of the first.
pub fn lines(bytes: &[u8]) -> Lines<'_> {
    lines_within(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// Lines of a part of a file.
pub fn lines_within(bytes: &[u8]) -> Lines<'_> {
    Lines { rest: bytes }
}

/// Lines, each without its end.
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = match memchr(b'\n', self.rest) {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The ID of a line that begins with it, as every line does that a tracker of this family wrote.
pub fn leading_id(line: &[u8]) -> Option<&str> {
    let rest = line.strip_prefix(b"{\"id\":\"")?;
    let end = memchr2(b'"', b'\\', rest)?;
    let closed = rest[end] == b'"' && line.ends_with(b"}");
    closed.then(|| std::str::from_utf8(&rest[..end]).ok()).flatten()
}

/// Keys and values of an object, each as it stands in the line, keys without their quotes; `None` where the line is not one object.
pub fn fields<'a>(line: &'a [u8], fields: &mut Vec<(&'a [u8], &'a [u8])>) -> Option<()> {
    fields.clear();
    let mut at = space(line, 0);
    if line.get(at) != Some(&b'{') {
        return None;
    }
    at = space(line, at + 1);
    if line.get(at) == Some(&b'}') {
        return (space(line, at + 1) == line.len()).then_some(());
    }
    loop {
        let key_end = text_end(line, at)?;
        let key = &line[at + 1..key_end - 1];
        at = space(line, key_end);
        if line.get(at) != Some(&b':') {
            return None;
        }
        at = space(line, at + 1);
        let value_end = value_end(line, at)?;
        fields.push((key, &line[at..value_end]));
        at = space(line, value_end);
        match line.get(at)? {
            b',' => at = space(line, at + 1),
            b'}' => return (space(line, at + 1) == line.len()).then_some(()),
            _ => return None,
        }
    }
}

/// The texts of a list of texts, as it stands in a line.
pub fn texts(list: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let mut at = 1;
    std::iter::from_fn(move || {
        loop {
            at = space(list, at);
            match list.get(at)? {
                b',' => at += 1,
                b'"' => {
                    let end = text_end(list, at)?;
                    let text = text(&list[at..end]);
                    at = end;
                    return text;
                }
                _ => at = value_end(list, at)?,
            }
        }
    })
}

/// A text as it stands in a line, quotes included.
pub fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice(value).ok().map(Cow::Owned)
}

/// The value that begins here, in a line whose fields have been found.
pub(crate) fn value(line: &[u8], start: usize) -> &[u8] {
    value_end(line, start).map_or(&[], |end| &line[start..end])
}

fn space(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Behind the closing quote of the text that begins here.
fn text_end(line: &[u8], at: usize) -> Option<usize> {
    if line.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Behind the value that begins here.
fn value_end(line: &[u8], start: usize) -> Option<usize> {
    match line.get(start)? {
        b'"' => text_end(line, start),
        b'[' if line.get(start + 1) == Some(&b']') => Some(start + 2),
        b'{' | b'[' => {
            let (mut at, mut depth) = (start, 0_usize);
            loop {
                match line.get(at)? {
                    b'"' => {
                        at = text_end(line, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let length = line[start..]
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'));
            length.filter(|length| *length > 0).map(|length| start + length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use proptest::prelude::*;

    fn all(line: &[u8]) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        fields(line, &mut found)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(found.into_iter().map(|(key, value)| (text(key), text(value))).collect())
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[ -~é\"\\\\\n{}\\[\\]:,]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::vec(("[a-z\"]{0,4}", inner), 0..5)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_reader(value in json(), pretty: bool) {
            let line = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let read = Record::read(line.as_bytes()).ok();
            let found = all(line.as_bytes());
            prop_assert_eq!(found.is_some(), read.is_some());
            if let (Some(found), Some(read)) = (found, read) {
                let values: Vec<_> = found.into_iter().map(|(_, value)| value).collect();
                let expected: Vec<_> = read.fields().map(|(_, value)| value.get().to_owned()).collect();
                prop_assert_eq!(values, expected);
            }
        }

        #[test]
        fn what_is_cut_is_refused(value in json(), part in 0.0..1.0) {
            let line = serde_json::json!({ "id": "a", "v": value }).to_string();
            let cut = (line.len() as f64 * part) as usize;
            prop_assert!(all(&line.as_bytes()[..cut]).is_none());
        }

        #[test]
        fn texts_of_lists(texts in proptest::collection::vec("[a-z\"\\\\é]{0,6}", 0..5)) {
            let list = serde_json::to_vec(&texts).unwrap();
            prop_assert_eq!(super::texts(&list).map(Cow::into_owned).collect::<Vec<_>>(), texts);
        }
    }

    #[test]
    fn lines_end_in_many_ways() {
        let of = |text: &str| {
            lines(text.as_bytes()).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("a\nb\n"), ["a", "b"]);
        assert_eq!(of("a\r\nb"), ["a", "b"]);
        assert_eq!(of("\u{feff}a\n\nb"), ["a", "", "b"]);
        assert!(of("").is_empty() && of("\u{feff}").is_empty());
    }

    #[test]
    fn ids_that_lines_begin_with() {
        assert_eq!(leading_id(br#"{"id":"a-1","x":1}"#), Some("a-1"));
        for line in [r#"{"id":"a-1","x":"#, r#"{"id":"a\n"}"#, r#"{ "id":"a"}"#, "<<<<<<< HEAD", ""] {
            assert_eq!(leading_id(line.as_bytes()), None, "{line}");
        }
    }
}
