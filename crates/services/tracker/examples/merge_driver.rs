//! The merge driver as a program of its own: `merge_driver issue merge-driver BASE LEFT RIGHT OUT`, which is how git calls it.

use std::path::PathBuf;
use std::process::ExitCode;
use wootz_tracker::merge::{drive, exit_status};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(3).map(PathBuf::from).collect();
    let [base, left, right, out] = arguments.as_slice() else { return ExitCode::from(2) };
    match drive(base, left, right, out) {
        Ok(conflicts) => ExitCode::from(u8::from(!conflicts.is_empty())),
        Err(error) => ExitCode::from(exit_status(&error)),
    }
}
