//! What several crates' tests share; never part of a build that is shipped.
//!
//! [`op_suite`] checks every op on every backend; [`memory`] checks memory plans; [`Random`] draws their inputs.

pub mod memory;
pub mod op_suite;
mod random;

pub use random::Random;
