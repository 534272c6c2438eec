//! Rows of a file of data of any columns, as far as counting them needs no reading of its values.

use crate::folder::{DatasetError, io_error};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Rows of a parquet file, by its foot, or lines of a file of JSON lines; `None` for other kinds.
pub fn rows(path: &Path) -> Result<Option<u64>, DatasetError> {
    let open = || File::open(path).map_err(io_error("open", path));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => {
            let reader = SerializedFileReader::new(open()?).map_err(|error| DatasetError::Corrupt {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
            Ok(Some(reader.metadata().file_metadata().num_rows().max(0) as u64))
        }
        Some("jsonl" | "ndjson") => lines(open()?).map(Some).map_err(io_error("read", path)),
        _ => Ok(None),
    }
}

/// Lines that are not blank; none is held.
fn lines(file: File) -> std::io::Result<u64> {
    let (mut count, mut is_blank) = (0, true);
    for byte in BufReader::with_capacity(1 << 16, file).bytes() {
        match byte? {
            b'\n' => {
                count += u64::from(!is_blank);
                is_blank = true;
            }
            byte => is_blank &= byte.is_ascii_whitespace(),
        }
    }
    Ok(count + u64::from(!is_blank))
}
