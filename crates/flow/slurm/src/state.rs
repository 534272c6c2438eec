//! What Slurm says of a job.

/// A job as `scontrol show job -o` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// `PENDING`, `RUNNING`, `COMPLETED`, `NODE_FAIL`, ...
    pub name: String,
    /// Why it is so; `None` as a word where there is no reason.
    pub reason: String,
    /// Its exit code, and the signal that ended it.
    pub code: i32,
    pub signal: i32,
}

impl State {
    /// Reads one line of `key=value` words.
    pub fn read(line: &str) -> Option<State> {
        let value = |key: &str| {
            let words = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            words.unwrap_or_default().to_owned()
        };
        let exit = value("ExitCode");
        let (code, signal) = exit.split_once(':').unwrap_or(("0", "0"));
        let number = |text: &str| text.parse().unwrap_or_default();
        let state = State {
            name: value("JobState"),
            reason: value("Reason"),
            code: number(code),
            signal: number(signal),
        };
        (!state.name.is_empty()).then_some(state)
    }

    /// Whether it will never run again. A job that completes is not over yet.
    pub fn is_over(&self) -> bool {
        let over = [
            "COMPLETED",
            "FAILED",
            "CANCELLED",
            "TIMEOUT",
            "NODE_FAIL",
            "PREEMPTED",
            "BOOT_FAIL",
            "DEADLINE",
            "OUT_OF_MEMORY",
        ];
        over.contains(&self.name.as_str())
    }

    /// Whether it waits for what will never come.
    pub fn is_hopeless(&self) -> bool {
        let never =
            ["DependencyNeverSatisfied", "BadConstraints", "PartitionNodeLimit", "PartitionTimeLimit"];
        self.name == "PENDING" && never.contains(&self.reason.as_str())
    }

    /// How it ended, for people.
    pub fn told(&self) -> String {
        let words = match self.name.as_str() {
            "TIMEOUT" => "the job reached its time limit",
            "OUT_OF_MEMORY" => "the job used more memory than it may",
            "NODE_FAIL" => "a node of the job failed",
            "PREEMPTED" => "the job had to make place for another",
            "CANCELLED" => "somebody cancelled the job",
            "DEADLINE" => "the job could not end before its deadline",
            "BOOT_FAIL" => "a node of the job did not start",
            _ => "the job ended without saying how",
        };
        format!("{words} ({}, exit code {}, signal {})", self.name, self.code, self.signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = "JobId=1 JobName=r/s.1 UserId=root(0) JobState=TIMEOUT Reason=TimeLimit Dependency=(null) Requeue=1 Restarts=2 \
            BatchFlag=1 Reboot=0 ExitCode=0:15 RunTime=00:00:02 Comment=r/s.1";
        let state = State::read(line).unwrap();
        assert_eq!(state, State { name: "TIMEOUT".into(), reason: "TimeLimit".into(), code: 0, signal: 15 });
        assert!(state.is_over() && state.told().contains("time limit"));
        assert!(!State::read("JobState=COMPLETING Reason=None").unwrap().is_over());
        assert!(State::read("JobState=PENDING Reason=DependencyNeverSatisfied").unwrap().is_hopeless());
        assert_eq!(State::read("slurm_load_jobs error: Invalid job id specified"), None);
    }
}
