//! Progress on stderr: bars on a terminal, lines in a pipe, nothing with `--quiet`.
//!
//! In a pipe every optimizer step is one line, since a log is read later and by programs; other tasks say only
//! when they begin and how long they took.

use super::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use wootz_schema::metrics::TrainStep;
use wootz_schema::progress::{FilesDone, Observe, Progress, Silent};
use wootz_stdx::human;

/// In a pipe, tasks that are over sooner say nothing.
const WORTH_A_LINE: Duration = Duration::from_millis(100);

/// In a pipe, time between lines of a task that says how far its files are.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// The observer that fits stderr.
pub fn observer(quiet: bool) -> Arc<dyn Observe> {
    match (quiet, io::stderr().is_terminal()) {
        (true, _) => Arc::new(Silent),
        (false, true) => Arc::new(Bars::default()),
        (false, false) => Arc::new(Lines::default()),
    }
}

/// Bars: one for the task at hand, replaced by a line when it ends.
#[derive(Default)]
struct Bars {
    state: Mutex<Task>,
}

/// Lines.
#[derive(Default)]
struct Lines {
    state: Mutex<Task>,
}

/// The task at hand.
#[derive(Default)]
struct Task {
    name: String,
    unit: String,
    total: Option<u64>,
    done: u64,
    begun: Option<Instant>,
    bar: Option<ProgressBar>,
    pace: Pace,
    last_loss: Option<f64>,
    files: Option<FilesDone>,
    /// When a line last said how far it is.
    said: Option<Instant>,
}

impl Task {
    fn begin(name: &str, total: Option<u64>, unit: &str) -> Task {
        let begun = Some(Instant::now());
        Task { name: name.to_owned(), unit: unit.to_owned(), total, begun, ..Task::default() }
    }

    /// `tokenizer: merges: 3836 merges in 2.1s`, or nothing where none was begun or it found nothing to do.
    fn ended(&self) -> Option<String> {
        let seconds = human::seconds(self.begun?.elapsed().as_secs_f64());
        let done = match self.done.max(self.total.unwrap_or(0)) {
            0 => return None,
            done if self.unit == "bytes" => format!(": {}", human::bytes(done)),
            done => format!(": {done} {}", self.unit),
        };
        let loss = self.last_loss.map(|loss| format!(", loss {loss:.4}")).unwrap_or_default();
        let files = self.files.map(|files| flow(&files, self.seconds())).unwrap_or_default();
        Some(format!("{}{done}{loss} in {seconds}{files}", self.name))
    }

    fn seconds(&self) -> f64 {
        self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64())
    }

    fn advance_files(&mut self, files: &FilesDone) {
        self.done = files.files;
        self.files = Some(*files);
    }
}

impl Observe for Bars {
    fn observe(&self, progress: Progress<'_>) {
        let mut task = lock(&self.state);
        match progress {
            Progress::Begin { task: name, total, unit } => {
                finish_bar(&mut task);
                *task = Task::begin(name, total, unit);
                task.bar = Some(bar(name, total, unit));
            }
            Progress::Advance { done } => {
                task.done = done;
                if let Some(bar) = &task.bar {
                    bar.set_position(done);
                }
            }
            Progress::Files(files) => {
                task.advance_files(files);
                let seconds = task.seconds();
                if let Some(bar) = &task.bar {
                    bar.set_position(files.files);
                    bar.set_message(format!("{}  eta {}", &flow(files, seconds)[2..], eta(files, seconds)));
                }
            }
            Progress::Train(step) => {
                if task.bar.is_none() {
                    *task = Task::begin("train", Some(step.steps), "steps");
                    task.bar = Some(bar("train", Some(step.steps), "steps"));
                }
                task.done = step.step + 1;
                task.last_loss = Some(step.loss);
                let eta = task.pace.eta(step);
                if let Some(bar) = &task.bar {
                    bar.set_position(step.step + 1);
                    bar.set_message(format!(
                        "loss {:.4}  {}  eta {}",
                        step.loss,
                        speed(step),
                        human::seconds(eta)
                    ));
                }
            }
            Progress::Message(text) => match &task.bar {
                Some(bar) => bar.suspend(|| say(&format!("{text}\n"))),
                None => say(&format!("{text}\n")),
            },
            Progress::End => {
                finish_bar(&mut task);
                *task = Task::default();
            }
        }
    }
}

impl Observe for Lines {
    fn observe(&self, progress: Progress<'_>) {
        let mut task = lock(&self.state);
        match progress {
            Progress::Begin { task: name, total, unit } => *task = Task::begin(name, total, unit),
            Progress::Advance { done } => task.done = done,
            Progress::Files(files) => {
                task.advance_files(files);
                let since = task.said.or(task.begun);
                if since.is_some_and(|since| since.elapsed() >= BETWEEN_LINES)
                    && files.bytes < files.total_bytes
                {
                    task.said = Some(Instant::now());
                    let (seconds, total) = (task.seconds(), task.total.unwrap_or(files.files));
                    say(&format!(
                        "{}: {}/{total} files{}, eta {}\n",
                        task.name,
                        files.files,
                        flow(files, seconds),
                        eta(files, seconds)
                    ));
                }
            }
            Progress::Train(step) => {
                task.done = step.step + 1;
                task.last_loss = Some(step.loss);
                let eta = human::seconds(task.pace.eta(step));
                say(&format!(
                    "step {}/{}  loss {:.4}  lr {:.3}  grad {:.4}  {}  eta {eta}\n",
                    step.step + 1,
                    step.steps,
                    step.loss,
                    step.lr_multiplier,
                    step.grad_norm,
                    speed(step),
                ));
            }
            Progress::Message(text) => say(&format!("{text}\n")),
            Progress::End => {
                let task = std::mem::take(&mut *task);
                let is_long = task.begun.is_some_and(|begun| begun.elapsed() >= WORTH_A_LINE);
                if let Some(line) = task.ended().filter(|_| is_long) {
                    say(&format!("{line}\n"));
                }
            }
        }
    }
}

/// `, 1440 files/s, 11.2 MB/s, 11655 documents`.
fn flow(files: &FilesDone, seconds: f64) -> String {
    let seconds = seconds.max(1e-3);
    let (per_second, rate) = (files.files as f64 / seconds, files.bytes as f64 / 1e6 / seconds);
    format!(", {per_second:.0} files/s, {rate:.1} MB/s, {} documents", files.documents)
}

/// Time that the bytes still to be read take at the pace so far.
fn eta(files: &FilesDone, seconds: f64) -> String {
    let left = files.total_bytes.saturating_sub(files.bytes) as f64;
    human::seconds(seconds * left / files.bytes.max(1) as f64)
}

/// Seconds per step, smoothed, for the time that is left.
#[derive(Default)]
struct Pace {
    last_elapsed_seconds: Option<f64>,
    seconds_per_step: Option<f64>,
}

impl Pace {
    fn eta(&mut self, step: &TrainStep) -> f64 {
        let seconds = step.elapsed_seconds - self.last_elapsed_seconds.unwrap_or(0.0);
        self.last_elapsed_seconds = Some(step.elapsed_seconds);
        let smoothed = self.seconds_per_step.map_or(seconds, |mean| 0.9 * mean + 0.1 * seconds);
        self.seconds_per_step = Some(smoothed);
        smoothed * (step.steps.saturating_sub(step.step + 1)) as f64
    }
}

fn speed(step: &TrainStep) -> String {
    format!("{} tok/s  {:.1} GFLOP/s", human::count(step.tokens_per_second.max(0.0) as u64), step.gflops)
}

fn bar(name: &str, total: Option<u64>, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
    let counts = match (total.is_some(), unit == "bytes") {
        (true, true) => "{bytes}/{total_bytes}",
        (true, false) => "{pos}/{len} {unit}",
        (false, true) => "{bytes}",
        (false, false) => "{pos} {unit}",
    };
    let gauge = if total.is_some() { "{bar:28.cyan/238} " } else { "{spinner:.cyan} " };
    let template = format!("{{prefix:.bold}}  {gauge}{}  {{msg}}", counts.replace("{unit}", unit));
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("━━─"));
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn finish_bar(task: &mut Task) {
    if let Some(bar) = task.bar.take() {
        bar.finish_and_clear();
        if let Some(line) = task.ended() {
            say(&format!("{line}\n"));
        }
    }
}

/// A panic in another thread must not silence progress.
fn lock(state: &Mutex<Task>) -> MutexGuard<'_, Task> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, elapsed_seconds: f64) -> TrainStep {
        TrainStep {
            step,
            steps: 11,
            loss: 1.0,
            lr_multiplier: 1.0,
            grad_norm: 1.0,
            tokens: 0,
            tokens_per_second: 6_400.0,
            gflops: 92.41,
            elapsed_seconds,
        }
    }

    #[test]
    fn time_left_follows_the_pace() {
        let mut pace = Pace::default();
        assert_eq!(pace.eta(&step(0, 2.0)), 20.0);
        assert_eq!(pace.eta(&step(1, 4.0)), 18.0);
        assert_eq!(pace.eta(&step(10, 6.0)), 0.0, "nothing is left after the last step");
        assert_eq!(speed(&step(0, 1.0)), "6.4K tok/s  92.4 GFLOP/s");
    }

    #[test]
    fn files_say_how_fast_and_how_long() {
        let files = FilesDone { files: 300, bytes: 4_000_000, total_bytes: 10_000_000, documents: 450 };
        assert_eq!(flow(&files, 2.0), ", 150 files/s, 2.0 MB/s, 450 documents");
        assert_eq!(eta(&files, 2.0), human::seconds(3.0));
    }

    #[test]
    fn an_ended_task_says_how_much() {
        let mut task = Task::begin("corpus: read", None, "files");
        task.done = 12;
        assert!(task.ended().is_some_and(|line| line.starts_with("corpus: read: 12 files in ")));
        assert_eq!(Task::default().ended(), None);
    }
}
