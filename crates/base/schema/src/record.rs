//! A source file as one line of JSON: how public code datasets hand files around, under the names that they use.
//!
//! Fields that are not known are skipped. Of several names for one thing, the first in the order of the struct that says something
//! counts; what should be text and is not says nothing.

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// Which files of records a corpus is built from, and how they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordOptions {
    /// Files of JSON lines, in order.
    pub files: Vec<PathBuf>,
    /// The language of records whose path and language do not tell it.
    pub language: Option<String>,
    /// At most so many records of each file.
    pub max_records: Option<u64>,
}

impl RecordOptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// A source file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SourceRecord<'a> {
    /// `text`, `content` or `code`.
    pub text: Option<Cow<'a, str>>,
    /// `path`, `max_stars_repo_path`, `file_path`, `filepath`, `filename`.
    pub path: Option<Cow<'a, str>>,
    /// `repo`, `repo_name`, `max_stars_repo_name`, `repository_name`.
    pub repo: Option<Cow<'a, str>>,
    /// `language`, `lang`, `programming_language`.
    pub language: Option<Cow<'a, str>>,
    /// `license`, `licenses`, `max_stars_repo_licenses`, `detected_licenses`: a name or a list of names, all of which hold.
    pub licenses: Vec<Cow<'a, str>>,
    /// `commit`, `commit_id`, `max_stars_repo_head_hexsha`, `revision_id`.
    pub commit: Option<Cow<'a, str>>,
}

/// A file before and after a commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommitRecord<'a> {
    /// `old_content`, `old_contents`.
    pub old: Option<Cow<'a, str>>,
    /// `new_content`, `new_contents`.
    pub new: Option<Cow<'a, str>>,
    /// `subject`.
    pub subject: Option<Cow<'a, str>>,
    /// `body`.
    pub body: Option<Cow<'a, str>>,
    /// `filepath`, `path`, `old_file`.
    pub path: Option<Cow<'a, str>>,
    /// `repo`, `repo_name`, `repos`.
    pub repo: Option<Cow<'a, str>>,
}

const TEXTS: [&str; 3] = ["text", "content", "code"];
const PATHS: [&str; 5] = ["path", "max_stars_repo_path", "file_path", "filepath", "filename"];
const REPOS: [&str; 4] = ["repo", "repo_name", "max_stars_repo_name", "repository_name"];
const LANGUAGES: [&str; 3] = ["language", "lang", "programming_language"];
const LICENSES: [&str; 4] = ["license", "licenses", "max_stars_repo_licenses", "detected_licenses"];
const COMMITS: [&str; 4] = ["commit", "commit_id", "max_stars_repo_head_hexsha", "revision_id"];

impl<'a> SourceRecord<'a> {
    /// Reads a line.
    pub fn read(line: &'a [u8]) -> Result<SourceRecord<'a>, serde_json::Error> {
        let names: [&[&str]; 6] = [&TEXTS, &PATHS, &REPOS, &LANGUAGES, &LICENSES, &COMMITS];
        let [text, path, repo, language, licenses, commit] = fields(line, names)?;
        Ok(SourceRecord {
            text: text.text(),
            path: path.text(),
            repo: repo.text(),
            language: language.text(),
            licenses: licenses.list(),
            commit: commit.text(),
        })
    }
}

impl<'a> CommitRecord<'a> {
    /// Reads a line.
    pub fn read(line: &'a [u8]) -> Result<CommitRecord<'a>, serde_json::Error> {
        let names: [&[&str]; 6] = [
            &["old_content", "old_contents"],
            &["new_content", "new_contents"],
            &["subject"],
            &["body"],
            &["filepath", "path", "old_file"],
            &["repo", "repo_name", "repos"],
        ];
        let [old, new, subject, body, path, repo] = fields(line, names)?;
        Ok(CommitRecord {
            old: old.text(),
            new: new.text(),
            subject: subject.text(),
            body: body.text(),
            path: path.text(),
            repo: repo.text(),
        })
    }
}

/// What a field says.
#[derive(Default)]
enum Said<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
}

impl<'a> Said<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Said::Text(text) => Some(text),
            Said::Nothing | Said::List(_) => None,
        }
    }

    fn list(self) -> Vec<Cow<'a, str>> {
        match self {
            Said::Nothing => Vec::new(),
            Said::Text(text) => vec![text],
            Said::List(list) => list,
        }
    }
}

/// The fields of an object by the first of their names that says something.
fn fields<'a, const N: usize>(
    line: &'a [u8],
    names: [&[&str]; N],
) -> Result<[Said<'a>; N], serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let fields = reader.deserialize_map(Object { names })?;
    reader.end()?;
    Ok(fields)
}

struct Object<'n, const N: usize> {
    names: [&'n [&'n str]; N],
}

impl<'de, const N: usize> Visitor<'de> for Object<'_, N> {
    type Value = [Said<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: [(usize, Said<'de>); N] = std::array::from_fn(|_| (usize::MAX, Said::Nothing));
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let place = |names: &&[&str]| names.iter().position(|name| *name == key);
            let known = self.names.iter().enumerate().find_map(|(field, names)| Some((field, place(names)?)));
            match known {
                Some((field, rank)) if rank < found[field].0 => {
                    let said: Said<'de> = map.next_value()?;
                    if !matches!(said, Said::Nothing) {
                        found[field] = (rank, said);
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found.map(|(_, said)| said))
    }
}

/// Text that is borrowed where the line has it as it is.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        match Said::deserialize(deserializer)? {
            Said::Text(text) => Ok(Text(text)),
            Said::Nothing | Said::List(_) => Err(serde::de::Error::custom("a key is not text")),
        }
    }
}

impl<'de> Deserialize<'de> for Said<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said<'de>, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

/// Takes any value; says something only where it is text, or a list with text in it.
struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = Said<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Said<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(said) = seq.next_element::<Said<'de>>()? {
            list.extend(said.text());
        }
        Ok(if list.is_empty() { Said::Nothing } else { Said::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Said<'de>, E> {
        Ok(Said::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Said<'de>, E> {
        Ok(Said::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Said<'de>, E> {
        Ok(Said::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Said<'de>, E> {
        Ok(Said::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Said<'de>, E> {
        Ok(Said::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_names_are_known() {
        let check = |line: &str, expected: [Option<&str>; 4], licenses: &[&str]| {
            let record = SourceRecord::read(line.as_bytes()).unwrap();
            let found = [&record.text, &record.path, &record.repo, &record.language];
            assert_eq!(found.map(|said| said.as_deref()), expected, "{line}");
            assert_eq!(record.licenses, licenses, "{line}");
        };
        check(r#"{"text":"a","n":1,"more":{"x":[null]}}"#, [Some("a"), None, None, None], &[]);
        check(
            r#"{"lang":"C","max_stars_repo_path":"a.c","max_issues_repo_path":"b.c","content":"x\n","max_stars_repo_name":"o/r",
                "max_stars_repo_licenses":["MIT","Zlib"]}"#,
            [Some("x\n"), Some("a.c"), Some("o/r"), Some("C")],
            &["MIT", "Zlib"],
        );
        check(
            r#"{"repo_name":"o/r","path":"a.c","language":"C","license":"mit","code":"y","text":null,"repo":{"id":1}}"#,
            [Some("y"), Some("a.c"), Some("o/r"), Some("C")],
            &["mit"],
        );
        check(r#"{"code":"c","text":"t","content":"o"}"#, [Some("t"), None, None, None], &[]);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for line in ["", "[]", "1", r#"{"text":"a"} x"#, r#"{"text":"a""#, r#"{"text":"\ud800"}"#] {
            assert!(SourceRecord::read(line.as_bytes()).is_err(), "{line}");
        }
        assert!(SourceRecord::read(b"{\"text\":\"\xff\"}").is_err());
        assert_eq!(SourceRecord::read(br#"{"text":7}"#).unwrap(), SourceRecord::default());
    }

    #[test]
    fn commits_have_their_names() {
        let line = br#"{"old_contents":"a","new_content":"b","subject":"s","repos":"r","old_file":"f.c","diff":"@@"}"#;
        let record = CommitRecord::read(line).unwrap();
        assert_eq!((record.old.as_deref(), record.new.as_deref()), (Some("a"), Some("b")));
        assert_eq!((record.path.as_deref(), record.repo.as_deref()), (Some("f.c"), Some("r")));
        assert_eq!(record.body, None);
    }
}
