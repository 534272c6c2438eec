//! Ranks that are threads of one process: for tests and for seeing a job whole.

use crate::world::{Channel, FailureHook, Link, MeshError};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use wootz_schema::mesh::Failure;

/// One rank's end.
pub(crate) struct Local {
    rank: usize,
    shared: Arc<Shared>,
}

struct Shared {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is on its way, by channel, receiver and sender, in the order in which it was sent.
    sent: BTreeMap<(Channel, usize, usize), Vec<Vec<u8>>>,
    failure: Option<Failure>,
    gone: Vec<usize>,
}

impl Local {
    /// The ends of all ranks.
    pub(crate) fn new(size: usize) -> Vec<Local> {
        let shared = Arc::new(Shared { size, state: Mutex::default(), changed: Condvar::new() });
        (0..size).map(|rank| Local { rank, shared: Arc::clone(&shared) }).collect()
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link for Local {
    fn all_to_all(&self, channel: Channel, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, MeshError> {
        let mut state = self.state();
        for (to, part) in parts.into_iter().enumerate() {
            state.sent.entry((channel, to, self.rank)).or_default().push(part);
        }
        self.shared.changed.notify_all();
        let mut received = Vec::with_capacity(self.shared.size);
        while received.len() < self.shared.size {
            let from = received.len();
            let waiting = state.sent.get_mut(&(channel, self.rank, from)).filter(|parts| !parts.is_empty());
            if let Some(parts) = waiting {
                received.push(parts.remove(0));
            } else if let Some(failure) = state.failure.clone() {
                return Err(MeshError::Peer(failure));
            } else if state.gone.contains(&from) {
                return Err(MeshError::Peer(Failure {
                    rank: from,
                    reason: "its thread ended".to_owned(),
                    hint: None,
                    exit: 1,
                }));
            } else {
                state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        Ok(received)
    }
    fn failure(&self) -> Option<Failure> {
        self.state().failure.clone().filter(|failure| failure.rank != self.rank)
    }
    fn fail(&self, failure: Failure) {
        self.state().failure.get_or_insert(failure);
        self.shared.changed.notify_all();
    }
    fn leave(&self) -> Result<(), MeshError> {
        self.all_to_all(Channel::Loop, vec![Vec::new(); self.shared.size]).map(drop)
    }
    fn on_failure(&self, _: FailureHook) {
        // Threads wait in `all_to_all` only, which looks.
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let rank = self.rank;
        self.state().gone.push(rank);
        self.shared.changed.notify_all();
    }
}
