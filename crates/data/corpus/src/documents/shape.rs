//! Stand-in for chunk's item kinds.
#![allow(missing_docs)]
use std::ops::Range;
use wootz_chunk::Language;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind { Include { path: String, system: bool }, Macro, Import, Type, Declaration, Alias, Global, Prototype, Function, Specialization, Assertion, Container, Call, Other }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bracket { Namespace, Linkage, Branch, Guard }
#[derive(Debug, Clone)]
pub struct Item { pub range: Range<usize>, pub names: Vec<String>, pub prefix: String, pub members: Vec<Item>, pub kind: ItemKind, pub body: Option<Range<usize>>, pub parameters: Option<u32>, pub bracket: Option<Bracket> }
#[derive(Debug)]
pub struct Parsed { pub items: Vec<Item>, pub has_errors: bool, pub guard: Option<String> }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After { Nothing, Member, Scope }
#[derive(Debug, Clone)]
pub struct Word { pub range: Range<usize>, pub after: After, pub call: bool }
#[derive(Default)]
pub struct Chunker(wootz_chunk::Chunker);

impl Chunker {
    pub fn new() -> Chunker { Chunker::default() }
    pub fn parse(&mut self, language: &dyn Language, source: &[u8]) -> Parsed {
        let parsed = self.0.parse(language, source);
        let mut guard = contains(source, b"#pragma once").then(String::new);
        let mut items: Vec<Item> = parsed.items.iter().map(|item| shape(item, source)).collect();
        for item in &mut items {
            if item.bracket == Some(Bracket::Branch) && source[item.range.clone()].windows(7).take(4000).any(|w| w == b"#ifndef")
                && item.members.first().is_some_and(|first| first.kind == ItemKind::Macro) && guard.is_none() {
                let text = &source[item.range.clone()];
                let at = text.windows(7).position(|w| w == b"#ifndef").unwrap() + 7;
                let name: Vec<u8> = text[at..].trim_ascii_start().iter().copied().take_while(|b| is_word(*b)).collect();
                let first = &source[item.members[0].range.clone()];
                if contains(first, &name) { item.bracket = Some(Bracket::Guard); guard = Some(String::from_utf8_lossy(&name).into_owned()); }
            }
        }
        Parsed { items, has_errors: parsed.has_errors, guard }
    }
}
fn contains(text: &[u8], part: &[u8]) -> bool { text.windows(part.len()).any(|window| window == part) }
fn is_word(byte: u8) -> bool { byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128 }

fn shape(item: &wootz_chunk::Item, source: &[u8]) -> Item {
    let text = &source[item.range.clone()];
    let start = item.range.start + super::parts::code_start(text);
    let (kind, body, parameters) = classify(source, start, item.range.end, !item.members.is_empty());
    let bracket = (kind == ItemKind::Container).then(|| if source[start] == b'#' { Bracket::Branch } else if source[start..].starts_with(b"extern") { Bracket::Linkage } else { Bracket::Namespace });
    Item { range: item.range.clone(), names: item.names.clone(), prefix: item.prefix.clone(), members: item.members.iter().map(|m| shape(m, source)).collect(), kind, body, parameters, bracket }
}

/// Skips comments and strings; returns next index.
fn skip(s: &[u8], at: usize) -> usize {
    match (s[at], s.get(at + 1)) {
        (b'/', Some(b'/')) => s[at..].iter().position(|b| *b == b'\n').map_or(s.len(), |p| at + p),
        (b'/', Some(b'*')) => s[at + 2..].windows(2).position(|w| w == b"*/").map_or(s.len(), |p| at + p + 4),
        (b'"', _) if at > 0 && s[at - 1] == b'R' => { let d = s[at + 1..].iter().position(|b| *b == b'(').unwrap_or(0); let close = [b")", &s[at + 1..at + 1 + d], b"\""].concat(); s[at..].windows(close.len()).position(|w| w == close).map_or(s.len(), |p| at + p + close.len()) }
        (b'\'', _) if at > 0 && s[at - 1].is_ascii_hexdigit() && s.get(at+1).is_some_and(u8::is_ascii_hexdigit) => at + 1,
        (q @ (b'"' | b'\''), _) => { let mut i = at + 1; while i < s.len() { if s[i] == b'\\' { i += 2; continue; } if s[i] == q || s[i] == b'\n' { return i + 1; } i += 1; } s.len() }
        _ => at + 1,
    }
}
fn matching(s: &[u8], open: usize, end: usize) -> usize {
    let (o, c) = match s[open] { b'(' => (b'(', b')'), b'{' => (b'{', b'}'), b'<' => (b'<', b'>'), _ => (b'[', b']') };
    let mut depth = 0; let mut at = open;
    while at < end { if s[at] == o { depth += 1; } else if s[at] == c { depth -= 1; if depth == 0 { return at + 1; } } at = skip(s, at); }
    end
}
fn classify(s: &[u8], start: usize, end: usize, container: bool) -> (ItemKind, Option<Range<usize>>, Option<u32>) {
    let code = &s[start..end];
    let none = |k| (k, None, None);
    if container { let open = code.iter().position(|b| *b == b'{').unwrap_or(0) + start; let close = s[..end].iter().rposition(|b| *b == b'}').unwrap_or(0); return (ItemKind::Container, (close > open).then_some(open..close + 1), None); }
    if code.is_empty() { return none(ItemKind::Other); }
    if code[0] == b'#' {
        let rest = code[1..].trim_ascii_start();
        if let Some(path) = rest.strip_prefix(b"include") { let path = path.trim_ascii(); let system = path.first() == Some(&b'<'); let p: Vec<u8> = path.iter().skip(1).copied().take_while(|b| !matches!(b, b'>' | b'"')).collect(); return none(ItemKind::Include { path: String::from_utf8_lossy(&p).into_owned(), system }); }
        if rest.starts_with(b"if") || rest.starts_with(b"el") { return none(ItemKind::Other); }
        return none(ItemKind::Macro);
    }
    let sw = |p: &[u8]| code.starts_with(p) && code.get(p.len()).is_none_or(|b| !is_word(*b));
    if sw(b"using") { return none(if code.contains(&b'=') { ItemKind::Alias } else { ItemKind::Import }); }
    if sw(b"namespace") { return none(if code.contains(&b'=') { ItemKind::Import } else { ItemKind::Other }); }
    if sw(b"static_assert") { return none(ItemKind::Assertion); }
    if sw(b"extern") && code[6..].trim_ascii_start().starts_with(b"template") { return none(ItemKind::Specialization); }
    let mut at = start; let mut special = false;
    while s[at..end].starts_with(b"template") {
        let a = at + 8 + s[at + 8..end].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if s.get(a) != Some(&b'<') { return none(ItemKind::Specialization); }
        let e = matching(s, a, end); if s[a + 1..e - 1].trim_ascii().is_empty() { special = true; }
        at = e + super::parts::code_start(&s[e..end]);
    }
    if s[at..end].starts_with(b"typedef") { let body = s[at..end].iter().position(|b| *b == b'{').map(|p| at + p); return (ItemKind::Alias, body.map(|b| b..matching(s, b, end)), None); }
    let head_start = at; let mut paren = None; let mut eq = false; let mut brace = None; let mut angle = 0usize;
    while at < end {
        match s[at] {
            b'(' if brace.is_none() => { let e = matching(s, at, end); let before: Vec<u8> = s[head_start..at].iter().rev().copied().take_while(|b| is_word(*b)).collect::<Vec<_>>().into_iter().rev().collect(); if paren.is_none() && !matches!(&before[..], b"__attribute__" | b"alignas" | b"decltype" | b"noexcept") && angle == 0 { paren = Some(at..e); } at = e; continue; }
            b'=' if paren.is_none() && angle == 0 && !s[head_start..at].trim_ascii_end().ends_with(b"operator") => { eq = true; break; }
            b'o' if s[at..end].starts_with(b"operator") && (at == 0 || !is_word(s[at-1])) => { at += 8; while at < end && (s[at] != b'(' || s[at..].starts_with(b"()") && s[at-1] == b'r') { at += 1; } if s[at..].starts_with(b"()") && s[at-1] == b'r' { at += 2; } continue; }
            b'<' => { angle += 1; } b'>' if at > 0 && s[at-1] != b'-' => { angle = angle.saturating_sub(1); }
            b'{' => { if paren.is_some() { let prev = s[..at].trim_ascii_end(); let lastc = prev.last().copied().unwrap_or(b' '); let init = contains(&s[paren.clone().unwrap().end..at], b":") && is_word(lastc) && !prev.ends_with(b"const") && !prev.ends_with(b"override") && !prev.ends_with(b"noexcept"); if init { at = matching(s, at, end); continue; } } brace = Some(at); break; }
            b';' => break,
            _ => {}
        }
        at = skip(s, at);
    }
    let head = &s[head_start..brace.or(paren.as_ref().map(|p| p.start)).unwrap_or(at)];
    let word = |w: &[u8]| head.split(|b| !is_word(*b)).any(|p| p == w);
    let typed = word(b"class") || word(b"struct") || word(b"union") || word(b"enum");
    if eq { let b = s[at..end].iter().position(|b| *b == b'{').map(|p| at + p); return (if special { ItemKind::Specialization } else { ItemKind::Global }, b.map(|b| b..matching(s, b, end)), None); }
    if let Some(b) = brace {
        let e = matching(s, b, end); let body = Some(b..e);
        if typed && paren.is_none() { let tail = s[e..end].trim_ascii(); let only = tail.is_empty() || tail.starts_with(b";"); return (if special { ItemKind::Specialization } else if only { ItemKind::Type } else { ItemKind::Global }, body, None); }
        if let Some(p) = paren { return (if special { ItemKind::Specialization } else { ItemKind::Function }, body, Some(params(&s[p]))); }
        return (ItemKind::Global, body, None);
    }
    if let Some(p) = paren {
        if special { return none(ItemKind::Specialization); }
        let before = head.trim_ascii(); if !before.iter().any(|b| b.is_ascii_whitespace() || *b == b'*') { return none(ItemKind::Call); }
        return (ItemKind::Prototype, None, Some(params(&s[p])));
    }
    if typed && head.split(|b| b.is_ascii_whitespace()).filter(|p| !p.is_empty()).count() <= 3 { return none(ItemKind::Declaration); }
    if head.iter().filter(|b| b.is_ascii_whitespace()).count() == 0 { return none(ItemKind::Call); }
    none(if special { ItemKind::Specialization } else { ItemKind::Global })
}
fn params(p: &[u8]) -> u32 {
    let inner = p[1..p.len().saturating_sub(1).max(1)].trim_ascii(); if inner.is_empty() || inner == b"void" { return 0; }
    let mut d = 0i32; let mut n = 1; for b in inner { match b { b'(' | b'<' | b'[' | b'{' => d += 1, b')' | b'>' | b']' | b'}' => d -= 1, b',' if d == 0 => n += 1, _ => {} } } n
}

const KEYWORDS: &[&str] = &["alignas","alignof","asm","auto","bool","break","case","catch","char","class","const","constexpr","const_cast","continue","decltype","default","delete","do","double","dynamic_cast","else","enum","explicit","export","extern","false","float","for","friend","goto","if","inline","int","long","mutable","namespace","new","noexcept","nullptr","operator","private","protected","public","register","reinterpret_cast","return","short","signed","sizeof","static","static_assert","static_cast","struct","switch","template","this","throw","true","try","typedef","typeid","typename","union","unsigned","using","virtual","void","volatile","while","override","final","define","undef","ifdef","ifndef","endif","elif","include","pragma","defined"];

pub fn words(_language: &dyn Language, s: &[u8], range: Range<usize>, into: &mut dyn FnMut(Word)) {
    let mut at = range.start; let mut after = After::Nothing;
    while at < range.end {
        let b = s[at];
        if is_word(b) && !b.is_ascii_digit() {
            let e = s[at..range.end].iter().position(|b| !is_word(*b)).map_or(range.end, |p| at + p);
            let text = &s[at..e];
            if !KEYWORDS.iter().any(|k| k.as_bytes() == text) { let call = s[e..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'('); into(Word { range: at..e, after, call }); }
            after = After::Nothing; at = e;
        } else if b.is_ascii_digit() { at = s[at..range.end].iter().position(|b| !is_word(*b) && *b != b'.' && *b != b'\'').map_or(range.end, |p| at + p); after = After::Nothing; }
        else if b == b'.' && s.get(at + 1) != Some(&b'.') { after = After::Member; at += 1; }
        else if b == b'-' && s.get(at + 1) == Some(&b'>') { after = After::Member; at += 2; }
        else if b == b':' && s.get(at + 1) == Some(&b':') { after = After::Scope; at += 2; }
        else if b.is_ascii_whitespace() { at += 1; }
        else { after = After::Nothing; at = skip(s, at); }
    }
}
