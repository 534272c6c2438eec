//! The training loop: schedules, metrics, event files.

pub mod schedule;
pub mod tensorboard;
