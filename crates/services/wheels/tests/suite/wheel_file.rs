//! Wheels made for tests: honest ones, and what is then changed about them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The files of a wheel, in their order, with its name.
#[derive(Clone)]
pub struct WheelFile {
    pub name: String,
    pub files: Vec<(String, Vec<u8>)>,
}

impl WheelFile {
    /// An honest wheel of version 1.0 with these files, and a list of them.
    pub fn new(tags: &str, files: &[(&str, &[u8])]) -> WheelFile {
        let mut made = WheelFile { name: format!("Foo.Bar-1.0-{tags}.whl"), files: Vec::new() };
        for (path, bytes) in files {
            made.set(path, bytes);
        }
        made.set(
            "Foo.Bar-1.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0\nSummary: A wheel, of a test\nRequires-Python: >=3.9\n\
              Requires-Dist: torch ==2.9.*\nRequires-Dist: einops\nAuthor: A\n  Tester\n\nVersion: not here\n",
        );
        let expanded = tags.split('-').fold(vec![String::new()], |made, set| {
            let both = |start: &String, tag: &str| {
                if start.is_empty() { tag.to_owned() } else { format!("{start}-{tag}") }
            };
            made.iter().flat_map(|start| set.split('.').map(move |tag| both(start, tag))).collect()
        });
        let tags: String = expanded.iter().map(|tag| format!("Tag: {tag}\n")).collect();
        let wheel = format!("Wheel-Version: 1.0\nGenerator: test (1)\nRoot-Is-Purelib: false\n{tags}");
        made.set("Foo.Bar-1.0.dist-info/WHEEL", wheel.as_bytes());
        made.list();
        made
    }

    /// Puts a file into the wheel, or other bytes into one, and leaves the list as it is.
    pub fn set(&mut self, path: &str, bytes: &[u8]) {
        match self.files.iter_mut().find(|(there, _)| there == path) {
            Some((_, there)) => bytes.clone_into(there),
            None => self.files.push((path.to_owned(), bytes.to_owned())),
        }
    }

    /// Changes a part of a text file.
    pub fn edit(&mut self, path: &str, from: &str, to: &str) {
        let (_, bytes) = self.files.iter_mut().find(|(there, _)| there == path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    }

    /// Makes the list true.
    pub fn list(&mut self) {
        let path = "Foo.Bar-1.0.dist-info/RECORD";
        self.files.retain(|(there, _)| there != path);
        let mut list = String::new();
        for (path, bytes) in &self.files {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
            let quoted = if path.contains(',') { format!("\"{path}\"") } else { path.clone() };
            list += &format!("{quoted},sha256={hash},{}\n", bytes.len());
        }
        list += &format!("{path},,\n");
        self.set(path, list.as_bytes());
    }

    /// Writes it into a folder.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join(&self.name);
        let mut zip = ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (path, bytes) in &self.files {
            zip.start_file(path, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }
}
