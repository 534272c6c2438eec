//! Models and data sets of the Hugging Face hub, in the cache that its own client uses.

mod patterns;

pub use patterns::Patterns;
