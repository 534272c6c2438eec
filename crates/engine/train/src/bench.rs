//! One micro-step and one update on random tokens and random weights, timed: the figures that a peer's script prints too.
//!
//! No weight is zero, also of those that training starts at zero: products of zeros draw less power and run faster than
//! they will. Not covered: loading data, which training does behind the device.

use crate::optim::LearningRates;
use crate::pretrain::TrainError;
use crate::profile::{self, Subject};
use crate::trainer::{Rates, Seen, Sizes, Trainer, Watch};
use std::time::Instant;
use wootz_mesh::World;
use wootz_models::nanochat::{self, Parameter};
use wootz_program::{Backend, MemoryUse, Occupancy, Recompute};
use wootz_schema::model::ModelConfig;
use wootz_schema::profile::Profile;
use wootz_tensor::HostTensor;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Model, micro-batch, recomputation, budget.
    pub sizes: Sizes,
    /// Tokens of one update.
    pub tokens_per_step: usize,
    /// Samples of the micro-step; of the update three, or as many as these where they are fewer.
    pub repeats: usize,
    /// Trace one run of each program at the end.
    pub profile: bool,
    /// The ranks that train together.
    pub world: World,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Bench {
    /// Milliseconds of a micro-step, one a sample.
    pub micro_ms: Vec<f64>,
    /// Milliseconds of an update, its norm included, one a sample.
    pub optimizer_ms: Vec<f64>,
    /// Ranks that trained together.
    pub ranks: usize,
    /// Micro-steps of one update, on one rank.
    pub accumulation: usize,
    /// Tokens of a micro-step.
    pub micro_tokens: usize,
    /// What the session holds.
    pub memory: MemoryUse,
    /// What the backward pass computed again.
    pub recompute: Recompute,
    /// What held the arena where the micro-step needed most of it.
    pub occupancy: Occupancy,
    /// Loss of the last update's tokens: not a number where something is broken.
    pub loss: f64,
    /// The profile and its traced runs, where they were asked for.
    pub profile: Option<(Profile, Vec<Seen>)>,
}

impl Bench {
    /// Tokens of one update over `accumulation` micro-steps and the update, from medians.
    pub fn tokens_per_second(&self) -> f64 {
        self.rate(median(&self.micro_ms))
    }
    /// The same from the slowest and from the fastest micro-step.
    pub fn spread(&self) -> (f64, f64) {
        let slowest = self.micro_ms.iter().copied().fold(0.0, f64::max);
        let fastest = self.micro_ms.iter().copied().fold(f64::INFINITY, f64::min);
        (self.rate(slowest), self.rate(fastest))
    }
    fn rate(&self, micro_ms: f64) -> f64 {
        let ms = self.accumulation as f64 * micro_ms + median(&self.optimizer_ms);
        (self.ranks * self.accumulation * self.micro_tokens) as f64 / (ms * 1e-3)
    }
}

/// Samples shorter than this are of several micro-steps.
const LEAST_SAMPLE_MS: f64 = 100.0;
/// Micro-steps before anything is timed: a device compiles, chooses and records in the first ones.
const WARM_UP: usize = 3;

/// Runs the benchmark; `look` is asked while the programs are still loaded.
pub fn run<Look>(
    backend: &dyn Backend,
    options: &Options,
    look: &dyn Fn() -> Look,
) -> Result<(Bench, Look), TrainError> {
    let (model, batch) = (&options.sizes.model, options.sizes.batch);
    let mut trainer = Trainer::among(&options.world, backend, &options.sizes, &LearningRates::default())?;
    trainer.load_each(&nanochat::parameters(model), &mut RandomWeights::new(model))?;
    let rates = Rates { lr_multiplier: 0.01, momentum: 0.9, weight_decay: 0.0 };
    let mut rows = Rows::new(batch * model.sequence_len, model.vocab_size);
    for _ in 0..WARM_UP {
        rows.step(&mut trainer)?;
    }
    for step in 1..=2 {
        if options.world.size > 1 {
            rows.last_step(&mut trainer)?;
        }
        trainer.update(step, rates)?;
        rows.step(&mut trainer)?;
    }
    trainer.synchronize()?;
    let one_ms = timed(&mut trainer, |trainer| rows.step(trainer))?;
    let per_sample = (LEAST_SAMPLE_MS / one_ms.max(0.01)).ceil().clamp(1.0, 64.0) as usize;
    let mut micro_ms = Vec::new();
    for _ in 0..options.repeats.max(1) {
        let sample = timed(&mut trainer, |trainer| (0..per_sample).try_for_each(|_| rows.step(trainer)))?;
        micro_ms.push(sample / per_sample as f64);
    }
    let (mut optimizer_ms, mut loss) = (Vec::new(), f64::NAN);
    for step in 3..6 {
        let alone = options.world.size == 1;
        if alone {
            rows.step(&mut trainer)?;
        }
        trainer.synchronize()?;
        // No rank's time is spent waiting for another that begins later.
        options.world.any(false)?;
        let sample = timed(&mut trainer, |trainer| {
            if !alone {
                rows.last_step(trainer)?;
            }
            loss = trainer.update(step, rates)?.0;
            Ok(())
        })?;
        // What ranks exchange may run beside their last micro-step: what both take beyond a micro-step is the update's.
        optimizer_ms.push(if alone { sample } else { (sample - median(&micro_ms)).max(0.0) });
    }
    let all_rows = batch * model.sequence_len * options.world.size;
    let accumulation = (options.tokens_per_step / all_rows).max(1);
    let profile = match options.profile {
        true => Some(trace(backend, &mut trainer, &mut rows, rates, accumulation)?),
        false => None,
    };
    let micro_tokens = batch * model.sequence_len;
    let bench = Bench {
        micro_ms,
        optimizer_ms,
        ranks: options.world.size,
        accumulation,
        micro_tokens,
        memory: trainer.memory(),
        recompute: trainer.recompute(),
        occupancy: trainer.occupancy().clone(),
        loss,
        profile,
    };
    Ok((bench, look()))
}

fn timed(
    trainer: &mut Trainer,
    work: impl FnOnce(&mut Trainer) -> Result<(), TrainError>,
) -> Result<f64, TrainError> {
    let began = Instant::now();
    work(trainer)?;
    trainer.synchronize()?;
    Ok(1e3 * began.elapsed().as_secs_f64())
}

fn trace(
    backend: &dyn Backend,
    trainer: &mut Trainer,
    rows: &mut Rows,
    rates: Rates,
    accumulation: usize,
) -> Result<(Profile, Vec<Seen>), TrainError> {
    trainer.watch(Watch::Clock);
    for step in 6..9 {
        rows.step(trainer)?;
        trainer.update(step, rates)?;
    }
    let timed = trainer.watch(Watch::Trace);
    rows.step(trainer)?;
    trainer.update(9, rates)?;
    let traced = trainer.watch(Watch::Off);
    let subject = Subject {
        backend: backend.describe(),
        numerics: backend.numerics(),
        peaks: backend.peaks(),
        accumulation: (accumulation * trainer.slices()) as u64,
        tokens: (accumulation * rows.len) as u64,
        parts: trainer.time_parts()?,
    };
    Ok((profile::summarize(subject, &timed, &traced), traced))
}

/// Random tokens, four batches in turn.
struct Rows {
    len: usize,
    batches: Vec<Vec<i32>>,
    next: usize,
}

impl Rows {
    fn new(len: usize, vocab: usize) -> Rows {
        let mut random = SplitMix(1);
        let mut batch = || (0..len).map(|_| (random.next() % vocab as u64) as i32).collect();
        Rows { len, batches: (0..4).map(|_| batch()).collect(), next: 0 }
    }
    fn step(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        let (tokens, targets) = (self.next % 4, (self.next + 1) % 4);
        self.next += 1;
        trainer.micro_step(self.batches[tokens].clone(), self.batches[targets].clone(), 1)
    }
    /// The last step before an update.
    fn last_step(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        let (tokens, targets) = (self.next % 4, (self.next + 1) % 4);
        self.next += 1;
        trainer.last_micro_step(self.batches[tokens].clone(), self.batches[targets].clone(), 1)
    }
}

/// Weights of standard deviation 0.02, cut from one random block, since a billion fresh normal numbers would take longer
/// than the measurement; small tensors are noise around their initial values.
pub(crate) struct RandomWeights<'a> {
    model: &'a ModelConfig,
    block: Vec<f32>,
    random: SplitMix,
}

const BLOCK: usize = 1 << 20;
const DEVIATION: f32 = 0.02;
const SMALL: usize = 4096;

impl<'a> RandomWeights<'a> {
    fn new(model: &'a ModelConfig) -> RandomWeights<'a> {
        let mut random = SplitMix(7);
        let block = (0..BLOCK).map(|_| DEVIATION * random.normal()).collect();
        RandomWeights { model, block, random }
    }
    pub(crate) fn of(&mut self, parameter: &Parameter) -> HostTensor {
        let len = parameter.shape.len();
        let mut values = if len <= SMALL {
            let initial = nanochat::initial(self.model, parameter, 0);
            initial.as_f32().map(<[f32]>::to_vec).unwrap_or_default()
        } else {
            vec![0.0; len]
        };
        // An odd beginning for each piece, so that rows of a matrix are not copies of one another.
        for piece in values.chunks_mut(BLOCK / 2 - 1) {
            let from = (self.random.next() as usize) % (BLOCK / 2);
            piece.iter_mut().zip(&self.block[from..]).for_each(|(value, noise)| *value += noise);
        }
        HostTensor::f32(parameter.shape.clone(), values)
            .expect("as many values as the shape has, because they were made for it")
    }
}

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Nearly normal: the sum of twelve uniform numbers (Irwin and Hall) less its mean has variance 1.
    fn normal(&mut self) -> f32 {
        let unit = |x: u64| (x as u32) as f32 / 4_294_967_296.0;
        (0..6).map(|_| self.next()).map(|x| unit(x) + unit(x >> 32)).sum::<f32>() - 6.0
    }
}

/// The middle value.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
