//! Checkpoints: safetensors and a manifest, saved behind the loop, read back bit for bit.
//!
//! Of several ranks each writes the optimizer states that it has. Whole tensors are stored by name, so that any number of
//! ranks can go on from what another number wrote.
//!
//! Not covered: remote storage, other dtypes than those of `wootz_tensor::DType`.

mod layout;
mod load;
mod save;
mod saver;
mod tensors;
mod together;

pub use layout::{CheckpointError, newest_step_folder, step_folder, step_folders};
pub use load::{Latest, Loaded, Scope, Skipped, digest, load, load_latest};
pub use save::{Saved, Snapshot, save};
pub use saver::{Retention, Saver};
pub use tensors::{Tensors, read_tensors, write_tensors};
