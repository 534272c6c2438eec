//! The event logs of all runs, in SQLite.
//!
//! An event is committed, and on the disk, before anything is done because of it.

use crate::clock;
use crate::error::RunnerError;
use rusqlite::{Connection, OptionalExtension, params};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wootz_pipeline::machine::{self, State};
use wootz_schema::event::{Created, Event, Record, VERSION};
use wootz_stdx::digest::sha256;
use wootz_store::StoreError;
use wootz_store::database::{self, Durability};

const MIGRATIONS: [&str; 1] = ["CREATE TABLE events (
    run TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (run, seq)) WITHOUT ROWID"];

/// The logs.
pub(crate) struct Journal {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Which file it is: device and number.
    file: Option<(u64, u64)>,
}

fn file_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Journal {
    pub fn open(path: &Path) -> Result<Journal, RunnerError> {
        let connection = database::open(path, Durability::Full, &MIGRATIONS)?;
        Ok(Journal { path: path.to_owned(), connection: Mutex::new(connection), file: file_of(path) })
    }

    /// The path, if what is there is not this file any more: what is written goes where nobody will find it.
    pub fn gone(&self) -> Option<&Path> {
        (file_of(&self.path) != self.file).then_some(&self.path)
    }

    /// Begins a run and names it by its time and its home folder; ids sort by time, and two runs never share one: jobs, containers and
    /// processes are known by them on the whole machine.
    pub fn create(&self, at_ms: u64, created: &Created) -> Result<(String, Record), RunnerError> {
        let record = Record { seq: 0, at_ms, event: Event::Created(Box::new(created.clone())) };
        let home = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let home = sha256(home.as_os_str().as_encoded_bytes());
        let mut named_ms = at_ms;
        loop {
            let run = format!("{}-{}", clock::format(named_ms, "%Y%m%d-%H%M%S-%3f"), &home[..6]);
            match self.append(&run, &record) {
                Err(RunnerError::Store(StoreError::Database { source, .. }))
                    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
                {
                    named_ms += 1;
                }
                appended => return appended.map(|()| (run, record)),
            }
        }
    }

    /// Adds an event to a run's log.
    pub fn append(&self, run: &str, record: &Record) -> Result<(), RunnerError> {
        let event = serde_json::to_string(&record.event).map_err(|error| log_error(run, &error))?;
        self.lock()
            .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| {
                insert.execute(params![run, record.seq as i64, record.at_ms as i64, event])
            })
            .map_err(StoreError::database(&self.path))?;
        Ok(())
    }

    /// Opens a transaction: what is appended from here on is on the disk when `commit` returns, all at once.
    pub fn begin(&self) -> Result<(), RunnerError> {
        Ok(self.lock().execute_batch("BEGIN IMMEDIATE").map_err(StoreError::database(&self.path))?)
    }

    /// Ends the transaction; there is nothing to write where nothing was appended.
    pub fn commit(&self) -> Result<(), RunnerError> {
        let committed = self.lock().execute_batch("COMMIT").map_err(StoreError::database(&self.path));
        Ok(committed.inspect_err(|_| self.abandon())?)
    }

    /// Drops what the transaction holds; after an error, whose message matters more than one from here.
    pub fn abandon(&self) {
        let _ = self.lock().execute_batch("ROLLBACK");
    }

    /// The log of a run; an error if there is none.
    pub fn load(&self, run: &str) -> Result<Vec<Record>, RunnerError> {
        let records = self.since(run, 0)?;
        if records.is_empty() { Err(RunnerError::NoSuchRun(run.to_owned())) } else { Ok(records) }
    }

    /// The records of a run from this one on; none where there are none yet.
    pub fn since(&self, run: &str, seq: u64) -> Result<Vec<Record>, RunnerError> {
        let connection = self.lock();
        let rows = connection
            .prepare_cached("SELECT seq, at_ms, event FROM events WHERE run = ?1 AND seq >= ?2 ORDER BY seq")
            .and_then(|mut query| {
                let rows = query.query_map(params![run, seq as i64], |row| {
                    Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get::<_, String>(2)?))
                })?;
                rows.collect::<Result<Vec<_>, _>>()
            })
            .map_err(StoreError::database(&self.path))?;
        let mut records = Vec::with_capacity(rows.len());
        for (seq, at_ms, event) in rows {
            let event = serde_json::from_str(&event).map_err(|error| log_error(run, &error))?;
            records.push(Record { seq, at_ms, event });
        }
        Ok(records)
    }

    /// Removes a run's log, all at once.
    pub fn forget(&self, run: &str) -> Result<(), RunnerError> {
        let forgotten = self.lock().execute("DELETE FROM events WHERE run = ?1", [run]);
        forgotten.map_err(StoreError::database(&self.path))?;
        Ok(())
    }

    /// Ids of all runs, newest first.
    pub fn runs(&self) -> Result<Vec<String>, RunnerError> {
        let connection = self.lock();
        let runs = connection
            .prepare_cached("SELECT run FROM events WHERE seq = 0 ORDER BY run DESC")
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>())
            .map_err(StoreError::database(&self.path))?;
        Ok(runs)
    }

    /// Id of the newest run.
    pub fn latest(&self) -> Result<Option<String>, RunnerError> {
        let query = "SELECT run FROM events WHERE seq = 0 ORDER BY run DESC LIMIT 1";
        let latest = self.lock().query_row(query, [], |row| row.get(0)).optional();
        Ok(latest.map_err(StoreError::database(&self.path))?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is asked for: by the run's creation, or by the last other plan that it went over to.
pub(crate) fn created<'a>(run: &str, records: &'a [Record]) -> Result<&'a Created, RunnerError> {
    let first = first(run, records)?;
    let replanned = records.iter().rev().find_map(|record| match &record.event {
        Event::Replanned { created, .. } => Some(created.as_ref()),
        _ => None,
    });
    Ok(replanned.unwrap_or(first))
}

/// The state that a log leads to.
pub(crate) fn replay(run: &str, records: &[Record]) -> Result<State, RunnerError> {
    let (mut state, _) = machine::begin(first(run, records)?)?;
    for record in &records[1..] {
        state = machine::step(state, record).0;
    }
    Ok(state)
}

/// The first event of a log, which says what was asked for in the beginning.
pub(crate) fn first<'a>(run: &str, records: &'a [Record]) -> Result<&'a Created, RunnerError> {
    match records.first().map(|r| &r.event) {
        Some(Event::Created(created)) if created.version == VERSION => Ok(created),
        Some(Event::Created(created)) => Err(log_error(
            run,
            &format_args!("its version is {}, this build reads {VERSION}", created.version),
        )),
        _ => Err(log_error(run, &"it does not begin with the run's creation")),
    }
}

fn log_error(run: &str, reason: &dyn std::fmt::Display) -> RunnerError {
    RunnerError::Log { run: run.to_owned(), reason: reason.to_string() }
}
