//! What several crates' tests share; never part of a build that is shipped. Each user asks for the feature that it needs.
//!
//! `op_suite` checks every op on every backend; `memory` checks memory plans; [`Random`] draws their inputs. `jira`, `hub`,
//! `s3` and `gcs` are servers.

#[cfg(feature = "gcs")]
pub mod gcs;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "jira")]
pub mod jira;
#[cfg(feature = "loopback")]
pub mod loopback;
#[cfg(feature = "engine")]
pub mod memory;
#[cfg(feature = "engine")]
pub mod op_suite;
mod random;
#[cfg(feature = "s3")]
pub mod s3;

pub use random::Random;
