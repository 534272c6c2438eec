//! From a file's items to entries and brackets.
//!
//! The items come from the parser, with what they are. Left to see here is what slices need beyond that: names that
//! an item declares besides its own (enumerators, arguments of a macro invoked at the top of a file), the words it
//! mentions, brackets that are macros (`BEGIN_NAMESPACE … END_NAMESPACE`), and whether everything in the file is
//! known for what it is.

use std::ops::Range;
use wootz_chunk::{Chunker, Item, Language};

use super::entry::{Bracket, BracketKind, Entry, Kind, Mention, NONE, Traits};
use super::kinds::{included, read};
use super::lexis::{
    code_start, directive, directive_text, has_word, is_keyword, is_word, line_end, starts_with_word, words,
};
use super::sound::{is_blank, is_whole};
use super::words::{hash, mentions};

/// A file on its own: entries whose names and words are hashes yet.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub entries: Vec<Entry>,
    pub brackets: Vec<Bracket>,
    /// Hash of the last part of a name, and of its scope or 0.
    pub names: Vec<(u64, u64)>,
    /// Hashed words with their ways.
    pub words: Vec<u64>,
    /// Entry, what is written, whether in angles.
    pub includes: Vec<(u32, String, bool)>,
    /// Hashes of the words in its conditions, sorted, each once.
    pub conditions: Vec<u64>,
    pub titles: Vec<Box<[String]>>,
    pub understood: bool,
    pub guarded: bool,
    pub has_errors: bool,
}

impl Parts {
    /// Reads a file.
    pub fn new(chunker: &mut Chunker, language: &'static dyn Language, source: &[u8]) -> Parts {
        let parsed = chunker.parse(language, source);
        let mut parts = Parts { understood: true, has_errors: parsed.has_errors, ..Parts::default() };
        if !matches!(language.name(), "c" | "cpp") {
            parts.understood = false;
            return parts;
        }
        parts.conditions = conditions(source);
        let guard = guard(&parsed.items, source);
        parts.guarded = guard.is_some() || has_pragma_once(&parsed.items, source);
        let mut reader = Reader { parts: &mut parts, language, source, guard };
        reader.read(&parsed.items, NONE, "");
        reader.paste();
        parts
    }
}

struct Reader<'r> {
    parts: &'r mut Parts,
    language: &'static dyn Language,
    source: &'r [u8],
    guard: Option<Guard>,
}

/// An include guard: where its bracket begins, and its macro.
struct Guard {
    start: usize,
    name: Range<usize>,
}

/// `#ifndef X`, `#define X` around everything but comments.
fn guard(items: &[Item], source: &[u8]) -> Option<Guard> {
    let mut coded = items.iter().filter(|item| code_start(&source[item.range.clone()]) < item.range.len());
    let (Some(item), None) = (coded.next(), coded.next()) else { return None };
    let start = item.range.start + code_start(&source[item.range.clone()]);
    let code = &source[start..item.range.end];
    let (at, end) = second_word(code)?;
    let asks = directive(code) == Some(b"ifndef") || code[..at].trim_ascii_end().ends_with(b"defined");
    let mut members = item.members.iter().map(|member| &source[member.range.clone()]);
    let defines = members.any(|text| {
        let text = &text[code_start(text)..];
        directive(text) == Some(b"define")
            && second_word(text).is_some_and(|(a, b)| text[a..b] == code[at..end])
    });
    let alternative = item.members.iter().any(|member| {
        !member.members.is_empty()
            && directive(&source[member.range.clone()]).is_some_and(|word| word.starts_with(b"el"))
    });
    (asks && defines && !alternative)
        .then_some(Guard { start: item.range.start, name: start + at..start + end })
}

/// The words of all conditional directives, wherever they stand.
fn conditions(source: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    for line in source.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_start();
        let asks = |word: &[u8]| word.starts_with(b"if") || word.starts_with(b"elif");
        if line.first() == Some(&b'#') && directive(line).is_some_and(asks) {
            words(line, 0..line.len(), &mut |word, _, _| found.push(hash(&line[word])));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn has_pragma_once(items: &[Item], source: &[u8]) -> bool {
    items.iter().any(|item| {
        let text = &source[item.range.clone()];
        let code = &text[code_start(text)..];
        directive(code) == Some(b"pragma") && has_word(code, b"once")
    })
}

impl Reader<'_> {
    fn read(&mut self, items: &[Item], bracket: u32, prefix: &str) {
        let mut around = vec![bracket];
        for item in items {
            let bracket = around.last().copied().unwrap_or(NONE);
            match self.macro_bracket(item) {
                Some(MacroBracket::Opens) => {
                    around.push(self.open_macros(item, bracket));
                    continue;
                }
                Some(MacroBracket::Closes) if around.len() > 1 => {
                    around.pop();
                    let open = bracket as usize;
                    self.parts.brackets[open].close = numbers(&item.range);
                    continue;
                }
                Some(MacroBracket::Closes) => self.parts.understood = false,
                None => {}
            }
            if !item.members.is_empty() {
                self.container(item, bracket, prefix);
            } else {
                self.entry(item, bracket, prefix);
            }
        }
        // What opens and never closes was something else.
        self.parts.understood &= around.len() == 1;
    }

    /// A macro that glues words together mentions every macro of its file whose name begins with a glued word.
    fn paste(&mut self) {
        let of_kind = |entry: &Entry| matches!(entry.kind, Kind::Macro);
        let text = |entry: &Entry| &self.source[entry.text.start as usize..entry.text.end as usize];
        let code = |entry: &Entry| {
            let text = text(entry);
            &text[code_start(text)..]
        };
        let titled: Vec<String> = self
            .parts
            .titles
            .iter()
            .flatten()
            .map(|title| title.rsplit("::").next().unwrap_or(title).to_owned())
            .collect();
        let macros: Vec<usize> =
            (0..self.parts.entries.len()).filter(|at| of_kind(&self.parts.entries[*at])).collect();
        for at in &macros {
            let entry = &self.parts.entries[*at];
            let mut glued = Vec::new();
            let mut rest = code(entry);
            while let Some(glue) = rest.windows(2).position(|pair| pair == b"##") {
                let before = rest[..glue].trim_ascii_end();
                let start = before.iter().rposition(|byte| !is_word(*byte)).map_or(0, |last| last + 1);
                glued.push(&before[start..]);
                rest = &rest[glue + 2..];
            }
            glued.retain(|word| word.len() > 1);
            if glued.is_empty() {
                continue;
            }
            let mut words = self.parts.words[entry.words.start as usize..entry.words.end as usize].to_vec();
            for other in macros.iter().filter(|other| *other != at) {
                let code = code(&self.parts.entries[*other]);
                if let Some((start, end)) = second_word(code)
                    && glued.iter().any(|word| code[start..end].starts_with(word))
                {
                    words.push(hash(&code[start..end]) | u64::from(Mention::PLAIN));
                }
            }
            for title in &titled {
                if glued.iter().any(|word| title.as_bytes().starts_with(word)) {
                    words.push(hash(title.as_bytes()) | u64::from(Mention::PLAIN));
                }
            }
            super::words::merge(&mut words, 0);
            let first = self.parts.words.len() as u32;
            self.parts.words.extend(words);
            self.parts.entries[*at].words = first..self.parts.words.len() as u32;
        }
    }

    fn container(&mut self, item: &Item, bracket: u32, prefix: &str) {
        if self.guard.as_ref().is_some_and(|guard| guard.start == item.range.start && bracket == NONE) {
            return self.read(&item.members, bracket, prefix);
        }
        let code =
            &self.source[item.range.start + code_start(&self.source[item.range.clone()])..item.range.end];
        let kind = match () {
            () if code.starts_with(b"#") => BracketKind::Branch,
            () if starts_with_word(code, b"extern") => BracketKind::Linkage,
            () => BracketKind::Namespace,
        };
        let Some((open, close)) = self.ends(item, kind) else {
            self.parts.understood = false;
            return;
        };
        let first = item.members.first().map_or(close.start, |first| first.range.start);
        let last = item.members.last().map_or(open.end, |last| last.range.end);
        let blank = |from: usize, to: usize| from <= to && is_blank(&self.source[from..to]);
        self.parts.understood &= blank(open.end, first) && blank(last, close.start);
        let names = self.parts.names.len() as u32;
        if kind == BracketKind::Namespace {
            let parts = item.prefix.split("::").filter(|part| !part.is_empty());
            self.parts.names.extend(parts.map(|part| (hash(part.as_bytes()), 0)));
        }
        let names = names..self.parts.names.len() as u32;
        let words = if kind == BracketKind::Branch { self.words(&open, &(0..0)) } else { self.no_words() };
        self.parts.brackets.push(Bracket {
            file: 0,
            parent: bracket,
            open: numbers(&open),
            close: numbers(&close),
            kind,
            names,
            words,
        });
        let number = self.parts.brackets.len() as u32 - 1;
        self.read(&item.members, number, &format!("{prefix}{}", item.prefix));
    }

    /// Where a container's own text stands: what opens it and what closes it.
    fn ends(&self, item: &Item, kind: BracketKind) -> Option<(Range<usize>, Range<usize>)> {
        let start = item.range.start + code_start(&self.source[item.range.clone()]);
        if kind == BracketKind::Branch {
            let open = start..line_end(self.source, start).min(item.range.end);
            let last =
                self.source[..item.range.end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let close = last
                + self.source[last..item.range.end].iter().take_while(|b| b.is_ascii_whitespace()).count();
            let opens_all = directive(&self.source[open.clone()]).is_some_and(|word| word.starts_with(b"if"));
            let closes = directive(&self.source[close..item.range.end]).is_some_and(|word| word == b"endif");
            if opens_all != closes && opens_all {
                return None;
            }
            let closes = opens_all;
            return Some((open, if closes { close..item.range.end } else { item.range.end..item.range.end }));
        }
        let open = start + self.source[start..item.range.end].iter().position(|byte| *byte == b'{')? + 1;
        let last = item.members.last().map_or(open, |last| last.range.end);
        let close = last + code_start(&self.source[last..item.range.end]);
        (self.source.get(close) == Some(&b'}')).then_some((start..open, close..item.range.end))
    }

    fn entry(&mut self, item: &Item, bracket: u32, prefix: &str) {
        let text = &self.source[item.range.clone()];
        let start = item.range.start + code_start(text);
        let code = &self.source[start..item.range.end];
        let reading = read(code);
        let kind = self.kind(item, reading.kind, code);
        self.parts.understood &= kind != Kind::Unknown && is_whole(code, kind);
        let number = self.parts.entries.len() as u32;
        let mut include = None;
        if kind == Kind::Include {
            include = included(code);
            self.parts.understood &= include.is_some();
            let (path, angle) = include.clone().unwrap_or_default();
            self.parts.includes.push((number, path, angle));
        }
        let body = reading.body.map_or(0..0, |body| start + body.start..start + body.end);
        let names = self.names(item, kind, &body, start);
        let words = match kind {
            Kind::Include | Kind::Idle | Kind::Unknown => self.no_words(),
            _ => self.words(&(start..item.range.end), &body),
        };
        let mut traits = self.traits(
            item,
            kind,
            bracket,
            start..if body.is_empty() { item.range.end } else { body.start },
        );
        if let Some((path, angle)) = include {
            if angle {
                traits.add(Traits::ANGLE);
            }
            if is_textual(&path) {
                traits.add(Traits::TEXTUAL);
            }
        }
        let is_operator = item.names.first().is_some_and(|name| name.starts_with("operator"));
        if is_operator && matches!(kind, Kind::Function | Kind::Prototype) {
            traits.add(Traits::OPERATOR);
        }
        self.parts.titles.push(item.names.iter().map(|name| format!("{prefix}{name}")).collect());
        self.parts.entries.push(Entry {
            file: 0,
            text: numbers(&item.range),
            kind,
            bracket,
            traits,
            names,
            words,
            parameters: reading.parameters,
        });
    }

    fn kind(&self, item: &Item, read: Kind, code: &[u8]) -> Kind {
        match read {
            Kind::Macro if self.is_guard(code) => Kind::Idle,
            // `template <int N> struct tuple_element<N, mine>` is one too.
            Kind::Type if item.names.first().is_some_and(|name| name.ends_with('>')) => Kind::Specialization,
            read => read,
        }
    }

    /// Whether a macro is the file's include guard.
    fn is_guard(&self, code: &[u8]) -> bool {
        let Some(guard) = &self.guard else { return false };
        second_word(code).is_some_and(|(at, end)| code[at..end] == self.source[guard.name.clone()])
    }

    fn names(&mut self, item: &Item, kind: Kind, body: &Range<usize>, start: usize) -> Range<u32> {
        let code = &self.source[start..item.range.end];
        let first = self.parts.names.len() as u32;
        match kind {
            Kind::Macro | Kind::Undefine => {
                if let Some((at, end)) = second_word(code) {
                    self.parts.names.push((hash(&code[at..end]), 0));
                }
            }
            Kind::Opening => {
                let name = code.trim_ascii_end().trim_ascii_end();
                let end = name.iter().rposition(|byte| is_word(*byte)).map_or(0, |last| last + 1);
                let at = name[..end].iter().rposition(|byte| !is_word(*byte)).map_or(0, |before| before + 1);
                self.parts.names.push((hash(&name[at..end]), 0));
            }
            Kind::Import => self.import_name(code),
            Kind::Call => self.argument_names(start..item.range.end),
            _ => {
                for name in &item.names {
                    self.parts.names.push(hashed_name(name));
                }
                self.enumerators(kind, start, body);
            }
        }
        first..self.parts.names.len() as u32
    }

    /// `c` of `using a::b::c;`, `a` of `namespace a = b;`.
    fn import_name(&mut self, code: &[u8]) {
        let names = &mut self.parts.names;
        let source = code.split(|byte| *byte == b'=').next().unwrap_or(code);
        for one in source.split(|byte| *byte == b',') {
            let last = one.split(|byte| !is_word(*byte)).rfind(|word| !word.is_empty());
            names.extend(last.map(|word| (hash(word), 0)));
        }
    }

    /// What a macro invoked at the top of a file may declare: names among its arguments, as they are and as flags.
    fn argument_names(&mut self, range: Range<usize>) {
        let names = &mut self.parts.names;
        let source = self.source;
        let mut first = true;
        words(source, range, &mut |word, _, _| {
            if !std::mem::take(&mut first) {
                let text = &source[word];
                if is_keyword(text) {
                    return;
                }
                names.push((hash(text), 0));
                names.push((hash(&[b"FLAGS_", text].concat()), 0));
            }
        });
    }

    /// The names that an enumeration declares beside its own.
    fn enumerators(&mut self, kind: Kind, start: usize, body: &Range<usize>) {
        if body.is_empty() || kind == Kind::Function {
            return;
        }
        let inside = self.language.name() == "c" && has_word(&self.source[body.clone()], b"enum");
        if !inside && !has_word(&self.source[start..body.start], b"enum") {
            return;
        }
        let names = &mut self.parts.names;
        let source = self.source;
        words(source, body.clone(), &mut |word, _, _| {
            let next = source[word.end..].trim_ascii_start().first();
            if matches!(next, Some(b',' | b'=' | b'}' | b'/')) {
                names.push((hash(&source[word]), 0));
            }
        });
    }

    fn traits(&self, item: &Item, kind: Kind, bracket: u32, head: Range<usize>) -> Traits {
        let mut traits = Traits::default();
        let head = &self.source[head.start..head.end.min(head.start + 400)];
        let has = |word: &[u8]| has_word(head, word);
        if head.starts_with(b"template") {
            traits.add(Traits::TEMPLATE);
        }
        let nameless = |bracket: u32| {
            let bracket = &self.parts.brackets[bracket as usize];
            bracket.kind == BracketKind::Namespace && bracket.names.is_empty()
        };
        let mut brackets = std::iter::successors((bracket != NONE).then_some(bracket), |bracket| {
            let parent = self.parts.brackets[*bracket as usize].parent;
            (parent != NONE).then_some(parent)
        });
        if has(b"static") || brackets.any(nameless) {
            traits.add(Traits::LOCAL);
        }
        if has(b"constexpr") || has(b"consteval") || has(b"auto") {
            traits.add(Traits::NEEDS_BODY);
        }
        if kind != Kind::Call && item.names.first().is_some_and(|name| name.contains("::")) {
            traits.add(Traits::SCOPED);
        }
        if matches!(kind, Kind::Macro | Kind::Undefine)
            && second_word(head).is_some_and(|(at, _)| head[at] == b'_')
        {
            traits.add(Traits::FEATURE);
        }
        let after = &self.source[item.range.end..];
        let gap = after.len() - after.trim_ascii_start().len();
        if after[..gap].iter().filter(|byte| **byte == b'\n').count() > 1 {
            traits.add(Traits::BLANK_AFTER);
        }
        traits
    }

    fn words(&mut self, range: &Range<usize>, body: &Range<usize>) -> Range<u32> {
        let first = self.parts.words.len() as u32;
        mentions(self.source, range.clone(), body.clone(), &mut self.parts.words);
        first..self.parts.words.len() as u32
    }

    fn no_words(&self) -> Range<u32> {
        let at = self.parts.words.len() as u32;
        at..at
    }

    /// Whether an item is nothing but a macro whose name says that it opens or closes something.
    fn macro_bracket(&self, item: &Item) -> Option<MacroBracket> {
        if !item.members.is_empty() {
            return None;
        }
        let text = &self.source[item.range.clone()];
        let code = text[code_start(text)..].trim_ascii_end();
        let end = code.iter().position(|byte| !is_word(*byte)).unwrap_or(code.len());
        let (name, rest) = code.split_at(end);
        let bare = rest.is_empty() || rest == b";" || rest.starts_with(b"//");
        if !bare || name.is_empty() || name.iter().any(u8::is_ascii_lowercase) {
            return None;
        }
        let mut parts = name.split(|byte| *byte == b'_');
        if parts.clone().any(|part| part == b"BEGIN") {
            Some(MacroBracket::Opens)
        } else {
            parts.any(|part| part == b"END").then_some(MacroBracket::Closes)
        }
    }

    fn open_macros(&mut self, item: &Item, bracket: u32) -> u32 {
        let words = self.words(&item.range, &(0..0));
        let names = self.parts.names.len() as u32;
        let end = item.range.end as u32;
        self.parts.brackets.push(Bracket {
            file: 0,
            parent: bracket,
            open: numbers(&item.range),
            close: end..end,
            kind: BracketKind::Macros,
            names: names..names,
            words,
        });
        self.parts.brackets.len() as u32 - 1
    }
}

/// Whether an included file is text for its place rather than a header: `.inc`, `.def`.
fn is_textual(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    !matches!(extension, "" | "h" | "hh" | "hpp" | "hxx" | "h++" | "H")
}

enum MacroBracket {
    Opens,
    Closes,
}

fn numbers(range: &Range<usize>) -> Range<u32> {
    range.start as u32..range.end as u32
}

/// `f` of `A::B::f`, and `B`.
fn hashed_name(name: &str) -> (u64, u64) {
    if let Some(operator) = name.strip_prefix("operator") {
        // The name of a literal or conversion operator stands alone where it is used.
        let word = operator.trim_start_matches(|letter: char| letter == '"' || letter.is_whitespace());
        if word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') {
            return (hash(word.as_bytes()), 0);
        }
        return (hash(name.as_bytes()), 0);
    }
    let without_arguments = |part: &str| part.split('<').next().unwrap_or(part).trim().to_owned();
    match name.rsplit_once("::") {
        Some((scope, last)) => {
            let scope = without_arguments(scope);
            let scope = scope.rsplit("::").next().unwrap_or(&scope).trim();
            (hash(without_arguments(last).as_bytes()), hash(scope.as_bytes()))
        }
        None => (hash(without_arguments(name).as_bytes()), 0),
    }
}

/// Where the first word after the name of a directive stands; of `#if !defined(X)`, the `X`.
fn second_word(code: &[u8]) -> Option<(usize, usize)> {
    let rest = directive_text(code);
    let mut at = code.len() - rest.len();
    loop {
        let start = at + code[at..].iter().position(|byte| is_word(*byte))?;
        let end =
            code[start..].iter().position(|byte| !is_word(*byte)).map_or(code.len(), |step| start + step);
        if &code[start..end] != b"defined" {
            return Some((start, end));
        }
        at = end;
    }
}
