//! An audit of a corpus: which of its sampled documents compile and parse, beside the files they were made from.

use crate::document::DocumentKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of [`CorpusAudit`].
pub const VERSION: u32 = 1;

/// What `wootz corpus audit` found; depends on the corpus, the sources, the sample, and the machine's tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusAudit {
    /// Format version.
    pub version: u32,
    /// Documents asked for of each kind and group of languages.
    pub sample: u64,
    /// What the sample was drawn with.
    pub seed: u64,
    /// Documents sampled.
    pub documents: u64,
    /// First line of what each tool says of its version, by the tool's name.
    pub tools: BTreeMap<String, String>,
    /// By project: how its files were compiled.
    pub projects: BTreeMap<String, ProjectFlags>,
    /// One entry per check, group of languages and kind of document.
    pub checks: Vec<AuditCheck>,
    /// Documents that a check could not judge.
    pub skipped: Vec<AuditSkip>,
    /// The first failures of each kind of document and class of failure.
    pub examples: Vec<AuditExample>,
}

/// How the files of a project were compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFlags {
    /// Where include paths and definitions come from.
    pub origin: FlagOrigin,
    /// Folders below the project, `.` for itself; empty where the flags are per file.
    pub include: Vec<String>,
    /// Standard by language; absent where each file has its own.
    pub standards: BTreeMap<String, String>,
}

/// Where the flags of a project come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagOrigin {
    /// `compile_commands.json`.
    Commands,
    /// Found by what its files include, with `compile_flags.txt` where there is one.
    #[default]
    Discovered,
}

/// One check of one kind of document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditCheck {
    /// What was checked.
    pub check: Check,
    /// `c_cpp`, `typescript` (JavaScript too), or a language's name.
    pub languages: String,
    /// Of which documents.
    pub kind: DocumentKind,
    /// All projects together.
    pub all: AuditShare,
    /// By project.
    pub projects: BTreeMap<String, AuditShare>,
}

/// What can be asked of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The compiler accepts it, names and types included.
    Compiles,
    /// The language's own tool reads it.
    Syntax,
    /// The chunker's parser reads it without an error node.
    Parses,
}

/// Documents of one kind, beside the files they were made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditShare {
    /// Documents judged.
    pub documents: u64,
    /// Those whose original file holds; only they count below.
    pub originals: u64,
    /// Of these, documents that hold too.
    pub hold: u64,
    /// As `originals`, without documents that hold hardly any code.
    pub substantial_originals: u64,
    /// As `hold`, without documents that hold hardly any code.
    pub substantial_hold: u64,
    /// First failures of documents whose original holds.
    pub failures: BTreeMap<Failure, u64>,
    /// First failures of originals.
    pub original_failures: BTreeMap<Failure, u64>,
}

/// Class of the first thing that a tool objected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A name, member or type that nothing declares.
    Undeclared,
    /// A file to include that is not there.
    MissingHeader,
    /// A `;` that is not there.
    MissingSemicolon,
    /// Anything else that is not the language.
    Syntax,
    /// Something declared twice, or otherwise than before.
    Redefinition,
    /// A type used before it is defined.
    IncompleteType,
    /// Past the time for one document.
    Timeout,
    /// Anything else.
    Other,
}

/// Documents that a check could not judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSkip {
    /// Which check.
    pub check: Check,
    /// As in [`AuditCheck::languages`].
    pub languages: String,
    /// Why, e.g. `no gofmt on this machine`.
    pub reason: String,
    /// How many.
    pub documents: u64,
}

/// A document that fails where its original does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditExample {
    /// What it failed.
    pub check: Check,
    /// Its kind.
    pub kind: DocumentKind,
    /// How.
    pub failure: Failure,
    /// Its project.
    pub project: String,
    /// Its path below the project.
    pub path: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// The tool's first complaint.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An audit as version 1 wrote it: later versions read it too.
    const VERSION_1: &str = r#"{
        "version": 1, "sample": 2, "seed": 0, "documents": 2, "tools": {"cc": "cc 1"},
        "projects": {"p": {"origin": "discovered", "include": ["."], "standards": {"c": "c11"}}},
        "checks": [{"check": "compiles", "languages": "c_cpp", "kind": "file",
            "all": {"documents": 2, "originals": 1, "hold": 0, "substantial_originals": 1, "substantial_hold": 0,
                "failures": {"undeclared": 1}, "original_failures": {"missing_header": 1}}, "projects": {}}],
        "skipped": [{"check": "syntax", "languages": "go", "reason": "no gofmt on this machine", "documents": 1}],
        "examples": [{"check": "compiles", "kind": "file", "failure": "undeclared", "project": "p", "path": "a.c",
            "sha256": "ab", "message": "'x' undeclared"}]
    }"#;

    #[test]
    fn yesterdays_audit_is_read() {
        let audit: CorpusAudit = serde_json::from_str(VERSION_1).unwrap();
        assert_eq!(audit.checks[0].all.failures[&Failure::Undeclared], 1);
        let again = serde_json::to_string(&audit).unwrap();
        assert_eq!(serde_json::from_str::<CorpusAudit>(&again).unwrap(), audit);
    }
}
