//! Loops that the compiler vectorises for the CPU they run on.
//!
//! [`vectorized`] compiles its closure for every instruction set pulp knows (up to AVX-512) and runs the best one. What it
//! calls must be `#[inline(always)]`, or it is compiled for the baseline. Sums keep [`LANES`] partial sums, because
//! binary32 addition may not be reordered by the compiler; lanes are added in a fixed order, so the result is the same on
//! every instruction set.

use pulp::Arch;
use std::sync::LazyLock;

/// Partial sums of a reduction: four AVX-512 registers.
const LANES: usize = 64;

static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// Runs `f` compiled for the best instruction set of this CPU.
#[inline(always)]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    ARCH.dispatch(f)
}

/// The instruction set that [`vectorized`] uses, for people.
pub(crate) fn instruction_set() -> String {
    let level = format!("{:?}", *ARCH);
    match level.split('(').next() {
        Some("V4") => "avx-512".to_owned(),
        Some("V3") => "avx2".to_owned(),
        Some(other) => other.to_lowercase(),
        None => level,
    }
}

/// Σ f(i) for i in 0..n.
#[inline(always)]
pub(crate) fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    let mut i = 0;
    while i < whole {
        for (lane, slot) in lanes.iter_mut().enumerate() {
            *slot += f(i + lane);
        }
        i += LANES;
    }
    let mut tail = 0.0;
    while i < n {
        tail += f(i);
        i += 1;
    }
    fold(lanes) + tail
}

#[inline(always)]
fn fold(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ a·b.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    sum(n, |i| a[i] * b[i])
}

/// eˣ with a relative error below 2e-7; below −87 it is 0 to within 1e-37, above 88 it saturates.
///
/// x = k ln 2 + r with |r| ≤ ln 2 / 2 (Cody & Waite split of ln 2), a polynomial for e^r, and k added to the exponent.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves the nearest integer in the low bits
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * 0.693_359_4) + k * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let exponent = (shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23;
    p * f32::from_bits(exponent)
}

/// tanh with an absolute error below 3e-7.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_tanh_follow_binary64() {
        for i in -87_000..88_000 {
            let x = i as f32 * 1e-3 + 1.7e-4;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 3e-7, "exp({x})");
            let x = x * 0.1;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 4e-7, "tanh({x})");
        }
        assert!(exp(-1e9) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn sums_do_not_depend_on_the_instruction_set() {
        let a: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.37).sin()).collect();
        assert_eq!(dot(&a, &a).to_bits(), vectorized(|| dot(&a, &a)).to_bits());
    }
}
