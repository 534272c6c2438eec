//! Synchronisation with Jira: what both sides have changed since they last agreed is found field by field and brought to the other.
//!
//! `settings` and `maps` say where Jira is and what things are called there; `sides` makes issues of both comparable, with `adf` for
//! descriptions; `plan` decides, as a function; `client` and `push` speak to Jira; `sync` does one run; `state` remembers.

pub mod adf;
pub mod client;
pub mod maps;
pub mod plan;
mod push;
pub mod settings;
pub mod sides;
pub mod state;
mod sync;

pub use plan::{Options, Policy, Which};
pub use settings::{Api, Pace, Secret, Settings, VARIABLES};
pub use sync::{Report, Stats, Status, status, sync};
