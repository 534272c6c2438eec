//! Choosing the algorithm of a product: the library's suggestions and their neighbours, timed on the operands' own memory.
//!
//! 1. Every suggestion is timed shortly.
//! 2. Where a product takes long enough to matter, the fastest are varied in one setting at a time (tile, cluster, stages,
//!    swizzle, parts of the sum), as far as the library accepts it, and the best of those again, for a limited time.
//! 3. The fastest few, of several tiles, run against each other for long ([`race`]). One that the library did not suggest must
//!    also agree with its first suggestion.
//!
//! In deterministic mode nothing is timed, since times differ between runs: the first suggestion is taken whose sums have
//! one order.

use super::api::{Algorithm, capability, config, reduction};
use super::hopper::Variant;
use super::plan::Plan;
use super::race::{Run, least, race};
use super::{Element, Product};
use crate::driver::{CudaError, Event, Pointer, Stream};
use crate::launch::Scratch;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Suggestions asked of the library.
const SUGGESTIONS: usize = 48;
/// Products that take less than this are not searched beyond the suggestions.
pub(super) const WORTH_SEARCHING_SECONDS: f64 = 40e-6;
/// The most time spent on the neighbours of one product.
const SEARCH_TIME: Duration = Duration::from_millis(600);
/// Times that a neighbourhood is entered.
const EXPANSIONS: usize = 5;
/// How many meet in the final, and how many of them may have the same tile: those often draw the same power.
const FINALISTS: usize = 7;
const OF_ONE_TILE: usize = 3;
/// Slower in the first look by more than this, and it is no finalist.
const CLOSE: f64 = 1.2;
/// Relative difference to the first suggestion's result that other orders of summation explain.
const AGREEMENT: f64 = 2e-2;

/// What was chosen.
pub(super) struct Choice {
    pub algorithm: Algorithm,
    /// The variant of the hand-written kernel that is taken in place of it.
    pub own: Option<&'static Variant>,
    pub workspace_bytes: usize,
    /// Time of one run where it runs for long; none: nothing was timed.
    pub seconds: Option<f64>,
    /// The same of the library's first suggestion.
    pub suggested_seconds: Option<f64>,
    /// The same of the algorithm, where a variant is taken in place of it.
    pub library_seconds: Option<f64>,
    /// Number of algorithms that were timed.
    pub tried: usize,
}

/// Whether sums may come together this way: never in fewer bits than binary32, and in one order where asked.
pub(super) fn allowed(product: &Product, deterministic: bool) -> u32 {
    let exact = reduction::NONE | reduction::COMPUTE_TYPE;
    match (product.d.dtype, deterministic) {
        (Element::F32, false) => exact | reduction::IN_PLACE | reduction::OUTPUT_TYPE,
        (Element::F32, true) => exact | reduction::OUTPUT_TYPE,
        _ => exact,
    }
}

/// Chooses an algorithm within the scratch memory.
pub(super) fn choose(
    plan: &Plan,
    product: &Product,
    scratch: Scratch,
    stream: &Stream,
    deterministic: bool,
) -> Result<Choice, CudaError> {
    let schemes = allowed(product, deterministic);
    let mut suggested = plan.heuristics(SUGGESTIONS, scratch.bytes, schemes)?;
    suggested.retain(|one| fits(plan, &one.algorithm, schemes));
    let none = || CudaError::unsupported(product.name, "the library has no algorithm for this product");
    let first = suggested.first().ok_or_else(none)?;
    if deterministic {
        return Ok(Choice {
            algorithm: first.algorithm,
            own: None,
            workspace_bytes: first.workspace_bytes,
            seconds: None,
            suggested_seconds: None,
            library_seconds: None,
            tried: 0,
        });
    }
    let trial = Trial {
        plan,
        scratch,
        stream,
        schemes,
        start: Event::new(&stream.device)?,
        end: Event::new(&stream.device)?,
    };
    let mut field = Vec::new();
    for one in &suggested {
        field.extend(trial.screen(one.algorithm, one.workspace_bytes)?);
    }
    // The first one that runs: what would be used without timing.
    let reference = field.first().ok_or_else(none)?.algorithm;
    sort(&mut field);
    if field[0].seconds >= WORTH_SEARCHING_SECONDS {
        trial.explore(&mut field, Instant::now() + SEARCH_TIME)?;
    }
    trial.finish(product, field, reference, &suggested.iter().map(|one| one.algorithm).collect())
}

fn fits(plan: &Plan, algorithm: &Algorithm, schemes: u32) -> bool {
    plan.get(algorithm, config::REDUCTION_SCHEME) & !schemes == 0
}

/// An algorithm and its time so far.
#[derive(Debug, Clone, Copy)]
struct Timed {
    algorithm: Algorithm,
    workspace_bytes: usize,
    seconds: f64,
}

fn sort(field: &mut [Timed]) {
    field.sort_by(|x, y| x.seconds.total_cmp(&y.seconds));
}

struct Trial<'a> {
    plan: &'a Plan,
    scratch: Scratch,
    stream: &'a Stream,
    schemes: u32,
    start: Event,
    end: Event,
}

impl Trial<'_> {
    /// Seconds of one run, the mean of `repeats`; none: the library refuses to run it.
    fn time(&self, algorithm: &Algorithm, repeats: usize) -> Result<Option<f64>, CudaError> {
        self.start.record(self.stream)?;
        for _ in 0..repeats {
            if self.plan.run(algorithm, self.scratch, self.stream).is_err() {
                return Ok(None);
            }
        }
        self.end.record(self.stream)?;
        self.end.synchronize()?;
        Ok(Some(self.end.seconds_since(&self.start)? / repeats as f64))
    }

    /// A short look, after a run that loads the kernel.
    fn screen(&self, algorithm: Algorithm, workspace_bytes: usize) -> Result<Option<Timed>, CudaError> {
        if self.time(&algorithm, 1)?.is_none() {
            return Ok(None);
        }
        let seconds = self.time(&algorithm, 2)?;
        Ok(seconds.map(|seconds| Timed { algorithm, workspace_bytes, seconds }))
    }

    /// Adds neighbours of the fastest, and of what is fastest then.
    fn explore(&self, field: &mut Vec<Timed>, deadline: Instant) -> Result<(), CudaError> {
        let mut seen: BTreeSet<Algorithm> = field.iter().map(|one| one.algorithm).collect();
        let mut expanded = BTreeSet::new();
        for _ in 0..EXPANSIONS {
            let next = field.iter().take(3).find(|one| !expanded.contains(&one.algorithm)).copied();
            let Some(center) = next else { return Ok(()) };
            expanded.insert(center.algorithm);
            for neighbour in self.neighbours(&center.algorithm) {
                if Instant::now() > deadline {
                    sort(field);
                    return Ok(());
                }
                if seen.insert(neighbour) && fits(self.plan, &neighbour, self.schemes) {
                    let workspace =
                        self.plan.workspace(&neighbour).filter(|bytes| *bytes <= self.scratch.bytes);
                    if let Some(bytes) = workspace {
                        field.extend(self.screen(neighbour, bytes)?);
                    }
                }
            }
            sort(field);
        }
        Ok(())
    }

    /// Algorithms that differ in one setting.
    fn neighbours(&self, algorithm: &Algorithm) -> Vec<Algorithm> {
        let plan = self.plan;
        let can = |attribute| plan.capabilities(algorithm, attribute);
        let most = |attribute| can(attribute).first().copied().unwrap_or(0);
        let vary = |setting, values: Vec<u32>| {
            let varied = values.into_iter().filter_map(move |value| plan.with(algorithm, setting, value));
            varied.collect::<Vec<_>>()
        };
        let mut found = vary(config::CLUSTER, CLUSTERS.to_vec());
        found.extend(vary(config::STAGES, can(capability::STAGES)));
        if most(capability::SWIZZLING) > 0 {
            found.extend(vary(config::SWIZZLING, vec![0, 1]));
        }
        found.extend(vary(config::CUSTOM, (0..=most(capability::CUSTOM_MAX).min(32)).collect()));
        if most(capability::SPLIT_K) > 0 {
            found.extend(self.splits(algorithm, most(capability::REDUCTION_SCHEMES)));
        }
        found
            .extend(vary(config::TILE, can(capability::TILES).into_iter().filter(|id| large(*id)).collect()));
        found
    }

    fn splits(&self, algorithm: &Algorithm, supported: u32) -> Vec<Algorithm> {
        let with = |parts, scheme| {
            let split = self.plan.with(algorithm, config::SPLIT_K, parts)?;
            self.plan.with(&split, config::REDUCTION_SCHEME, scheme)
        };
        let mut found: Vec<Algorithm> = with(1, reduction::NONE).into_iter().collect();
        for scheme in [reduction::COMPUTE_TYPE, reduction::IN_PLACE, reduction::OUTPUT_TYPE] {
            if supported & self.schemes & scheme != 0 {
                found.extend([2, 3, 4, 5, 6, 8].into_iter().filter_map(|parts| with(parts, scheme)));
            }
        }
        found
    }

    fn finish(
        &self,
        product: &Product,
        field: Vec<Timed>,
        reference: Algorithm,
        suggested: &BTreeSet<Algorithm>,
    ) -> Result<Choice, CudaError> {
        let tried = field.len();
        let sample = Sample::of(product, self.stream)?;
        let expected = self.sampled(&sample, &reference)?;
        let mut finalists: Vec<Timed> = Vec::new();
        let mut tiles: BTreeMap<u32, usize> = BTreeMap::new();
        let slowest = CLOSE * field[0].seconds;
        for one in field.iter().filter(|one| one.algorithm != reference && one.seconds <= slowest) {
            if finalists.len() + 1 == FINALISTS {
                break;
            }
            let alike = tiles.entry(self.plan.get(&one.algorithm, config::TILE)).or_default();
            if *alike == OF_ONE_TILE {
                continue;
            }
            *alike += 1;
            if suggested.contains(&one.algorithm) || agree(&expected, &self.sampled(&sample, &one.algorithm)?)
            {
                finalists.push(*one);
            }
        }
        finalists.extend(field.iter().filter(|one| one.algorithm == reference));
        let runs: Vec<_> = finalists
            .iter()
            .map(|one| move || self.plan.run(&one.algorithm, self.scratch, self.stream))
            .collect();
        let seconds = race(self.stream, &runs.iter().map(|run| run as Run<'_>).collect::<Vec<_>>())?;
        let best = least(&seconds);
        Ok(Choice {
            algorithm: finalists[best].algorithm,
            own: None,
            workspace_bytes: finalists[best].workspace_bytes,
            seconds: Some(seconds[best]),
            suggested_seconds: seconds.last().copied(),
            library_seconds: None,
            tried,
        })
    }

    /// What an algorithm makes of the sampled rows.
    fn sampled(&self, sample: &Sample, algorithm: &Algorithm) -> Result<Vec<f32>, CudaError> {
        sample.restore(self.stream)?;
        self.plan.run(algorithm, self.scratch, self.stream).ok();
        sample.read(self.stream)
    }
}

/// Clusters of up to eight blocks, and the library's own choice: `cublasLtClusterShape_t`.
const CLUSTERS: [u32; 10] = [0, 2, 3, 4, 5, 6, 7, 8, 9, 11];

/// Tiles of 8,192 to 65,536 results and sides of at least 64, which alone keep the matrix units busy:
/// `cublasLtMatmulTile_t`.
fn large(tile: u32) -> bool {
    matches!(tile, 17..=21 | 23 | 24 | 29..=33 | 116 | 117 | 176 | 208..=210 | 232)
        || matches!(tile, 323..=343 | 399..=424 | 455..=483 | 492..=513)
}

/// A few rows of the output, with what they held at first.
pub(super) struct Sample {
    rows: Vec<(Pointer, Vec<u8>)>,
    element: Element,
}

impl Sample {
    pub(super) fn of(product: &Product, stream: &Stream) -> Result<Sample, CudaError> {
        let element = product.d.dtype;
        let bytes = if element == Element::F32 { 4 } else { 2 };
        let mut rows = Vec::new();
        for row in BTreeSet::from([0, product.m / 2, product.m - 1]) {
            let from = product.d.pointer + (row * product.d.stride * bytes) as u64;
            let mut held = vec![0; product.n * bytes];
            stream.download(&mut held, from)?;
            rows.push((from, held));
        }
        Ok(Sample { rows, element })
    }
    pub(super) fn restore(&self, stream: &Stream) -> Result<(), CudaError> {
        self.rows.iter().try_for_each(|(to, held)| stream.upload(*to, held))
    }
    pub(super) fn read(&self, stream: &Stream) -> Result<Vec<f32>, CudaError> {
        let mut numbers = Vec::new();
        for (from, held) in &self.rows {
            let mut bytes = vec![0; held.len()];
            stream.download(&mut bytes, *from)?;
            if self.element == Element::F32 {
                numbers.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            } else {
                numbers.extend(
                    bytes.chunks_exact(2).map(|b| f32::from_bits(u32::from_le_bytes([0, 0, b[0], b[1]]))),
                );
            }
        }
        Ok(numbers)
    }
}

/// Whether two results are one but for rounding, where the first is finite.
pub(super) fn agree(expected: &[f32], found: &[f32]) -> bool {
    let (mut difference, mut size) = (0.0, 0.0);
    for (x, y) in expected.iter().zip(found).filter(|(x, _)| x.is_finite()) {
        difference += f64::from(x - y).powi(2);
        size += f64::from(*x).powi(2);
    }
    difference <= AGREEMENT.powi(2) * size
}

#[cfg(test)]
mod tests {
    use super::super::Matrix;
    use super::*;

    #[test]
    fn results_agree_up_to_rounding() {
        assert!(agree(&[1.0, -2.0, f32::NAN], &[1.001, -2.0, 5.0]));
        assert!(!agree(&[1.0, -2.0], &[1.2, -2.0]));
        assert!(!agree(&[1.0, -2.0], &[1.0, f32::NAN]));
        assert!(agree(&[0.0], &[0.0]));
        assert!(!agree(&[0.0], &[1.0]));
    }

    #[test]
    fn deterministic_sums_have_one_order() {
        let product = |dtype: Element| {
            let matrix = |dtype| Matrix { pointer: 0, dtype, stride: 8, transposed: false };
            Product::new("test", [8, 8, 8], matrix(Element::Bf16), matrix(Element::Bf16), matrix(dtype))
        };
        assert_eq!(allowed(&product(Element::F32), false) & reduction::IN_PLACE, reduction::IN_PLACE);
        assert_eq!(allowed(&product(Element::F32), true) & reduction::IN_PLACE, 0);
        assert_eq!(allowed(&product(Element::Bf16), false), reduction::COMPUTE_TYPE);
    }
}
