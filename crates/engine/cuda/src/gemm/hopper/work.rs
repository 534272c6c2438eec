//! Which products the kernel takes, and how a grid shares one: pure arithmetic.

use super::super::{Element, Matrix, Product};
use super::{CONSUMER_WARPS, Epilogue, TILE_K, TILE_M, Variant};

/// What the end of a unit of work costs, in steps of 64 along k: fitted to an H200's times of six ways to cut three weight
/// gradients, which agree on 18 to 33.
const END_STEPS: u32 = 24;

/// The kernel's parameter of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub m_count: u32,
    pub n_count: u32,
    pub k_blocks: u32,
    pub band: u32,
    /// Tiles that are one unit each; the others are cut along k.
    pub whole: u32,
    pub cuts: u32,
}

impl Work {
    pub(super) fn of(variant: &Variant, epilogue: Epilogue, [m, n, k]: [usize; 3], clusters: u32) -> Work {
        let m_count = (m as u32).div_ceil(TILE_M * variant.cluster);
        let n_count = (n as u32).div_ceil(variant.tile_n);
        let (tiles, k_blocks) = (m_count * n_count, k as u32 / TILE_K);
        let (whole, cuts) = match epilogue {
            Epilogue::Accumulate => schedule(tiles, clusters, k_blocks),
            _ => (tiles, 1),
        };
        Work { m_count, n_count, k_blocks, band: variant.band.min(m_count), whole, cuts }
    }
    pub(super) fn units(&self) -> u32 {
        self.whole + (self.m_count * self.n_count - self.whole) * self.cuts
    }
    /// Words of the turns of a launch that adds up: one for every warp of every block's tile.
    pub(super) fn turns(&self, variant: &Variant) -> usize {
        (self.m_count * variant.cluster * self.n_count * CONSUMER_WARPS) as usize
    }
    /// As the kernel reads it.
    pub(super) fn words(&self) -> [u64; 3] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [pair(self.m_count, self.n_count), pair(self.k_blocks, self.band), pair(self.whole, self.cuts)]
    }
}

/// Whole tiles and cuts of the others that take the least time: the clusters work in rounds, each as long as a unit.
fn schedule(tiles: u32, clusters: u32, k_blocks: u32) -> (u32, u32) {
    let mut best = (u32::MAX, tiles, 1);
    for whole in [0, tiles / clusters * clusters] {
        let rest = tiles - whole;
        // A unit shorter than eight steps ends before it has begun.
        let most = if rest == 0 { 1 } else { (k_blocks / 8).clamp(1, 64) };
        for cuts in 1..=most {
            let rounds = (rest * cuts).div_ceil(clusters);
            let steps =
                whole / clusters * (k_blocks + END_STEPS) + rounds * (k_blocks.div_ceil(cuts) + END_STEPS);
            if steps < best.0 {
                best = (steps, whole, cuts);
            }
        }
    }
    (best.1, best.2)
}

/// Whether the kernel takes a shape, with a and b stored along m and n (`true`) or along k; the error says why not.
pub(crate) fn takes(epilogue: Epilogue, [m, n, k]: [usize; 3], mn: [bool; 2]) -> Result<(), String> {
    let accumulates = epilogue == Epilogue::Accumulate;
    let multiple = |name: &str, value: usize, of: usize| {
        if value.is_multiple_of(of) { Ok(()) } else { Err(format!("{name} is {value}, no multiple of {of}")) }
    };
    if m == 0 || n == 0 || k < 128 || m.max(n).max(k) > 1 << 30 {
        return Err(format!("{m}x{n}x{k} is too small or too large"));
    }
    if mn[0] != accumulates || accumulates && !mn[1] {
        return Err("it is not compiled for operands stored this way".to_owned());
    }
    multiple("k", k, 64)?;
    multiple(
        "n",
        n,
        if accumulates {
            256
        } else if mn[1] {
            64
        } else {
            8
        },
    )?;
    multiple("m", m, if accumulates { 128 } else { 1 })
}

/// The same with everything else about a product.
pub(super) fn accepts(epilogue: Epilogue, product: &Product) -> Result<(), String> {
    let Product { m, n, k, a, b, d, c, .. } = *product;
    takes(epilogue, [m, n, k], along_mn(product))?;
    let plain = product.alpha == 1.0 && product.batch.is_none() && product.scales.is_none();
    let halves = [Some(a), Some(b), c.filter(|_| epilogue.reads_extra())];
    let sums = if epilogue == Epilogue::Accumulate { Element::F32 } else { Element::Bf16 };
    let typed = halves.iter().flatten().all(|of| of.dtype == Element::Bf16) && d.dtype == sums;
    let added = match epilogue {
        Epilogue::Plain | Epilogue::ReluSquared => c.is_none(),
        Epilogue::Residual | Epilogue::ReluSquaredBackward => c.is_some_and(|c| !c.transposed),
        Epilogue::Accumulate => c == Some(d),
    };
    if !plain || !typed || !added || d.transposed || product.beta != 1.0 {
        return Err("it is not a plain product of bf16 matrices".to_owned());
    }
    let aligned = |of: &Matrix| of.pointer.is_multiple_of(16) && of.stride.is_multiple_of(8);
    if !halves.iter().flatten().chain([&d]).all(aligned) {
        return Err("a matrix or its rows are not aligned to 16 bytes".to_owned());
    }
    Ok(())
}

/// Whether a and b are stored along m and n rather than along k.
pub(super) fn along_mn(product: &Product) -> [bool; 2] {
    [product.a.transposed, !product.b.transposed]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's `Work::at`.
    fn at(work: &Work, index: u32) -> ([u32; 2], [u32; 2]) {
        let (mut tile, mut stretch) = (index, [0, work.k_blocks]);
        if index >= work.whole {
            let rest = work.m_count * work.n_count - work.whole;
            let turn = (index - work.whole) / rest;
            tile = work.whole + (index - work.whole) % rest;
            stretch = [work.k_blocks * turn / work.cuts, work.k_blocks * (turn + 1) / work.cuts];
        }
        let (band, within) = (tile / (work.band * work.n_count), tile % (work.band * work.n_count));
        let first = band * work.band;
        let rows = work.band.min(work.m_count - first);
        ([first + within % rows, within / rows], stretch)
    }

    #[test]
    fn the_units_cover_every_tile_along_all_of_k_once() {
        for variant in Epilogue::Accumulate.variants() {
            for shape in [[5120, 1280, 65_536], [1280, 5120, 8192], [1280, 1280, 65_536], [128, 256, 128]] {
                let work = Work::of(variant, Epilogue::Accumulate, shape, 66);
                let mut seen = vec![0; (work.m_count * work.n_count * work.k_blocks) as usize];
                for index in 0..work.units() {
                    let ([m, n], [from, to]) = at(&work, index);
                    assert!(m < work.m_count && n < work.n_count && from < to, "{shape:?}");
                    for k in from..to {
                        seen[((m * work.n_count + n) * work.k_blocks + k) as usize] += 1;
                    }
                }
                assert!(seen.iter().all(|times| *times == 1), "{shape:?}");
            }
        }
    }

    /// Measured on an H200 with 66 clusters: these cuts were the fastest of those tried.
    #[test]
    fn weight_gradients_are_cut_as_was_fastest() {
        assert_eq!(schedule(100, 66, 1024), (66, 7), "5120x1280");
        assert_eq!(schedule(75, 66, 1024), (66, 7), "3840x1280");
        assert_eq!(schedule(25, 66, 1024), (0, 5), "1280x1280");
        assert_eq!(schedule(132, 66, 1024).1, 1, "whole rounds are not cut");
    }

    #[test]
    fn what_is_no_product_of_the_kernel_says_why() {
        let accumulate = [true, true];
        assert_eq!(takes(Epilogue::ReluSquared, [1, 72, 128], [false, false]), Ok(()));
        assert_eq!(takes(Epilogue::Accumulate, [128, 256, 128], accumulate), Ok(()));
        let refused = |epilogue, shape, mn, word: &str| {
            let reason = takes(epilogue, shape, mn).expect_err("it is refused");
            assert!(reason.contains(word), "{reason}");
        };
        refused(Epilogue::ReluSquared, [64, 64, 64], [false, false], "small");
        refused(Epilogue::ReluSquared, [64, 64, 160], [false, false], "k is 160");
        refused(Epilogue::ReluSquaredBackward, [64, 72, 128], [false, true], "n is 72");
        refused(Epilogue::Plain, [64, 64, 128], [true, false], "stored");
        refused(Epilogue::Accumulate, [64, 256, 128], accumulate, "m is 64");
        refused(Epilogue::Accumulate, [128, 128, 128], accumulate, "n is 128");
    }

    #[test]
    fn products_of_other_kinds_are_refused() {
        let matrix = |pointer, stride| Matrix::new(pointer, Element::Bf16, stride);
        let good = Product::new(
            "test",
            [64, 64, 128],
            matrix(0, 128),
            matrix(256, 128).transposed(),
            matrix(512, 64),
        );
        assert_eq!(accepts(Epilogue::Plain, &good), Ok(()));
        assert_eq!(accepts(Epilogue::Residual, &good.clone().plus(1.0, matrix(1024, 64))), Ok(()));
        for (epilogue, product) in [
            (Epilogue::Residual, good.clone()),
            (Epilogue::Plain, good.clone().scaled(0.5)),
            (Epilogue::Residual, good.clone().plus(0.5, matrix(1024, 64))),
            (Epilogue::Plain, Product { a: matrix(8, 128), ..good.clone() }),
            (Epilogue::Plain, Product { d: matrix(512, 68), ..good.clone() }),
            (Epilogue::Plain, Product { d: Matrix::new(512, Element::F32, 64), ..good.clone() }),
        ] {
            assert!(accepts(epilogue, &product).is_err(), "{product:?}");
        }
    }
}
