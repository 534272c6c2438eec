//! Small extensions of the standard library: files written whole or not at all, processes under limits, digests, figures
//! for people.

pub mod digest;
pub mod file;
pub mod human;
pub mod process;
