//! The training loop: programs, optimizer, schedules, metrics, checkpoints.
//!
//! In the order of a run: [`pretrain`] turns a configuration into sizes and schedules ([`run`]), builds a [`Trainer`]
//! (programs, memory plan, session), and steps it over the rows of the data; it writes metrics and checkpoints and
//! resumes from the newest whole one.

pub mod bench;
mod layout;
mod metrics_log;
mod optim;
mod pretrain;
pub mod profile;
mod ranks;
mod rows;
mod run;
pub mod schedule;
mod summary;
pub mod tensorboard;
mod trainer;

pub use optim::{LearningRates, state_tensors};
pub use pretrain::{Data, TrainError, pretrain, pretrain_among};
pub use rows::{Packed, Rows, RowsError};
pub use run::{Run, resolve};
pub use trainer::{Measured, Rates, Seen, Sizes, Trainer, Watch};
