//! The step types of the line: the only crate that knows every part of it.
//!
//! Each file under `steps/` turns a config block into the options of one library, calls it, and says what came
//! out. Nothing here computes anything itself except the report page, which is drawn by [`report::page`].

pub mod bench;
pub mod device;
pub mod failures;
pub mod machine;
pub mod model;
pub mod report;
mod steps;

pub use steps::{
    Learned, TOKENIZER_FILE, documents_file, evidence, pretrain, pretrain_among, registry, train_tokenizer,
};
pub use wootz_cuda::nccl::MULTICAST_OFF;
