//! One binary: the split against a regex engine, round trips, training, and the Python package.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the crate is pure; its tests read files and start Python"
)]

mod python;
mod split;
mod train;

use std::path::{Path, PathBuf};

/// Text of the project's own dependencies, up to about `bytes`, in a fixed order.
fn rust_sources(bytes: usize) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|h| h.join(".cargo")));
    let registry = home.expect("a home folder").join("registry/src");
    let mut texts = Vec::new();
    collect(&registry, bytes, &mut texts);
    assert!(!texts.is_empty(), "no .rs file under {}: run `cargo fetch` first", registry.display());
    texts
}

fn collect(folder: &Path, bytes: usize, texts: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if texts.iter().map(String::len).sum::<usize>() >= bytes {
            return;
        }
        if path.is_dir() {
            collect(&path, bytes, texts);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "md" || e == "toml") {
            texts.extend(std::fs::read_to_string(&path));
        }
    }
}
