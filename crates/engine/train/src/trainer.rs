//! Programs, plan and session of a run: the step itself, without data, files or clock.

use crate::bench::RandomWeights;
use crate::layout::Layout;
use crate::optim::{GRADIENT_NORM, LOSS, LR_MULTIPLIER, LearningRates, MOMENTUM, STEP, WEIGHT_DECAY};
use crate::pretrain::TrainError;
use std::time::Instant;
use wootz_mesh::World;
use wootz_models::nanochat::{self, LOSSES, Parameter, SEED, TARGETS, TOKENS};
use wootz_program::{Backend, MemoryUse, Occupancy, Parts, Recompute, Session, Span, occupancy};
use wootz_schema::model::ModelConfig;
use wootz_tensor::HostTensor;

/// Shapes of a trainer.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// The model.
    pub model: ModelConfig,
    /// Rows of a micro-batch.
    pub batch: usize,
    /// Groups of rows that a micro-batch is worked off in, so that only one group's activations are held; none: one, or as few
    /// as fit the budget.
    pub slices: Option<usize>,
    /// What the backward pass computes again; more of it where the budget asks for that.
    pub recompute: Recompute,
    /// Largest memory of the plan, bytes.
    pub budget_bytes: Option<u64>,
}

/// Scheduled rates of one update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Multiplier of every learning rate.
    pub lr_multiplier: f64,
    /// Muon's momentum.
    pub momentum: f64,
    /// Muon's weight decay.
    pub weight_decay: f64,
}

/// Loss and gradient of a step before its update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean loss of the micro-batches, nats per token.
    pub loss: f64,
    /// Norm of the gradient.
    pub grad_norm: f64,
}

impl Measured {
    /// Whether an update from this gradient makes sense.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }
}

/// How closely runs are looked at. What is run, and its results, are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watch {
    /// Not at all: the device works behind the host.
    #[default]
    Off,
    /// Every run is waited for and timed.
    Clock,
    /// Every run is traced, launch by launch.
    Trace,
}

/// What was seen of one run of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// `micro`, `norm`, `update` or `evaluation`; of several ranks, also `reduce` and `collect`.
    pub program: &'static str,
    /// Seconds by the host's clock; none where it was traced.
    pub seconds: Option<f64>,
    /// Its launches; none where it was timed.
    pub spans: Vec<Span>,
}

/// A model in training on some device.
pub struct Trainer {
    session: Box<dyn Session>,
    watch: Watch,
    seen: Vec<Seen>,
    parameters: Vec<Parameter>,
    states: Vec<String>,
    /// Rows and tokens of one run of the micro program.
    shape: [usize; 2],
    slices: usize,
    recompute: Recompute,
    occupancy: Occupancy,
    micro_steps: u64,
    world: World,
    /// Whether the last micro-step sums the gradients of all ranks.
    overlaps: bool,
    /// Whether the gradients are summed.
    reduced: bool,
}

pub(crate) const MICRO: usize = 0;
pub(crate) const UPDATE: usize = 1;
const EVALUATE: usize = 2;
pub(crate) const NORM: usize = 3;
/// From here on only where there are several ranks.
const REDUCE: usize = 4;
const COLLECT: usize = 5;
/// The last micro-step of a rank, where it also sums the gradients.
const LAST_MICRO: usize = 6;
/// Names of the programs, in the order in which they are loaded.
const NAMES: [&str; 7] = ["micro", "update", "evaluation", "norm", "reduce", "collect", "micro"];

impl Trainer {
    /// Builds and plans the programs, and loads them with zeroed weights. A plan over the budget is an error that names
    /// the figures and the knobs; nothing is allocated then.
    pub fn new(backend: &dyn Backend, sizes: &Sizes, rates: &LearningRates) -> Result<Trainer, TrainError> {
        Trainer::among(&World::single(), backend, sizes, rates)
    }
    /// The same as one of several ranks, whose gradients become one; `backend` must run collectives among them.
    pub fn among(
        world: &World,
        backend: &dyn Backend,
        sizes: &Sizes,
        rates: &LearningRates,
    ) -> Result<Trainer, TrainError> {
        let model = &sizes.model;
        let Layout { planned, states, rows, recompute, overlaps } =
            Layout::within_budget(world, backend, sizes, rates)?;
        Ok(Trainer {
            occupancy: occupancy(&planned[MICRO].program, &planned[MICRO].plan),
            session: backend.load(planned)?,
            watch: Watch::Off,
            seen: Vec::new(),
            parameters: nanochat::parameters(model),
            states,
            shape: [rows, model.sequence_len],
            slices: sizes.batch / rows,
            recompute,
            micro_steps: 0,
            world: world.clone(),
            overlaps,
            reduced: false,
        })
    }
    /// Sets every parameter to its initial value.
    pub fn initialize(&mut self, model: &ModelConfig, seed: u64) -> Result<(), TrainError> {
        for parameter in &self.parameters {
            self.session.write(&parameter.name, &nanochat::initial(model, parameter, seed))?;
        }
        Ok(())
    }
    /// Sets parameters one by one, so that only one is in host memory.
    pub(crate) fn load_each(
        &mut self,
        parameters: &[Parameter],
        weights: &mut RandomWeights<'_>,
    ) -> Result<(), TrainError> {
        parameters.iter().try_for_each(|p| Ok(self.session.write(&p.name, &weights.of(p))?))
    }
    /// Adds the gradients and the loss of one micro-batch of `accumulation`, those of all ranks counted. Tokens and targets
    /// are B×T.
    pub fn micro_step(
        &mut self,
        tokens: Vec<i32>,
        targets: Vec<i32>,
        accumulation: u64,
    ) -> Result<(), TrainError> {
        self.micro_steps(tokens, targets, accumulation, MICRO)
    }
    /// The same for the last micro-batch of this rank before an update: where the device can, the gradients of all ranks are
    /// summed beside its backward pass. All ranks call it for their last one, or none.
    pub fn last_micro_step(
        &mut self,
        tokens: Vec<i32>,
        targets: Vec<i32>,
        accumulation: u64,
    ) -> Result<(), TrainError> {
        self.micro_steps(tokens, targets, accumulation, if self.overlaps { LAST_MICRO } else { MICRO })
    }
    /// Measures, then updates. Returns the mean loss of the micro-batches, nats per token, and the norm of the gradient.
    pub fn update(&mut self, step: u64, rates: Rates) -> Result<(f64, f64), TrainError> {
        let Measured { loss, grad_norm } = self.measure()?;
        self.apply(step, rates)?;
        Ok((loss, grad_norm))
    }
    /// The loss and the gradient of the micro-steps since the last call; waits for them.
    pub fn measure(&mut self) -> Result<Measured, TrainError> {
        if self.world.size > 1 && !self.reduced {
            self.run(REDUCE)?;
            self.reduced = true;
        }
        self.run(NORM)?;
        let micro_steps = (std::mem::take(&mut self.micro_steps).max(1) * self.world.size as u64) as f64;
        Ok(Measured { loss: self.scalar(LOSS)? / micro_steps, grad_norm: self.scalar(GRADIENT_NORM)? })
    }
    /// Updates every parameter from the gradients since the last update, and clears them; `step` counts from 1. Does not
    /// wait for the device.
    pub fn apply(&mut self, step: u64, rates: Rates) -> Result<(), TrainError> {
        let inputs = [
            (LR_MULTIPLIER, rates.lr_multiplier),
            (STEP, step as f64),
            (MOMENTUM, rates.momentum),
            (WEIGHT_DECAY, rates.weight_decay),
        ];
        for (name, value) in inputs {
            self.session.write(name, &HostTensor::scalar(value as f32))?;
        }
        self.run(UPDATE)
    }
    /// Clears the gradients in place of an update. The zeros come from the host: this is rare, and a program for it would
    /// cost memory in every run.
    pub fn discard(&mut self) -> Result<(), TrainError> {
        for parameter in &self.parameters {
            let zeros = HostTensor::f32(parameter.shape.clone(), vec![0.0; parameter.shape.len()])
                .map_err(|e| TrainError::Rows(e.to_string()))?;
            self.session.write(&gradient_name(parameter), &zeros)?;
        }
        Ok(())
    }
    /// Loss of each target, B×T; 0 where the target is −1.
    pub fn losses(&mut self, tokens: Vec<i32>, targets: Vec<i32>) -> Result<Vec<f32>, TrainError> {
        let mut losses = Vec::with_capacity(tokens.len());
        for (tokens, targets) in self.sliced(tokens, targets)? {
            self.write_rows(tokens, targets)?;
            self.run(EVALUATE)?;
            losses.extend_from_slice(self.session.read(LOSSES)?.as_f32().unwrap_or_default());
        }
        Ok(losses)
    }
    /// Groups of rows that a micro-batch is worked off in.
    pub fn slices(&self) -> usize {
        self.slices
    }
    /// What the backward pass computes again: what was asked for, or what the budget took.
    pub fn recompute(&self) -> Recompute {
        self.recompute
    }
    /// What holds the arena where the micro-step needs most of it.
    pub fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }
    /// Brings every parameter to all ranks, which must all call this: between updates, some are whole on one rank only.
    pub fn collect(&mut self) -> Result<(), TrainError> {
        if self.world.size > 1 {
            self.session.run(COLLECT)?;
        }
        Ok(())
    }
    /// Parameters by name; of several ranks, as [`Trainer::collect`] left them.
    pub fn parameters(&self) -> Result<Vec<(String, HostTensor)>, TrainError> {
        self.parameters.iter().map(|p| Ok((p.name.clone(), self.session.read(&p.name)?))).collect()
    }
    /// Gradients by the name of their parameter.
    pub fn gradients(&self) -> Result<Vec<(String, HostTensor)>, TrainError> {
        let read = |p: &Parameter| Ok((p.name.clone(), self.session.read(&gradient_name(p))?));
        self.parameters.iter().map(read).collect()
    }
    /// Optimizer states by name; of several ranks, those of this one.
    pub fn optimizer(&self) -> Result<Vec<(String, HostTensor)>, TrainError> {
        self.states.iter().map(|name| Ok((name.clone(), self.session.read(name)?))).collect()
    }
    /// Sets parameters or optimizer states. Of several ranks, each takes the states that it owns.
    pub fn load(&mut self, tensors: &[(String, HostTensor)]) -> Result<(), TrainError> {
        let mine = |name: &String| {
            self.world.size == 1
                || self.states.contains(name)
                || self.parameters.iter().any(|p| p.name == *name)
        };
        let mine: Vec<_> = tensors.iter().filter(|(name, _)| mine(name)).collect();
        mine.into_iter().try_for_each(|(name, tensor)| Ok(self.session.write(name, tensor)?))
    }
    /// Looks at the runs from here on, and returns what was seen so far.
    pub fn watch(&mut self, watch: Watch) -> Vec<Seen> {
        self.watch = watch;
        std::mem::take(&mut self.seen)
    }
    /// Waits until the device has done all that was asked of it.
    pub fn synchronize(&mut self) -> Result<(), TrainError> {
        Ok(self.session.synchronize()?)
    }
    /// What the session holds.
    pub fn memory(&self) -> MemoryUse {
        self.session.memory()
    }

    /// Runs a micro-batch, slice by slice; the last slice runs the program `last`.
    fn micro_steps(
        &mut self,
        tokens: Vec<i32>,
        targets: Vec<i32>,
        accumulation: u64,
        last: usize,
    ) -> Result<(), TrainError> {
        let runs = accumulation * self.slices as u64;
        self.session.write(SEED, &HostTensor::scalar((1.0 / runs as f64) as f32))?;
        for (i, (tokens, targets)) in self.sliced(tokens, targets)?.into_iter().enumerate() {
            self.write_rows(tokens, targets)?;
            self.run(if i + 1 == self.slices { last } else { MICRO })?;
            self.micro_steps += 1;
        }
        self.reduced = last == LAST_MICRO;
        Ok(())
    }
    /// Time and power of a slice in parts; see [`Session::time_parts`].
    pub(crate) fn time_parts(&mut self) -> Result<Option<Parts>, TrainError> {
        Ok(self.session.time_parts(MICRO)?)
    }
    fn run(&mut self, index: usize) -> Result<(), TrainError> {
        let (mut seconds, mut spans) = (None, Vec::new());
        match self.watch {
            Watch::Off => return Ok(self.session.run(index)?),
            Watch::Clock => {
                self.session.synchronize()?;
                let began = Instant::now();
                self.session.run(index)?;
                self.session.synchronize()?;
                seconds = Some(began.elapsed().as_secs_f64());
            }
            Watch::Trace => spans = self.session.trace(index)?,
        }
        self.seen.push(Seen { program: NAMES[index], seconds, spans });
        Ok(())
    }
    /// Tokens and targets of the slices of a micro-batch.
    fn sliced(&self, mut tokens: Vec<i32>, mut targets: Vec<i32>) -> Result<Vec<Slice>, TrainError> {
        let len = self.shape[0] * self.shape[1];
        if self.slices == 1 {
            return Ok(vec![(tokens, targets)]);
        }
        if tokens.len() != len * self.slices || targets.len() != tokens.len() {
            return Err(TrainError::Rows(format!("{} tokens, expected {}", tokens.len(), len * self.slices)));
        }
        let mut slices = Vec::with_capacity(self.slices);
        while tokens.len() > len {
            slices.push((tokens.split_off(tokens.len() - len), targets.split_off(targets.len() - len)));
        }
        slices.push((tokens, targets));
        slices.reverse();
        Ok(slices)
    }
    fn write_rows(&mut self, tokens: Vec<i32>, targets: Vec<i32>) -> Result<(), TrainError> {
        for (name, ids) in [(TOKENS, tokens), (TARGETS, targets)] {
            let tensor = HostTensor::i32(self.shape, ids).map_err(|e| TrainError::Rows(e.to_string()))?;
            self.session.write(name, &tensor)?;
        }
        Ok(())
    }
    fn scalar(&self, name: &str) -> Result<f64, TrainError> {
        let tensor = self.session.read(name)?;
        Ok(match tensor.as_f32() {
            Ok(values) => f64::from(values[0]),
            Err(_) => tensor.as_f64().map(|v| v[0]).unwrap_or(f64::NAN),
        })
    }
}

/// Tokens and targets of some rows.
type Slice = (Vec<i32>, Vec<i32>);

fn gradient_name(parameter: &Parameter) -> String {
    format!("gradient.{}", parameter.name)
}
