//! Ending processes: a group, and whoever has left it but carries the mark of its attempt.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;

/// The variable that carries the mark of an attempt.
pub const MARK: &str = "WOOTZ_TASK";

/// Sends a signal to a group; one that has ended is no error.
pub fn signal(group: u32, signal: Signal) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

/// Ends every process that carries the mark.
pub fn sweep(mark: &str) {
    sweep_all(MARK, mark);
}

/// Ends every process in whose environment the variable has the value.
pub fn sweep_all(variable: &str, mark: &str) {
    // A process that starts another while it is looked for is found in the next round.
    for _ in 0..3 {
        let marked = marked(variable, mark);
        if marked.is_empty() {
            return;
        }
        for pid in marked {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Every process in whose environment the variable has the value. One that has ended and is not waited for yet has no environment.
pub fn marked(variable: &str, mark: &str) -> Vec<Pid> {
    let wanted = [variable.as_bytes(), b"=", mark.as_bytes()].concat();
    processes().filter(|pid| carries(*pid, &wanted)).collect()
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

fn carries(pid: Pid, wanted: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}
