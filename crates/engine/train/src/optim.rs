//! MuonAdamW: which optimizer updates which parameter, at which rate, as a program.

use std::collections::BTreeMap;
use wootz_models::nanochat::{LOSS_SUM, Parameter, parameters};
use wootz_ops::{AdamW, Drain, GlobalNorm, Muon};
use wootz_program::{Builder, OpError, Program, Role, Type, Value};
use wootz_schema::model::ModelConfig;

/// Input: multiplier of every learning rate.
pub(crate) const LR_MULTIPLIER: &str = "lr_multiplier";
/// Input: number of the update, counted from 1.
pub(crate) const STEP: &str = "step";
/// Input: Muon's momentum.
pub(crate) const MOMENTUM: &str = "momentum";
/// Input: Muon's weight decay.
pub(crate) const WEIGHT_DECAY: &str = "weight_decay";
/// Output: sum of the micro-steps' losses.
pub(crate) const LOSS: &str = "loss";
/// Output: L2 norm of all gradients.
pub(crate) const GRADIENT_NORM: &str = "gradient_norm";

/// Base learning rates; those of tables and head are for model dim 768 and scale with C^−½.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRates {
    /// Embedding table; value embeddings take half.
    pub embedding: f64,
    /// Head.
    pub unembedding: f64,
    /// Matrices of the blocks.
    pub matrix: f64,
    /// x0 scalars; residual scalars take a hundredth.
    pub scalar: f64,
    /// Factor of all of them.
    pub scale: f64,
}

impl Default for LearningRates {
    fn default() -> LearningRates {
        LearningRates { embedding: 0.3, unembedding: 0.008, matrix: 0.02, scalar: 0.5, scale: 1.0 }
    }
}

/// Learning rate of smear and backout.
const GATE_LR: f64 = 0.2;
/// Decay of Muon's second moment.
const MUON_BETA2: f64 = 0.9;

enum Group {
    AdamW(AdamW),
    Muon,
}

/// | parameters | optimizer | lr | betas | weight decay |
/// |---|---|---|---|---|
/// | matrices of the blocks, gates included | Muon | 0.02 | scheduled, 0.9 | scheduled |
/// | head | AdamW | 0.008·s | 0.8, 0.96 | 0.01 |
/// | embedding | AdamW | 0.3·s | 0.8, 0.995 | 0.001 |
/// | value embeddings | AdamW | 0.15·s | 0.8, 0.995 | 0.01 |
/// | residual scalars | AdamW | 0.005 | 0.8, 0.95 | 0.05 |
/// | x0 scalars | AdamW | 0.5 | 0.96, 0.95 | 0 |
/// | smear, backout | AdamW | 0.2 | 0.8, 0.95 | 0 |
///
/// with s = (C / 768)^−½.
fn group(name: &str, config: &ModelConfig, rates: &LearningRates) -> Group {
    let s = (config.n_embd as f64 / 768.0).powf(-0.5);
    let adamw = |lr: f64, beta1: f64, beta2: f64, weight_decay: f64| {
        Group::AdamW(AdamW { lr: lr * rates.scale, beta1, beta2, eps: 1e-10, weight_decay, copy: false })
    };
    match name {
        "lm_head.weight" => adamw(rates.unembedding * s, 0.8, 0.96, 0.01),
        "transformer.wte.weight" => adamw(rates.embedding * s, 0.8, 0.995, 0.001),
        "resid_lambdas" => adamw(rates.scalar * 0.01, 0.8, 0.95, 0.05),
        "x0_lambdas" => adamw(rates.scalar, 0.96, 0.95, 0.0),
        _ if name.starts_with("value_embeds.") => adamw(rates.embedding * 0.5 * s, 0.8, 0.995, 0.01),
        _ if name.starts_with("transformer.h.") => Group::Muon,
        _ => adamw(GATE_LR, 0.8, 0.95, 0.0),
    }
}

/// What is looked at before an update: the loss since it was last asked for, and the norm of the gradient. It is a program of
/// its own so that the host can leave an update out.
pub(crate) fn norm(config: &ModelConfig) -> Result<Program, OpError> {
    let mut b = Builder::new();
    let weights = parameters(config).into_iter().map(|p| b.parameter(&p.name, Type::f32(p.shape)));
    let weights: Vec<Value> = weights.collect();
    let gradients: Vec<Value> = weights.iter().map(|w| b.gradient(*w)).collect();
    let norm = b.apply_one(GlobalNorm, &gradients)?;
    b.output(norm, GRADIENT_NORM);
    let loss_sum = b.state(LOSS_SUM, Type::scalar());
    let loss = b.apply_one(Drain, &[loss_sum])?;
    b.output(loss, LOSS);
    Ok(b.finish())
}

/// One update of every parameter from its accumulated gradient, which it sets to zero. Matrices of one shape share a node, in
/// the order of their names.
pub(crate) fn update(config: &ModelConfig, rates: &LearningRates) -> Result<Program, OpError> {
    let mut b = Builder::new();
    let [lr, step, momentum, weight_decay] =
        [LR_MULTIPLIER, STEP, MOMENTUM, WEIGHT_DECAY].map(|name| b.input(name, Type::scalar()));
    let parameters = parameters(config);
    let weights: Vec<Value> =
        parameters.iter().map(|p| b.parameter(&p.name, Type::f32(p.shape.clone()))).collect();
    let gradients: Vec<Value> = weights.iter().map(|w| b.gradient(*w)).collect();
    let mut matrices: BTreeMap<&[usize], Vec<Value>> = BTreeMap::new();
    for ((parameter, weight), gradient) in parameters.iter().zip(weights).zip(gradients) {
        let group = group(&parameter.name, config, rates);
        let [first, second] = states(&mut b, parameter, &group);
        match group {
            Group::AdamW(op) => drop(b.apply(op, &[lr, step, weight, gradient, first, second])?),
            Group::Muon => {
                let operands = matrices.entry(parameter.shape.dims()).or_default();
                operands.extend([weight, gradient, first, second]);
            }
        }
    }
    for operands in matrices.into_values() {
        let lr_at_1 = rates.matrix * rates.scale;
        let op = Muon { lr: lr_at_1, beta2: MUON_BETA2, count: operands.len() / 4, copies: false };
        b.apply(op, &[&[lr, momentum, weight_decay], operands.as_slice()].concat())?;
    }
    Ok(b.finish())
}

fn states(b: &mut Builder, parameter: &Parameter, group: &Group) -> [Value; 2] {
    let name = &parameter.name;
    let same = Type::f32(parameter.shape.clone());
    match group {
        Group::AdamW(_) => {
            [b.state(&format!("{name}.exp_avg"), same.clone()), b.state(&format!("{name}.exp_avg_sq"), same)]
        }
        Group::Muon => {
            let dims = parameter.shape.dims();
            let second = Type::f32([Muon::second_len(dims[0], dims[1])]);
            [
                b.state(&format!("{name}.momentum_buffer"), same),
                b.state(&format!("{name}.second_momentum_buffer"), second),
            ]
        }
    }
}

/// Names of the optimizer's states, sorted: what a checkpoint keeps beside the parameters.
pub fn state_tensors(update: &Program) -> Vec<String> {
    update.of_role(Role::State).into_keys().filter(|name| *name != LOSS_SUM).map(str::to_owned).collect()
}
