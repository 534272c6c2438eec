//! `RECORD`: the list of a wheel's files with their hashes and sizes (PEP 376 and 427).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// One line of `RECORD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub path: String,
    /// `sha256=` and the rest; empty for the list itself.
    pub hash: String,
    /// Bytes, in digits; may be empty.
    pub size: String,
}

/// Reads a list; an error says which line is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for row in csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes).records() {
        let row = row.map_err(|error| error.to_string())?;
        let place = row.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = row.iter().collect();
        let [path, hash, size] = fields.as_slice() else {
            return Err(format!(
                "line {place} has {} fields, where 3 belong: path, hash, size",
                fields.len()
            ));
        };
        lines.push(Line { path: (*path).to_owned(), hash: (*hash).to_owned(), size: (*size).to_owned() });
    }
    Ok(lines)
}

/// Writes a list.
pub(crate) fn write(lines: &[Line]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for line in lines {
        writer
            .write_record([&line.path, &line.hash, &line.size])
            .expect("rows have three fields, because lines do, and memory takes all bytes");
    }
    writer.into_inner().expect("memory takes all bytes, because it has no end to be flushed to")
}

/// The hash of a file as the list writes it.
pub(crate) fn hash(bytes: &[u8]) -> String {
    format!("sha256={}", URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)))
}

/// A hash of a list, being compared with a file that comes in pieces.
pub(crate) struct Check {
    expected: String,
    hasher: Hasher,
}

enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Check {
    /// Begins; an error where the hash is missing or of a kind that PEP 427 does not allow.
    pub fn new(hash: &str) -> Result<Check, String> {
        let (kind, expected) = hash.split_once('=').ok_or_else(|| "it has no hash".to_owned())?;
        let hasher = match kind {
            "sha256" => Hasher::Sha256(Sha256::new()),
            "sha384" => Hasher::Sha384(Sha384::new()),
            "sha512" => Hasher::Sha512(Sha512::new()),
            _ => return Err(format!("its hash is `{kind}`, where sha256 or better belongs")),
        };
        // Some tools pad what PEP 427 wants without padding; installers take both.
        Ok(Check { expected: expected.trim_end_matches('=').to_owned(), hasher })
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(piece),
            Hasher::Sha384(hasher) => hasher.update(piece),
            Hasher::Sha512(hasher) => hasher.update(piece),
        }
    }

    /// Whether the file is the one that was listed.
    pub fn holds(self) -> bool {
        let found = match self.hasher {
            Hasher::Sha256(hasher) => URL_SAFE_NO_PAD.encode(hasher.finalize()),
            Hasher::Sha384(hasher) => URL_SAFE_NO_PAD.encode(hasher.finalize()),
            Hasher::Sha512(hasher) => URL_SAFE_NO_PAD.encode(hasher.finalize()),
        };
        found == self.expected
    }
}
