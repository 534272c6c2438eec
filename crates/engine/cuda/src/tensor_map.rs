//! Tensor maps: how Hopper's copy engine sees an operand, as in the tables of kernels/gemm/notes.md and
//! kernels/attention/notes.md. All operands are bf16.

use crate::driver::{CudaError, Device, Pointer};
use crate::gemm::Matrix;

/// A tensor map before it is encoded; all dims innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    pointer: Pointer,
    dims: Vec<u64>,
    /// Bytes from one to the next of every dim but the first.
    strides: Vec<u64>,
    /// Elements of one copy.
    boxes: Vec<u32>,
}

impl Map {
    /// An operand that is read in tiles of `tile` along m or n, and 64 along k. Stored along m or n, its slabs of 64 are one more
    /// dim, so that one copy brings all slabs of a tile in the order that the matrix units read them in.
    pub(crate) fn operand(of: &Matrix, [outer, k]: [usize; 2], along_outer: bool, tile: u32) -> Map {
        let (outer, k, row) = (outer as u64, k as u64, 2 * of.stride as u64);
        if along_outer {
            let (dims, boxes) = (vec![64, k, outer / 64], vec![64, 64, tile / 64]);
            return Map { pointer: of.pointer, dims, strides: vec![row, 128], boxes };
        }
        Map { pointer: of.pointer, dims: vec![k, outer], strides: vec![row], boxes: vec![64, tile] }
    }
    /// A matrix of m×n that warps move in boxes of 16 rows and 64 columns.
    pub(crate) fn boxed(of: &Matrix, [m, n]: [usize; 2]) -> Map {
        let dims = vec![n as u64, m as u64];
        Map { pointer: of.pointer, dims, strides: vec![2 * of.stride as u64], boxes: vec![64, 16] }
    }
    /// Rows of `width` columns, `time` of them in each of `batch` sequences, moved in boxes of 64 columns and `rows` rows; what
    /// a box has beyond the end of its sequence is read as zeros and not written.
    pub(crate) fn sequences(pointer: Pointer, [batch, time, width]: [usize; 3], rows: u32) -> Map {
        let [batch, time, width] = [batch, time, width].map(|size| size as u64);
        let (dims, strides) = (vec![width, time, batch], vec![2 * width, 2 * width * time]);
        Map { pointer, dims, strides, boxes: vec![64, rows, 1] }
    }
    /// What the kernel takes by value.
    pub(crate) fn encode(&self, device: &Device) -> Result<[u64; 16], CudaError> {
        #[repr(align(64))]
        struct Encoded([u64; 16]);
        const BFLOAT16: u32 = 9;
        const NO_INTERLEAVE: u32 = 0;
        const SWIZZLE_128_BYTES: u32 = 3;
        const PROMOTE_TO_128_BYTES: u32 = 2;
        const FILL_ZEROS: u32 = 0;
        let mut map = Encoded([0; 16]);
        let every = vec![1u32; self.dims.len()];
        // SAFETY: the map is aligned as the driver asks, and every array has `rank` elements (strides one less).
        let status = unsafe {
            (device.api().cuTensorMapEncodeTiled)(
                (&raw mut map.0).cast(),
                BFLOAT16,
                self.dims.len() as u32,
                self.pointer as *mut std::ffi::c_void,
                self.dims.as_ptr(),
                self.strides.as_ptr(),
                self.boxes.as_ptr(),
                every.as_ptr(),
                NO_INTERLEAVE,
                SWIZZLE_128_BYTES,
                PROMOTE_TO_128_BYTES,
                FILL_ZEROS,
            )
        };
        device.call("cuTensorMapEncodeTiled", status)?;
        Ok(map.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Element;

    #[test]
    fn maps_are_those_of_the_notes() {
        let of = Matrix::new(512, Element::Bf16, 1280);
        let map = |dims: &[u64], strides: &[u64], boxes: &[u32]| Map {
            pointer: 512,
            dims: dims.to_vec(),
            strides: strides.to_vec(),
            boxes: boxes.to_vec(),
        };
        assert_eq!(Map::operand(&of, [300, 1280], false, 128), map(&[1280, 300], &[2560], &[64, 128]));
        let slabs = map(&[64, 300, 20], &[2560, 128], &[64, 64, 2]);
        assert_eq!(Map::operand(&of, [1280, 300], true, 128), slabs);
        assert_eq!(Map::boxed(&of, [300, 1280]), map(&[1280, 300], &[2560], &[64, 16]));
        let rows = map(&[3840, 2048, 16], &[7680, 15_728_640], &[64, 128, 1]);
        assert_eq!(Map::sequences(512, [16, 2048, 3840], 128), rows);
    }
}
