//! How a command ends: with something to print, or with a failure that says what, where, and the fix.

use serde_json::Value;
use std::error::Error;
use std::io;
use std::path::Path;
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};

/// What a command that did its work has to say.
pub struct Outcome {
    /// For people and pipes, as it is written: bytes, since decoded tokens need not be text.
    pub text: Vec<u8>,
    /// For programs; an object.
    pub json: Value,
    /// `Ok`, or `Failed` where a check did not hold.
    pub exit: ExitCode,
}

impl Outcome {
    /// A command that did its work.
    pub fn ok(text: impl Into<Vec<u8>>, json: Value) -> Outcome {
        Outcome { text: text.into(), json, exit: ExitCode::Ok }
    }
}

/// What a command of the tracker writes, and how it ends.
#[derive(Debug)]
pub struct Reply {
    /// The result.
    pub stdout: Vec<u8>,
    /// An error, with its line's end.
    pub stderr: String,
    /// The exit code, which is not one of [`ExitCode`].
    pub exit: u8,
}

impl Reply {
    /// A command that did its work.
    pub fn ok(text: impl Into<Vec<u8>>) -> Reply {
        Reply { stdout: text.into(), stderr: String::new(), exit: 0 }
    }
}

/// Why a command did not do its work. Built from any error that can [`Diagnose`] itself.
#[derive(Debug)]
pub struct Failure {
    /// A fragment that fits "failed to …".
    pub message: String,
    /// What lies beneath, outermost first, without what `message` says already.
    pub causes: Vec<String>,
    /// The fix, as a sentence.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: ExitCode,
}

impl Failure {
    /// Bad input that only the command line can know of.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            causes: Vec::new(),
            hint: Some(hint.into()),
            exit: ExitCode::Usage,
        }
    }

    /// A file operation: what was tried, on which path, and what the system said.
    pub fn io(what: &str, path: &Path, error: &io::Error) -> Failure {
        Failure {
            message: format!("{what} {}: {error}", path.display()),
            causes: Vec::new(),
            hint: hint_of_io(error),
            exit: exit_of_io(error),
        }
    }

    /// The same failure as a part of `what`: for errors whose message names the fault and not the work.
    pub fn within(self, what: &str) -> Failure {
        Failure { message: format!("{what}: {}", self.message), ..self }
    }

    /// A panic that was caught; the panic hook has told the rest.
    pub fn bug() -> Failure {
        Failure {
            message: "go on: wootz has a bug".to_owned(),
            causes: Vec::new(),
            hint: Some("run the same command with RUST_BACKTRACE=1 and report what it prints".to_owned()),
            exit: ExitCode::Bug,
        }
    }
}

impl<E: Diagnose> From<E> for Failure {
    fn from(error: E) -> Failure {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            let told = std::iter::once(&message).chain(&causes).any(|outer| outer.contains(&text));
            if !told {
                causes.push(text);
            }
            source = Error::source(cause);
        }
        Failure { message, causes, hint: error.hint(), exit: error.exit() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);
    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|link| link as &dyn Error)
        }
    }
    impl Diagnose for Link {
        fn exit(&self) -> ExitCode {
            ExitCode::Environment
        }
    }

    #[test]
    fn causes_are_told_once() {
        let chain = Link(
            "read a: denied",
            Some(Box::new(Link("denied", Some(Box::new(Link("by the system", None)))))),
        );
        let failure = Failure::from(chain);
        assert_eq!(failure.message, "read a: denied");
        assert_eq!(failure.causes, ["by the system"]);
        assert_eq!(failure.exit, ExitCode::Environment);
    }
}
