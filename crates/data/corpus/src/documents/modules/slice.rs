//! What a document of one part holds: the part, and all it needs, directly or through others.
//!
//! Definitions of other files come by trial: with all they need, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use super::super::pieces::Count;
use super::{Modules, Place};
use wootz_chunk::{Part, PartKind};

/// Where an import stands: file, part, place in the part.
pub(super) type ImportPlace = (u32, u32, u32);

/// What a name stands for in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// What this file declares.
    Of(u32),
    /// What this statement imports.
    Imported(String),
}

/// A document in the making.
#[derive(Clone)]
pub(super) struct Slice<'m> {
    pub modules: &'m Modules,
    pub root: Place,
    pub count: &'m Count<'m>,
    pub parts: BTreeSet<Place>,
    /// Imports that stay, as they are written.
    pub imports: BTreeMap<ImportPlace, String>,
    /// Names of files that were replaced by definitions.
    pub inlined: BTreeMap<(u32, String), Vec<Place>>,
    meanings: BTreeMap<String, Meaning>,
    members: BTreeSet<String>,
    /// Types whose members are drawn when they are mentioned, with the depth that is left there.
    owners: BTreeMap<(u32, String), u32>,
    /// Names of files that were tried in vain.
    declined: BTreeSet<(u32, String)>,
    tokens: u64,
    max_tokens: u64,
}

impl<'m> Slice<'m> {
    pub fn new(modules: &'m Modules, root: Place, max_tokens: u64, count: &'m Count<'m>) -> Slice<'m> {
        Slice {
            modules,
            root,
            count,
            parts: BTreeSet::new(),
            imports: BTreeMap::new(),
            inlined: BTreeMap::new(),
            meanings: BTreeMap::new(),
            members: BTreeSet::new(),
            owners: BTreeMap::new(),
            declined: BTreeSet::new(),
            tokens: 0,
            max_tokens,
        }
    }

    pub fn part(&self, (file, part): Place) -> Option<&'m Part> {
        self.modules.read(file).map(|read| &read.outline.parts[part as usize])
    }

    /// Draws a part and what it needs; `false` where names collide or too much is needed.
    pub fn draw(&mut self, root: Place, depth: u32) -> bool {
        let mut queue = vec![(root, depth)];
        while let Some((place, depth)) = queue.pop() {
            if !self.parts.insert(place) {
                continue;
            }
            let Some(part) = self.part(place) else { return false };
            if part.has_errors || !self.claim(place, part) {
                return false;
            }
            for word in &part.words {
                if !self.follow(place.0, word, depth, &mut queue) {
                    return false;
                }
            }
            self.draw_kin(place, part, depth, &mut queue);
        }
        true
    }

    /// Takes the names of a part, and room for it.
    fn claim(&mut self, place: Place, part: &Part) -> bool {
        for name in &part.names {
            let imported = self.modules.read(place.0).is_some_and(|read| read.imports.contains_key(name));
            if imported && place.0 != self.root.0 {
                return false;
            }
            let meaning = Meaning::Of(place.0);
            if *self.meanings.entry(name.clone()).or_insert_with(|| meaning.clone()) != meaning {
                return false;
            }
        }
        if let Some(read) = self.modules.read(place.0) {
            let text = &self.modules.source(place.0).text[part.range.clone()];
            self.tokens += read.tokens[place.1 as usize].get_or_init(|| (self.count)(text));
        }
        self.tokens <= self.max_tokens
    }

    /// Draws what else declares or changes the names of a part, and members that are mentioned.
    fn draw_kin(&mut self, place: Place, part: &'m Part, depth: u32, queue: &mut Vec<(Place, u32)>) {
        let file = place.0;
        let Some(read) = self.modules.read(file) else { return };
        for name in &part.names {
            let kin = [&read.names, &read.touches].into_iter().filter_map(|table| table.get(name)).flatten();
            queue.extend(kin.map(|part| ((file, *part), depth)));
            if part.kind == PartKind::Type {
                self.owners.insert((file, name.clone()), depth);
                let members: Vec<&String> = self.members.iter().collect();
                self.draw_members((file, name), &members, depth, queue);
            }
        }
        let new: Vec<&String> =
            part.mentioned_members.iter().filter(|member| !self.members.contains(*member)).collect();
        if !new.is_empty() {
            for ((file, owner), depth) in &self.owners {
                self.draw_members((*file, owner), &new, *depth, queue);
            }
        }
        self.members.extend(part.mentioned_members.iter().cloned());
    }

    fn draw_members(
        &self,
        (file, owner): (u32, &String),
        members: &[&String],
        depth: u32,
        queue: &mut Vec<(Place, u32)>,
    ) {
        let mut files = vec![file];
        if depth > 0 {
            files.extend(self.modules.package(file));
        }
        for other in files {
            let depth = if other == file { depth } else { depth.saturating_sub(1) };
            let Some(read) = self.modules.read(other) else { continue };
            for part in read.owned.get(owner).into_iter().flatten() {
                let gives = &read.outline.parts[*part as usize].members;
                if gives.iter().any(|name| members.binary_search(&name).is_ok()) {
                    queue.push(((other, *part), depth));
                }
            }
        }
    }

    /// Draws what a word of a file means, or keeps its import; `false` where that collides.
    fn follow(&mut self, file: u32, word: &str, depth: u32, queue: &mut Vec<(Place, u32)>) -> bool {
        let Some(read) = self.modules.read(file) else { return true };
        if let Some(parts) = read.names.get(word) {
            queue.extend(parts.iter().map(|part| ((file, *part), depth)));
            // `from m import x` and then `x = f(x)`.
            if let Some(at) = read.imports.get(word).filter(|_| file == self.root.0) {
                let written = &read.import(*at).written;
                self.imports.insert(
                    (file, at.0, at.1),
                    format!("{}{}{}", written[0], read.import(*at).module, written[1]),
                );
            }
            return true;
        }
        let key = (file, word.to_owned());
        if self.inlined.contains_key(&key) {
            return true;
        }
        let tried = depth > 0 && !self.declined.contains(&key);
        if let Some(at) = read.imports.get(word) {
            let found = if tried { self.modules.imported(file, *at, word) } else { None };
            return self.replace(key, found, depth) || self.keep(file, *at);
        }
        for at in &read.wildcards {
            let found = if tried { self.modules.imported(file, *at, word) } else { None };
            let means_it = found.is_some();
            if self.replace(key.clone(), found, depth) {
                return true;
            }
            if means_it && !self.keep(file, *at) {
                return false;
            }
        }
        if tried {
            let found = self.in_package(file, word);
            self.replace(key, found, depth);
        }
        true
    }

    /// The one other file of a package that declares a name.
    fn in_package(&self, file: u32, word: &str) -> Option<Vec<Place>> {
        let mut found = None;
        for other in self.modules.package(file).iter().copied() {
            let parts = self.modules.read(other).and_then(|read| read.names.get(word));
            if let Some(parts) = parts {
                if found.is_some() {
                    return None;
                }
                found = Some(parts.iter().map(|part| (other, *part)).collect());
            }
        }
        found
    }

    /// Replaces an imported name by its definition, if all that this needs can be had.
    fn replace(&mut self, key: (u32, String), found: Option<Vec<Place>>, depth: u32) -> bool {
        let Some(found) = found else { return false };
        if found.iter().all(|place| self.parts.contains(place)) {
            self.inlined.insert(key, found);
            return true;
        }
        let mut trial = self.clone();
        trial.inlined.insert(key.clone(), found.clone());
        if found.iter().all(|place| trial.draw(*place, depth - 1)) {
            *self = trial;
            return true;
        }
        self.declined.append(&mut trial.declined);
        self.declined.insert(key);
        false
    }

    fn keep(&mut self, file: u32, (part, place): (u32, u32)) -> bool {
        let at = (file, part, place);
        if self.imports.contains_key(&at) {
            return true;
        }
        let Some(read) = self.modules.read(file) else { return false };
        let import = read.import((part, place));
        let is_statement = !import.module.is_empty();
        if !is_statement && file != self.root.0 {
            return false;
        }
        let Some(module) = self.modules.module_for(file, &import.module, self.root.0) else { return false };
        let [before, after] = &import.written;
        let written = format!("{before}{module}{after}");
        if import.local != "*" && import.local != "_" {
            let meaning = Meaning::Imported(written.clone());
            let known = self.meanings.entry(import.local.clone()).or_insert_with(|| meaning.clone());
            let same_module = matches!((&*known, import.name.is_none()), (Meaning::Imported(_), true));
            // `import a.b` and `import a.c` both mean `a`.
            if *known != meaning && !(same_module && file == self.root.0) {
                return false;
            }
        }
        self.imports.insert(at, written);
        // `import a.b` and `import a.c` are both wanted by whoever says `a`.
        if import.name.is_none() && is_statement {
            self.keep_namesakes(file, &import.local);
        }
        true
    }

    /// Keeps all imports of modules of a file that go by one name.
    fn keep_namesakes(&mut self, file: u32, local: &str) {
        let Some(read) = self.modules.read(file) else { return };
        let parts = read.outline.parts.iter().enumerate().filter(|(_, part)| part.kind == PartKind::Import);
        for (number, part) in parts {
            for (place, other) in part.imports.iter().enumerate() {
                let module = self.modules.module_for(file, &other.module, self.root.0);
                if let Some(module) = module.filter(|_| other.local == local && other.name.is_none()) {
                    let [before, after] = &other.written;
                    let written = format!("{before}{module}{after}");
                    self.imports.entry((file, number as u32, place as u32)).or_insert(written);
                }
            }
        }
    }

    /// Keeps what no word mentions: traits of the root's file, and imports of all names of modules outside.
    pub fn keep_implied(&mut self) {
        let files: BTreeSet<u32> = self.parts.iter().map(|(file, _)| *file).collect();
        for file in files {
            let Some(read) = self.modules.read(file) else { continue };
            for at in &read.implied {
                self.keep(file, *at);
            }
            let source = self.modules.source(file);
            for at in &read.wildcards {
                let module = &read.import(*at).module;
                if self.modules.paths.module(source.language.name(), &source.path, module).is_none() {
                    self.keep(file, *at);
                }
            }
        }
    }

    /// The parts in the document that a word of a file means.
    pub fn meant(&self, file: u32, word: &str) -> Vec<Place> {
        let read = self.modules.read(file);
        if let Some(parts) = read.and_then(|read| read.names.get(word)) {
            return parts
                .iter()
                .map(|part| (file, *part))
                .filter(|place| self.parts.contains(place))
                .collect();
        }
        self.inlined.get(&(file, word.to_owned())).cloned().unwrap_or_default()
    }
}
