//! `profile.yaml`: which machine, which run on it, and what has to be there. Mistakes are found all at once, each with its line.

use serde_yaml_ng::Value;
use std::fmt;
use wootz_schema::words::nearest;
use wootz_schema::yaml::{Part, locate};
use wootz_schema::{Diagnose, ExitCode};

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name, which is that of its state and its lock on the machine.
    pub name: String,
    /// The machine.
    pub machine: Vm,
    /// The run.
    pub training: Training,
    /// A shell command that makes a new machine ready; it may be run again.
    pub setup: Option<String>,
    /// Names of environment variables that the run gets; their values go over standard input.
    pub secrets: Vec<String>,
    /// Seconds between two looks.
    pub poll_seconds: u64,
    /// How many failures, or crashes, in a row are too many.
    pub failures_most: u32,
}

/// A machine of Google's cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: String,
    /// Whose it is, where that is not the tool's own setting.
    pub project: Option<String>,
    /// What it has.
    pub accelerator: String,
    /// What runs on it.
    pub runtime: String,
    /// Whether it can be taken away at any time.
    pub spot: bool,
}

/// The run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// Where on the machine it runs.
    pub folder: String,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// What is added to go on from a step, with `{step}` in its place.
    pub resume: Vec<String>,
    /// Address of the folder of its checkpoints.
    pub checkpoints: String,
    /// How many ranks write their optimizer into a checkpoint.
    pub optimizer_ranks: u32,
    /// The checkpoint with which it is finished, where that is known.
    pub last_step: Option<u64>,
}

/// Something wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, where they are known.
    pub at: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// All that is wrong with it.
#[derive(Debug, thiserror::Error)]
pub struct ProfileError {
    /// The file.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.problems.iter().map(|Problem { at, what }| match at {
            Some((line, column)) => format!("{}:{line}:{column}: {what}", self.file),
            None => format!("{}: {what}", self.file),
        });
        write!(f, "read {}", told.collect::<Vec<_>>().join("\n  and "))
    }
}

impl Diagnose for ProfileError {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }
}

const KEYS: [&str; 7] = ["name", "machine", "training", "setup", "secrets", "poll_seconds", "failures_most"];
const MACHINE: [&str; 6] = ["name", "zone", "project", "accelerator", "runtime", "spot"];
const TRAINING: [&str; 6] = ["folder", "command", "resume", "checkpoints", "optimizer_ranks", "last_step"];

/// Reads the text of a file; `file` is what it is called in errors.
pub fn read(file: &str, text: &str) -> Result<Profile, ProfileError> {
    let mut reader = Reader { text, problems: Vec::new() };
    let profile = match serde_yaml_ng::from_str::<Value>(text) {
        Ok(root) => Some(reader.profile(&root)),
        Err(error) => {
            let at = error.location().map(|at| (at.line(), at.column()));
            let what = error.to_string();
            let what = what.rfind(" at line ").map_or(what.as_str(), |end| &what[..end]);
            reader.problems.push(Problem { at, what: format!("not readable as YAML: {what}") });
            None
        }
    };
    match profile {
        Some(profile) if reader.problems.is_empty() => Ok(profile),
        _ => Err(ProfileError { file: file.to_owned(), problems: reader.problems }),
    }
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, path: &[Part], what: impl Into<String>) {
        self.problems.push(Problem { at: locate(self.text, path), what: what.into() });
    }

    fn profile(&mut self, root: &Value) -> Profile {
        self.known(root, &[], &KEYS);
        let name = self.word(root, &[], "name");
        let machine = self.machine(root);
        let training = self.training(root);
        let secrets = self.list(root, &[], "secrets");
        for (at, secret) in secrets.iter().enumerate() {
            if !is_variable(secret) {
                let path = [Part::Key("secrets".to_owned()), Part::Index(at)];
                self.wrong(
                    &path,
                    "a secret is the name of an environment variable; its value is not written here",
                );
            }
        }
        let failures_most = self.number(root, &[], "failures_most").unwrap_or(5);
        Profile {
            name,
            machine,
            training,
            setup: self.text(root, &[], "setup"),
            secrets,
            poll_seconds: self.number(root, &[], "poll_seconds").unwrap_or(60),
            failures_most: u32::try_from(failures_most).unwrap_or(u32::MAX),
        }
    }

    fn machine(&mut self, root: &Value) -> Vm {
        let path = [Part::Key("machine".to_owned())];
        let value = self.part(root, "machine", &MACHINE);
        let spot = match value.get("spot") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(is)) => *is,
            Some(_) => {
                self.wrong(&[path[0].clone(), Part::Key("spot".to_owned())], "spot is true or false");
                true
            }
        };
        Vm {
            name: self.word(&value, &path, "name"),
            zone: self.word(&value, &path, "zone"),
            project: value.get("project").map(|_| self.word(&value, &path, "project")),
            accelerator: self.word(&value, &path, "accelerator"),
            runtime: self.word(&value, &path, "runtime"),
            spot,
        }
    }

    fn training(&mut self, root: &Value) -> Training {
        let path = [Part::Key("training".to_owned())];
        let value = self.part(root, "training", &TRAINING);
        let command = self.list(&value, &path, "command");
        let resume = self.list(&value, &path, "resume");
        if command.is_empty() {
            self.wrong(&path, "the key `command` is missing: a list of the program and its arguments");
        }
        if !resume.iter().any(|word| word.contains("{step}")) {
            self.wrong(&path, "the key `resume` is missing: a list of arguments, one with {step} in it");
        }
        let checkpoints = self.needed(&value, &path, "checkpoints");
        if !checkpoints.is_empty() && !checkpoints.starts_with("gs://") {
            self.wrong(
                &[path[0].clone(), Part::Key("checkpoints".to_owned())],
                "checkpoints begin with gs://",
            );
        }
        let ranks = self.number(&value, &path, "optimizer_ranks").unwrap_or(1);
        Training {
            folder: self.needed(&value, &path, "folder"),
            command,
            resume,
            checkpoints,
            optimizer_ranks: u32::try_from(ranks).unwrap_or(u32::MAX),
            last_step: self.number(&value, &path, "last_step"),
        }
    }

    /// A key's mapping, with known keys only.
    fn part(&mut self, root: &Value, key: &str, known: &[&str]) -> Value {
        let Some(value) = root.get(key) else {
            self.wrong(&[], format!("the key `{key}` is missing"));
            return Value::Null;
        };
        self.known(value, &[Part::Key(key.to_owned())], known);
        value.clone()
    }

    fn known(&mut self, value: &Value, path: &[Part], known: &[&str]) {
        let Value::Mapping(entries) = value else {
            return self.wrong(path, "here belong keys with values");
        };
        for key in entries.keys() {
            let Value::String(key) = key else {
                self.wrong(path, "a key must be a word");
                continue;
            };
            if !known.contains(&key.as_str()) {
                let near = match nearest(key, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", known.join(", ")),
                };
                self.wrong(
                    &[path, &[Part::Key(key.clone())]].concat(),
                    format!("unknown key `{key}`; {near}"),
                );
            }
        }
    }

    fn text(&mut self, value: &Value, path: &[Part], key: &str) -> Option<String> {
        match value.get(key)? {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.wrong(
                    &[path, &[Part::Key(key.to_owned())]].concat(),
                    "here belongs a text; write it in quotes",
                );
                Some(String::new())
            }
        }
    }

    fn needed(&mut self, value: &Value, path: &[Part], key: &str) -> String {
        match self.text(value, path, key) {
            Some(text) => text,
            None if value.is_mapping() => {
                self.wrong(path, format!("the key `{key}` is missing"));
                String::new()
            }
            None => String::new(),
        }
    }

    /// A name: it becomes a part of file names and of command lines.
    fn word(&mut self, value: &Value, path: &[Part], key: &str) -> String {
        let text = self.needed(value, path, key);
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_:".contains(letter);
        let begins = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if value.get(key).is_some_and(Value::is_string) && !(begins && text.chars().all(is_plain)) {
            let path = [path, &[Part::Key(key.to_owned())]].concat();
            self.wrong(
                &path,
                "use letters, digits, `.`, `_`, `-` and `:`, the first one a letter or a digit",
            );
        }
        text
    }

    fn number(&mut self, value: &Value, path: &[Part], key: &str) -> Option<u64> {
        let number = value.get(key)?.as_u64().filter(|number| *number > 0);
        if number.is_none() {
            self.wrong(&[path, &[Part::Key(key.to_owned())]].concat(), "here belongs a whole number from 1");
        }
        number
    }

    fn list(&mut self, value: &Value, path: &[Part], key: &str) -> Vec<String> {
        let path = [path, &[Part::Key(key.to_owned())]].concat();
        let Some(list) = value.get(key) else { return Vec::new() };
        let Value::Sequence(items) = list else {
            self.wrong(&path, "here belongs a list of texts");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                _ => self.wrong(
                    &[path.as_slice(), &[Part::Index(at)]].concat(),
                    "here belongs a text; write it in quotes",
                ),
            }
        }
        texts
    }
}

fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    begins && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
