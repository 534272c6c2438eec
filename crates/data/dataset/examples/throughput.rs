//! Measures the way from documents to rows: `cargo run --release -p wootz-dataset --example throughput -- DOCUMENTS [THREADS]`.
//!
//! DOCUMENTS is a `documents.jsonl`; the dataset is written to a temporary folder.
#![allow(clippy::print_stdout, reason = "a program, not the library")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use wootz_dataset::{DatasetOptions, Loader, Split, train_tokenizer, write};
use wootz_schema::progress::Silent;
use wootz_tokenizer::TokenizerOptions;

const ROWS: usize = 32;
const SEQUENCE_LEN: usize = 2048;
const BATCHES: u64 = 400;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let documents = Path::new(arguments.first().expect("usage: throughput DOCUMENTS [THREADS]"));
    let threads = arguments.get(1).map_or(1, |n| n.parse().expect("THREADS is a number"));

    let start = Instant::now();
    let trained =
        train_tokenizer(documents, &TokenizerOptions::default(), threads, &Silent).expect("a tokenizer");
    println!(
        "tokenizer: {:.2} s for {:.1} MB of text",
        start.elapsed().as_secs_f64(),
        trained.bytes as f64 / 1e6
    );
    let tokenizer = Arc::new(trained.tokenizer);

    let out = std::env::temp_dir().join(format!("wootz-throughput-{}", std::process::id()));
    let start = Instant::now();
    let manifest = write(documents, &out, &DatasetOptions::default(), &Silent).expect("a dataset");
    let bytes = manifest.train.text_bytes + manifest.validation.text_bytes;
    println!(
        "write: {:.2} s, {:.1} MB of text in {} shards",
        start.elapsed().as_secs_f64(),
        bytes as f64 / 1e6,
        manifest.shards.len()
    );

    let open = |cursor| {
        Loader::open(&out, Split::Train, Arc::clone(&tokenizer), ROWS, SEQUENCE_LEN, threads, cursor)
            .expect("a loader")
    };
    let mut tokens = vec![0; ROWS * (SEQUENCE_LEN + 1)];
    let start = Instant::now();
    let mut loader = open(None);
    loader.next_batch(&mut tokens).expect("a batch");
    println!("first batch: {:.3} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    (1..BATCHES).for_each(|_| loader.next_batch(&mut tokens).expect("a batch"));
    let seconds = start.elapsed().as_secs_f64();
    let counts = loader.counts();
    println!(
        "load: {:.2} M tokens/s on {threads} threads, {:.1}% of the tokens dropped, epoch {}",
        tokens.len() as f64 * (BATCHES - 1) as f64 / seconds / 1e6,
        100.0 * counts.dropped as f64 / (counts.placed + counts.dropped) as f64,
        loader.cursor().epoch()
    );
    let start = Instant::now();
    let mut resumed = open(Some(loader.cursor()));
    let mut again = tokens.clone();
    resumed.next_batch(&mut again).expect("a batch");
    println!("resumed batch: {:.3} s", start.elapsed().as_secs_f64());
    loader.next_batch(&mut tokens).expect("a batch");
    assert_eq!(tokens, again, "a resumed loader goes on exactly");
    std::fs::remove_dir_all(&out).expect("the temporary folder");
}
