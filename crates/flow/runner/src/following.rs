//! A run as it goes on, line by line: from its beginning, and then what is new at each look.
//!
//! The lines come from the log and not from `events.jsonl`, so that it does not matter who drives the run, or whether that file was written.

use crate::error::RunnerError;
use crate::journal::first;
use crate::runner::Runner;
use crate::teller::Teller;
use wootz_pipeline::Registry;
use wootz_pipeline::machine::{self, State};
use wootz_schema::event::StepLine;

/// Reads a run's log step by step.
pub struct Following<'a> {
    runner: &'a Runner,
    run: String,
    /// Absent only while a record is applied.
    state: Option<State>,
    teller: Teller<'a>,
    next_seq: u64,
}

impl Runner {
    /// Begins to follow a run. `run` is an id or `latest`; `registry` tells which steps are processes.
    pub fn follow<'a>(&'a self, run: &str, registry: &'a Registry) -> Result<Following<'a>, RunnerError> {
        let run = self.id(run)?;
        let records = self.journal().load(&run)?;
        let asked = first(&run, &records)?;
        let teller = Teller::new(self, registry, &run, &asked.plan);
        let (state, _) = machine::begin(asked)?;
        Ok(Following { runner: self, run, state: Some(state), teller, next_seq: 1 })
    }
}

impl Following<'_> {
    /// Id of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// What the log has that was not read yet; at first all there is.
    pub fn news(&mut self) -> Result<Vec<StepLine>, RunnerError> {
        let mut lines = Vec::new();
        for record in self.runner.journal().since(&self.run, self.next_seq)? {
            self.next_seq = record.seq + 1;
            let state = self.state.take().expect("a state, because it is put back below");
            let (state, _) = machine::step(state, &record);
            lines.extend(self.teller.hear(&record, &state));
            self.state = Some(state);
        }
        Ok(lines)
    }

    /// Whether the log says, as far as it was read, that nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.state.as_ref().is_some_and(State::is_over)
    }
}
