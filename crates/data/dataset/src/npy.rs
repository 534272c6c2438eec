//! numpy's `.npy` file, version 1.0, for rows of 32-bit integers.
//!
//! The header has a fixed length here, so the number of rows can be written after the rows.

use std::io::{self, Read};

/// Length of the header that is written, a multiple of 64 as the format asks.
pub(crate) const HEADER_BYTES: usize = 128;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// The header of `rows` x `len` little-endian i32.
pub(crate) fn header(rows: u64, len: u64) -> [u8; HEADER_BYTES] {
    let mut header = [b' '; HEADER_BYTES];
    let text = format!("{{'descr': '<i4', 'fortran_order': False, 'shape': ({rows}, {len}), }}");
    header[..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&(HEADER_BYTES as u16 - 10).to_le_bytes());
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[HEADER_BYTES - 1] = b'\n';
    header
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dtype: String,
    pub(crate) rows: u64,
    pub(crate) len: u64,
    /// Length of the header in bytes.
    pub(crate) bytes: u64,
}

/// Reads the header of a two-dimensional array in C order; the error says what else it is.
pub(crate) fn read_header(mut file: impl Read) -> io::Result<Result<Header, &'static str>> {
    let mut start = [0u8; 10];
    file.read_exact(&mut start)?;
    if start[..8] != *MAGIC {
        return Ok(Err("it is no .npy file of version 1.0"));
    }
    let mut text = vec![0; usize::from(u16::from_le_bytes([start[8], start[9]]))];
    file.read_exact(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest.trim_start_matches([':', ' ']));
    let dtype = after("'descr'").and_then(|rest| rest.split('\'').nth(1));
    let shape =
        after("'shape'").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split(')').next());
    let dims: Option<Vec<u64>> = shape.and_then(|shape| {
        shape.split(',').map(str::trim).filter(|dim| !dim.is_empty()).map(|dim| dim.parse().ok()).collect()
    });
    let c_order = after("'fortran_order'").is_some_and(|rest| rest.starts_with("False"));
    Ok(match (dtype, dims.as_deref(), c_order) {
        (Some(dtype), Some(&[rows, len]), true) => {
            Ok(Header { dtype: dtype.to_owned(), rows, len, bytes: 10 + text.len() as u64 })
        }
        _ => Err("it holds no two-dimensional array in C order"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        let written = header(u64::MAX, 65_536);
        let read = read_header(&written[..]).unwrap().unwrap();
        assert_eq!(read, Header { dtype: "<i4".to_owned(), rows: u64::MAX, len: 65_536, bytes: 128 });
        assert_eq!(read_header(&b"0123456789"[..]).unwrap(), Err("it is no .npy file of version 1.0"));
    }
}
