//! The bytes: the same ones every time, and those the safetensors library reads and writes.

use crate::{in_file_order, snapshot};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use wootz_checkpoint::{CheckpointError, Scope, Tensors, digest, load, read_tensors, save, write_tensors};
use wootz_stdx::digest::{sha256, sha256_file};
use wootz_tensor::{DType, Data, HostTensor, Shape};

#[test]
fn a_checkpoint_is_read_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let saved = save(dir.path(), &snapshot(1200)).unwrap();
    assert_eq!(saved.folder, dir.path().join("step-00001200"));

    let loaded = load(&saved.folder, Scope::Everything).unwrap();
    assert_eq!(loaded.snapshot, in_file_order(snapshot(1200)));
    assert_eq!(loaded.digest, saved.digest);

    let model = load(&saved.folder, Scope::Model).unwrap().snapshot;
    assert_eq!(model.parameters, loaded.snapshot.parameters);
    assert_eq!(model.optimizer, vec![]);
}

#[test]
fn the_same_snapshot_gives_the_same_bytes_in_any_order() {
    let [a, b, c] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut reversed = snapshot(3);
    reversed.parameters.reverse();
    reversed.optimizer.reverse();
    let one = save(a.path(), &snapshot(3)).unwrap();
    let two = save(b.path(), &reversed).unwrap();
    let other = save(c.path(), &snapshot(4)).unwrap();
    assert_eq!((&one.digest, one.bytes), (&two.digest, two.bytes));
    assert_ne!(one.digest, other.digest);
    for name in ["manifest.json", "state.json", "model.safetensors", "optimizer/rank-0.safetensors"] {
        assert_eq!(
            fs::read(one.folder.join(name)).unwrap(),
            fs::read(two.folder.join(name)).unwrap(),
            "{name}"
        );
    }
}

/// The digest is one that a person can compute: `sha256sum FILES | sha256sum`.
#[test]
fn the_digest_is_that_of_sha256sum_lines() {
    let dir = tempfile::tempdir().unwrap();
    let saved = save(dir.path(), &snapshot(5)).unwrap();
    let lines: String = ["model.safetensors", "optimizer/rank-0.safetensors", "state.json"]
        .map(|name| format!("{}  {name}\n", sha256_file(&saved.folder.join(name)).unwrap().0))
        .concat();
    assert_eq!(saved.digest, sha256(lines.as_bytes()));
    assert_eq!(digest(&saved.folder).unwrap(), saved.digest);
}

/// Yesterday's bytes: this digest changes only with the format, and then its version does too.
#[test]
fn the_format_is_the_one_of_version_1() {
    let dir = tempfile::tempdir().unwrap();
    let saved = save(dir.path(), &snapshot(1)).unwrap();
    assert_eq!(saved.digest, "c7958bb02677b494f08f73c2a92eb096f55846ccc0c0341a78a923dc9682c0a6");
    assert_eq!(
        sha256_file(&saved.folder.join("manifest.json")).unwrap().0,
        "d93e9af342e1fb863f799910a77699e4334f1d9edc1b3a1e277b60de2892e849"
    );
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut twice = snapshot(1);
    twice.parameters.push(twice.parameters[0].clone());
    assert!(matches!(save(dir.path(), &twice), Err(CheckpointError::DuplicateTensor { name, .. })
        if name == "transformer.wte.weight"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn tensor() -> impl Strategy<Value = HostTensor> {
    (prop::collection::vec(0usize..5, 0..4), 0..3, any::<u64>()).prop_map(|(dims, dtype, seed)| {
        let shape = Shape::new(dims);
        // Every bit pattern must survive, NaN payloads too.
        let bits = (0..shape.len() as u64).map(|i| seed.wrapping_mul(i.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        let data = match dtype {
            0 => Data::F32(bits.map(|b| f32::from_bits(b as u32)).collect()),
            1 => Data::F64(bits.map(f64::from_bits).collect()),
            _ => Data::I32(bits.map(|b| b as i32).collect()),
        };
        HostTensor::new(shape, data).unwrap()
    })
}

fn bytes_of(tensor: &HostTensor) -> Vec<u8> {
    match tensor.data() {
        Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn by_library(tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| bytes_of(tensor)).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
        let dtype = match tensor.dtype() {
            DType::F32 => Dtype::F32,
            DType::BF16 => Dtype::BF16,
            DType::F64 => Dtype::F64,
            DType::I32 => Dtype::I32,
        };
        (name.clone(), TensorView::new(dtype, tensor.shape().dims().to_vec(), bytes).unwrap())
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn check_like_library(path: &Path, tensors: &Tensors) {
    let entry = write_tensors(path, tensors).unwrap();
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes, by_library(tensors));
    assert_eq!((entry.sha256.clone(), entry.bytes), (sha256(&bytes), bytes.len() as u64));

    let (read, read_entry) = read_tensors(path).unwrap();
    assert_eq!(read_entry, entry);
    assert_eq!(read.len(), tensors.len());
    for (name, tensor) in tensors {
        let (_, found) = read.iter().find(|(found, _)| found == name).unwrap();
        assert_eq!(found.shape(), tensor.shape());
        assert_eq!((found.dtype(), bytes_of(found)), (tensor.dtype(), bytes_of(tensor)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn files_are_the_library_s(tensors in prop::collection::btree_map("[a-z.\"\\\\é0-9]{1,8}", tensor(), 0..6)) {
        let dir = tempfile::tempdir().unwrap();
        check_like_library(&dir.path().join("t.safetensors"), &tensors.into_iter().collect());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), small in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let length = if small { vec![8, 0, 0, 0, 0, 0, 0, 0] } else { vec![] };
        fs::write(&path, [length, bytes].concat()).unwrap();
        prop_assert!(read_tensors(&path).unwrap_err().is_damage());
    }
}

/// Larger than the buffer, and not a multiple of it.
#[test]
fn a_large_tensor_passes_through_the_small_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let n = 3 * 65_536 + 17;
    let tensors = vec![
        ("a".to_owned(), HostTensor::f32([n], (0..n).map(|i| i as f32 * 0.1).collect()).unwrap()),
        ("b".to_owned(), HostTensor::f64([n], (0..n).map(|i| i as f64 * 0.1).collect()).unwrap()),
    ];
    check_like_library(&dir.path().join("t.safetensors"), &tensors);
}
