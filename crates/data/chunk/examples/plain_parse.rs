//! How fast the parser alone reads files: what the corpus bench holds the whole of `wootz corpus build` against.
//!
//! `cargo run --release -p wootz-chunk --example plain_parse -- THREADS < LIST`, where LIST names a file a line. All files
//! are read first; what is timed is one plain parse of each, with the grammar that the chunker would use, and nothing
//! done with the trees. The last line on stdout is a JSON object.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program, not the pure library"
)]

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tree_sitter::Parser;
use wootz_chunk::detect;

fn main() -> ExitCode {
    let threads = std::env::args().nth(1).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0);
    let mut list = String::new();
    let (Some(threads), Ok(_)) = (threads, std::io::stdin().read_to_string(&mut list)) else {
        eprintln!("usage: plain_parse THREADS < LIST");
        return ExitCode::from(2);
    };
    let read = |path: &str| {
        let text = std::fs::read(path).ok()?;
        let name = Path::new(path).file_name()?.to_str()?.to_owned();
        detect(&name, &text).map(|language| (language, text))
    };
    let files: Vec<_> = list.lines().filter_map(read).collect();
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut parser = Parser::new();
                let mut grammar = "";
                while let Some((language, text)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if grammar != language.extensions()[0] {
                        grammar = language.extensions()[0];
                        parser
                            .set_language(&language.grammar())
                            .expect("grammars load because versions are pinned");
                    }
                    std::hint::black_box(parser.parse(text, None));
                    bytes.fetch_add(text.len(), Ordering::Relaxed);
                }
            });
        }
    });
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), bytes.into_inner());
    println!("{{\"files\": {}, \"bytes\": {bytes}, \"seconds\": {seconds}}}", files.len());
    ExitCode::SUCCESS
}
