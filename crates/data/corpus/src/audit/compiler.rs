//! The machine's C and C++ compilers, asked about one text at a time.
//!
//! The text goes in by standard input and nothing comes out but complaints: `-fsyntax-only` checks names and types and
//! writes no file. Calls of functions that nothing declares are errors in C too, as they are in every later standard.

use super::classify::first_failure;
use super::commands::Flags;
use crate::build::CorpusError;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_schema::audit::Failure;
use wootz_stdx::process::{Killed, Limits, run};

/// What a tool says of a text: nothing, or its first complaint.
pub(super) type Verdict = Option<(Failure, String)>;

/// Bytes of complaints that are kept.
const OUTPUT_BYTES: usize = 1 << 20;

/// Limits of a tool that judges one text.
pub(super) fn limits(time: Duration) -> Limits {
    Limits { time, output_bytes: OUTPUT_BYTES }
}

/// A command's first line on either output; `None` where it cannot be run.
pub(super) fn version(words: &[String], cancel: &AtomicBool) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    let finished = run(&mut command, b"", limits(Duration::from_secs(20)), cancel).ok()?;
    let text = if finished.stdout.is_empty() { finished.stderr } else { finished.stdout };
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned();
    finished.status.success().then_some(line)
}

/// The compilers of both languages.
pub(super) struct Compilers<'a> {
    /// Command and arguments, by language: C, C++.
    commands: [Vec<String>; 2],
    /// The only folder that may be written to.
    scratch: &'a Path,
    time: Duration,
    cancel: &'a AtomicBool,
}

impl<'a> Compilers<'a> {
    /// The compilers `cc` and `cxx`, each a command with arguments.
    pub fn new(
        cc: &[String],
        cxx: &[String],
        scratch: &'a Path,
        time: Duration,
        cancel: &'a AtomicBool,
    ) -> Compilers<'a> {
        Compilers { commands: [cc.to_vec(), cxx.to_vec()], scratch, time, cancel }
    }

    fn command(&self, language: &str) -> &[String] {
        &self.commands[usize::from(language == "cpp")]
    }

    /// The compiler of a language by its command line and what it says of itself.
    pub fn version(&self, language: &str) -> Result<(String, String), CorpusError> {
        let command = self.command(language);
        let ask = [command, &["--version".to_owned()]].concat();
        let said = version(&ask, self.cancel);
        super::not_cancelled(self.cancel)?;
        let version = said.ok_or_else(|| CorpusError::NoCompiler {
            command: command.join(" "),
            language: if language == "cpp" { "C++" } else { "C" },
            variable: if language == "cpp" { "CXX" } else { "CC" },
        })?;
        Ok((command.join(" "), version))
    }

    /// The words of the command that judges a text, which it reads from its standard input.
    pub fn words(&self, language: &str, flags: &Flags) -> Vec<String> {
        let mut words = self.command(language).to_vec();
        let fixed: &[&str] = match language {
            "cpp" => &["-fsyntax-only", "-fmax-errors=1", "-x", "c++"],
            _ => &[
                "-fsyntax-only",
                "-fmax-errors=1",
                "-Werror=implicit-function-declaration",
                "-Werror=implicit-int",
                "-x",
                "c",
            ],
        };
        words.extend(fixed.iter().map(|word| (*word).to_owned()));
        words.extend(flags.standard.iter().map(|standard| format!("-std={standard}")));
        words.extend(flags.arguments.iter().cloned());
        words.push("-".to_owned());
        words
    }

    /// Compiles a text and throws the result away.
    pub fn compile(&self, language: &str, flags: &Flags, text: &str) -> Verdict {
        let words = self.words(language, flags);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.scratch).env("TMPDIR", self.scratch).env("LC_ALL", "C");
        let finished = match run(&mut command, text.as_bytes(), limits(self.time), self.cancel) {
            Ok(finished) => finished,
            Err(error) => return Some((Failure::Other, format!("start {}: {error}", words[0]))),
        };
        if finished.killed == Some(Killed::Time) {
            return Some((Failure::Timeout, format!("not done after {} s", self.time.as_secs_f64())));
        }
        if finished.status.success() {
            return None;
        }
        let said = String::from_utf8_lossy(&finished.stderr);
        Some(first_failure(&said).unwrap_or_else(|| (Failure::Other, finished.status.to_string())))
    }
}
