//! Another plan in the middle of a run: at every point of every run it leads to an end, no attempt's number is given twice, and what stays is
//! not begun again.

use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use wootz_pipeline::machine::{Command, State, StepState, begin, step};
use wootz_schema::event::{Created, Event, Failure, Record};

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A plan of some of the steps; each waits for some of those before it.
fn created(steps: &[(usize, u8)]) -> Created {
    let mut ids: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    for (id, mask) in steps {
        let id = IDS[*id];
        if ids.contains(&id) {
            continue;
        }
        let depends: Vec<&str> =
            ids.iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0).map(|(_, id)| *id).collect();
        all.push(json!({ "id": id, "name": id, "type": "x", "depends_on": depends, "allow_failure": false, "config": {},
            "retries": { "max_attempts": 1, "initial_seconds": 0.0, "factor": 1.0, "max_seconds": 0.0 } }));
        ids.push(id);
    }
    let created = json!({
        "version": wootz_schema::event::VERSION,
        "plan": { "version": 1, "name": "p", "params": {}, "steps": all },
        "plan_text": "", "plan_path": "", "command": "", "max_parallel": 2, "from": null, "only": null,
    });
    serde_json::from_value(created).unwrap()
}

/// A run whose attempts end as the choices say.
struct World {
    state: State,
    seq: u64,
    attempts: Vec<(String, u32)>,
    begun: BTreeSet<(String, u32)>,
}

impl World {
    fn new(created: &Created) -> World {
        let (state, commands) = begin(created).unwrap();
        let mut world = World { state, seq: 0, attempts: Vec::new(), begun: BTreeSet::new() };
        world.obey(commands);
        world
    }

    fn report(&mut self, event: Event) -> Vec<Command> {
        self.seq += 1;
        let (state, commands) = step(self.state.clone(), &Record { seq: self.seq, at_ms: self.seq, event });
        self.state = state;
        commands
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            if let Command::Start { step, attempt, .. } = command {
                self.attempts.push((self.state.graph().id(step).to_owned(), attempt));
            }
        }
    }

    /// Ends the attempts that are commanded, at most so many, well or badly.
    fn turn(&mut self, choices: &[bool]) {
        for is_well in choices {
            let Some((id, attempt)) = self.attempts.pop() else { return };
            let started = Event::Started { step: id.clone(), attempt, key: "k".to_owned() };
            assert!(self.begun.insert((id.clone(), attempt)), "{id} has attempt {attempt} twice");
            let commands = self.report(started);
            self.obey(commands);
            let (key, summary) = ("k".to_owned(), String::new());
            let commands = self.report(match is_well {
                true => Event::Succeeded { step: id, attempt, key, seconds: 0.0, summary },
                false => {
                    let (message, hint, code) = ("no".to_owned(), None, None);
                    let failure = Failure { message, hint, exit: 1, retryable: false, code };
                    Event::Failed { step: id, attempt, failure }
                }
            });
            self.obey(commands);
        }
    }

    fn succeeded(&self) -> BTreeMap<String, u32> {
        let steps = self.state.steps().iter().enumerate();
        let well = steps.filter(|(_, step)| matches!(step.state, StepState::Succeeded { .. }));
        well.map(|(at, step)| (self.state.graph().id(at).to_owned(), step.attempt)).collect()
    }
}

proptest! {
    #[test]
    fn a_run_goes_over_to_any_plan_at_any_point(
        plans in prop::collection::vec(prop::collection::vec((0..5usize, any::<u8>()), 1..5), 2..4),
        choices in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..6), 3),
        keeps in any::<bool>(),
    ) {
        let mut world = World::new(&created(&plans[0]));
        for (plan, choices) in plans[1..].iter().zip(&choices) {
            world.turn(choices);
            let created = created(plan);
            let before = world.succeeded();
            let ids: Vec<String> = created.plan.steps.iter().map(|step| step.id.clone()).collect();
            let kept: Vec<String> =
                before.keys().filter(|id| keeps && ids.contains(id)).cloned().collect();
            world.report(Event::Replanned { created: Box::new(created), kept: kept.clone() });
            // What was commanded then was commanded to nobody: the engine that takes the run up begins anew.
            world.attempts.clear();
            let commands = world.report(Event::Resumed { max_parallel: 2, capacity: None, kept: Vec::new() });
            world.obey(commands);
            let after = world.succeeded();
            for id in &kept {
                prop_assert_eq!(after.get(id), before.get(id));
            }
            prop_assert_eq!(after.len(), kept.len());
        }
        world.turn(&[true; 20]);
        prop_assert!(world.state.is_over());
        prop_assert_eq!(world.succeeded().len(), world.state.steps().len(), "nothing fails any more");
    }
}
