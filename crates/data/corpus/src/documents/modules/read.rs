//! A file in parts, and its names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use wootz_chunk::{Chunker, Import, Outline, PartKind};

use super::SourceFile;

/// What is known of a file once it is parsed.
pub(super) struct Read {
    pub outline: Outline,
    /// Parts that declare a name.
    pub names: BTreeMap<String, Vec<u32>>,
    /// Parts that change what a name stands for.
    pub touches: BTreeMap<String, Vec<u32>>,
    /// Parts that give members to a type.
    pub owned: BTreeMap<String, Vec<u32>>,
    /// Imports by the name they have here: part, and place in it. One that two imports declare is the first's.
    pub imports: BTreeMap<String, (u32, u32)>,
    /// Imports of all names of a module.
    pub wildcards: Vec<(u32, u32)>,
    /// Names that are handed on from other modules.
    pub handed_on: Vec<(u32, u32)>,
    /// Imports that nothing mentions: traits, whose methods are called.
    pub implied: Vec<(u32, u32)>,
    /// Tokens of parts.
    pub tokens: Vec<OnceLock<u64>>,
}

impl Read {
    /// `None` where the parser could make nothing of it.
    pub fn new(source: &SourceFile) -> Option<Read> {
        let outline = Chunker::new().outline(source.language, source.text.as_bytes())?;
        let mut read = Read {
            names: BTreeMap::new(),
            touches: BTreeMap::new(),
            owned: BTreeMap::new(),
            imports: BTreeMap::new(),
            wildcards: Vec::new(),
            handed_on: Vec::new(),
            implied: Vec::new(),
            tokens: outline.parts.iter().map(|_| OnceLock::new()).collect(),
            outline,
        };
        read.tabulate();
        if source.language.name() == "rust" {
            read.find_implied(&source.text);
        }
        Some(read)
    }

    fn tabulate(&mut self) {
        for (number, part) in self.outline.parts.iter().enumerate() {
            let number = number as u32;
            for (place, import) in part.imports.iter().enumerate() {
                let at = (number, place as u32);
                if part.kind != PartKind::Import {
                    self.handed_on.push(at);
                } else if import.local == "*" {
                    self.wildcards.push(at);
                } else {
                    self.imports.entry(import.local.clone()).or_insert(at);
                }
            }
            // What could not be read is not drawn.
            if part.has_errors {
                continue;
            }
            let add = |table: &mut BTreeMap<String, Vec<u32>>, name: &String| {
                table.entry(name.clone()).or_default().push(number);
            };
            part.names.iter().for_each(|name| add(&mut self.names, name));
            part.touches.iter().for_each(|name| add(&mut self.touches, name));
            part.owner.iter().for_each(|name| add(&mut self.owned, name));
        }
    }

    fn find_implied(&mut self, text: &str) {
        let parts = &self.outline.parts;
        let words: BTreeSet<&str> =
            parts.iter().flat_map(|part| part.words.iter().map(String::as_str)).collect();
        for (name, at) in &self.imports {
            let is_public = text[parts[at.0 as usize].range.clone()].starts_with("pub");
            let may_be_trait = name == "_" || name.starts_with(|first: char| first.is_uppercase());
            if !is_public && may_be_trait && !words.contains(name.as_str()) {
                self.implied.push(*at);
            }
        }
    }

    pub fn import(&self, (part, place): (u32, u32)) -> &Import {
        &self.outline.parts[part as usize].imports[place as usize]
    }

    /// Parts that documents are made for.
    pub fn roots(&self) -> Vec<u32> {
        let parts = self.outline.parts.iter().enumerate();
        parts.filter(|(_, part)| part.is_root && !part.has_errors).map(|(number, _)| number as u32).collect()
    }
}
