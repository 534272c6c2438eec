//! The ranks of a job as the training loop sees them.

use crate::control::Control;
use crate::local::Local;
use crate::{Place, rendezvous};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wootz_schema::mesh::Failure;
use wootz_schema::{Diagnose, ExitCode};

/// Independent conversations over one connection: each has one thread on every rank, and its messages keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// The loop: agreement, stopping, sums of figures.
    Loop = 0,
    /// Collective ops of devices without a transport of their own.
    Compute = 1,
    /// The thread that writes checkpoints.
    Checkpoint = 2,
}

/// What connects the ranks.
pub trait Link: Send + Sync {
    /// Gives part `i` to rank `i`; returns what each rank gave to this one, by rank. All ranks call it in the same order.
    fn all_to_all(&self, channel: Channel, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, MeshError>;
    /// The rank that cannot go on, once there is one.
    fn failure(&self) -> Option<Failure>;
    /// Tells the other ranks that this one cannot go on.
    fn fail(&self, failure: Failure);
    /// Says good-bye, and waits until all ranks have.
    fn leave(&self) -> Result<(), MeshError>;
    /// What is done, once and on another thread, when a rank is found to have failed: for work that waits on a device and
    /// cannot look.
    fn on_failure(&self, hook: FailureHook);
}

/// See [`Link::on_failure`].
pub type FailureHook = Box<dyn FnOnce(&Failure) + Send>;

/// This process among the ranks of its job. Clones are the same place.
#[derive(Clone)]
pub struct World {
    /// Number of this process, from 0. Rank 0 writes what there is one of.
    pub rank: usize,
    /// Number of processes.
    pub size: usize,
    /// Number of this process on its host.
    pub local_rank: usize,
    link: Option<Arc<dyn Link>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.size)
    }
}

impl Default for World {
    fn default() -> World {
        World::single()
    }
}

impl World {
    /// The only rank.
    pub fn single() -> World {
        World { rank: 0, size: 1, local_rank: 0, link: None }
    }
    /// Finds the other ranks; every rank must come before `patience` is over.
    pub fn join(place: &Place, patience: Duration) -> Result<World, MeshError> {
        let Place { rank, size, local_rank, .. } = *place;
        if size == 1 {
            return Ok(World { local_rank, ..World::single() });
        }
        let streams = rendezvous::meet(place, patience)?;
        let link: Arc<dyn Link> = Arc::new(Control::begin(rank, size, streams)?);
        Ok(World { rank, size, local_rank, link: Some(link) })
    }
    /// The ranks of a job within this process, one for each of its threads.
    pub fn threads(size: usize) -> Vec<World> {
        let rank = |(rank, link): (usize, Local)| {
            let link: Arc<dyn Link> = Arc::new(link);
            World { rank, size, local_rank: rank, link: Some(link) }
        };
        Local::new(size).into_iter().enumerate().map(rank).collect()
    }

    /// Whether this is the rank that writes what there is one of.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }
    /// Gives part `i` to rank `i`; returns what each rank gave to this one.
    pub fn all_to_all(&self, channel: Channel, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, MeshError> {
        match &self.link {
            None => Ok(parts),
            Some(link) => link.all_to_all(channel, parts),
        }
    }
    /// What every rank gives, by rank.
    pub fn gather(&self, channel: Channel, mine: &[u8]) -> Result<Vec<Vec<u8>>, MeshError> {
        self.all_to_all(channel, vec![mine.to_vec(); self.size])
    }
    /// The same for a message.
    pub fn gather_messages<T: Serialize + DeserializeOwned>(
        &self,
        channel: Channel,
        mine: &T,
    ) -> Result<Vec<T>, MeshError> {
        let bytes = serde_json::to_vec(mine).map_err(|e| MeshError::Message(e.to_string()))?;
        let all = self.gather(channel, &bytes)?;
        all.iter().map(|b| serde_json::from_slice(b).map_err(|e| MeshError::Message(e.to_string()))).collect()
    }
    /// What rank 0 gives; the others' is ignored.
    pub fn from_leader(&self, channel: Channel, mine: Vec<u8>) -> Result<Vec<u8>, MeshError> {
        let parts = if self.leads() { vec![mine; self.size] } else { vec![Vec::new(); self.size] };
        Ok(self.all_to_all(channel, parts)?.swap_remove(0))
    }
    /// Whether any rank says so.
    pub fn any(&self, mine: bool) -> Result<bool, MeshError> {
        Ok(self.gather(Channel::Loop, &[u8::from(mine)])?.iter().any(|b| b.first() == Some(&1)))
    }
    /// An error that names a rank unless all ranks have the same of `what`.
    pub fn agree(&self, what: &str, mine: &str) -> Result<(), MeshError> {
        let all = self.gather(Channel::Loop, mine.as_bytes())?;
        let votes = |one: &[u8]| all.iter().filter(|other| other.as_slice() == one).count();
        let common = all.iter().rev().max_by_key(|one| votes(one)).cloned().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match all.iter().position(|one| *one != common) {
            None => Ok(()),
            // Of two ranks neither is right; the later one is named.
            Some(0) if self.size == 2 => Err(mismatch(1, what, text(&all[1]), text(&all[0]))),
            Some(rank) => Err(mismatch(rank, what, text(&all[rank]), text(&common))),
        }
    }
    /// The rank that cannot go on, once there is one.
    pub fn failure(&self) -> Option<Failure> {
        self.link.as_ref().and_then(|link| link.failure())
    }
    /// Tells the others that this rank cannot go on.
    pub fn fail(&self, error: &dyn Diagnose) {
        if let Some(link) = &self.link {
            let (reason, hint, exit) = (error.to_string(), error.hint(), error.exit() as u8);
            link.fail(Failure { rank: self.rank, reason, hint, exit });
        }
    }
    /// Says good-bye, and waits until all ranks have.
    pub fn leave(&self) -> Result<(), MeshError> {
        self.link.as_ref().map_or(Ok(()), |link| link.leave())
    }
    /// What is done when another rank is found to have failed, see [`Link::on_failure`].
    pub fn on_failure(&self, hook: FailureHook) {
        if let Some(link) = &self.link {
            link.on_failure(hook);
        }
    }
}

fn mismatch(rank: usize, what: &str, theirs: String, ours: String) -> MeshError {
    MeshError::Mismatch { rank, what: what.to_owned(), theirs, ours }
}

/// Why ranks cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    /// A launcher's variable is missing or no number that fits.
    #[error("{}", variable_words(name, value.as_deref()))]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value, where it has one.
        value: Option<String>,
    },
    /// Rank 0 cannot listen.
    #[error("listen on {address} for the other ranks: {reason}")]
    Listen {
        /// Host and port.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// Rank 0 does not answer.
    #[error("reach rank 0 at {address} within {seconds} s: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// How long it was tried.
        seconds: u64,
        /// What the system said last.
        reason: String,
    },
    /// Ranks did not come.
    #[error("start: {} did not come to {address} within {seconds} s", ranks_words(ranks))]
    Missing {
        /// The ranks.
        ranks: Vec<usize>,
        /// Where rank 0 waited.
        address: String,
        /// How long it waited.
        seconds: u64,
    },
    /// A rank is not like the others.
    #[error("start: rank {rank} has another {what} than the others: {theirs}, not {ours}")]
    Mismatch {
        /// The rank.
        rank: usize,
        /// What differs.
        what: String,
        /// What it has.
        theirs: String,
        /// What the others have.
        ours: String,
    },
    /// Another rank cannot go on.
    #[error("{PEER} rank {} ended: {}", .0.rank, .0.reason)]
    Peer(Failure),
    /// A message could not be written or read.
    #[error("exchange messages with the other ranks: {0}")]
    Message(String),
    /// The program cannot be split.
    #[error("split the update over {ranks} ranks: {reason}")]
    Split {
        /// Number of ranks.
        ranks: usize,
        /// Why.
        reason: String,
    },
}

/// How messages about another rank's failure begin: what only follows from it is told apart by this.
pub const PEER: &str = "go on:";

fn variable_words(name: &str, value: Option<&str>) -> String {
    match value {
        None => format!("find this rank: {name} is not set"),
        Some(value) => format!("find this rank: {name} is {value:?}"),
    }
}

fn ranks_words(ranks: &[usize]) -> String {
    let numbers: Vec<String> = ranks.iter().map(usize::to_string).collect();
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

impl Diagnose for MeshError {
    fn exit(&self) -> ExitCode {
        match self {
            MeshError::Variable { .. } | MeshError::Split { .. } => ExitCode::Usage,
            MeshError::Peer(failure) => [ExitCode::Usage, ExitCode::Environment, ExitCode::Bug]
                .into_iter()
                .find(|code| *code as u8 == failure.exit)
                .unwrap_or(ExitCode::Failed),
            MeshError::Message(_) => ExitCode::Failed,
            _ => ExitCode::Environment,
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            MeshError::Variable { .. } => {
                "start the ranks with --gpus N or with a launcher that sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT"
            }
            MeshError::Listen { .. } => {
                "choose a free MASTER_PORT, and for MASTER_ADDR an address of the host of rank 0"
            }
            MeshError::Unreachable { .. } => {
                "check that rank 0 was started, that MASTER_ADDR and MASTER_PORT name its host, and that no firewall is between"
            }
            MeshError::Missing { .. } => {
                "look at the output of the missing ranks, and check that every host has the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE"
            }
            MeshError::Mismatch { .. } => {
                "start every rank with the same wootz, the same configuration and the same data"
            }
            MeshError::Peer(failure) => {
                let hint = failure.hint.clone();
                return Some(hint.unwrap_or_else(|| {
                    "look at that rank's output, then run the same command again: the last checkpoint is whole".to_owned()
                }));
            }
            MeshError::Split { .. } => "use fewer ranks",
            MeshError::Message(_) => return None,
        };
        Some(hint.to_owned())
    }
}
