//! One parquet file with the column `text`, written and read a row group at a time.
//!
//! No dictionary and no statistics: texts do not repeat, and the smallest and largest text of a group help nobody.
//! The bytes of a shard depend on its documents and the crate version only.

use crate::folder::{DatasetError, io_error};
use parquet::basic::{Compression, Type as PhysicalType, ZstdLevel};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SCHEMA: &str = "message documents { REQUIRED BYTE_ARRAY text (UTF8); }";

/// Writes one shard.
pub(crate) struct ShardWriter {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    row_group_documents: usize,
    pending: Vec<ByteArray>,
    pub(crate) documents: u64,
    pub(crate) text_bytes: u64,
}

impl ShardWriter {
    pub(crate) fn create(path: &Path, row_group_documents: usize) -> Result<ShardWriter, DatasetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            // Pages are cut between batches: small ones, so that a resumed loader can skip pages.
            .set_write_batch_size(16)
            .set_created_by("wootz".to_owned())
            .build();
        let schema = parse_message_type(SCHEMA).expect("a schema, because it is a constant");
        let file = File::create_new(path).map_err(io_error("write", path))?;
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(|error| io_error("write", path)(io_of(error)))?;
        let path = path.to_owned();
        Ok(ShardWriter {
            path,
            writer,
            row_group_documents,
            pending: Vec::new(),
            documents: 0,
            text_bytes: 0,
        })
    }

    pub(crate) fn push(&mut self, text: String) -> Result<(), DatasetError> {
        self.documents += 1;
        self.text_bytes += text.len() as u64;
        self.pending.push(ByteArray::from(text.into_bytes()));
        if self.pending.len() == self.row_group_documents { self.write_group() } else { Ok(()) }
    }

    /// Writes what is left and the footer, and waits until it is on the disk.
    pub(crate) fn finish(mut self) -> Result<(), DatasetError> {
        if !self.pending.is_empty() {
            self.write_group()?;
        }
        let file = self.writer.into_inner().map_err(|error| io_error("write", &self.path)(io_of(error)))?;
        file.sync_all().map_err(io_error("write", &self.path))
    }

    fn write_group(&mut self) -> Result<(), DatasetError> {
        let values = std::mem::take(&mut self.pending);
        let mut write = || -> Result<(), ParquetError> {
            let mut group = self.writer.next_row_group()?;
            let mut column = group.next_column()?.expect("a column, because the schema has one");
            column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            column.close()?;
            group.close()?;
            Ok(())
        };
        write().map_err(|error| io_error("write", &self.path)(io_of(error)))
    }
}

/// A full disk must not look like a broken file, so the file system's error is taken out of parquet's.
fn io_of(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    }
}

/// Reads one shard.
pub(crate) struct ShardReader {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    column: usize,
}

impl ShardReader {
    pub(crate) fn open(path: &Path) -> Result<ShardReader, DatasetError> {
        let corrupt = |reason: String| DatasetError::Corrupt { path: path.to_owned(), reason };
        let file = File::open(path).map_err(io_error("open", path))?;
        let reader = SerializedFileReader::new(file).map_err(|error| corrupt(error.to_string()))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let column = schema.columns().iter().position(|c| c.path().string() == "text");
        match column {
            Some(at) if schema.column(at).physical_type() == PhysicalType::BYTE_ARRAY => {
                Ok(ShardReader { path: path.to_owned(), reader, column: at })
            }
            _ => Err(corrupt("it has no column `text` of strings".to_owned())),
        }
    }

    /// Documents of each row group.
    pub(crate) fn row_group_lens(&self) -> Vec<u64> {
        self.reader.metadata().row_groups().iter().map(|group| group.num_rows() as u64).collect()
    }

    /// Length of the texts of all row groups before compression, with parquet's own few bytes for each.
    pub(crate) fn uncompressed_bytes(&self) -> u64 {
        let groups = self.reader.metadata().row_groups().iter();
        groups.map(|group| group.column(self.column).uncompressed_size() as u64).sum()
    }

    /// The texts of a row group from row `first` on.
    pub(crate) fn texts_from(&self, group: usize, first: u64) -> Result<Vec<ByteArray>, DatasetError> {
        let rows = self.reader.metadata().row_group(group).num_rows() as usize;
        let mut column = self.column(group)?;
        self.skip(&mut column, first as usize)?;
        self.read(&mut column, rows - first as usize)
    }

    /// The texts of some rows of a row group, given in rising order.
    pub(crate) fn texts_at(&self, group: usize, rows: &[u64]) -> Result<Vec<ByteArray>, DatasetError> {
        let mut column = self.column(group)?;
        let mut texts = Vec::with_capacity(rows.len());
        let mut at = 0;
        for row in rows {
            self.skip(&mut column, (row - at) as usize)?;
            texts.extend(self.read(&mut column, 1)?);
            at = row + 1;
        }
        Ok(texts)
    }

    fn column(&self, group: usize) -> Result<ColumnReaderImpl<ByteArrayType>, DatasetError> {
        let open = || self.reader.get_row_group(group)?.get_column_reader(self.column);
        match open() {
            Ok(ColumnReader::ByteArrayColumnReader(column)) => Ok(column),
            Ok(_) => Err(self.corrupt("the column `text` holds no strings")),
            Err(error) => Err(self.corrupt(error)),
        }
    }

    fn skip(&self, column: &mut ColumnReaderImpl<ByteArrayType>, rows: usize) -> Result<(), DatasetError> {
        match column.skip_records(rows) {
            Ok(skipped) if skipped == rows => Ok(()),
            Ok(_) => Err(self.corrupt("it ends before its last row")),
            Err(error) => Err(self.corrupt(error)),
        }
    }

    fn read(
        &self,
        column: &mut ColumnReaderImpl<ByteArrayType>,
        rows: usize,
    ) -> Result<Vec<ByteArray>, DatasetError> {
        let mut texts = Vec::with_capacity(rows);
        let mut levels = Vec::new();
        let mut read = 0;
        while read < rows {
            match column.read_records(rows - read, Some(&mut levels), None, &mut texts) {
                Ok((0, ..)) => return Err(self.corrupt("it ends before its last row")),
                Ok((records, ..)) => read += records,
                Err(error) => return Err(self.corrupt(error)),
            }
        }
        if texts.len() != rows {
            return Err(self.corrupt("its column `text` has rows without a text"));
        }
        Ok(texts)
    }

    fn corrupt(&self, reason: impl ToString) -> DatasetError {
        DatasetError::Corrupt { path: self.path.clone(), reason: reason.to_string() }
    }
}
