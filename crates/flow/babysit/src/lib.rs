//! A babysitter: keeps a training run alive on a machine that can be taken away at any time.
//!
//! `profile` says which machine and which run, `machine` is the state machine (pure), `provider` the seam to a cloud, `gcloud` the one that
//! there is, `checkpoint` says from which step a run goes on, and `sit` is the loop around them.
//!
//! What it never does: start a run when it does not know that none runs; start a finished one again; go on from a checkpoint that is not
//! whole; put a secret on a command line.
//!
//! Not covered: runs on several hosts; two babysitters of one run on different computers, of which the machine's own lock lets one start it.

mod checkpoint;
mod gcloud;
mod machine;
mod profile;
mod provider;
mod sit;

pub use checkpoint::newest_whole;
pub use gcloud::Gcloud;
pub use machine::{Action, Event, Sight, next};
pub use profile::{Problem, Profile, ProfileError, Training, Vm, read};
pub use provider::{Provider, Trouble};
pub use sit::{BabysitError, Sitter};
