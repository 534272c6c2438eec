//! Rows of packed tokens: what the loop needs from the data.

use wootz_schema::Diagnose;
use wootz_schema::dataset::Cursor;

/// An error of the data, with its exit code and hint.
pub type RowsError = Box<dyn Diagnose + Send + Sync>;

/// An endless source of rows of T+1 tokens.
pub trait Rows: Send {
    /// Fills whole rows.
    fn next_rows(&mut self, rows: &mut [i32]) -> Result<(), RowsError>;
    /// Where the rows handed out so far end.
    fn cursor(&self) -> Cursor;
}

/// Rows of T+1 tokens, split into tokens and the target after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// B×T.
    pub tokens: Vec<i32>,
    /// B×T.
    pub targets: Vec<i32>,
}

impl Packed {
    /// Splits rows of `sequence_len` + 1.
    pub fn split(rows: &[i32], sequence_len: usize) -> Packed {
        let rows = || rows.chunks_exact(sequence_len + 1);
        Packed {
            tokens: rows().flat_map(|row| &row[..sequence_len]).copied().collect(),
            targets: rows().flat_map(|row| &row[1..]).copied().collect(),
        }
    }
}
