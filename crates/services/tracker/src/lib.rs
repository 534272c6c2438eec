//! The task tracker: issues in one file of JSON lines, an ownership state machine, and what is ready to be worked on.

pub mod actions;
pub mod doctor;
pub mod events;
pub mod export;
pub mod graph;
pub mod id;
pub mod import;
pub mod jira;
pub mod lease;
pub mod merge;
pub mod ownership;
pub mod ready;
mod record;
pub mod scan;
pub mod shares;
pub mod similar;
mod store;
pub mod time;
mod view;

pub use record::{KEYS, Record};
pub use store::{Config, FOLDER, Issues, LOCK_LIMIT, Line, Store, TrackerError};
pub use view::{Edge, Index, ORIGINAL_STATUS, View};
