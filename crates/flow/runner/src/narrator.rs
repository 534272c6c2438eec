//! `events.jsonl`: the run's log once more, in the lines that programs outside follow.
//!
//! The lines are a function of the log ([`Teller`]). Those that a crash kept out of the file are written when the run is taken up again;
//! several runs may share a file.

use crate::engine::Setting;
use crate::error::RunnerError;
use crate::teller::Teller;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use wootz_pipeline::machine::State;
use wootz_schema::event::{Record, StepLine};
use wootz_schema::plan::Plan;
use wootz_store::StoreError;

/// Writes the lines of one run.
pub(crate) struct Narrator<'a> {
    teller: Teller<'a>,
    file: File,
    /// Lines that are in the file already.
    written: usize,
    told: usize,
    pending: Vec<u8>,
}

impl<'a> Narrator<'a> {
    /// `plan`: the one that the run began with.
    pub fn open(setting: &'a Setting<'a>, plan: &Plan) -> Result<Narrator<'a>, RunnerError> {
        let folder = setting.runner.log_folder(setting.run, &setting.created.plan);
        let made = fs::create_dir_all(&folder);
        made.map_err(|source| StoreError::Io { action: "create", path: folder.clone(), source })?;
        let path = folder.join("events.jsonl");
        let failed = |source| StoreError::Io { action: "write", path: path.clone(), source };
        let written = count(&path, setting.run).map_err(failed)?;
        let mut file = File::options().append(true).create(true).open(&path).map_err(failed)?;
        if written.is_torn {
            file.write_all(b"\n").map_err(failed)?;
        }
        let teller = Teller::new(setting.runner, setting.registry, setting.run, plan);
        Ok(Narrator { teller, file, written: written.lines, told: 0, pending: Vec::new() })
    }

    /// Takes an event and the state that it led to.
    pub fn hear(&mut self, record: &Record, state: &State) {
        for line in self.teller.hear(record, state) {
            self.told += 1;
            if self.told > self.written {
                serde_json::to_writer(&mut self.pending, &line)
                    .expect("a line has text keys and plain values only");
                self.pending.push(b'\n');
            }
        }
    }

    /// Writes the lines of what is in the log by now.
    pub fn flush(&mut self) {
        // A file that cannot be written must not fail the run, whose log is elsewhere; what is missing comes when it is taken up again.
        let _ = self.file.write_all(&self.pending);
        self.pending.clear();
    }
}

/// What the file has of a run.
struct Written {
    lines: usize,
    /// Whether it ends in the middle of a line.
    is_torn: bool,
}

fn count(path: &Path, run: &str) -> std::io::Result<Written> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Written { lines: 0, is_torn: false }),
        file => file?,
    };
    let (mut lines, mut is_torn) = (0, false);
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        is_torn = serde_json::from_slice::<StepLine>(&line)
            .map(|line| lines += usize::from(line.run_id == run))
            .is_err();
    }
    Ok(Written { lines, is_torn })
}
