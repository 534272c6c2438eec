//! A program's launches in two parts, products with attention and all others: the time of each, and the power it draws.
//!
//! Times are taken right behind whole runs, in few runs in a row, because a part alone reads what is stale and sums onto it;
//! in many rounds, because power settles slowly. Power is read while nothing but the part runs, for longer than the
//! meter's second: values may grow meanwhile, which the meter hardly sees.

use crate::driver::{CudaError, Event, Graph, Stream};
use crate::gpu::Gpu;
use crate::launch::Launch;
use crate::power::Meters;
use std::ops::Range;
use std::time::{Duration, Instant};
use wootz_program::{Parts, Watts};

const ROUNDS: Range<usize> = 3..16;
const RUNS: usize = 2;
/// What all rounds of one part may take, once there are enough.
const AT_MOST: Duration = Duration::from_secs(4);
/// Long enough for a mean over one second to hold nothing of what was before.
const STEADY: Duration = Duration::from_millis(2200);

/// `whole` queues a whole run, which has run before.
pub(crate) fn time(
    gpu: &Gpu,
    stream: &Stream,
    launches: &[Launch],
    whole: impl Fn(&Stream) -> Result<(), CudaError>,
) -> Result<Parts, CudaError> {
    let part = |products: bool| {
        let of_part = || launches.iter().filter(|launch| (launch.cost.flops > 0) == products);
        stream.capture(|| of_part().try_for_each(|launch| launch.run(stream)))
    };
    let (products, rest) = (part(true)?, part(false)?);
    let products_seconds = behind_whole_runs(gpu, stream, &products, &whole)?;
    let rest_seconds = behind_whole_runs(gpu, stream, &rest, &whole)?;
    let watts = match Meters::open(&gpu.options.search) {
        Err(_) => None,
        Ok(meters) => {
            let steady = |seconds: f64, run: &dyn Fn() -> Result<(), CudaError>| {
                (0..(STEADY.as_secs_f64() / seconds).ceil() as usize).try_for_each(|_| run())?;
                stream.synchronize()?;
                meters.watts(&gpu.device)
            };
            Some(Watts {
                rest: steady(rest_seconds, &|| rest.launch(stream))?,
                products: steady(products_seconds, &|| products.launch(stream))?,
                whole: steady(products_seconds + rest_seconds, &|| whole(stream))?,
                idle: {
                    std::thread::sleep(STEADY);
                    meters.watts(&gpu.device)?
                },
            })
        }
    };
    Ok(Parts { products_seconds, rest_seconds, watts })
}

/// Median seconds of one run of a part.
fn behind_whole_runs(
    gpu: &Gpu,
    stream: &Stream,
    part: &Graph,
    whole: &impl Fn(&Stream) -> Result<(), CudaError>,
) -> Result<f64, CudaError> {
    let (began, ended) = (Event::new(&gpu.device)?, Event::new(&gpu.device)?);
    let start = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < ROUNDS.start || seconds.len() < ROUNDS.end && start.elapsed() < AT_MOST {
        whole(stream)?;
        began.record(stream)?;
        (0..RUNS).try_for_each(|_| part.launch(stream))?;
        ended.record(stream)?;
        ended.synchronize()?;
        seconds.push(ended.seconds_since(&began)? / RUNS as f64);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}
