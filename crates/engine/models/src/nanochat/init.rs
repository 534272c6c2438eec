//! Parameters and their initial values.
//!
//! Every tensor has a stream of its own, seeded by the run's seed and its name, so that its values depend on neither the
//! order of the tensors nor their number.

use wootz_program::{Recompute, Role};
use wootz_schema::model::ModelConfig;
use wootz_tensor::{HostTensor, Shape};

/// A trained weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name in checkpoints.
    pub name: String,
    /// Its dims.
    pub shape: Shape,
}

/// All parameters, sorted by name.
pub fn parameters(config: &ModelConfig) -> Vec<Parameter> {
    let small = ModelConfig { sequence_len: 1, ..config.clone() };
    let program = super::training(&small, 1, Recompute::None)
        .expect("the program builds, because the configuration is valid");
    let of_role = program.of_role(Role::Parameter);
    of_role
        .into_iter()
        .map(|(name, v)| Parameter { name: name.to_owned(), shape: program.info(v).ty.shape.clone() })
        .collect()
}

/// Initial value of a parameter.
///
/// U is uniform on (−s, s) with s = √3·C^−½, the bound at which a product keeps the variance.
///
/// | parameter | value |
/// |---|---|
/// | `wte` | N(0, 0.8²) |
/// | `lm_head` | N(0, 0.001²) |
/// | `c_q`, `c_k`, `c_v`, value embeddings | U |
/// | `c_fc` | 0.4·U |
/// | `c_proj`, `smear_lambda` | 0 |
/// | gates | uniform on (0, 0.02) |
/// | `resid_lambdas` | 1.15 − 0.10·i/(L−1) |
/// | `x0_lambdas` | 0.20 − 0.15·i/(L−1) |
/// | `backout_lambda` | 0.2 |
pub fn initial(config: &ModelConfig, parameter: &Parameter, seed: u64) -> HostTensor {
    let (name, n) = (parameter.name.as_str(), parameter.shape.len());
    let mut random = Random::of(seed, name);
    let bound = (3.0 / config.n_embd as f64).sqrt();
    let ramp = |from: f64, fall: f64| {
        (0..n).map(|i| (from - fall * i as f64 / (n.max(2) - 1) as f64) as f32).collect::<Vec<f32>>()
    };
    let values = match name {
        "resid_lambdas" => ramp(1.15, 0.10),
        "x0_lambdas" => ramp(0.20, 0.15),
        "backout_lambda" => vec![0.2; n],
        "smear_lambda" => vec![0.0; n],
        "transformer.wte.weight" => random.fill(n, |r| 0.8 * r.normal()),
        "lm_head.weight" => random.fill(n, |r| 0.001 * r.normal()),
        _ if name.ends_with("c_proj.weight") => vec![0.0; n],
        _ if name.ends_with("gate.weight") => random.fill(n, |r| 0.02 * r.unit()),
        _ if name.ends_with("c_fc.weight") => random.fill(n, |r| 0.4 * bound * (2.0 * r.unit() - 1.0)),
        _ => random.fill(n, |r| bound * (2.0 * r.unit() - 1.0)),
    };
    HostTensor::f32(parameter.shape.clone(), values)
        .expect("as many values as the shape has, because they were made for it")
}

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
struct Random {
    state: u64,
}

impl Random {
    fn of(seed: u64, name: &str) -> Random {
        // FNV-1a of the name.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut random = Random { state: seed ^ hash };
        random.next();
        random
    }
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Uniform on (0, 1).
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
    fn fill(&mut self, n: usize, mut f: impl FnMut(&mut Random) -> f64) -> Vec<f32> {
        (0..n).map(|_| f(self) as f32).collect()
    }
}
