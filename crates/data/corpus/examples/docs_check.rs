//! Throwaway.
#![allow(clippy::all, missing_docs)]
use std::io::Write;
use std::time::Instant;
use wootz_corpus::documents::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (dir, out, max, mode, gran, depth) = (&args[1], &args[2], args[3].parse::<u64>().unwrap(), &args[4], &args[5], args[6].parse::<u32>().unwrap());
    let mut stack = vec![std::path::PathBuf::from(dir)];
    let mut files = vec![]; let mut bytes = 0;
    while let Some(d) = stack.pop() {
        for e in std::fs::read_dir(&d).unwrap() { let e = e.unwrap(); let t = e.file_type().unwrap(); let p = e.path();
            if t.is_dir() { if !e.file_name().to_string_lossy().starts_with('.') { stack.push(p); } continue; }
            if !t.is_file() { continue; }
            let name = e.file_name().to_string_lossy().into_owned();
            if !name.contains('.') || wootz_chunk::detect(&name, b"").is_none() { continue; }
            let Ok(text) = std::fs::read_to_string(&p) else { continue };
            let Some(language) = wootz_chunk::detect(&name, text.as_bytes()) else { continue };
            if !matches!(language.name(), "c" | "cpp") || text.len() > 500_000 || text.contains('\0') { continue; }
            bytes += text.len();
            files.push(SourceFile { path: p.strip_prefix(dir).unwrap().to_string_lossy().into_owned(), text, language });
        }
    }
    let tokenizer = wootz_tokenizer::Tokenizer::from_json(&std::fs::read_to_string(std::env::var("TOK").unwrap()).unwrap()).unwrap();
    let n = files.len();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(std::env::var("THREADS").map_or(2, |t| t.parse().unwrap())).build().unwrap();
    pool.install(|| {
        let t0 = Instant::now();
        let project = Project::new(files, &[]);
        let t1 = t0.elapsed();
        let counter = Counter::new(&tokenizer);
        let wish = Wish { mode: if mode == "cross" { Mode::CrossFile } else { Mode::Compilable }, granularity: if gran == "functions" { Granularity::Functions } else { Granularity::Fitting }, cross_depth: depth, max_tokens: max, headers: true };
        let mut w = std::io::BufWriter::new(std::fs::File::create(out).unwrap());
        let mut docs = 0u64; let mut text = 0u64; let mut kinds = std::collections::BTreeMap::new();
        let counts = project.documents(&wish, &counter, &mut |c| {
            docs += 1; text += c.text.len() as u64; let e = kinds.entry(format!("{:?}", c.kind)).or_insert((0u64, 0u64, 0u64)); e.0 += 1; e.1 += c.text.len() as u64; e.2 += u64::from(c.drawn_from.len() > 1);
            assert!(c.tokens <= max);
            if args.len() <= 7 { serde_json::to_writer(&mut w, &serde_json::json!({"text": c.text, "path": c.path, "kind": format!("{:?}", c.kind), "symbols": c.symbols, "tokens": c.tokens, "from": c.drawn_from, "language": c.language})).unwrap(); w.write_all(b"\n").unwrap(); }
        });
        eprintln!("{dir}: {n} files {bytes} B; index {:.2}s all {:.2}s; {docs} docs {text} B {kinds:?} {counts:?}", t1.as_secs_f64(), t0.elapsed().as_secs_f64());
    });
}
