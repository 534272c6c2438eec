//! A project as numbers: its files, their entries, who declares which name, where every include leads.
//!
//! Files are read side by side, each into its own [`Parts`] with words as hashes. Then one pass over the declared
//! names numbers the symbols, and words that nothing declares are dropped: what is left of a large project are a few
//! megabytes of numbers in a handful of arrays.
//!
//! Not covered: what a name means where it stands. A name mentioned is every item of that name which is visible
//! there, whatever its namespace; visibility and qualified names keep that small.

use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use wootz_chunk::{Chunker, Language};

use super::SourceFile;
use super::entry::{Bracket, Entry, Kind, Mention, NONE, Name, Traits};
use super::includes::{Resolver, Target, folder_of};
use super::parts::Parts;
use super::words::{HashedMap, parted};

/// A file of a project.
pub(super) struct File {
    pub path: String,
    pub text: String,
    pub language: &'static dyn Language,
    /// Its entries, and its brackets, in the index' arrays.
    pub entries: Range<u32>,
    pub brackets: Range<u32>,
    /// Every item of it is known for what it is.
    pub understood: bool,
    /// It may be included twice and counts once.
    pub guarded: bool,
    /// What was parsed, bodies left out, has a part that the grammar cannot read.
    pub has_errors: bool,
    parses: OnceLock<bool>,
    /// Its includes: the entry, what is written there, where it leads.
    pub includes: Vec<Include>,
    /// Symbols that its conditions ask for, sorted.
    pub conditions: Vec<u32>,
    /// Qualified names of its entries, in their order.
    pub titles: Vec<Box<[String]>>,
}

impl File {
    /// Whether the grammar can read all of it, bodies too. Found out when it is asked for the first time: most files never are.
    pub fn parses(&self) -> bool {
        let whole = || !Chunker::new().parse_whole(self.language, self.text.as_bytes()).has_errors;
        *self.parses.get_or_init(|| !self.has_errors && whole())
    }
}

/// An include.
#[derive(Debug)]
pub(super) struct Include {
    pub entry: u32,
    pub written: String,
    pub target: Target,
    /// In its place the line means the same as from everywhere in the project.
    pub portable: bool,
}

/// A project as numbers.
pub(super) struct Index {
    pub files: Vec<File>,
    pub entries: Vec<Entry>,
    pub brackets: Vec<Bracket>,
    names: Vec<Name>,
    words: Vec<Mention>,
    /// By symbol: entries that a mention of it may need.
    pub declares: Table,
    /// By symbol: functions with bodies, scoped ones too.
    pub defines: Table,
    /// By symbol: specialisations, operators and assertions with the symbol in their head, and types in its scope.
    pub about: Table,
    pub symbols: u32,
    /// Tokens of entries, and of brackets' two ends; 0 until counted.
    pub entry_tokens: Vec<AtomicU32>,
    pub bracket_tokens: Vec<[AtomicU32; 2]>,
}

/// Lists of entries by symbol.
#[derive(Debug, Default)]
pub(super) struct Table {
    starts: Vec<u32>,
    entries: Vec<u32>,
}

impl Table {
    /// From pairs of symbol and entry, entries ascending.
    fn new(symbols: u32, pairs: &[(u32, u32)]) -> Table {
        let mut starts = vec![0u32; symbols as usize + 1];
        pairs.iter().for_each(|(symbol, _)| starts[*symbol as usize + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut entries = vec![0; pairs.len()];
        for (symbol, entry) in pairs {
            entries[next[*symbol as usize] as usize] = *entry;
            next[*symbol as usize] += 1;
        }
        Table { starts, entries }
    }

    pub fn of(&self, symbol: u32) -> &[u32] {
        &self.entries[self.starts[symbol as usize] as usize..self.starts[symbol as usize + 1] as usize]
    }
}

impl Index {
    /// Reads the files, which are sorted by path; `folders` are the project's own include folders.
    pub fn new(files: Vec<SourceFile>, folders: &[String]) -> Index {
        let parts: Vec<Parts> = files
            .par_iter()
            .with_max_len(1)
            .map_init(Chunker::new, |chunker, file| Parts::new(chunker, file.language, file.text.as_bytes()))
            .collect();
        let symbols = number_symbols(&files, &parts);
        let mut index = Index {
            files: Vec::with_capacity(files.len()),
            entries: Vec::new(),
            brackets: Vec::new(),
            names: Vec::new(),
            words: Vec::new(),
            declares: Table::default(),
            defines: Table::default(),
            about: Table::default(),
            symbols: symbols.len() as u32,
            entry_tokens: Vec::new(),
            bracket_tokens: Vec::new(),
        };
        let includes = resolve_all(&files, &parts, folders);
        for ((file, parts), includes) in files.into_iter().zip(parts).zip(includes) {
            index.append(file, parts, includes, &symbols);
        }
        index.tabulate();
        index.entry_tokens = index.entries.iter().map(|_| AtomicU32::new(0)).collect();
        index.bracket_tokens = index.brackets.iter().map(|_| Default::default()).collect();
        index
    }

    pub fn entry(&self, entry: u32) -> &Entry {
        &self.entries[entry as usize]
    }

    pub fn bracket(&self, bracket: u32) -> &Bracket {
        &self.brackets[bracket as usize]
    }

    pub fn file(&self, file: u32) -> &File {
        &self.files[file as usize]
    }

    pub fn names(&self, range: &Range<u32>) -> &[Name] {
        &self.names[range.start as usize..range.end as usize]
    }

    pub fn words(&self, range: &Range<u32>) -> &[Mention] {
        &self.words[range.start as usize..range.end as usize]
    }

    /// The file that an include leads to.
    pub fn target_of(&self, include: u32) -> Option<u32> {
        let includes = &self.file(self.entry(include).file).includes;
        let at = includes.partition_point(|other| other.entry < include);
        includes.get(at).and_then(|found| found.target.file())
    }

    /// Whether a file of the project has this path.
    pub fn has_path(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
    }

    /// Text of a part of a file.
    pub fn text(&self, file: u32, range: &Range<u32>) -> &str {
        &self.files[file as usize].text[range.start as usize..range.end as usize]
    }

    /// The brackets around an entry, innermost first.
    pub fn brackets_of(&self, entry: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.entry(entry).bracket;
        std::iter::successors((first != NONE).then_some(first), |bracket| {
            let parent = self.bracket(*bracket).parent;
            (parent != NONE).then_some(parent)
        })
    }

    /// A number that is counted once.
    pub fn counted(&self, cell: &AtomicU32, count: impl FnOnce() -> u64) -> u64 {
        let known = cell.load(Ordering::Relaxed);
        if known != 0 {
            return u64::from(known);
        }
        let counted = u32::try_from(count()).unwrap_or(u32::MAX);
        cell.store(counted, Ordering::Relaxed);
        u64::from(counted)
    }

    fn append(&mut self, file: SourceFile, parts: Parts, includes: Vec<Include>, symbols: &HashedMap<u32>) {
        let number = self.files.len() as u32;
        let (first_entry, first_bracket) = (self.entries.len() as u32, self.brackets.len() as u32);
        let moved = |bracket: u32| if bracket == NONE { NONE } else { bracket + first_bracket };
        for bracket in parts.brackets {
            let (names, words) =
                self.pool(&parts.names, &parts.words, symbols, &bracket.names, &bracket.words);
            let parent = moved(bracket.parent);
            self.brackets.push(Bracket { file: number, parent, names, words, ..bracket });
        }
        for entry in parts.entries {
            let (names, words) = self.pool(&parts.names, &parts.words, symbols, &entry.names, &entry.words);
            let bracket = moved(entry.bracket);
            self.entries.push(Entry { file: number, bracket, names, words, ..entry });
        }
        let includes =
            includes.into_iter().map(|include| Include { entry: include.entry + first_entry, ..include });
        self.files.push(File {
            path: file.path,
            text: file.text,
            language: file.language,
            entries: first_entry..self.entries.len() as u32,
            brackets: first_bracket..self.brackets.len() as u32,
            understood: parts.understood,
            guarded: parts.guarded,
            has_errors: parts.has_errors,
            parses: OnceLock::new(),
            includes: includes.collect(),
            conditions: parts.conditions.iter().filter_map(|word| symbols.get(word).copied()).collect(),
            titles: parts.titles,
        });
    }

    /// Adds a file's names and words to the pools, as symbols.
    fn pool(
        &mut self,
        raw_names: &[(u64, u64)],
        raw_words: &[u64],
        symbols: &HashedMap<u32>,
        names: &Range<u32>,
        words: &Range<u32>,
    ) -> (Range<u32>, Range<u32>) {
        let (first_name, first_word) = (self.names.len() as u32, self.words.len() as u32);
        let number = |hash: &u64| symbols.get(hash).copied().unwrap_or(NONE);
        self.names.extend(
            raw_names[names.start as usize..names.end as usize]
                .iter()
                .map(|(name, scope)| Name { symbol: number(name), scope: number(scope) }),
        );
        self.words.extend(raw_words[words.start as usize..words.end as usize].iter().filter_map(|word| {
            let (hash, ways) = parted(*word);
            symbols.get(&hash).map(|symbol| Mention::new(*symbol, ways))
        }));
        let words = first_word..self.words.len() as u32;
        self.words[first_word as usize..].sort_unstable_by_key(|word| word.0);
        (first_name..self.names.len() as u32, words)
    }

    fn tabulate(&mut self) {
        let (mut declares, mut defines, mut about) = (Vec::new(), Vec::new(), Vec::new());
        for (number, entry) in self.entries.iter().enumerate() {
            let number = number as u32;
            for name in self.names(&entry.names) {
                if entry.kind == Kind::Function {
                    defines.push((name.symbol, number));
                }
                if is_drawn_by_name(entry) {
                    declares.push((name.symbol, number));
                }
            }
            if entry.kind == Kind::Type {
                let scopes = self.names(&entry.names).iter().filter(|name| name.scope != NONE);
                about.extend(scopes.map(|name| (name.scope, number)));
            }
            if matches!(entry.kind, Kind::Specialization | Kind::Assertion)
                || entry.traits.has(Traits::OPERATOR)
            {
                let heads = self.words(&entry.words).iter().filter(|word| word.is(Mention::HEAD));
                about.extend(heads.map(|word| (word.symbol(), number)));
            }
        }
        self.declares = Table::new(self.symbols, &declares);
        self.defines = Table::new(self.symbols, &defines);
        self.about = Table::new(self.symbols, &about);
    }
}

/// Whether a mention of its name may draw an entry in.
fn is_drawn_by_name(entry: &Entry) -> bool {
    match entry.kind {
        Kind::Macro
        | Kind::Undefine
        | Kind::Import
        | Kind::Type
        | Kind::Forward
        | Kind::Alias
        | Kind::Call => true,
        Kind::Global | Kind::Prototype | Kind::Function => {
            !entry.traits.has(Traits::SCOPED) && !entry.traits.has(Traits::OPERATOR)
        }
        _ => false,
    }
}

/// Numbers the names that anything declares, and the words of types that are declared without their body somewhere.
///
/// In C every type counts as such: `struct a *` declares what it names.
fn number_symbols(files: &[SourceFile], parts: &[Parts]) -> HashedMap<u32> {
    let mut symbols = HashedMap::default();
    let number = |hash: u64, symbols: &mut HashedMap<u32>| {
        let next = symbols.len() as u32;
        symbols.entry(hash).or_insert(next);
    };
    let mut forward = HashedMap::default();
    for parts in parts {
        for (name, scope) in &parts.names {
            number(*name, &mut symbols);
            if *scope != 0 {
                number(*scope, &mut symbols);
            }
        }
        for entry in parts.entries.iter().filter(|entry| matches!(entry.kind, Kind::Forward | Kind::Alias)) {
            for (name, _) in &parts.names[entry.names.start as usize..entry.names.end as usize] {
                forward.insert(*name, ());
            }
        }
    }
    for (file, parts) in files.iter().zip(parts) {
        let is_c = file.language.name() == "c";
        let is_type = |entry: &&Entry| entry.kind == Kind::Type || is_c && entry.kind == Kind::Alias;
        for entry in parts.entries.iter().filter(is_type) {
            let mut names = parts.names[entry.names.start as usize..entry.names.end as usize].iter();
            if is_c || names.any(|(name, scope)| *scope != 0 || forward.contains_key(name)) {
                for word in &parts.words[entry.words.start as usize..entry.words.end as usize] {
                    number(parted(*word).0, &mut symbols);
                }
            }
        }
    }
    symbols
}

fn resolve_all(files: &[SourceFile], parts: &[Parts], folders: &[String]) -> Vec<Vec<Include>> {
    let resolver = Resolver::new(files.iter().map(|file| file.path.as_str()).collect(), folders);
    let resolve = |(file, parts): (usize, &Parts)| {
        let of_file = parts.includes.iter().map(|(entry, written, angle)| {
            let target = resolver.resolve(file as u32, written, *angle);
            let portable = match target {
                Target::File(found) => resolver.reaches(written, *angle, found),
                Target::Outside => true,
                Target::Unclear => folder_of(&files[file].path).is_empty(),
            };
            Include { entry: *entry, written: written.clone(), target, portable }
        });
        of_file.collect()
    };
    parts.par_iter().enumerate().map(resolve).collect()
}
