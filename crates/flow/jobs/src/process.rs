//! Which process is meant: a number alone may have gone to another one since.

use std::fs;
use std::io;
use std::path::Path;

/// A process, as a pid file says it: its number on the first line, when it began on the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number, which is that of its group.
    pub pid: u32,
    /// When it began, in the system's ticks since it started.
    begun: u64,
}

impl Process {
    /// The process that has a number now.
    pub fn of(pid: u32) -> io::Result<Process> {
        Ok(Process::look(pid)?.0)
    }

    /// The process that has a number now, and whether it has ended and nobody waited for it yet.
    fn look(pid: u32) -> io::Result<(Process, bool)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in brackets, may hold anything; the first field behind it is its state, the 20th when it began.
        let behind = stat.rfind(')').map_or("", |end| &stat[end + 1..]);
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let begun = fields.get(19).and_then(|field| field.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        Ok((Process { pid, begun }, matches!(fields[0], "Z" | "X")))
    }

    /// What a pid file says; `None` where it says nothing yet.
    pub fn read(path: &Path) -> io::Result<Option<Process>> {
        let text = fs::read_to_string(path)?;
        let mut lines = text.lines().map(str::parse);
        let (Some(Ok(pid)), Some(Ok(begun))) = (lines.next(), lines.next()) else { return Ok(None) };
        Ok(Some(Process { pid: u32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?, begun }))
    }

    /// The text of a pid file.
    pub fn text(self) -> String {
        format!("{}\n{}\n", self.pid, self.begun)
    }

    /// Whether its number, which is that of its group, is still its own.
    pub fn is_there(self) -> bool {
        Process::look(self.pid).is_ok_and(|(now, _)| now == self)
    }

    /// Whether it has not ended.
    pub fn is_alive(self) -> bool {
        Process::look(self.pid).is_ok_and(|(now, has_ended)| now == self && !has_ended)
    }
}
