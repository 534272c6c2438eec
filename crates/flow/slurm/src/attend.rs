//! The attendant: one job from its submission to its end.
//!
//! ```text
//! it finds                          and
//! the job's own word how it ended   hands on the rest of its output, and ends alike
//! a number, or a job of its mark    follows that job
//! neither                           ends jobs of earlier attempts, submits
//! ```
//!
//! Slurm is asked for the job's state every few seconds, less often the longer it is the same. A controller that does not answer is no
//! job that failed: it is asked again until it answers.

use crate::job::Job;
use crate::state::State;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wootz_stdx::file::write_atomic;

/// How often the job's files are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often its state is asked for, at first and at most.
const ASK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];
/// How long a job may be over before its own word on a shared disk is given up.
const WORD_LATE: Duration = Duration::from_secs(5);
/// What a process ends with that should be tried again.
const TEMPORARY: i32 = 75;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attended {
    /// The exit code of its process, or of the attendant.
    pub code: i32,
}

/// Submits a job, or finds it, and follows it to its end; what it says goes to `out` and `err`, and beside it, on `err`, what becomes of it.
/// When `cancel` is set it is cancelled.
pub fn attend(
    job: &Job,
    out: &mut dyn Write,
    err: &mut dyn Write,
    cancel: &AtomicBool,
) -> io::Result<Attended> {
    fs::create_dir_all(&job.files)?;
    let mut attendant = Attendant {
        job,
        out: Tail::new(job, "stdout"),
        err: Tail::new(job, "stderr"),
        told: State::default(),
    };
    if let Some(code) = attendant.word() {
        attendant.hand_on(out, err)?;
        return Ok(Attended { code });
    }
    let number = match attendant.find(err, cancel)? {
        Some(number) => number,
        None if cancel.load(Ordering::Relaxed) => return Ok(Attended { code: 130 }),
        None => match attendant.submit(err, cancel)? {
            Some(number) => number,
            None => return Ok(Attended { code: TEMPORARY }),
        },
    };
    attendant.follow(&number, out, err, cancel)
}

struct Attendant<'a> {
    job: &'a Job,
    out: Tail,
    err: Tail,
    /// The state that was told last.
    told: State,
}

/// What a program of Slurm said.
enum Answer {
    Said(String),
    /// It refused, and this is why.
    Refused(String),
    /// The controller is not there.
    Silent(String),
}

fn ask(program: &str, words: &[String]) -> io::Result<Answer> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(Answer::Said(said));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let line =
        complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word");
    let line = format!("{program}: {}", line.trim());
    let is_silent = [
        "Unable to contact",
        "Connection refused",
        "Connection timed out",
        "Socket timed out",
        "communication",
    ]
    .iter()
    .any(|words| complaint.contains(words));
    // A signal to the group of the attendant ends a program that it waits for, too.
    Ok(if is_silent || output.status.code().is_none() { Answer::Silent(line) } else { Answer::Refused(line) })
}

impl Attendant<'_> {
    /// How the job says that it ended.
    fn word(&self) -> Option<i32> {
        fs::read_to_string(self.job.exit()).ok()?.trim().parse().ok()
    }

    /// The job that was submitted before; others of the step are cancelled. `None`: there is none.
    fn find(&self, err: &mut dyn Write, cancel: &AtomicBool) -> io::Result<Option<String>> {
        if let Ok(number) = fs::read_to_string(self.job.number()) {
            return Ok(Some(number.trim().to_owned()));
        }
        let words = ["--me", "--noheader", "--format=%A|%k"].map(str::to_owned);
        let Some(said) = self.answer("squeue", &words, err, cancel)? else { return Ok(None) };
        for (number, mark) in said.lines().filter_map(|line| line.split_once('|')) {
            if mark == self.job.mark {
                self.keep(number)?;
                return Ok(Some(number.to_owned()));
            }
            let is_earlier = mark
                .strip_prefix(self.job.of_step())
                .is_some_and(|attempt| attempt.bytes().all(|byte| byte.is_ascii_digit()));
            if is_earlier {
                writeln!(err, "slurm: job {number} of an earlier attempt is cancelled")?;
                self.answer("scancel", &[number.to_owned()], err, cancel)?;
            }
        }
        Ok(None)
    }

    /// What a program says, asked until the controller answers; `None`: it refused, or nobody waits any more.
    fn answer(
        &self,
        program: &str,
        words: &[String],
        err: &mut dyn Write,
        cancel: &AtomicBool,
    ) -> io::Result<Option<String>> {
        let mut pause = ASK[0];
        loop {
            match ask(program, words)? {
                Answer::Said(said) => return Ok(Some(said)),
                Answer::Refused(why) => {
                    writeln!(err, "{why}")?;
                    return Ok(None);
                }
                Answer::Silent(why) if pause == ASK[0] => {
                    writeln!(err, "slurm: {why}; asked again until it answers")?
                }
                Answer::Silent(_) => {}
            }
            if !sleep(pause, cancel) {
                return Ok(None);
            }
            pause = (pause * 2).min(ASK[1]);
        }
    }

    fn keep(&self, number: &str) -> io::Result<()> {
        write_atomic(&self.job.number(), number.as_bytes())
    }

    /// Submits the job; `None`: Slurm refused it, and the reason is told.
    fn submit(&self, err: &mut dyn Write, cancel: &AtomicBool) -> io::Result<Option<String>> {
        write_atomic(&self.job.script_path(), self.job.script().as_bytes())?;
        let Some(said) = self.answer("sbatch", &self.job.words(), err, cancel)? else { return Ok(None) };
        // With more than one cluster its name stands behind the number.
        let number = said.lines().last().unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        self.keep(&number)?;
        writeln!(err, "slurm: submitted job {number}")?;
        Ok(Some(number))
    }

    fn follow(
        &mut self,
        number: &str,
        out: &mut dyn Write,
        err: &mut dyn Write,
        cancel: &AtomicBool,
    ) -> io::Result<Attended> {
        let show = ["show", "job", "-o", number].map(str::to_owned);
        let (mut pause, mut asked) = (ASK[0], Instant::now() - ASK[0]);
        let mut over_since: Option<Instant> = None;
        let mut is_cancelled = false;
        loop {
            self.hand_on(out, err)?;
            if let Some(code) = self.word() {
                // What it said before its last word is there by now.
                self.hand_on(out, err)?;
                return Ok(Attended { code });
            }
            if cancel.load(Ordering::Relaxed) && !is_cancelled {
                is_cancelled =
                    matches!(ask("scancel", &[number.to_owned()])?, Answer::Said(_) | Answer::Refused(_));
                pause = ASK[0];
            }
            if asked.elapsed() >= pause {
                asked = Instant::now();
                match ask("scontrol", &show)? {
                    Answer::Silent(_) => pause = (pause * 2).min(ASK[1]),
                    Answer::Said(line) => {
                        let state = State::read(&line).unwrap_or_default();
                        pause = if state == self.told { (pause * 2).min(ASK[1]) } else { ASK[0] };
                        self.tell(number, &state, err)?;
                        if state.is_hopeless() {
                            writeln!(err, "slurm: job {number} will never run: {}", state.reason)?;
                            ask("scancel", &[number.to_owned()])?;
                            return Ok(Attended { code: 1 });
                        }
                        over_since = state.is_over().then(|| over_since.unwrap_or_else(Instant::now));
                        self.told = state;
                    }
                    // Slurm has forgotten it.
                    Answer::Refused(_) => over_since = over_since.or_else(|| Some(Instant::now())),
                }
                if over_since.is_some() {
                    pause = ASK[0];
                }
            }
            if over_since.is_some_and(|since| since.elapsed() >= WORD_LATE || is_cancelled)
                && self.word().is_none()
            {
                self.hand_on(out, err)?;
                writeln!(err, "slurm: job {number}: {}", self.told.told())?;
                return Ok(Attended { code: if is_cancelled { 143 } else { TEMPORARY } });
            }
            thread::sleep(LOOK);
        }
    }

    /// Says what has changed and somebody may want to know.
    fn tell(&self, number: &str, state: &State, err: &mut dyn Write) -> io::Result<()> {
        let has_reason = !matches!(state.reason.as_str(), "" | "None");
        let is_news = (&state.name, &state.reason) != (&self.told.name, &self.told.reason);
        if is_news && state.name == "PENDING" && has_reason {
            writeln!(err, "slurm: job {number} waits: {}", state.reason)?;
        }
        Ok(())
    }

    fn hand_on(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        self.out.hand_on(out)?;
        self.err.hand_on(err)
    }
}

/// Sleeps in pieces; false: somebody cancelled.
fn sleep(time: Duration, cancel: &AtomicBool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time && !cancel.load(Ordering::Relaxed) {
        thread::sleep(LOOK.min(time));
    }
    !cancel.load(Ordering::Relaxed)
}

/// A file that grows, and how much of it was handed on.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    at: u64,
}

impl Tail {
    fn new(job: &Job, stream: &str) -> Tail {
        Tail { path: job.output(stream), file: None, at: 0 }
    }

    fn hand_on(&mut self, to: &mut dyn Write) -> io::Result<()> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(self.at))?;
        let mut block = [0; 1 << 16];
        loop {
            match file.read(&mut block)? {
                0 => return to.flush(),
                length => {
                    to.write_all(&block[..length])?;
                    self.at += length as u64;
                }
            }
        }
    }
}
