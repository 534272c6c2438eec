//! TensorBoard event files: scalars that `tensorboard --logdir` draws.
//!
//! An event file is a sequence of records, each `length: u64 LE, masked CRC-32C of the length, payload, masked
//! CRC-32C of the payload` (source: TensorFlow's record format, `mask(c) = rotate_right(c, 15) + 0xa282ead8`). The
//! payload is a protobuf `Event`; the four field kinds that a scalar needs are written by hand here, which spares
//! a protobuf compiler. A reader follows a growing file and waits at a half-written record, so no rename is
//! needed; a resumed run opens a new file beside the old one, as TensorBoard expects.
//!
//! Not covered: histograms, images, text, and reading.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the scalars of one process of one run.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
    /// Reused for every record.
    payload: Vec<u8>,
}

impl EventWriter {
    /// Makes `events.out.tfevents.<unix_seconds>.<host>` in a folder, which is made if need be.
    ///
    /// A name that is taken, by a process that began in the same second, gets a number behind it.
    pub fn create(folder: &Path, unix_seconds: u64, host: &str) -> io::Result<EventWriter> {
        fs::create_dir_all(folder)?;
        // A host's name may hold what a file's may not.
        let host: String = host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' })
            .collect();
        let name = format!("events.out.tfevents.{unix_seconds:010}.{host}");
        let (path, file) = create_new(folder, &name)?;
        let mut writer = EventWriter { path, file: BufWriter::new(file), payload: Vec::new() };
        put_wall_time(&mut writer.payload, unix_seconds as f64);
        put_bytes(&mut writer.payload, EVENT_FILE_VERSION, b"brain.Event:2");
        writer.write_record()?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one event with all these scalars, `(tag, value)`; a `/` in a tag groups charts.
    ///
    /// `wall_seconds` are seconds since 1970. Values are stored as f32, NaN and infinities too.
    pub fn scalars(&mut self, step: u64, wall_seconds: f64, scalars: &[(&str, f64)]) -> io::Result<()> {
        let mut summary = Vec::new();
        let mut value = Vec::new();
        for (tag, scalar) in scalars {
            value.clear();
            put_bytes(&mut value, VALUE_TAG, tag.as_bytes());
            put_key(&mut value, VALUE_SIMPLE_VALUE, WIRE_FIXED32);
            value.extend((*scalar as f32).to_le_bytes());
            put_bytes(&mut summary, SUMMARY_VALUE, &value);
        }
        self.payload.clear();
        put_wall_time(&mut self.payload, wall_seconds);
        put_key(&mut self.payload, EVENT_STEP, WIRE_VARINT);
        put_varint(&mut self.payload, step);
        put_bytes(&mut self.payload, EVENT_SUMMARY, &summary);
        self.write_record()
    }

    /// Hands everything to the operating system, so that a reader sees it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn write_record(&mut self) -> io::Result<()> {
        let length = (self.payload.len() as u64).to_le_bytes();
        self.file.write_all(&length)?;
        self.file.write_all(&masked_crc(&length).to_le_bytes())?;
        self.file.write_all(&self.payload)?;
        self.file.write_all(&masked_crc(&self.payload).to_le_bytes())
    }
}

fn create_new(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let mut path = folder.join(name);
    let mut number = 0;
    loop {
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                path = folder.join(format!("{name}.{number}"));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A CRC stored beside the data it covers is masked, lest the CRC of a CRC become a constant.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

// Field numbers of `event.proto` and `summary.proto`.
const EVENT_WALL_TIME: u64 = 1;
const EVENT_STEP: u64 = 2;
const EVENT_FILE_VERSION: u64 = 3;
const EVENT_SUMMARY: u64 = 5;
const SUMMARY_VALUE: u64 = 1;
const VALUE_TAG: u64 = 1;
const VALUE_SIMPLE_VALUE: u64 = 2;

// Wire types of protobuf.
const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_FIXED32: u64 = 5;

fn put_key(into: &mut Vec<u8>, field: u64, wire: u64) {
    put_varint(into, field << 3 | wire);
}

fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn put_bytes(into: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(into, field, WIRE_BYTES);
    put_varint(into, bytes.len() as u64);
    into.extend(bytes);
}

fn put_wall_time(into: &mut Vec<u8>, wall_seconds: f64) {
    put_key(into, EVENT_WALL_TIME, WIRE_FIXED64);
    into.extend(wall_seconds.to_le_bytes());
}
