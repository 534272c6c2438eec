//! Elements between host tensors and device memory.

use wootz_tensor::{Data, DType, HostTensor};

/// The bytes of a tensor in the device's element type.
pub(crate) fn to_device(tensor: &HostTensor, dtype: DType) -> Vec<u8> {
    let reals = |f: &dyn Fn(f32) -> Vec<u8>| match tensor.data() {
        Data::F32(values) => values.iter().flat_map(|x| f(*x)).collect(),
        Data::F64(values) => values.iter().flat_map(|x| f(*x as f32)).collect(),
        Data::I32(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    match dtype {
        DType::BF16 => reals(&|x| to_bf16(x).to_le_bytes().to_vec()),
        DType::F64 => reals(&|x| f64::from(x).to_le_bytes().to_vec()),
        DType::F32 | DType::I32 => match tensor.data() {
            // The common case, without a vector an element.
            Data::F32(values) => {
                let mut bytes = Vec::with_capacity(4 * values.len());
                values.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
                bytes
            }
            _ => reals(&|x| x.to_le_bytes().to_vec()),
        },
    }
}

/// Elements of device memory on the host; bf16 becomes binary32, which holds it exactly.
pub(crate) fn to_host(bytes: &[u8], dtype: DType) -> Data {
    let word = |b: &[u8]| [b[0], b[1], b[2], b[3]];
    match dtype {
        DType::BF16 => Data::F32(
            bytes.chunks_exact(2).map(|b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16)).collect(),
        ),
        DType::F32 => Data::F32(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(word(b))).collect()),
        DType::I32 => Data::I32(bytes.chunks_exact(4).map(|b| i32::from_le_bytes(word(b))).collect()),
        DType::F64 => Data::F64(
            bytes
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                .collect(),
        ),
    }
}

/// Round to nearest, ties to even; NaN stays NaN.
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return ((bits >> 16) | 0x40) as u16;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        let check = |x: f32, expected: f32| {
            let tensor = HostTensor::f32([1], vec![x]).expect("one element");
            let back = to_host(&to_device(&tensor, DType::BF16), DType::BF16);
            assert_eq!(back, Data::F32(vec![expected]), "{x}");
        };
        check(1.0, 1.0);
        check(-0.0, -0.0);
        check(1.0 + 1.0 / 256.0, 1.0); // half-way, to even
        check(1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0); // half-way, to even
        check(1.0 + 1.1 / 256.0, 1.0 + 2.0 / 256.0);
        check(f32::INFINITY, f32::INFINITY);
        assert!(f32::from_bits(u32::from(to_bf16(f32::NAN)) << 16).is_nan());
    }
}
