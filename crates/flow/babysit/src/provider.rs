//! The seam to whatever lends machines.

use crate::machine::Sight;

/// Why something could not be done, or is not known: a fragment for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// One machine, and the run on it.
pub trait Provider {
    /// Looks at the machine and, where it is ready, at the run. What cannot be told is [`Sight::Unknown`], never [`Sight::Idle`].
    fn look(&mut self) -> Sight;
    /// Names of the files of all checkpoints.
    fn checkpoints(&mut self) -> Result<Vec<String>, Trouble>;
    /// Creates the machine and makes it ready for a launch.
    fn create(&mut self) -> Result<(), Trouble>;
    /// Removes the machine.
    fn remove(&mut self) -> Result<(), Trouble>;
    /// Starts the run from a step, unless one runs: the machine itself holds a lock for that.
    fn launch(&mut self, from: Option<u64>) -> Result<(), Trouble>;
}
