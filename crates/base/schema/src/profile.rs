//! `profile.json`: where the time of one optimizer step went, kernel by kernel, beside what the hardware could do.

use serde::{Deserialize, Serialize};

/// Version of the format.
pub const VERSION: u32 = 2;

/// One optimizer step: its micro-steps and its update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Format version.
    pub version: u32,
    /// What ran it.
    pub backend: String,
    /// Number formats.
    pub numerics: String,
    /// Micro-steps of the step, or their slices where they are cut.
    pub accumulation: u64,
    /// Tokens of the step.
    pub tokens: u64,
    /// Milliseconds of the step by the host's clock, run as it is run in training; absent where it was not measured.
    pub step_ms: Option<f64>,
    /// Milliseconds in kernels.
    pub kernels_ms: f64,
    /// Share of `step_ms` in no kernel; negative where kernels ran side by side or slower when traced.
    pub outside_share: Option<f64>,
    /// Milliseconds that the same work takes at the data sheet's rates, kernel by kernel.
    pub roofline_ms: Option<f64>,
    /// Peaks of the data sheet, where the device is known.
    pub peaks: Option<PeakRates>,
    /// Programs of the step in their order.
    pub programs: Vec<ProgramTime>,
    /// Kernels, most expensive first.
    pub kernels: Vec<KernelTime>,
}

/// The data sheet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeakRates {
    /// Dense 16-bit products, TFLOP/s.
    pub tflops: f64,
    /// Dense 8-bit products, TFLOP/s.
    pub fp8_tflops: f64,
    /// Memory, TB/s.
    pub terabytes_per_second: f64,
}

/// One program of the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramTime {
    /// `micro`, `norm` or `update`.
    pub name: String,
    /// Runs in the step.
    pub runs: u64,
    /// Launches of one run.
    pub launches: u64,
    /// Milliseconds of one run by the host's clock; absent where it was not measured.
    pub wall_ms: Option<f64>,
    /// One run's kernels in two parts; absent where they were not measured.
    #[serde(default)]
    pub parts: Option<Parts>,
    /// Milliseconds in kernels of one run.
    pub kernels_ms: f64,
}

/// What bounds a run from below, however its kernels are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Milliseconds of products and attention alone, one behind the other, right behind whole runs: less than that no work on
    /// the other kernels can reach.
    pub products_ms: f64,
    /// Milliseconds of all other kernels, measured likewise.
    pub rest_ms: f64,
    /// Power, where the driver tells it.
    pub watts: Option<Watts>,
}

/// Mean power of the board in steady state, watts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watts {
    /// Whole runs.
    pub whole: f64,
    /// Products and attention only.
    pub products: f64,
    /// The other kernels only.
    pub rest: f64,
    /// Nothing, right after work.
    pub idle: f64,
}

impl Parts {
    /// Least milliseconds of a run at the power that whole runs draw: products and attention as they are, and beside them, for
    /// no time of its own, the energy that the other kernels draw beyond an idle board's.
    pub fn least_ms_at_this_power(&self) -> Option<f64> {
        let watts = self.watts.filter(|watts| watts.whole > 0.0)?;
        let beside = (watts.rest - watts.idle).max(0.0) * self.rest_ms;
        Some((watts.products * self.products_ms + beside) / watts.whole)
    }
}

/// All launches of one name in the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelTime {
    /// What was launched.
    pub name: String,
    /// Launches.
    pub calls: u64,
    /// Milliseconds of all of them.
    pub ms: f64,
    /// Share of all kernels' time.
    pub share: f64,
    /// Floating-point operations of all of them.
    pub flops: u64,
    /// Bytes that all of them must move at least.
    pub bytes: u64,
    /// Achieved TFLOP/s.
    pub tflops: f64,
    /// Achieved TB/s.
    pub terabytes_per_second: f64,
    /// Least milliseconds of this work at the data sheet's rates.
    pub roofline_ms: Option<f64>,
}
