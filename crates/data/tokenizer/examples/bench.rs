//! Measures training and encoding beside rustbpe, tiktoken and tokenizers on the same documents.
//!
//! `cargo run --release -p wootz-tokenizer --example bench -- FOLDER [MEGABYTES] [PYTHON]`
//! Reads `.rs`, `.md`, `.toml`, `.h`, `.hpp`, `.py` below FOLDER in name order. PYTHON needs the packages `rustbpe`,
//! `tiktoken` and `tokenizers`; without it only our own figures are printed. Each system trains and encodes in a process
//! of its own, so that its peak of memory is its own too.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program, not the pure library"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use wootz_schema::progress::Silent;
use wootz_tokenizer::{Encoder, Tokenizer, TokenizerOptions, Trainer};

const VOCAB_SIZE: usize = 32_768;
const ENCODED_BYTES: usize = 10_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["train", documents, tokenizer, threads] => train(documents.as_ref(), tokenizer.as_ref(), threads),
        ["encode", documents, tokenizer] => encode(documents.as_ref(), tokenizer.as_ref()),
        [folder, ref rest @ ..] => {
            let megabytes = rest.first().map_or(114, |n| n.parse().expect("MEGABYTES is a number"));
            compare(folder.as_ref(), megabytes * 1_000_000, rest.get(1).copied());
        }
        [] => eprintln!("usage: bench FOLDER [MEGABYTES] [PYTHON]"),
    }
}

fn compare(folder: &Path, bytes: usize, python: Option<&str>) {
    let scratch = std::env::temp_dir().join(format!("wootz-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a temporary folder");
    let mut texts = Vec::new();
    collect(folder, bytes, &mut 0, &mut texts);
    let documents = scratch.join("documents.jsonl");
    let lines: Vec<String> =
        texts.iter().map(|text| serde_json::to_string(text).expect("a string")).collect();
    std::fs::write(&documents, lines.join("\n")).expect("the documents");
    println!(
        "{} documents, {:.1} MB",
        texts.len(),
        texts.iter().map(String::len).sum::<usize>() as f64 / 1e6
    );
    drop((texts, lines));
    let ours = std::env::current_exe().expect("this program");
    let tokenizer = scratch.join("tokenizer.json");
    for threads in ["1", "2"] {
        run(Command::new(&ours).arg("train").args([&documents, &tokenizer]).arg(threads));
    }
    run(Command::new(&ours).arg("encode").args([&documents, &tokenizer]));
    if let Some(python) = python {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/peers.py");
        for system in
            ["train-rustbpe", "train-tokenizers", "encode-tiktoken", "encode-rustbpe", "encode-tokenizers"]
        {
            run(Command::new(python).arg(&script).arg(system).args([&documents, &tokenizer]));
        }
    }
    std::fs::remove_dir_all(&scratch).expect("the temporary folder");
}

fn run(command: &mut Command) {
    let status = command.status().expect("a program that starts");
    assert!(status.success(), "{command:?} ended with {status}");
}

fn collect(folder: &Path, wanted: usize, bytes: &mut usize, texts: &mut Vec<String>) {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if *bytes >= wanted {
            return;
        }
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(&path, wanted, bytes, texts);
        } else if ["rs", "md", "toml", "h", "hpp", "py"].contains(&extension)
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            *bytes += text.len();
            texts.push(text);
        }
    }
}

fn lines(documents: &Path) -> impl Iterator<Item = String> {
    let file = std::io::BufReader::new(std::fs::File::open(documents).expect("the documents"));
    std::io::BufRead::lines(file).map(|line| serde_json::from_str(&line.expect("a line")).expect("a string"))
}

fn train(documents: &Path, tokenizer: &Path, threads: &str) {
    let options = TokenizerOptions {
        vocab_size: VOCAB_SIZE,
        document_cap_bytes: usize::MAX,
        ..TokenizerOptions::default()
    };
    let mut trainer = Trainer::new(&options, threads.parse().expect("a number")).expect("a vocabulary size");
    let mut seconds = 0.0;
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut lines = lines(documents).peekable();
    while let Some(text) = lines.next() {
        bytes += text.len();
        batch.push(text);
        if bytes >= 16_000_000 || lines.peek().is_none() {
            let start = Instant::now();
            trainer.feed(&batch);
            seconds += start.elapsed().as_secs_f64();
            batch.clear();
            bytes = 0;
        }
    }
    let start = Instant::now();
    let trained = trainer.finish(&Silent).expect("text");
    let merging = start.elapsed().as_secs_f64();
    std::fs::write(tokenizer, trained.tokenizer.to_json()).expect("the tokenizer");
    println!(
        "train wootz, {threads} threads: {:.2} s ({seconds:.2} counting, {merging:.2} merging {} pieces), peak {} MB",
        seconds + merging,
        trained.distinct_pieces,
        peak_mb()
    );
}

fn encode(documents: &Path, tokenizer: &Path) {
    let tokenizer = Tokenizer::from_json(&std::fs::read_to_string(tokenizer).expect("the tokenizer"))
        .expect("a tokenizer");
    let mut bytes = 0;
    // Documents spread over the whole corpus, not its first folder.
    let all: Vec<String> = lines(documents).collect();
    let step = (all.iter().map(String::len).sum::<usize>() / ENCODED_BYTES).max(1);
    let texts: Vec<&String> = all.iter().step_by(step).inspect(|text| bytes += text.len()).collect();
    let best = |work: &dyn Fn() -> usize| {
        let runs = (0..5).map(|_| {
            let start = Instant::now();
            assert!(work() > 0);
            start.elapsed().as_secs_f64()
        });
        let mut seconds: Vec<f64> = runs.collect();
        seconds.sort_by(f64::total_cmp);
        bytes as f64 / 1e6 / seconds[2]
    };
    let one = best(&|| {
        let mut encoder = Encoder::new(&tokenizer);
        let mut total = 0;
        for text in &texts {
            let mut ids = Vec::new();
            encoder.encode_into(text.as_bytes(), &mut ids);
            total += ids.len();
        }
        total
    });
    let each = best(&|| texts.iter().map(|text| tokenizer.encode_ordinary(text.as_bytes()).len()).sum());
    let two = best(&|| tokenizer.encode_batch(&texts, 2).iter().map(Vec::len).sum());
    println!(
        "encode wootz, {:.1} MB: {one:.1} MB/s on one thread ({each:.1} with a new encoder for each document), {two:.1} on two",
        bytes as f64 / 1e6
    );
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}
