//! Small extensions of the standard library: files written whole or not at all, digests, figures for people.

pub mod digest;
pub mod file;
pub mod human;
