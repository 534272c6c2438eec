//! The links of a page in HTML, and what is wrong with its head.

use std::collections::BTreeMap;

/// A link of a page.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub href: String,
    pub text: String,
    pub attributes: BTreeMap<String, String>,
}

/// All links of a page, and what is wrong with its head.
pub(super) fn links(html: &str) -> (Vec<Link>, Vec<String>) {
    let mut wrong = Vec::new();
    let lower = html.to_ascii_lowercase();
    if !lower.trim_start().starts_with("<!doctype html>") {
        wrong.push("the page does not begin with <!DOCTYPE html>".to_owned());
    }
    if !lower.contains("name=\"pypi:repository-version\"") {
        wrong.push("no meta element says the version of the API (pypi:repository-version)".to_owned());
    }
    let mut links = Vec::new();
    let mut at = 0;
    while let Some(start) = lower[at..].find("<a ").map(|start| at + start + 3) {
        let Some(end) = tag_end(&html[start..]).map(|end| start + end) else {
            wrong.push("a link has no end".to_owned());
            break;
        };
        let Some(close) = lower[end..].find("</a>").map(|close| end + close) else {
            wrong.push("a link is not closed".to_owned());
            break;
        };
        let attributes = attributes(&html[start..end]);
        let href = attributes.get("href").cloned().unwrap_or_default();
        if href.is_empty() {
            wrong.push("a link leads nowhere".to_owned());
        }
        links.push(Link { href, text: unescaped(html[end + 1..close].trim()), attributes });
        at = close;
    }
    (links, wrong)
}

/// Where a tag ends, not counting what stands in quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, letter)| {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            None if letter == '>' => return Some(at),
            None => {}
        }
        None
    })
}

fn attributes(tag: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut rest = tag.trim();
    while !rest.is_empty() {
        let name_end =
            rest.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(rest.len());
        let name = rest[..name_end].to_ascii_lowercase();
        rest = rest[name_end..].trim_start();
        let mut value = String::new();
        if let Some(behind) = rest.strip_prefix('=') {
            let behind = behind.trim_start();
            let quote = behind.chars().next().filter(|first| matches!(first, '"' | '\''));
            let body = &behind[quote.map_or(0, char::len_utf8)..];
            let end = match quote {
                Some(quote) => body.find(quote),
                None => body.find(char::is_whitespace),
            };
            let end = end.unwrap_or(body.len());
            value = unescaped(&body[..end]);
            rest = body[end..].strip_prefix(quote.unwrap_or('\0')).unwrap_or(&body[end..]).trim_start();
        }
        if !name.is_empty() {
            attributes.insert(name, value);
        }
    }
    attributes
}

fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#43;", "+"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
