//! What computes the same, against one another, as in training: for long, one behind the other.
//!
//! A training step keeps the device at its power limit, where the clock falls until the power fits. What counts there is the
//! energy of a product, not its cycles: on an H200 algorithms within 1% of one another in short bursts differ by up to 14%
//! when each runs for long (kernels/gemm/notes.md). So each has turns long enough for the clock to settle to its power,
//! and only the second half of a turn counts.

use crate::driver::{CudaError, Event, Stream};

/// One launch of a candidate.
pub(crate) type Run<'a> = &'a dyn Fn() -> Result<(), CudaError>;

/// Products that take less than this are timed in bursts: the time of a step is not decided there.
const LONG_SECONDS: f64 = 20e-6;
/// Length of a turn of a long and of a short product.
const TURN_SECONDS: f64 = 50e-3;
const BURST_SECONDS: f64 = 1.5e-3;
/// How long the first candidate runs before anything counts.
const WARM_SECONDS: f64 = 100e-3;
const ROUNDS: usize = 3;
/// Who is this much slower than the fastest in the first round has no other turn.
const BEHIND: f64 = 1.03;

/// Seconds of one launch of each.
pub(crate) fn race(stream: &Stream, runs: &[Run<'_>]) -> Result<Vec<f64>, CudaError> {
    let clock = Clock { stream, start: Event::new(&stream.device)?, end: Event::new(&stream.device)? };
    let mut rough = Vec::new();
    for run in runs {
        clock.time(*run, 1)?; // loads the kernel
        rough.push(clock.time(*run, 1)?);
    }
    let long = rough.iter().all(|seconds| *seconds >= LONG_SECONDS);
    let turn = if long { TURN_SECONDS } else { BURST_SECONDS };
    if let (true, Some(first)) = (long, runs.first()) {
        clock.time(*first, repeats(WARM_SECONDS, rough[0]))?;
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); runs.len()];
    for round in 0..ROUNDS {
        let fastest = times.iter().filter_map(|times| times.first()).copied().fold(f64::INFINITY, f64::min);
        for at in (0..runs.len()).map(|turn| (turn + round) % runs.len()) {
            if times[at].first().is_some_and(|seconds| *seconds > BEHIND * fastest) {
                continue;
            }
            let half = repeats(turn / 2.0, rough[at]);
            clock.queue(runs[at], half)?;
            times[at].push(clock.time(runs[at], half)?);
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// Place of the least.
pub(crate) fn least(seconds: &[f64]) -> usize {
    (0..seconds.len()).min_by(|i, j| seconds[*i].total_cmp(&seconds[*j])).unwrap_or(0)
}

struct Clock<'a> {
    stream: &'a Stream,
    start: Event,
    end: Event,
}

impl Clock<'_> {
    fn queue(&self, run: Run<'_>, repeats: usize) -> Result<(), CudaError> {
        (0..repeats).try_for_each(|_| run())
    }
    /// Seconds of one launch, the mean of `repeats`.
    fn time(&self, run: Run<'_>, repeats: usize) -> Result<f64, CudaError> {
        self.start.record(self.stream)?;
        self.queue(run, repeats)?;
        self.end.record(self.stream)?;
        self.end.synchronize()?;
        Ok(self.end.seconds_since(&self.start)? / repeats as f64)
    }
}

fn repeats(seconds: f64, one: f64) -> usize {
    (seconds / one.max(1e-6)).clamp(1.0, 20_000.0) as usize
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
}
