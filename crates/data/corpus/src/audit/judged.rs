//! Verdicts become shares, examples and, where asked for, files to look at.

use super::compiler::Verdict;
use super::kind_name;
use super::sample::Group;
use crate::build::CorpusError;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use wootz_schema::audit::{AuditCheck, AuditExample, AuditShare, Check, Failure};
use wootz_schema::document::{Document, DocumentKind};

/// Examples kept of each check, kind and class of failure.
const EXAMPLES: usize = 3;
/// Lines of code from which a document is more than a shell.
const SUBSTANTIAL_LINES: usize = 5;

/// One verdict with all that it is about.
pub(super) struct Judgement<'a> {
    pub check: Check,
    pub group: Group,
    pub project: &'a str,
    pub document: &'a Document,
    pub original: &'a Verdict,
    pub verdict: &'a Verdict,
}

/// All verdicts so far.
pub(super) struct Judged<'a> {
    shares: BTreeMap<(Check, Group, DocumentKind), BTreeMap<String, AuditShare>>,
    examples: BTreeMap<(Check, DocumentKind, Failure), Vec<AuditExample>>,
    failures: Option<&'a Path>,
}

impl<'a> Judged<'a> {
    /// No verdicts yet; documents that fail are to be written to `failures`.
    pub fn new(failures: Option<&'a Path>) -> Judged<'a> {
        Judged { shares: BTreeMap::new(), examples: BTreeMap::new(), failures }
    }

    /// Counts a verdict. `command` is what judges the document on its standard input.
    pub fn add(
        &mut self,
        judgement: &Judgement<'_>,
        command: Option<&dyn Fn() -> Vec<String>>,
    ) -> Result<(), CorpusError> {
        let Judgement { check, group, project, document, original, verdict } = judgement;
        let projects = self.shares.entry((*check, *group, document.kind)).or_default();
        let share = projects.entry((*project).to_owned()).or_default();
        share.documents += 1;
        if let Some((failure, message)) = original {
            *share.original_failures.entry(*failure).or_default() += 1;
            return match self.failures {
                Some(folder) => note_original(folder, judgement, message),
                None => Ok(()),
            };
        }
        let substantial = u64::from(is_substantial(&document.text));
        share.originals += 1;
        share.substantial_originals += substantial;
        let Some((failure, message)) = verdict else {
            share.hold += 1;
            share.substantial_hold += substantial;
            return Ok(());
        };
        *share.failures.entry(*failure).or_default() += 1;
        let example = AuditExample {
            check: *check,
            kind: document.kind,
            failure: *failure,
            project: (*project).to_owned(),
            path: document.path.clone(),
            sha256: document.sha256.clone(),
            message: message.clone(),
        };
        if let Some(folder) = self.failures {
            write(folder, &example, document, command)?;
        }
        let examples = self.examples.entry((*check, document.kind, *failure)).or_default();
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
        Ok(())
    }

    /// The shares, and the examples, in the order of checks, kinds and failures.
    pub fn finish(self) -> (Vec<AuditCheck>, Vec<AuditExample>) {
        let check = |((check, group, kind), projects): (
            (Check, Group, DocumentKind),
            BTreeMap<String, AuditShare>,
        )| {
            let mut all = AuditShare::default();
            projects.values().for_each(|share| join(&mut all, share));
            AuditCheck { check, languages: group.name().to_owned(), kind, all, projects }
        };
        (self.shares.into_iter().map(check).collect(), self.examples.into_values().flatten().collect())
    }
}

fn join(all: &mut AuditShare, share: &AuditShare) {
    all.documents += share.documents;
    all.originals += share.originals;
    all.hold += share.hold;
    all.substantial_originals += share.substantial_originals;
    all.substantial_hold += share.substantial_hold;
    for (failure, count) in &share.failures {
        *all.failures.entry(*failure).or_default() += count;
    }
    for (failure, count) in &share.original_failures {
        *all.original_failures.entry(*failure).or_default() += count;
    }
}

/// Whether enough lines hold something else than comments, preprocessor lines and brackets.
fn is_substantial(text: &str) -> bool {
    let mut comment = false;
    let code = text.lines().map(str::trim).filter(|line| {
        let begins = line.starts_with("/*");
        let inside = comment || begins;
        comment = inside && !line.contains("*/");
        let plain = line.trim_end_matches(';').trim_matches(['{', '}', '(', ')']);
        !inside && !plain.is_empty() && !line.starts_with("//") && !line.starts_with('#')
    });
    code.take(SUBSTANTIAL_LINES).count() == SUBSTANTIAL_LINES
}

/// Writes `<check>/<kind>/<failure>/<project>-<start of the digest>` with the document and what is wrong with it.
fn write(
    folder: &Path,
    example: &AuditExample,
    document: &Document,
    command: Option<&dyn Fn() -> Vec<String>>,
) -> Result<(), CorpusError> {
    let class =
        serde_json::to_value(example.failure).ok().and_then(|value| value.as_str().map(str::to_owned));
    let folder =
        folder.join(check_name(example.check)).join(kind_name(example.kind)).join(class.unwrap_or_default());
    let failed = |error| CorpusError::io("write failures to", &folder, error);
    fs::create_dir_all(&folder).map_err(failed)?;
    let digest = document.sha256.get(..12).unwrap_or(&document.sha256);
    let stem = format!("{}-{digest}", example.project.replace('/', "-"));
    let extension =
        Path::new(&document.path).extension().and_then(|extension| extension.to_str()).unwrap_or("txt");
    fs::write(folder.join(format!("{stem}.{extension}")), &document.text).map_err(failed)?;
    let mut about = format!(
        "{}\n{}/{}\n{}\n",
        example.message,
        example.project,
        document.path,
        document.symbols.join(" ")
    );
    if let Some(command) = command {
        let quoted: Vec<String> =
            command().iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        about.push_str(&format!("{} < {stem}.{extension}\n", quoted.join(" ")));
    }
    fs::write(folder.join(format!("{stem}.about")), about).map_err(failed)
}

/// Adds a line to `<check>/originals`: what is wrong with a file, for which no document can be blamed.
fn note_original(folder: &Path, judgement: &Judgement<'_>, message: &str) -> Result<(), CorpusError> {
    let folder = folder.join(check_name(judgement.check));
    let path = folder.join("originals");
    let line = format!("{}/{}: {message}\n", judgement.project, judgement.document.path);
    let append = || {
        fs::create_dir_all(&folder)?;
        OpenOptions::new().create(true).append(true).open(&path)?.write_all(line.as_bytes())
    };
    append().map_err(|error| CorpusError::io("write failures to", &path, error))
}

fn check_name(check: Check) -> &'static str {
    match check {
        Check::Compiles => "compiles",
        Check::Syntax => "syntax",
        Check::Parses => "parses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_told_from_code() {
        let code = "int a;\nint b;\nint c;\nint d;\nint e;\n";
        assert!(is_substantial(code));
        let shell =
            "/* int a;\nint b;\n*/ \n// int c;\n#include <d>\n\n{\n};\nint a;\nint b;\nint c;\nint d;\n";
        assert!(!is_substantial(shell));
        assert!(is_substantial(&format!("{shell}int e;\n")));
    }
}
