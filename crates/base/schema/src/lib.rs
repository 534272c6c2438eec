//! Every stored or wire type of wootz, each with its version.
//!
//! A type that is written to disk or sent to another process lives here and nowhere else, so that one
//! crate shows all formats and one set of tests reads yesterday's bytes. Beside them: where in a YAML text a value stands, and which
//! word was meant. Nothing here does IO.

pub mod artifact;
pub mod audit;
pub mod babysit;
pub mod bench;
pub mod checkpoint;
pub mod clean;
pub mod commits;
pub mod corpus;
pub mod dataset;
pub mod device;
pub mod document;
pub mod errand;
pub mod eval;
pub mod event;
pub mod exit;
pub mod gate;
pub mod hub;
pub mod jira;
pub mod job;
pub mod mesh;
pub mod metrics;
pub mod model;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod record;
pub mod report;
pub mod shard;
pub mod task;
pub mod tokenizer;
pub mod train;
pub mod tuning;
pub mod wheel;
pub mod wheel_index;
pub mod words;
pub mod yaml;

pub use exit::{Diagnose, ExitCode};
