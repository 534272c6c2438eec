//! Checkpoints through the public interface.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod damage;
    mod format;
    mod full_disk;
    mod killed;
    mod saver;
}

use wootz_checkpoint::Snapshot;
use wootz_schema::checkpoint::{TrainState, VERSION};
use wootz_schema::dataset::Cursor;
use wootz_schema::model::ModelConfig;
use wootz_tensor::{DType, HostTensor};

/// A small snapshot whose every tensor depends on the step.
fn snapshot(step: u64) -> Snapshot {
    let ramp = |n: usize, scale: f32| (0..n).map(|i| scale * i as f32 + step as f32).collect::<Vec<f32>>();
    let tensor = |dims: [usize; 2], scale| HostTensor::f32(dims, ramp(dims[0] * dims[1], scale)).unwrap();
    Snapshot {
        model: ModelConfig {
            sequence_len: 16,
            vocab_size: 60,
            n_layer: 1,
            n_head: 1,
            n_kv_head: 1,
            n_embd: 8,
            window_pattern: "L".to_owned(),
            window_short: None,
        },
        parameters: vec![
            ("transformer.wte.weight".to_owned(), tensor([64, 8], 0.5)),
            ("lm_head.weight".to_owned(), tensor([64, 8], -0.25)),
            ("smear_lambda".to_owned(), HostTensor::scalar(0.125)),
        ],
        optimizer: vec![
            ("wte.exp_avg".to_owned(), tensor([64, 8], 1e-3)),
            ("steps".to_owned(), HostTensor::i32([1], vec![step as i32]).unwrap()),
        ],
        state: TrainState {
            version: VERSION,
            step,
            steps: 1000,
            tokens: step * 4096,
            seed: 7,
            cursor: Cursor {
                documents_per_epoch: 1000,
                documents: 10 * step,
                buffered: vec![3, 9],
                rows: step,
                placed_tokens: 4096 * step,
                dropped_tokens: 5,
            },
            fingerprint: "abc".to_owned(),
            numerics: None,
        },
    }
}

/// The snapshot as it is read back: tensors in the file's order.
fn in_file_order(mut snapshot: Snapshot) -> Snapshot {
    for tensors in [&mut snapshot.parameters, &mut snapshot.optimizer] {
        tensors.sort_by_key(|(name, tensor)| (tensor.dtype() == DType::I32, name.clone()));
    }
    snapshot
}
