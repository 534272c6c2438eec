//! Google's cloud through its own tool, which is run as a process. Every question has an answer in fixed words: whatever else comes back, an
//! error of ssh above all, is not known, and nothing is started on it.
//!
//! On the machine a run holds a lock that it inherits from the command that starts it: there is no moment between "nobody holds it" and "the
//! run does". Secrets go over standard input, so that no list of processes shows them, here or there.
//!
//! Not covered: pods of several hosts.

use crate::machine::Sight;
use crate::profile::Profile;
use crate::provider::{Provider, Trouble};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_stdx::process::{Limits, run};

/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(120);
/// How long the making of a machine, or its setting up, may take.
const WORK: Duration = Duration::from_secs(3600);
/// How much of an answer is read; the list of checkpoints is the longest.
const OUTPUT_BYTES: usize = 64 << 20;
/// How much of an error is told.
const TOLD: usize = 300;

/// A machine of Google's cloud.
#[derive(Debug)]
pub struct Gcloud {
    profile: Profile,
    program: OsString,
    secrets: BTreeMap<String, String>,
    cancel: Arc<AtomicBool>,
}

impl Gcloud {
    /// The machine of a profile. `program` is the cloud's tool; `secrets` are the values of the profile's secrets.
    pub fn new(
        profile: &Profile,
        program: OsString,
        secrets: BTreeMap<String, String>,
        cancel: Arc<AtomicBool>,
    ) -> Result<Gcloud, Trouble> {
        for name in &profile.secrets {
            match secrets.get(name) {
                None => return Err(Trouble(format!("the variable {name} is not set"))),
                Some(value) if value.contains(['\n', '\0']) => {
                    return Err(Trouble(format!("the variable {name} has more than one line")));
                }
                Some(_) => {}
            }
        }
        Ok(Gcloud { profile: profile.clone(), program, secrets, cancel })
    }

    fn run(&self, args: &[String], input: &[u8], time: Duration) -> Result<String, Trouble> {
        let mut command = Command::new(&self.program);
        command.args(args);
        let limits = Limits { time, output_bytes: OUTPUT_BYTES };
        let finished = run(&mut command, input, limits, &self.cancel)
            .map_err(|error| Trouble(format!("start {}: {error}", self.program.to_string_lossy())))?;
        let said = String::from_utf8_lossy(&finished.stderr);
        let said = said.trim();
        let from = said.char_indices().rev().nth(TOLD).map_or(0, |(at, _)| at);
        if let Some(killed) = finished.killed {
            return Err(Trouble(format!("{} was stopped ({killed:?}): {}", args[0], &said[from..])));
        }
        if !finished.status.success() {
            return Err(Trouble(format!("{}: {}", finished.status, &said[from..])));
        }
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }

    /// `gcloud compute tpus tpu-vm VERB NAME --zone ...`.
    fn machine(&self, verb: &str, rest: &[&str]) -> Vec<String> {
        let vm = &self.profile.machine;
        let mut args = vec!["compute", "tpus", "tpu-vm", verb, &vm.name, "--zone", &vm.zone];
        args.extend(vm.project.iter().flat_map(|project| ["--project", project]));
        args.extend(rest);
        args.into_iter().map(str::to_owned).collect()
    }

    fn shell(&self, script: &str, input: &[u8], time: Duration) -> Result<String, Trouble> {
        let command = format!("--command={script}");
        self.run(&self.machine("ssh", &["--worker=0", "--quiet", &command]), input, time)
    }

    /// Asks the machine about the run.
    fn look_inside(&self) -> Sight {
        let script = format!(
            "{}{}",
            self.folder(),
            r#"if ! flock -n "$d/lock" true; then echo wootz running
elif [ ! -s "$d/exit" ]; then echo wootz idle
else echo "wootz ended $(cat "$d/exit")"; fi"#
        );
        let answer = match self.shell(&script, b"", QUESTION) {
            Ok(answer) => answer,
            Err(trouble) => return Sight::Unknown(trouble.0),
        };
        let words: Vec<Vec<&str>> = answer
            .lines()
            .map(|line| line.split(' ').collect())
            .filter(|words: &Vec<&str>| words[0] == "wootz")
            .collect();
        match words.as_slice() {
            [words] => match (words.as_slice(), words.get(2).and_then(|rc| rc.parse().ok())) {
                (["wootz", "running"], _) => Sight::Running,
                (["wootz", "idle"], _) => Sight::Idle,
                (["wootz", "ended", _], Some(0)) => Sight::Finished,
                (["wootz", "ended", _], Some(rc)) => Sight::Crashed(rc),
                _ => Sight::Unknown(format!("an answer of {answer:?}")),
            },
            _ => Sight::Unknown(format!("an answer of {answer:?}")),
        }
    }

    /// The beginning of each script: the folder of the run on the machine, and the tool that everything rests on.
    fn folder(&self) -> String {
        let name = &self.profile.name;
        format!(
            "command -v flock >/dev/null || exit 9\nd=\"$HOME/.wootz-babysit/{name}\"\nmkdir -p \"$d\" || exit 9\n"
        )
    }
}

impl Provider for Gcloud {
    fn look(&mut self) -> Sight {
        let state = match self.run(&self.machine("describe", &["--format=value(state)"]), b"", QUESTION) {
            Ok(state) => state,
            Err(Trouble(why)) if why.contains("NOT_FOUND") => return Sight::NoMachine,
            Err(Trouble(why)) => return Sight::Unknown(why),
        };
        match state.trim() {
            "READY" => self.look_inside(),
            "PREEMPTED" | "TERMINATED" => Sight::Preempted,
            "CREATING" | "STARTING" | "RESTARTING" | "REIMAGING" | "REPAIRING" | "DELETING" | "STOPPING" => {
                Sight::Pending
            }
            state => Sight::Unknown(format!("a machine in the state {state:?}")),
        }
    }

    fn checkpoints(&mut self) -> Result<Vec<String>, Trouble> {
        let folder = format!("{}/", self.profile.training.checkpoints.trim_end_matches('/'));
        match self.run(&["storage".to_owned(), "ls".to_owned(), folder], b"", QUESTION) {
            Ok(names) => Ok(names.lines().map(str::to_owned).collect()),
            // What the tool says of a folder that nobody wrote to yet.
            Err(Trouble(why)) if why.contains("matched no objects") => Ok(Vec::new()),
            Err(trouble) => Err(trouble),
        }
    }

    fn create(&mut self) -> Result<(), Trouble> {
        let vm = &self.profile.machine;
        let (accelerator, version) =
            (format!("--accelerator-type={}", vm.accelerator), format!("--version={}", vm.runtime));
        let mut rest = vec![accelerator.as_str(), &version, "--quiet"];
        rest.extend(vm.spot.then_some("--spot"));
        self.run(&self.machine("create", &rest), b"", WORK).map(drop)
    }

    fn remove(&mut self) -> Result<(), Trouble> {
        self.run(&self.machine("delete", &["--quiet"]), b"", WORK).map(drop)
    }

    fn launch(&mut self, from: Option<u64>) -> Result<(), Trouble> {
        let training = &self.profile.training;
        let mut argv = training.command.clone();
        if let Some(step) = from {
            argv.extend(training.resume.iter().map(|word| word.replace("{step}", &step.to_string())));
        }
        let argv: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
        let setup = self.profile.setup.as_ref().map_or_else(String::new, |setup| {
            // Within the lock and once for each machine: what it leaves half done is done again.
            let setup = quoted(setup);
            format!("[ -e \"$d/ready\" ] || {{ sh -c {setup} </dev/null >>\"$d/log\" 2>&1 && : > \"$d/ready\"; }} || exit 7\n")
        });
        let script = format!(
            "{}exec 9>>\"$d/lock\"\nflock -n 9 || exit 75\n\
            while IFS= read -r line && [ -n \"$line\" ]; do export \"$line\"; done\n\
            {setup}cd {} || exit 8\nrm -f \"$d/exit\"\n\
            d=\"$d\" setsid nohup sh -c '\"$@\"; echo $? > \"$d/exit.new\"; mv \"$d/exit.new\" \"$d/exit\"' sh {} \
            </dev/null >>\"$d/log\" 2>&1 &\necho wootz launched",
            self.folder(),
            home(&training.folder),
            argv.join(" "),
        );
        let mut input = Vec::new();
        for name in &self.profile.secrets {
            input.extend(format!("{name}={}\n", self.secrets[name]).into_bytes());
        }
        input.push(b'\n');
        let answer = self.shell(&script, &input, WORK)?;
        match answer.lines().any(|line| line == "wootz launched") {
            true => Ok(()),
            false => Err(Trouble(format!("an answer of {answer:?}"))),
        }
    }
}

/// A word that a shell reads as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A folder that a shell reads as it is, but for `~/`.
fn home(folder: &str) -> String {
    match folder.strip_prefix("~/") {
        Some(rest) => format!("\"$HOME\"/{}", quoted(rest)),
        None if folder == "~" => "\"$HOME\"".to_owned(),
        None => quoted(folder),
    }
}
