//! Variants of the kernel on the clock: against one another, and against the library's best algorithm.

use super::super::Product;
use super::super::plan::Plan;
use super::super::race::{Run, least, race};
use super::super::search::{Choice, Sample, WORTH_SEARCHING_SECONDS, agree};
use super::{Epilogue, Own, Variant, prepare};
use crate::driver::{CudaError, Stream};
use crate::gpu::Gpu;
use crate::launch::Scratch;
use crate::noise;

/// Work above which weight gradients were measured to be as fast as the library's, or faster.
const LONG_FLOPS: u64 = 20_000_000_000;

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
        Some(one) if one >= WORTH_SEARCHING_SECONDS => {}
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
    let seconds = race(stream, &runs)?;
    let best = least(&seconds);
    let own = best.checked_sub(1).map(|i| agreeing[i].0);
    Ok(Choice {
        own,
        seconds: Some(seconds[best]),
        library_seconds: Some(seconds[0]),
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
    let seconds = race(stream, &runs)?;
    // Roots of what is no square are no numbers; whatever is timed next on this memory shall find some.
    if product.d.stride == product.n {
        noise::fill(gpu, stream, product.d.pointer, product.m * product.n * product.d.dtype.bytes())?;
        stream.synchronize()?;
    }
    let best = least(&seconds);
    Ok((&variants[best], Some(seconds[best]), variants.len()))
}
