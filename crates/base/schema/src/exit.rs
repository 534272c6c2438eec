//! Exit codes and the trait by which every error says which one it is and how to fix it.

/// Exit codes of the `wootz` binary; documented in the README and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The work is done and every check held.
    Ok = 0,
    /// The work failed, or a check did not hold.
    Failed = 1,
    /// Usage or bad input: the caller can fix it by changing what was asked.
    Usage = 2,
    /// The environment: a missing tool, a full disk, no GPU, a lock that timed out.
    Environment = 3,
    /// A bug in wootz.
    Bug = 70,
}

/// What every error of wootz can say about itself beside its message.
pub trait Diagnose: std::error::Error {
    /// The exit code a command ends with when this error reaches it.
    fn exit(&self) -> ExitCode;
    /// The fix, as a sentence; kept apart from the message.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The exit code of an IO error: what only the environment can cause is `Environment`, the rest is bad input.
///
/// A missing file is bad input (the caller named it); a full disk or a read-only file system is not.
pub fn exit_of_io(error: &std::io::Error) -> ExitCode {
    use std::io::ErrorKind::*;
    match error.kind() {
        NotFound | InvalidInput | InvalidData | UnexpectedEof | IsADirectory | NotADirectory => {
            ExitCode::Usage
        }
        _ => ExitCode::Environment,
    }
}

/// The fix for an IO error, where there is one to name.
pub fn hint_of_io(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind::*;
    let hint = match error.kind() {
        StorageFull | QuotaExceeded => {
            "free disk space and run the same command again: finished work is kept"
        }
        PermissionDenied => "check the permissions of the path, or choose another with the command's flags",
        NotFound => "check the path",
        IsADirectory => "name a file: there is a folder of that name",
        NotADirectory => "name a folder: there is a file of that name in the path",
        ReadOnlyFilesystem => "choose a writable folder",
        _ => return None,
    };
    Some(hint.to_owned())
}
