//! What is printed: results on stdout, everything for people on stderr. No other module of wootz prints.

pub mod progress;
pub mod table;

use crate::environment;
use crate::outcome::{Failure, Outcome, Reply};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::process::ExitCode;

/// Prints the result of a command and gives its exit code.
pub fn outcome(outcome: &Outcome, json: bool) -> ExitCode {
    if json {
        return print(&line(&outcome.json), outcome.exit as u8);
    }
    print(&outcome.text, outcome.exit as u8)
}

/// Prints what a command of the tracker wrote.
pub fn reply(reply: &Reply) -> ExitCode {
    say(&reply.stderr);
    print(&reply.stdout, reply.exit)
}

/// Says what failed, why, and the fix.
pub fn failure(failure: &Failure, json: bool) -> ExitCode {
    let mut text = format!("{} failed to {}\n", paint("1;31", "error:"), failure.message);
    for cause in &failure.causes {
        text.push_str(&format!("  because {cause}\n"));
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("{} {hint}\n", paint("1;36", "hint:")));
    }
    // What a rank has to say, its launcher says, once for all ranks.
    if environment::LAUNCHER.get().is_none() {
        say(&text);
    }
    let code = failure.exit as u8;
    if json {
        let message = format!("failed to {}", failure.message);
        return print(&line(&error(&message, &failure.causes, failure.hint.as_deref(), code)), code);
    }
    ExitCode::from(code)
}

/// Prints what the parser of the command line has to say: an error, or the help that was asked for.
pub fn usage(error_or_help: &clap::Error, json: bool) -> ExitCode {
    let code = u8::try_from(error_or_help.exit_code()).unwrap_or(2);
    if !error_or_help.use_stderr() {
        return print(render_clap(error_or_help, io::stdout().is_terminal()).as_bytes(), code);
    }
    say(&render_clap(error_or_help, io::stderr().is_terminal()));
    if json {
        let plain = error_or_help.render().to_string();
        let message =
            plain.split("\n\nUsage:").next().unwrap_or_default().trim_start_matches("error: ").trim();
        return print(&line(&error(message, &[], Some("see --help"), code)), code);
    }
    ExitCode::from(code)
}

/// The panic hook: one sentence, and with RUST_BACKTRACE=1 where it happened.
pub fn panicked(info: &PanicHookInfo<'_>) {
    let what = info.payload_as_str().unwrap_or("a panic without a message");
    let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
    say(&format!("{} {what}{place}\n", paint("1;31", "bug:")));
    if environment::BACKTRACE.get().is_some_and(|value| value != "0") {
        say(&format!("{}\n", std::backtrace::Backtrace::force_capture()));
    }
}

/// Writes to stdout what a command has to say before it ends. A reader that is gone is no reason to stop working.
pub fn show(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes to stdout what is told as it comes; false where nobody reads any more.
pub fn stream(bytes: &[u8]) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).is_ok()
}

/// Writes to stderr. A stderr that is gone is no reason to stop working.
pub fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn error(message: &str, causes: &[String], hint: Option<&str>, exit: u8) -> Value {
    json!({ "error": { "message": message, "causes": causes, "hint": hint, "exit": exit } })
}

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

fn render_clap(error: &clap::Error, colour: bool) -> String {
    let styled = error.render();
    if colour && environment::NO_COLOR.get().is_none() {
        styled.ansi().to_string()
    } else {
        styled.to_string()
    }
}

/// Writes to stdout. A reader that has seen enough (`wootz runs list | head -1`) is not an error.
fn print(bytes: &[u8], code: u8) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(&format!("{} failed to write the result: {error}\n", paint("1;31", "error:")));
            ExitCode::from(wootz_schema::ExitCode::Environment as u8)
        }
        _ => ExitCode::from(code),
    }
}

fn paint(code: &str, text: &str) -> String {
    if io::stderr().is_terminal() && environment::NO_COLOR.get().is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
