//! Tensors to and from a `.safetensors` file, one small buffer at a time.
//!
//! The format is eight bytes of little-endian header length, a JSON header padded with spaces to a multiple of
//! eight, and the tensors' bytes without gaps (source: the safetensors format's README). A library call would
//! first copy every tensor to bytes; here elements pass through one 256 KiB buffer, which is hashed and written,
//! so that saving needs no second copy of the model and the digest needs no second reading.
//! Order: f64, f32, i32, then by name, as the library does, so every tensor lies aligned and the same
//! tensors always give the same bytes.
//!
//! Not covered: dtypes other than f32, f64 and i32.

use crate::layout::CheckpointError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use wootz_schema::checkpoint::FileEntry;
use wootz_stdx::digest::hex;
use wootz_tensor::{DType, Data, HostTensor, Shape};

/// Tensors by name, as a snapshot gives them.
pub type Tensors = Vec<(String, HostTensor)>;

const BUFFER_BYTES: usize = 256 << 10;
/// The bound of the safetensors library; a longer header is damage.
const LARGEST_HEADER_BYTES: u64 = 100_000_000;

/// Writes tensors to a new file and makes it durable; returns its size and digest.
///
/// The order of `tensors` does not matter: the file's order is fixed by dtype and name.
pub fn write_tensors(path: &Path, tensors: &[(String, HostTensor)]) -> Result<FileEntry, CheckpointError> {
    let mut sorted: Vec<&(String, HostTensor)> = tensors.iter().collect();
    sorted.sort_by_key(|(name, tensor)| (dtype_order(tensor.dtype()), name));
    if let Some(name) = duplicate(tensors) {
        return Err(CheckpointError::DuplicateTensor { path: path.to_owned(), name });
    }
    let write = || -> io::Result<FileEntry> {
        let mut writer = HashingWriter::new(File::create(path)?);
        writer.write(&header(&sorted))?;
        for (_, tensor) in sorted {
            match tensor.data() {
                Data::F32(elements) => writer.write_elements(elements, f32::to_le_bytes)?,
                Data::F64(elements) => writer.write_elements(elements, f64::to_le_bytes)?,
                Data::I32(elements) => writer.write_elements(elements, i32::to_le_bytes)?,
            }
        }
        writer.finish()
    };
    write().map_err(|error| CheckpointError::Write { path: path.to_owned(), error })
}

/// Reads the tensors of a file in the file's order and returns its digest with them, so that the caller
/// can compare it before it trusts them.
pub fn read_tensors(path: &Path) -> Result<(Tensors, FileEntry), CheckpointError> {
    let failed = |error| CheckpointError::Read { path: path.to_owned(), error };
    let malformed = |reason: String| CheckpointError::Malformed { path: path.to_owned(), reason };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut reader = HashingReader { file, hasher: Sha256::new(), buffer: vec![0; BUFFER_BYTES] };

    let mut length = [0u8; 8];
    reader.read(&mut length).map_err(failed)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > LARGEST_HEADER_BYTES || header_bytes + 8 > bytes {
        return Err(malformed(format!("a header of {header_bytes} bytes in a file of {bytes}")));
    }
    let mut header = vec![0u8; header_bytes as usize];
    reader.read(&mut header).map_err(failed)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| malformed(format!("its header: {error}")))?;
    if 8 + header_bytes + metadata.data_len() as u64 != bytes {
        return Err(malformed(format!("{} bytes of tensors in a file of {bytes}", metadata.data_len())));
    }

    let mut tensors = Tensors::new();
    for name in metadata.offset_keys() {
        let info =
            metadata.info(&name).expect("the name is one of the header's because offset_keys lists those");
        let data = match info.dtype {
            Dtype::F32 => {
                Data::F32(reader.read_elements(elements(info), f32::from_le_bytes).map_err(failed)?)
            }
            Dtype::F64 => {
                Data::F64(reader.read_elements(elements(info), f64::from_le_bytes).map_err(failed)?)
            }
            Dtype::I32 => {
                Data::I32(reader.read_elements(elements(info), i32::from_le_bytes).map_err(failed)?)
            }
            other => return Err(malformed(format!("tensor {name} is {other}; f32, f64 and i32 are read"))),
        };
        let tensor = HostTensor::new(Shape::new(info.shape.clone()), data)
            .expect("the header's sizes agree because the library checked them");
        tensors.push((name, tensor));
    }
    Ok((tensors, FileEntry { bytes, sha256: hex(&reader.hasher.finalize()) }))
}

fn elements(info: &TensorInfo) -> usize {
    info.shape.iter().product()
}

fn duplicate(tensors: &[(String, HostTensor)]) -> Option<String> {
    let mut names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
}

/// The file's first bytes: length and JSON of the header, padded.
fn header(sorted: &[&(String, HostTensor)]) -> Vec<u8> {
    let mut fields = Map::new();
    // The ecosystem's readers refuse a file that does not say which framework's layout it has.
    fields.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut offset = 0;
    for (name, tensor) in sorted {
        let end = offset + tensor.bytes();
        let info = json!({
            "dtype": dtype_name(tensor.dtype()),
            "shape": tensor.shape().dims(),
            "data_offsets": [offset, end],
        });
        fields.insert(name.clone(), info);
        offset = end;
    }
    let mut json = Value::Object(fields).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes()[..], &json].concat()
}

/// f64 first for alignment; the order of the others is the library's.
fn dtype_order(dtype: DType) -> u8 {
    match dtype {
        DType::F64 => 0,
        DType::F32 => 1,
        DType::I32 => 2,
        DType::BF16 => 3,
    }
}

fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::BF16 => "BF16",
        DType::F64 => "F64",
        DType::I32 => "I32",
    }
}

/// Writes to a file and hashes what it writes.
struct HashingWriter {
    file: File,
    hasher: Sha256,
    buffer: Vec<u8>,
    bytes: u64,
}

impl HashingWriter {
    fn new(file: File) -> HashingWriter {
        HashingWriter { file, hasher: Sha256::new(), buffer: vec![0; BUFFER_BYTES], bytes: 0 }
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
    fn write_elements<T: Copy, const N: usize>(
        &mut self,
        elements: &[T],
        to_bytes: impl Fn(T) -> [u8; N],
    ) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        for chunk in elements.chunks(BUFFER_BYTES / N) {
            let piece = &mut buffer[..N * chunk.len()];
            for (bytes, &element) in piece.as_chunks_mut::<N>().0.iter_mut().zip(chunk) {
                *bytes = to_bytes(element);
            }
            self.write(piece)?;
        }
        self.buffer = buffer;
        Ok(())
    }
    fn finish(self) -> io::Result<FileEntry> {
        self.file.sync_all()?;
        Ok(FileEntry { bytes: self.bytes, sha256: hex(&self.hasher.finalize()) })
    }
}

/// Reads a file and hashes what it reads.
struct HashingReader {
    file: File,
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl HashingReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact(into)?;
        self.hasher.update(&*into);
        Ok(())
    }
    fn read_elements<T, const N: usize>(
        &mut self,
        count: usize,
        from_bytes: impl Fn([u8; N]) -> T,
    ) -> io::Result<Vec<T>> {
        let mut elements = Vec::with_capacity(count);
        let mut buffer = std::mem::take(&mut self.buffer);
        while elements.len() < count {
            let piece = &mut buffer[..N * (count - elements.len()).min(BUFFER_BYTES / N)];
            self.read(piece)?;
            elements.extend(piece.as_chunks::<N>().0.iter().map(|&bytes| from_bytes(bytes)));
        }
        self.buffer = buffer;
        Ok(elements)
    }
}
