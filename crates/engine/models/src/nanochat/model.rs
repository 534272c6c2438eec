//! The programs of the model.

use super::config::window;
use wootz_nn::{self as nn, AttentionSpec, Cache, HeadSpec, ValueEmbedding};
use wootz_program::{Builder, OpError, Program, Recompute, Scope, Type, Value, recompute};
use wootz_schema::model::ModelConfig;

/// Input: token ids, B×T.
pub const TOKENS: &str = "tokens";
/// Input: the token after each one, B×T; −1 takes no part in the loss.
pub const TARGETS: &str = "targets";
/// Input: gradient of the loss, 1 / accumulation steps.
pub const SEED: &str = "loss_gradient";
/// State: sum of the losses of the micro-steps since it was drained.
pub const LOSS_SUM: &str = "loss_sum";
/// Output: loss of each target, B×T.
pub const LOSSES: &str = "losses";
/// Output: logits of the vocabulary.
pub const LOGITS: &str = "logits";
/// Input: position of the token being decoded.
pub const POSITION: &str = "position";

/// Softcap of the logits.
const SOFTCAP: f64 = 15.0;
/// Base of the rotary angles.
const ROPE_BASE: f64 = 100_000.0;
/// Factor of queries and keys after their norm.
const QK_SCALE: f64 = 1.2;
/// Inner dim of the feed-forward block over C.
const EXPANSION: usize = 4;

/// Forward and backward of one micro-batch: adds the gradients of `SEED`·loss to the parameters' gradients and the loss to
/// [`LOSS_SUM`].
pub fn training(config: &ModelConfig, batch: usize, policy: Recompute) -> Result<Program, OpError> {
    let mut b = Builder::new();
    let [tokens, targets] = row_inputs(&mut b, batch, config.sequence_len);
    let seed = b.input(SEED, Type::scalar());
    let x_btc = trunk(&mut b, config, tokens, None)?;
    let [loss, _] = nn::cross_entropy(&mut b, x_btc, targets, head(config))?;
    nn::running_sum(&mut b, loss, LOSS_SUM)?;
    let first_backward = nn::reverse(&mut b, loss, seed)?;
    Ok(recompute(b, first_backward, policy))
}

/// The loss of each target: [`LOSSES`].
pub fn evaluation(config: &ModelConfig, batch: usize) -> Result<Program, OpError> {
    let mut b = Builder::new();
    let [tokens, targets] = row_inputs(&mut b, batch, config.sequence_len);
    let x_btc = trunk(&mut b, config, tokens, None)?;
    let [_, losses] = nn::cross_entropy(&mut b, x_btc, targets, head(config))?;
    b.output(losses, LOSSES);
    Ok(b.finish())
}

/// Logits of every position, B×T×vocab: [`LOGITS`]. For comparison with other implementations.
pub fn full_logits(config: &ModelConfig, batch: usize) -> Result<Program, OpError> {
    let mut b = Builder::new();
    let [tokens, _] = row_inputs(&mut b, batch, config.sequence_len);
    let x_btc = trunk(&mut b, config, tokens, None)?;
    let logits = nn::logits(&mut b, x_btc, head(config))?;
    b.output(logits, LOGITS);
    Ok(b.finish())
}

/// One position of B sequences against caches of `capacity` positions: [`TOKENS`] B×1 and [`POSITION`] in, [`LOGITS`]
/// B×1×vocab out. A sequence begins with zeroed caches at position 0.
pub fn decode(config: &ModelConfig, batch: usize, capacity: usize) -> Result<Program, OpError> {
    let mut b = Builder::new();
    let tokens = b.input(TOKENS, Type::i32([batch, 1]));
    let position = b.input(POSITION, Type::i32([]));
    let x_btc = trunk(&mut b, config, tokens, Some(Decoding { position, capacity }))?;
    let logits = nn::logits(&mut b, x_btc, head(config))?;
    b.output(logits, LOGITS);
    Ok(b.finish())
}

#[derive(Clone, Copy)]
struct Decoding {
    position: Value,
    capacity: usize,
}

/// Embedding, blocks and final norm: the hidden state the head reads.
fn trunk(
    b: &mut Builder,
    config: &ModelConfig,
    tokens: Value,
    decoding: Option<Decoding>,
) -> Result<Value, OpError> {
    let layers = config.n_layer;
    let embedded = nn::embedding(b, tokens, "transformer.wte", config.padded_vocab(), config.n_embd)?;
    let normed = nn::rms_norm(b, embedded)?;
    let x0 = match decoding {
        None => nn::smear(b, normed)?,
        Some(_) => nn::smear_decode(b, normed)?,
    };
    let (mut x, mut middle) = (x0, x0);
    for layer in 0..layers {
        b.enter(Scope(layer as u32 + 1));
        let mixed = nn::residual_mix(b, x, x0, layer, layers)?;
        x = block(b, config, layer, mixed, tokens, decoding)?;
        if layer == layers / 2 {
            middle = x;
        }
    }
    b.enter(Scope(layers as u32 + 1));
    let x = nn::backout(b, x, middle)?;
    nn::rms_norm(b, x)
}

/// `x + attention(norm x)`, then `x + mlp(norm x)`, of the mixed stream x and its norm.
fn block(
    b: &mut Builder,
    config: &ModelConfig,
    layer: usize,
    [mixed, normed]: [Value; 2],
    tokens: Value,
    decoding: Option<Decoding>,
) -> Result<Value, OpError> {
    let name = format!("transformer.h.{layer}");
    let (table, cache) = (format!("value_embeds.{layer}"), format!("cache.{layer}"));
    let value_embedding = has_value_embedding(config, layer).then_some(ValueEmbedding {
        tokens,
        name: &table,
        rows: config.padded_vocab(),
    });
    let spec = AttentionSpec {
        heads: config.n_head,
        kv_heads: config.n_kv_head,
        head_dim: config.head_dim(),
        window: window(config, layer),
        rope_base: ROPE_BASE,
        qk_scale: QK_SCALE,
    };
    let cache = decoding.map(|d| Cache { name: &cache, capacity: d.capacity, position: d.position });
    let x = nn::attention(b, normed, mixed, &format!("{name}.attn"), spec, value_embedding, cache)?;
    let normed = nn::rms_norm(b, x)?;
    nn::mlp(b, normed, x, &format!("{name}.mlp"), EXPANSION)
}

/// Every other layer has one, the last one among them.
fn has_value_embedding(config: &ModelConfig, layer: usize) -> bool {
    layer % 2 == (config.n_layer - 1) % 2
}

fn head(config: &ModelConfig) -> HeadSpec {
    HeadSpec { vocab: config.vocab_size, rows: config.padded_vocab(), softcap: SOFTCAP }
}

fn row_inputs(b: &mut Builder, batch: usize, t_len: usize) -> [Value; 2] {
    let ty = Type::i32([batch, t_len]);
    [b.input(TOKENS, ty.clone()), b.input(TARGETS, ty)]
}
