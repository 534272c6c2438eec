//! Synchronisation with Jira: where it is, what things are called there, and descriptions as it has them.

pub mod adf;
pub mod maps;
pub mod settings;

pub use settings::{Api, Pace, Secret, Settings, VARIABLES};
