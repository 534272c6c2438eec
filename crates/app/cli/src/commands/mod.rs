//! One file per command: arguments whose doc comments are the manual, then settings, one library call, and what
//! to print.

pub mod attend;
pub mod babysit;
pub mod container;
pub mod corpus;
pub mod cpp_chunker;
pub mod dataset;
pub mod doctor;
pub mod eval;
pub mod fetch;
pub mod gate;
pub mod generate;
pub mod hub;
pub mod index;
pub mod issue;
pub mod job;
pub mod keep;
pub mod plan;
pub mod run;
pub mod runs;
pub mod temporal;
pub mod tokenizer;
pub mod train;
pub mod wheel;

use crate::environment;
use crate::interrupt;
use crate::outcome::Failure;
use crate::render::progress;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wootz_schema::ExitCode;
use wootz_schema::progress::Observe;

/// What every command is given beside its arguments.
pub struct Context {
    /// Where progress goes.
    pub observe: Arc<dyn Observe>,
}

impl Context {
    /// The context of this process.
    pub fn new(quiet: bool) -> Context {
        Context { observe: progress::observer(quiet) }
    }

    /// The flag that is set when the user asks to stop. For commands that look at it only: until a command asks for
    /// it, the first signal ends the process.
    pub fn cancel(&self) -> Result<Arc<AtomicBool>, Failure> {
        interrupt::watch().map_err(|error| Failure {
            message: format!("register signal handlers: {error}"),
            causes: Vec::new(),
            hint: None,
            exit: ExitCode::Environment,
        })
    }
}

/// Worker threads: the flag, the variable, or as many as the library chooses.
pub fn threads(flag: Option<usize>) -> Result<Option<usize>, Failure> {
    let Some(text) = environment::THREADS.get().filter(|_| flag.is_none()) else { return Ok(flag) };
    let threads = text.to_str().and_then(|text| text.parse().ok()).filter(|threads| *threads > 0);
    let wrong = || {
        Failure::usage(format!("read WOOTZ_THREADS: {text:?} is no number of threads"), "set a number from 1")
    };
    threads.map(Some).ok_or_else(wrong)
}
