//! Documents of Rust, Python, TypeScript, JavaScript and Go: a function or type with the imports, values, types and
//! functions it needs, of its own file and of the modules that it imports from.
//!
//! Names are followed as the language does: in the file first, then by what the file imports ([`resolve`]). A name of
//! the project that is imported under its own name may be replaced by its definition, with all that one needs, if no two
//! things of one name meet and everything fits ([`slice`]); else the import stays. What a part needs when it is loaded
//! stands above it ([`order`]).
//!
//! A file is parsed when the first document needs it. Not covered: names behind a module's (`module.name`), which keep
//! their import; methods by the type of what they are called on, which are drawn by name.

mod order;
mod read;
mod resolve;
mod slice;
mod write;

use rayon::prelude::*;
use std::sync::OnceLock;
use wootz_chunk::{Chunker, PartKind};
use wootz_schema::document::DocumentKind;

use super::SourceFile;
use super::compose::{Composed, Counts, Granularity, Wish};
use super::pieces::Count;
use read::Read;
use resolve::Paths;
use slice::Slice;

/// The files of a project that are in module languages, sorted by path.
pub(super) struct Modules {
    files: Vec<Module>,
    paths: Paths,
}

struct Module {
    source: SourceFile,
    read: OnceLock<Option<Read>>,
    /// Other files of its package.
    package: OnceLock<Vec<u32>>,
}

/// A part of a file, by their numbers.
type Place = (u32, u32);

/// Files whose documents are in memory at once.
const FILES_AT_ONCE: usize = 64;

impl Modules {
    pub fn new(files: Vec<SourceFile>) -> Modules {
        let paths = Paths::new(files.iter().map(|file| file.path.clone()).collect());
        let files = files
            .into_iter()
            .map(|source| Module { source, read: OnceLock::new(), package: OnceLock::new() })
            .collect();
        Modules { files, paths }
    }

    /// Gives the documents, in the order of files and of the parts in them.
    pub fn documents(
        &self,
        wish: &Wish,
        count: &Count<'_>,
        counts: &mut Counts,
        sink: &mut dyn FnMut(Composed),
    ) {
        let numbers: Vec<u32> = (0..self.files.len() as u32).collect();
        for some in numbers.chunks(FILES_AT_ONCE) {
            let done: Vec<(Vec<Composed>, Counts)> = some
                .par_iter()
                .with_max_len(1)
                .map_init(Chunker::new, |chunker, file| self.documents_of(*file, wish, count, chunker))
                .collect();
            for (documents, of_file) in done {
                counts.oversized_items += of_file.oversized_items;
                counts.oversized_files += of_file.oversized_files;
                counts.files_with_errors += of_file.files_with_errors;
                documents.into_iter().for_each(&mut *sink);
            }
        }
    }

    fn documents_of(
        &self,
        file: u32,
        wish: &Wish,
        count: &Count<'_>,
        chunker: &mut Chunker,
    ) -> (Vec<Composed>, Counts) {
        let mut counts = Counts::default();
        let mut documents = Vec::new();
        let source = &self.files[file as usize].source;
        let parsed = chunker.parse(source.language, source.text.as_bytes());
        counts.files_with_errors += u64::from(parsed.has_errors);
        let tokens = count(&source.text);
        if tokens <= wish.max_tokens {
            let mut symbols = Vec::new();
            parsed.items.iter().for_each(|item| item.symbols("", &mut symbols));
            documents.push(Composed {
                text: source.text.clone(),
                path: source.path.clone(),
                language: source.language.name(),
                kind: DocumentKind::File,
                symbols: super::compose::each_once(symbols.into_iter()),
                tokens,
                drawn_from: vec![source.path.clone()],
            });
            if wish.granularity == Granularity::Fitting {
                return (documents, counts);
            }
        }
        let roots = self.read(file).map_or(Vec::new(), Read::roots);
        if documents.is_empty() && roots.is_empty() {
            counts.oversized_files += 1;
        }
        for root in roots {
            match self.document((file, root), wish, count) {
                Some(document) => documents.push(document),
                None => counts.oversized_items += 1,
            }
        }
        (documents, counts)
    }

    /// The document of a part: with definitions of other files as far as they fit, at last with its own file's only.
    fn document(&self, root: Place, wish: &Wish, count: &Count<'_>) -> Option<Composed> {
        let mut depths = vec![wish.cross_depth];
        depths.extend([1, 0].into_iter().filter(|depth| *depth < wish.cross_depth));
        for depth in depths {
            let mut slice = Slice::new(self, root, wish.max_tokens, count);
            if !slice.draw(root, depth) {
                continue;
            }
            slice.keep_implied();
            let composed = write::compose(&slice, self.kind_of(root));
            if composed.tokens <= wish.max_tokens {
                return Some(composed);
            }
        }
        None
    }

    fn kind_of(&self, (file, part): Place) -> DocumentKind {
        match self.read(file).map(|read| read.outline.parts[part as usize].kind) {
            Some(PartKind::Type) => DocumentKind::Class,
            _ => DocumentKind::Function,
        }
    }

    fn read(&self, file: u32) -> Option<&Read> {
        let module = &self.files[file as usize];
        module.read.get_or_init(|| Read::new(&module.source)).as_ref()
    }

    /// The other files of a Go package.
    fn package(&self, file: u32) -> &[u32] {
        self.files[file as usize].package.get_or_init(|| self.find_package(file))
    }

    fn source(&self, file: u32) -> &SourceFile {
        &self.files[file as usize].source
    }
}
