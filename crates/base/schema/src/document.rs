//! A document: the unit of text a corpus is made of, one JSON object per line.

use serde::{Deserialize, Serialize};

/// Version of the document record.
pub const VERSION: u32 = 1;

/// One training document with its provenance.
///
/// Field order is the byte order of the stored JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The document itself, UTF-8.
    pub text: String,
    /// Lower-case name of the language: `rust`, `c`, `cpp`, `python`, `typescript`, `javascript`, `go`.
    pub language: String,
    /// The project the file came from: its folder below the source root, `.` for the root itself.
    pub repo: String,
    /// Path below the project, with `/`.
    pub path: String,
    /// Commit the file was read at; absent outside a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// SPDX expression, or `NOASSERTION` where none was found.
    pub license: String,
    /// What the document covers.
    pub kind: DocumentKind,
    /// Names of the top-level items, in order of appearance.
    pub symbols: Vec<String>,
    /// Length in tokens, where a tokenizer was at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Lower-case hex SHA-256 of `text`.
    pub sha256: String,
}

/// What a document covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// A whole source file.
    File,
    /// A run of top-level items of one file.
    Items,
    /// A function with what it needs.
    Function,
    /// A type with what it needs.
    Class,
    /// A file with what it needs of other files.
    Unit,
    /// A commit's definitions before and after, in one file.
    CommitChain,
    /// A commit's hunks in one file.
    CommitDiff,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document as version 1 wrote it: later versions read it too, and write the same bytes.
    const VERSION_1: &str = r#"{"text":"fn a() {}\n","language":"rust","repo":"p","path":"src/a.rs","license":"MIT","kind":"file","symbols":["a"],"sha256":"ab"}"#;

    #[test]
    fn yesterdays_document_is_read_and_written() {
        let document: Document = serde_json::from_str(VERSION_1).unwrap();
        assert_eq!((document.kind, document.commit.as_deref()), (DocumentKind::File, None));
        assert_eq!(serde_json::to_string(&document).unwrap(), VERSION_1);
    }
}
