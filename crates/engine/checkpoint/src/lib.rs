//! Checkpoints: safetensors and a manifest, saved behind the loop, read back bit for bit.
//!
//! Not covered: resharding over ranks (one rank writes everything), remote storage, other dtypes than
//! those of `wootz_tensor::DType`.

mod layout;
mod load;
mod save;
mod saver;
mod tensors;

pub use layout::{CheckpointError, newest_step_folder, step_folder, step_folders};
pub use load::{Latest, Loaded, Scope, Skipped, digest, load, load_latest};
pub use save::{Saved, Snapshot, save};
pub use saver::{Retention, Saver};
pub use tensors::{Tensors, read_tensors, write_tensors};
