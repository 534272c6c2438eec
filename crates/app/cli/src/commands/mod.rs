//! One file per command: arguments whose doc comments are the manual, then settings, one library call, and what
//! to print.

pub mod doctor;
pub mod gate;

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
    /// Set when the user asks to stop.
    pub cancel: Arc<AtomicBool>,
}

impl Context {
    /// The context of this process.
    pub fn new(quiet: bool) -> Result<Context, Failure> {
        let cancel = interrupt::watch().map_err(|error| Failure {
            message: format!("register signal handlers: {error}"),
            causes: Vec::new(),
            hint: None,
            exit: ExitCode::Environment,
        })?;
        Ok(Context { observe: progress::observer(quiet), cancel })
    }
}
