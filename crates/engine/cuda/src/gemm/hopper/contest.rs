//! Variants of the kernel on the clock: against one another, and against the library's best algorithm.
//!
//! They run in turns, so that the clock, which follows the power drawn, is the same for all of them; the least median wins.

use super::super::Product;
use super::super::plan::Plan;
use super::super::search::{Choice, ROUNDS, Sample, TURN_SECONDS, WORTH_SEARCHING_SECONDS, agree, median};
use super::{Epilogue, Own, Variant, prepare};
use crate::driver::{CudaError, Event, Stream};
use crate::gpu::Gpu;
use crate::launch::Scratch;
use crate::noise;

/// Work above which weight gradients were measured to be as fast as the library's, or faster.
const LONG_FLOPS: u64 = 20_000_000_000;

type Run<'a> = &'a dyn Fn() -> Result<(), CudaError>;

/// The library's choice, or a variant that is faster and agrees with it.
pub(in super::super) fn contest(
    gpu: &Gpu,
    plan: &Plan,
    product: &Product,
    scratch: Scratch,
    stream: &Stream,
    library: Choice,
) -> Result<Choice, CudaError> {
    let Some((epilogue, variants)) = super::variants(gpu, product) else { return Ok(library) };
    match library.seconds {
        // Nothing may be timed. The sums have one order, and are faster than the library's where they take long.
        None if epilogue == Epilogue::Accumulate && product.cost().flops >= LONG_FLOPS => {
            return Ok(Choice { own: variants.first(), workspace_bytes: 0, ..library });
        }
        Some(seconds) if seconds >= WORTH_SEARCHING_SECONDS => {}
        _ => return Ok(library),
    }
    let sample = Sample::of(product, stream)?;
    let by_library = || plan.run(&library.algorithm, scratch, stream);
    let sampled = |run: Run<'_>| {
        sample.restore(stream)?;
        run()?;
        sample.read(stream)
    };
    let expected = sampled(&by_library)?;
    let mut agreeing: Vec<(&'static Variant, Own)> = Vec::new();
    for variant in variants {
        let own = prepare(gpu, product, epilogue, variant)?;
        if agree(&expected, &sampled(&|| own.run(stream))?) {
            agreeing.push((variant, own));
        }
    }
    let owns: Vec<_> = agreeing.iter().map(|(_, own)| move || own.run(stream)).collect();
    let mut runs: Vec<Run<'_>> = vec![&by_library];
    runs.extend(owns.iter().map(|run| run as Run<'_>));
    let medians = medians(stream, &runs)?;
    let best = least(&medians);
    let own = best.checked_sub(1).map(|i| agreeing[i].0);
    Ok(Choice {
        own,
        seconds: Some(medians[best]),
        library_seconds: Some(medians[0]),
        workspace_bytes: if own.is_some() { 0 } else { library.workspace_bytes },
        tried: library.tried + agreeing.len(),
        ..library
    })
}

/// The fastest variant of a product that the library has no code for: with its time, and how many there were.
pub(super) fn fastest(
    gpu: &Gpu,
    product: &Product,
    epilogue: Epilogue,
    stream: &Stream,
) -> Result<(&'static Variant, Option<f64>, usize), CudaError> {
    let variants = epilogue.variants();
    let owns = variants
        .iter()
        .map(|variant| prepare(gpu, product, epilogue, variant))
        .collect::<Result<Vec<Own>, CudaError>>()?;
    let owns: Vec<_> = owns.iter().map(|own| move || own.run(stream)).collect();
    let runs: Vec<Run<'_>> = owns.iter().map(|run| run as Run<'_>).collect();
    let medians = medians(stream, &runs)?;
    // Roots of what is no square are no numbers; whatever is timed next on this memory shall find some.
    if product.d.stride == product.n {
        noise::fill(gpu, stream, product.d.pointer, product.m * product.n * product.d.dtype.bytes())?;
        stream.synchronize()?;
    }
    let best = least(&medians);
    Ok((&variants[best], Some(medians[best]), variants.len()))
}

/// Median seconds of each, taken in turns; every round begins with another one.
fn medians(stream: &Stream, runs: &[Run<'_>]) -> Result<Vec<f64>, CudaError> {
    let (start, end) = (Event::new(&stream.device)?, Event::new(&stream.device)?);
    let time = |run: Run<'_>, repeats: usize| {
        start.record(stream)?;
        (0..repeats).try_for_each(|_| run())?;
        end.record(stream)?;
        end.synchronize()?;
        Ok::<f64, CudaError>(end.seconds_since(&start)? / repeats as f64)
    };
    let mut repeats = Vec::new();
    for run in runs {
        time(*run, 1)?; // loads the kernel
        repeats.push((TURN_SECONDS / time(*run, 1)?).clamp(1.0, 100.0) as usize);
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); runs.len()];
    for round in 0..ROUNDS {
        for turn in 0..runs.len() {
            let at = (turn + round) % runs.len();
            times[at].push(time(runs[at], repeats[at])?);
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// Place of the least.
fn least(medians: &[f64]) -> usize {
    (0..medians.len()).min_by(|i, j| medians[*i].total_cmp(&medians[*j])).unwrap_or(0)
}
