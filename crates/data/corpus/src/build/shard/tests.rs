//! Any number of shards of any tree, merged, are the corpus of one run; so is a build that goes on from what another left.

use super::*;
use crate::build::build;
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use wootz_schema::corpus::CorpusFormat;
use wootz_schema::progress::Silent;
use wootz_schema::{Diagnose, ExitCode};

/// A file: its project, what it is like, and how much of it there is.
type Leaf = (u8, u8, u8, u8);

/// Texts of several languages; those of one kind and seed are the same in every project, those of near seeds nearly.
fn text((project, kind, seed, length): Leaf) -> (String, String) {
    let names: Vec<String> = (0..usize::from(length) + 1).map(|at| format!("name_{seed}_{at}")).collect();
    let lines = |line: &dyn Fn(&str) -> String| names.iter().map(|name| line(name)).collect::<String>();
    let (ending, text) = match kind % 6 {
        0 => (
            "c",
            lines(&|name| {
                format!("int {name}(int a) {{ return helper_{}(a) + {name}_{seed}; }}\n", seed % 4)
            }),
        ),
        1 => (
            "h",
            lines(&|name| {
                format!("static inline int helper_{}(int {name}) {{ return {name} * 2; }}\n", seed % 4)
            }),
        ),
        2 => ("py", lines(&|name| format!("def {name}(x):\n    return 'ann{seed}@lee.org' + x\n\n"))),
        3 => ("rs", lines(&|name| format!("pub fn {name}(x: u32) -> u32 {{\n    x + {seed}\n}}\n"))),
        4 => (
            "cpp",
            lines(&|name| {
                format!("struct {name} {{ int field; }};\nvoid use({name} &it) {{ it.field = {seed}; }}\n")
            }),
        ),
        // A copy wherever it stands, and one in which one word in twenty is another.
        _ => (
            "go",
            format!(
                "package p\n{}",
                (0..80)
                    .map(|at| format!("var v{at} = {}\n", if at == i32::from(seed) { 9 } else { 0 }))
                    .collect::<String>()
            ),
        ),
    };
    (format!("p{project}/d{}/f{kind}_{seed}_{length}.{ending}", seed % 3), text)
}

struct Place {
    folder: tempfile::TempDir,
    options: CorpusOptions,
}

impl Place {
    fn new(leaves: &[Leaf]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        for leaf in leaves {
            let (path, text) = text(*leaf);
            let path = folder.path().join("src").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sources = vec![folder.path().join("src")];
        Place { folder, options: CorpusOptions { sources, threads: Some(2), ..CorpusOptions::default() } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Builds so many shards, each with one or two threads, and merges them from the last to the first.
    fn merged(&self, count: u64) -> Result<PathBuf, CorpusError> {
        let mut shards = Vec::new();
        for index in 0..count {
            let options = CorpusOptions { threads: Some(1 + index as usize % 2), ..self.options.clone() };
            shards.insert(0, self.path(&format!("shard-{index}")));
            build_shard(&options, Share { index, count }, &shards[0], &Silent)?;
        }
        let out = self.path("merged");
        merge(&shards, &out, &Silent)?;
        Ok(out)
    }
}

/// Every file of a corpus with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn leaves() -> impl Strategy<Value = Vec<Leaf>> {
    proptest::collection::vec((0..6_u8, 0..6_u8, 0..8_u8, 0..12_u8), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shards_of_any_tree_are_one_run(
        leaves in leaves(),
        count in 1..6_u64,
        plain in any::<bool>(),
        parquet in any::<bool>(),
        cap in proptest::option::of(500..6000_u64),
        max_tokens in prop_oneof![Just(16_384_u64), Just(120)],
    ) {
        let mut place = Place::new(&leaves);
        place.options.format = if parquet { CorpusFormat::Parquet } else { CorpusFormat::Jsonl };
        place.options.max_total_bytes = cap;
        match &mut place.options.compose {
            Some(compose) if !plain => compose.max_tokens = max_tokens,
            compose => *compose = None,
        }
        let [one, two] = [1, 2].map(|threads| {
            let options = CorpusOptions { threads: Some(threads), ..place.options.clone() };
            let out = place.path(&format!("out-{threads}"));
            build(&options, &out, &Silent).map(|_| files(&out)).map_err(|error| error.to_string())
        });
        prop_assert!(one == two, "one thread and two");
        let merged = place.merged(count).map(|out| files(&out)).map_err(|error| error.to_string());
        prop_assert!(one == merged, "{count} shards and one run: {:?}", merged.map(|files| files.len()));
    }
}

/// Twenty files in five projects, some of them copies.
fn some() -> Vec<Leaf> {
    (0..40).map(|at| (at % 5, at % 6, at % 4, at % 7)).collect()
}

/// Dies at an event as a killed process does: nothing is cleared away.
struct DiesAt(AtomicUsize);

impl Observe for DiesAt {
    fn observe(&self, _: Progress<'_>) {
        assert!(self.0.fetch_sub(1, Ordering::Relaxed) > 0, "told to die");
    }
}

#[test]
fn what_was_finished_is_not_done_again() {
    let place = Place::new(&some());
    let expected = place.path("expected");
    build(&place.options, &expected, &Silent).unwrap();
    let out = place.path("out");
    let left = place.path(".out.incomplete");
    let saved = place.path("saved");
    for event in [3, 6] {
        let died = catch_unwind(AssertUnwindSafe(|| {
            // What stands in the folder when the process dies is what a kill would leave.
            build(
                &place.options,
                &out,
                &CopiesAt { event: DiesAt(AtomicUsize::new(event)), from: left.clone(), to: saved.clone() },
            )
        }));
        assert!(died.is_err(), "{event}");
        fs::rename(&saved, &left).unwrap();
    }
    let parts = |folder: &Path| {
        fs::read_dir(folder.join("parts")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let finished = parts(&left);
    assert!(finished.len() > 4, "{finished:?}");
    // A finished part that is damaged is made again; one that is whole is not looked at twice: another's text shows.
    fs::write(
        left.join("parts/part-000001.jsonl.zst"),
        &fs::read(left.join("parts/part-000001.jsonl.zst")).unwrap()[..20],
    )
    .unwrap();
    build(&place.options, &out, &Silent).unwrap();
    assert!(files(&out) == files(&expected));
    assert!(!left.exists());
}

/// Copies a folder before it dies.
struct CopiesAt {
    event: DiesAt,
    from: PathBuf,
    to: PathBuf,
}

impl Observe for CopiesAt {
    fn observe(&self, progress: Progress<'_>) {
        if self.event.0.load(Ordering::Relaxed) == 0 {
            fs::create_dir_all(self.to.join("parts")).unwrap();
            for below in ["", "parts"] {
                for entry in fs::read_dir(self.from.join(below)).unwrap().map(|entry| entry.unwrap()) {
                    if entry.file_type().unwrap().is_file() {
                        fs::copy(entry.path(), self.to.join(below).join(entry.file_name())).unwrap();
                    }
                }
            }
        }
        self.event.observe(progress);
    }
}

#[test]
fn finished_parts_are_used_as_long_as_nothing_changed() {
    let place = Place::new(&some());
    let (shard, left, out) = (place.path("shard"), place.path(".out.incomplete"), place.path("out"));
    // The whole work as one shard leaves the parts of a build that was killed at its end.
    build_shard(&place.options, Share { index: 0, count: 1 }, &shard, &Silent).unwrap();
    let settings = Settings::new(&place.options).unwrap();
    let key = Tree::read(&place.options, &settings).unwrap().key;
    let leave = |options: &CorpusOptions| {
        fs::rename(&shard, &left).unwrap();
        fs::write(left.join("key"), &key).unwrap();
        // Another's text in a part that is whole shows whether it was used.
        let path = left.join("parts/part-000000.jsonl.zst");
        let text = zstd::decode_all(File::open(&path).unwrap()).unwrap();
        let text = String::from_utf8(text).unwrap().replace("name_0_0", "name_9_9");
        fs::write(&path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        build(options, &out, &Silent).unwrap();
        fs::read_to_string(out.join("documents.jsonl")).unwrap().contains("name_9_9")
    };
    assert!(leave(&place.options), "the part is used");
    build_shard(&place.options, Share { index: 0, count: 1 }, &shard, &Silent).unwrap();
    assert!(!leave(&CorpusOptions { max_file_bytes: 1 << 19, ..place.options.clone() }), "other options");
    build_shard(&place.options, Share { index: 0, count: 1 }, &shard, &Silent).unwrap();
    let (path, text) = text(some()[0]);
    fs::write(place.path("src").join(path), text + "\n").unwrap();
    assert!(!leave(&place.options), "other sources");
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let place = Place::new(&some());
    let shard = |index, count, name: &str, options: &CorpusOptions| {
        let path = place.path(name);
        build_shard(options, Share { index, count }, &path, &Silent).unwrap();
        path
    };
    let [first, second] = [0, 1].map(|index| shard(index, 2, &format!("s{index}"), &place.options));
    let other = shard(1, 2, "other", &CorpusOptions { max_file_bytes: 1 << 19, ..place.options.clone() });
    let third = shard(1, 3, "third", &place.options);
    let out = place.path("out");
    let check = |shards: &[&PathBuf], expected: &str| {
        let shards: Vec<PathBuf> = shards.iter().map(|path| (*path).clone()).collect();
        let error = merge(&shards, &out, &Silent).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit(), ExitCode::Usage, "{error}");
        assert!(error.hint().is_some());
        assert!(!out.exists());
    };
    check(&[], "no shard is named");
    check(&[&first], "the other shards are not named: 1/2");
    check(&[&first, &first], "is shard 0/2, and so is");
    check(&[&first, &other], "other sources, flags or numbers");
    check(&[&first, &third], "other sources, flags or numbers");
    check(&[&first, &place.path("none")], "read the shard");
    let part = fs::read_dir(second.join("parts")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    check(&[&first, &second], "part-");
    fs::remove_file(&part).unwrap();
    check(&[&first, &second], "part-");
    fs::write(&part, bytes).unwrap();
    merge(&[second.clone(), first.clone()], &out, &Silent).unwrap();
    check_taken(&place, &first, &out);
}

/// A shard is not replaced by a corpus, nor a corpus by a shard, nor merged.
fn check_taken(place: &Place, shard: &Path, corpus: &Path) {
    assert!(matches!(build(&place.options, shard, &Silent), Err(CorpusError::OutputTaken { .. })));
    let share = Share { index: 0, count: 2 };
    let replaced = build_shard(&place.options, share, corpus, &Silent);
    assert!(matches!(replaced, Err(CorpusError::OutputTaken { .. })));
    let error = merge(&[corpus.to_owned()], &place.path("again"), &Silent).unwrap_err();
    assert!(error.to_string().contains("it is a whole corpus"), "{error}");
    let none = build_shard(&place.options, Share { index: 2, count: 2 }, &place.path("x"), &Silent);
    assert!(matches!(none, Err(CorpusError::NoSuchShard { .. })));
}

#[test]
fn two_builds_do_not_share_a_place() {
    let place = Place::new(&some());
    let out = place.path("out");
    let held = Publication::resume(&out, MANIFEST_FILE).unwrap();
    let error = build(&place.options, &out, &Silent).unwrap_err();
    assert!(matches!(error, CorpusError::Busy { .. }), "{error}");
    assert_eq!(error.exit(), ExitCode::Environment);
    drop(held);
    build(&place.options, &out, &Silent).unwrap();
}
