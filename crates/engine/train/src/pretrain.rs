//! The loop.
//!
//! Resume is exact: a checkpoint holds weights, optimizer states, the step and the data's cursor, and everything else is a
//! function of the configuration, so a run that is killed at any moment and started again ends with the same bytes.

use crate::metrics_log::MetricsLog;
use crate::profile::{self, Subject};
use crate::ranks;
use crate::rows::{Packed, Rows, RowsError};
use crate::run::{Run, resolve};
use crate::summary::{announce, dropped_share, summarize};
use crate::trainer::{Measured, Seen, Trainer, Watch};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use wootz_checkpoint::{CheckpointError, Loaded, Retention, Saver, Snapshot};
use wootz_mesh::{MeshError, World};
use wootz_models::nanochat;
use wootz_program::{Backend, BackendError, OpError};
use wootz_schema::checkpoint::{TrainState, VERSION};
use wootz_schema::device::OnNan;
use wootz_schema::metrics::{EvalPoint, LossSums, Metric, SkippedStep, TrainStep};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::train::{PretrainConfig, TrainSummary};
use wootz_schema::{Diagnose, ExitCode, dataset::Cursor};
use wootz_stdx::file;
use wootz_tensor::HostTensor;

/// What a run reads: an endless source of rows from a cursor, and fixed validation rows.
pub struct Data<'a> {
    /// Opens the training rows at a cursor, or at the beginning.
    pub train: &'a dyn Fn(Option<Cursor>) -> Result<Box<dyn Rows>, RowsError>,
    /// Validation rows of T+1 tokens; a multiple of the micro-batch is used.
    pub validation: &'a [i32],
    /// Bytes of each token; 0 for specials, which do not count.
    pub token_bytes: &'a [u32],
    /// Digest of what the rows are made from.
    pub digest: String,
}

/// Trains from the newest whole checkpoint below `out`, or from the beginning, to the last step.
///
/// Writes `checkpoints/`, `metrics.jsonl`, `tensorboard/` and, at the end, `summary.json`. When `cancel` becomes true the
/// step in work is finished and saved, and [`TrainError::Cancelled`] is returned.
pub fn pretrain(
    config: &PretrainConfig,
    data: &Data<'_>,
    out: &Path,
    backend: &dyn Backend,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<TrainSummary, TrainError> {
    train(&World::single(), config, data, out, backend, observe, cancel)
}

/// The same as one of several ranks, which all call it with the same configuration and data; `backend` must run collectives
/// among them, and `out` be one folder for all. Rank 0 writes everything but the others' optimizer states. A rank that cannot
/// go on ends all of them.
pub fn pretrain_among(
    world: &World,
    config: &PretrainConfig,
    data: &Data<'_>,
    out: &Path,
    backend: &dyn Backend,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<TrainSummary, TrainError> {
    ranks::together(world, || train(world, config, data, out, backend, observe, cancel))
}

fn train(
    world: &World,
    config: &PretrainConfig,
    data: &Data<'_>,
    out: &Path,
    backend: &dyn Backend,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<TrainSummary, TrainError> {
    let mut run = resolve(config, data.token_bytes.len())?;
    run.fingerprint = wootz_stdx::digest::sha256(format!("{} {}", run.fingerprint, data.digest).as_bytes());
    ranks::check(world, &run)?;
    if let Some(text) = backend.preparation() {
        observe.observe(Progress::Message(&format!("preparing {}: {text}", backend.describe())));
    }
    let mut trainer = Trainer::among(world, backend, &run.sizes, &run.rates)?;
    announce(&run, &trainer, backend, observe);
    let checkpoints = out.join("checkpoints");
    let start = restore(world, &checkpoints, &run, &mut trainer, config.seed, backend, observe)?;
    let (step, cursor) = start.map_or((0, None), |s| (s.step, Some(s.cursor)));
    let retention = Retention {
        keep_last: NonZeroUsize::new(config.keep_last).unwrap_or(NonZeroUsize::MIN),
        keep_every: None,
    };
    let mut looped = Loop {
        world,
        config,
        run: &run,
        data,
        rows: (data.train)(cursor).map_err(TrainError::Data)?,
        saver: Saver::among(world, &checkpoints, retention)?,
        log: if world.leads() { MetricsLog::open(out, step)? } else { MetricsLog::none() },
        trainer,
        began: Instant::now(),
        skipped_in_a_row: 0,
        timed: Vec::new(),
        out,
        backend,
        observe,
    };
    observe.observe(Progress::Begin { task: "train", total: Some(run.schedule.steps), unit: "steps" });
    let stopped = looped.steps(step, cancel)?;
    let dropped = dropped_share(&looped.rows.cursor());
    let memory = looped.trainer.memory();
    looped.saver.finish()?;
    observe.observe(Progress::End);
    if let Some(step) = stopped {
        return Err(TrainError::Cancelled { step });
    }
    ranks::lead(world, || finish(config, &run, out, backend, memory, dropped))
}

/// Writes and returns what the run came to.
fn finish(
    config: &PretrainConfig,
    run: &Run,
    out: &Path,
    backend: &dyn Backend,
    memory: wootz_program::MemoryUse,
    dropped: f64,
) -> Result<TrainSummary, TrainError> {
    let summary = summarize(config, run, out, backend, memory, dropped)?;
    let text =
        serde_json::to_vec_pretty(&summary).expect("a summary serialises, because its keys are strings");
    let path = out.join("summary.json");
    file::write_atomic(&path, &text).map_err(TrainError::io("write", &path))?;
    Ok(summary)
}

struct Loop<'a> {
    world: &'a World,
    config: &'a PretrainConfig,
    run: &'a Run,
    data: &'a Data<'a>,
    rows: Box<dyn Rows>,
    saver: Saver,
    log: MetricsLog,
    trainer: Trainer,
    began: Instant,
    skipped_in_a_row: u64,
    /// Runs of the step before the one that is traced, where a profile is asked for.
    timed: Vec<Seen>,
    out: &'a Path,
    backend: &'a dyn Backend,
    observe: &'a dyn Observe,
}

/// A run that skips this many steps one after the other will not recover: its weights are what is broken.
const MOST_SKIPPED_IN_A_ROW: u64 = 10;
/// Steps before the one that is timed for a profile: by then a device runs as it will run on.
const STEPS_BEFORE_PROFILE: u64 = 3;

impl Loop<'_> {
    /// Runs to the last step; returns the step at which it was cancelled.
    fn steps(&mut self, first: u64, cancel: &AtomicBool) -> Result<Option<u64>, TrainError> {
        let last = self.run.schedule.steps;
        for step in first..last {
            if due(step, self.config.eval_every) {
                self.evaluate(step)?;
            }
            self.look(step, first)?;
            self.step(step)?;
            // One answer for all ranks: signals reach them at different steps.
            let cancelled = self.world.any(cancel.load(Ordering::Relaxed))? && step + 1 < last;
            if cancelled || due(step + 1, self.config.save_every) || step + 1 == last {
                self.save(step + 1)?;
            }
            if cancelled {
                return Ok(Some(step + 1));
            }
        }
        self.look(last, first)?;
        if self.config.eval_every > 0 {
            self.evaluate(last)?;
        }
        Ok(None)
    }

    fn step(&mut self, step: u64) -> Result<(), TrainError> {
        let began = Instant::now();
        let t_len = self.run.sizes.model.sequence_len;
        let mut rows = vec![0; self.run.sizes.batch * (t_len + 1)];
        for i in 0..self.run.accumulation as usize {
            self.rows.next_rows(&mut rows).map_err(TrainError::Data)?;
            if i % self.world.size != self.world.rank {
                continue;
            }
            let packed = Packed::split(&rows, t_len);
            let accumulation = self.run.accumulation;
            match i + self.world.size < accumulation as usize {
                true => self.trainer.micro_step(packed.tokens, packed.targets, accumulation)?,
                false => self.trainer.last_micro_step(packed.tokens, packed.targets, accumulation)?,
            }
        }
        let rates = self.run.rates_at(step);
        let measured = self.trainer.measure()?;
        if !measured.is_finite() {
            return self.not_finite(step, measured);
        }
        self.skipped_in_a_row = 0;
        self.trainer.apply(step + 1, rates)?;
        let Measured { loss, grad_norm } = measured;
        let seconds = began.elapsed().as_secs_f64();
        let tokens_per_second = self.run.total_batch_size as f64 / seconds;
        let record = TrainStep {
            step,
            steps: self.run.schedule.steps,
            loss,
            lr_multiplier: rates.lr_multiplier,
            grad_norm,
            tokens: (step + 1) * self.run.total_batch_size,
            tokens_per_second,
            gflops: tokens_per_second * nanochat::flops_per_token(&self.run.sizes.model) as f64 / 1e9,
            elapsed_seconds: self.began.elapsed().as_secs_f64(),
        };
        self.log.train(&record)?;
        self.observe.observe(Progress::Train(&record));
        Ok(())
    }

    /// Stops, or goes on with the weights as they are.
    fn not_finite(&mut self, step: u64, measured: Measured) -> Result<(), TrainError> {
        let Measured { loss, grad_norm } = measured;
        self.skipped_in_a_row += 1;
        if self.config.on_nan == OnNan::Stop || self.skipped_in_a_row == MOST_SKIPPED_IN_A_ROW {
            return Err(TrainError::Diverged { step, loss, grad_norm, skipped: self.skipped_in_a_row - 1 });
        }
        self.trainer.discard()?;
        let record = SkippedStep { step, loss: Metric::Number(loss), grad_norm: Metric::Number(grad_norm) };
        self.log.skipped(&record)?;
        let text =
            format!("step {step}: skipped, the loss is {loss} and the norm of the gradient {grad_norm}");
        self.observe.observe(Progress::Message(&text));
        Ok(())
    }

    /// Where a profile is asked for: one early step is timed run by run, and the next one traced. Both are steps as any
    /// other, with the same results.
    fn look(&mut self, step: u64, first: u64) -> Result<(), TrainError> {
        if !self.config.profile {
            return Ok(());
        }
        let traced = (first + STEPS_BEFORE_PROFILE + 1).min(self.run.schedule.steps - 1);
        if step + 1 == traced {
            self.trainer.watch(Watch::Clock);
        } else if step == traced {
            self.timed = self.trainer.watch(Watch::Trace);
        } else if step == traced + 1 {
            self.write_profile()?;
        }
        Ok(())
    }
    fn write_profile(&mut self) -> Result<(), TrainError> {
        let traced = self.trainer.watch(Watch::Off);
        if !self.world.leads() {
            return Ok(());
        }
        let subject = Subject {
            backend: self.backend.describe(),
            numerics: self.backend.numerics(),
            peaks: self.backend.peaks(),
            accumulation: self.run.accumulation / self.world.size as u64 * self.trainer.slices() as u64,
            tokens: self.run.total_batch_size,
            parts: None,
        };
        let profile = profile::summarize(subject, &self.timed, &traced);
        profile::write(self.out, &profile, &traced)?;
        let text = format!("profile: {}", self.out.join(profile::MARKDOWN).display());
        self.observe.observe(Progress::Message(&text));
        Ok(())
    }

    fn evaluate(&mut self, step: u64) -> Result<(), TrainError> {
        let t_len = self.run.sizes.model.sequence_len;
        let mut sums = LossSums::default();
        let batches = self.data.validation.chunks_exact(self.run.sizes.batch * (t_len + 1));
        for rows in batches.skip(self.world.rank).step_by(self.world.size) {
            let packed = Packed::split(rows, t_len);
            let losses = self.trainer.losses(packed.tokens, packed.targets.clone())?;
            for (loss, target) in losses.iter().zip(packed.targets) {
                sums.add(*loss, usize::try_from(target).map_or(0, |t| self.data.token_bytes[t]));
            }
        }
        let (bpb, loss) = ranks::sum(self.world, sums)?.figures().ok_or(TrainError::NoValidation)?;
        let point = EvalPoint { step, bpb, loss };
        self.log.eval(&point)?;
        self.observe.observe(Progress::Message(&format!("step {step}: validation {bpb:.4} bits per byte")));
        Ok(())
    }

    fn save(&mut self, step: u64) -> Result<(), TrainError> {
        self.trainer.collect()?;
        let parameters = if self.world.leads() { self.trainer.parameters()? } else { Vec::new() };
        let optimizer = self.trainer.optimizer()?;
        if let Some((name, _)) = parameters.iter().chain(&optimizer).find(|(_, tensor)| !all_finite(tensor)) {
            return Err(TrainError::Poisoned { step, name: name.clone() });
        }
        let numerics = Some(self.backend.numerics()).filter(|numerics| numerics != F32);
        let snapshot = Snapshot {
            model: self.run.sizes.model.clone(),
            parameters,
            optimizer,
            state: TrainState {
                version: VERSION,
                step,
                steps: self.run.schedule.steps,
                tokens: step * self.run.total_batch_size,
                seed: self.config.seed,
                cursor: self.rows.cursor(),
                fingerprint: self.run.fingerprint.clone(),
                numerics,
            },
        };
        Ok(self.saver.save(snapshot)?)
    }
}

/// The numerics of runs that do not name theirs.
const F32: &str = "f32";

fn all_finite(tensor: &HostTensor) -> bool {
    // Block by block without a branch inside, which vectorises.
    let finite = |block: &[f32]| block.iter().fold(true, |all, x| all & x.is_finite());
    tensor.as_f32().map_or(true, |values| values.chunks(4096).all(finite))
}

fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Loads the newest whole checkpoint, naming those it passes over, or sets the initial weights.
fn restore(
    world: &World,
    checkpoints: &Path,
    run: &Run,
    trainer: &mut Trainer,
    seed: u64,
    backend: &dyn Backend,
    observe: &dyn Observe,
) -> Result<Option<TrainState>, TrainError> {
    let latest = ranks::latest(world, checkpoints)?;
    for skipped in &latest.skipped {
        let text = format!("skipped checkpoint {}: {}", skipped.folder.display(), skipped.why);
        observe.observe(Progress::Message(&text));
    }
    let Some(Loaded { folder, snapshot, .. }) = latest.loaded else {
        trainer.initialize(&run.sizes.model, seed)?;
        return Ok(None);
    };
    if snapshot.state.fingerprint != run.fingerprint {
        return Err(TrainError::OtherRun { folder });
    }
    trainer.load(&snapshot.parameters)?;
    trainer.load(&snapshot.optimizer)?;
    let text = format!("resumed from {} at step {}", folder.display(), snapshot.state.step);
    observe.observe(Progress::Message(&text));
    let (before, now) = (snapshot.state.numerics.as_deref().unwrap_or(F32), backend.numerics());
    if before != now {
        let text = format!("the run goes on in {now}; up to here it was computed in {before}");
        observe.observe(Progress::Message(&text));
    }
    Ok(Some(snapshot.state))
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The model's configuration is not usable.
    #[error(transparent)]
    Config(#[from] nanochat::ConfigError),
    /// The micro-batch does not divide the batch.
    #[error("split a batch of {total} tokens into micro-batches of {rows}×{tokens} tokens")]
    Batch {
        /// Tokens of an update.
        total: u64,
        /// Rows of a micro-batch.
        rows: usize,
        /// Tokens of a row.
        tokens: usize,
    },
    /// A micro-batch cannot be cut into equal slices.
    #[error("cut a micro-batch of {rows} rows into {slices} slices")]
    Slices {
        /// Rows of a micro-batch.
        rows: usize,
        /// Slices asked for.
        slices: usize,
    },
    /// The micro-batches of a batch cannot be dealt evenly.
    #[error("deal {micro_batches} micro-batches of {rows}×{tokens} tokens to {ranks} ranks")]
    Ranks {
        /// Micro-batches of an update.
        micro_batches: u64,
        /// Rows of a micro-batch.
        rows: usize,
        /// Tokens of a row.
        tokens: usize,
        /// Number of ranks.
        ranks: usize,
    },
    /// The ranks cannot work together, or another one failed.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The plan needs more memory than allowed.
    #[error(
        "plan depth {depth} within {budget}: it needs {needed} ({persistent} of weights, gradients and states, {arena} of activations)"
    )]
    Budget {
        /// Number of blocks.
        depth: usize,
        /// All of it.
        needed: String,
        /// What persists.
        persistent: String,
        /// The arena.
        arena: String,
        /// The bound.
        budget: String,
    },
    /// There is nothing to do.
    #[error("train for 0 steps")]
    NoSteps,
    /// The bound is not a size.
    #[error("read the memory budget {0:?}")]
    BudgetText(String),
    /// The data failed.
    #[error("{0}")]
    Data(RowsError),
    /// The data gave rows of the wrong shape.
    #[error("take a batch of rows: {0}")]
    Rows(String),
    /// There are fewer validation rows than one micro-batch.
    #[error("evaluate: the validation split has fewer rows than one micro-batch")]
    NoValidation,
    /// The loss or the gradient is no longer a number.
    #[error("update at step {step}: the loss is {loss}, the norm of the gradient {grad_norm}{}", after(*.skipped))]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// L2 norm of its gradient.
        grad_norm: f64,
        /// Steps skipped right before it.
        skipped: u64,
    },
    /// A tensor holds what is no number; the checkpoints before it are as they were.
    #[error("save step {step}: {name} is not finite")]
    Poisoned {
        /// The step.
        step: u64,
        /// The tensor.
        name: String,
    },
    /// The checkpoints belong to another run.
    #[error("resume from {folder}: it was made with another model, data or schedule", folder = folder.display())]
    OtherRun {
        /// The checkpoint.
        folder: PathBuf,
    },
    /// Asked to stop.
    #[error("finish: the run was stopped after step {step}, which is saved")]
    Cancelled {
        /// Updates made.
        step: u64,
    },
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The program could not be built.
    #[error(transparent)]
    Program(#[from] OpError),
    /// A file could not be read or written.
    #[error("{action} {path}: {source}", path = path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn after(skipped: u64) -> String {
    if skipped == 0 { String::new() } else { format!(", after {skipped} skipped steps in a row") }
}

impl TrainError {
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl Fn(std::io::Error) -> TrainError + use<'a> {
        move |source| TrainError::Io { action, path: path.to_owned(), source }
    }
}

impl Diagnose for TrainError {
    fn exit(&self) -> ExitCode {
        match self {
            TrainError::Config(e) => e.exit(),
            TrainError::Data(e) => e.exit(),
            TrainError::Checkpoint(e) => e.exit(),
            TrainError::Backend(e) => e.exit(),
            TrainError::Mesh(e) => e.exit(),
            TrainError::Io { source, .. } => wootz_schema::exit::exit_of_io(source),
            TrainError::Diverged { .. } | TrainError::Poisoned { .. } | TrainError::Cancelled { .. } => {
                ExitCode::Failed
            }
            TrainError::Program(_) => ExitCode::Bug,
            _ => ExitCode::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            TrainError::Config(e) => return e.hint(),
            TrainError::Data(e) => return e.hint(),
            TrainError::Checkpoint(e) => return e.hint(),
            TrainError::Backend(e) => return e.hint(),
            TrainError::Mesh(e) => return e.hint(),
            TrainError::Io { source, .. } => return wootz_schema::exit::hint_of_io(source),
            TrainError::Batch { .. } => {
                "make total_batch_size a multiple of device_batch_size × sequence_len"
            }
            TrainError::Ranks { .. } => {
                "make total_batch_size a multiple of device_batch_size × sequence_len × the number of ranks"
            }
            TrainError::Slices { .. } => "choose slices as a divisor of device_batch_size",
            TrainError::Budget { .. } => {
                "lower depth, device_batch_size or sequence_len, or raise memory_budget: all that can be is computed again"
            }
            TrainError::NoSteps => {
                "set steps to 1 or more, or leave it out for a horizon from the model's size"
            }
            TrainError::BudgetText(_) => "write a size such as 8GiB or 512MB",
            TrainError::NoValidation => "raise validation_share of the dataset, or lower device_batch_size",
            TrainError::Diverged { skipped: 0, .. } => {
                "lower lr_scale, raise warmup_steps, or set on_nan: skip; the last checkpoint is whole"
            }
            TrainError::Diverged { .. } | TrainError::Poisoned { .. } => {
                "lower lr_scale, or raise warmup_steps; the last checkpoint is whole"
            }
            TrainError::OtherRun { .. } => "choose another output folder, or remove the checkpoints there",
            TrainError::Cancelled { .. } => "run the same command again to go on",
            TrainError::Rows(_) | TrainError::Program(_) => return None,
        };
        Some(hint.to_owned())
    }
}
