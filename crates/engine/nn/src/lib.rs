//! Blocks built from ops. A block is a function from values to a value; its weights are parameters of the program by
//! name, in the ecosystem's names.
//!
//! Dims in names: B batch, T time, C model dim, H query heads, K key/value heads, D head dim, V vocabulary rows.

mod attention;
mod embedding;
mod head;
mod linear;
mod mlp;
mod residual;
mod running_sum;

pub use attention::{AttentionSpec, Cache, ValueEmbedding, attention};
pub use embedding::embedding;
pub use head::{HeadSpec, cross_entropy, logits};
pub use linear::linear;
pub use mlp::mlp;
pub use residual::{backout, residual_mix, rms_norm, smear, smear_decode};
pub use running_sum::{drain, running_sum};
pub use wootz_ops::reverse;
