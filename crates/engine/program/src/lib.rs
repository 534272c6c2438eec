//! The IR of a training step: a program of values and nodes, built once, transformed, planned, and then
//! replayed by a backend.
//!
//! In the order of use: [`Builder`] writes a forward [`Program`]; [`reverse`] appends its backward pass;
//! [`recompute`] trades memory for time; [`plan`] lays every activation in one arena, so that the peak is known
//! before the first step; a [`Backend`] loads the planned programs and runs them.
//!
//! This crate knows no op: an op is a value of a type that implements [`Op`], defined in `wootz-ops`.

mod backend;
mod build;
mod occupancy;
mod op;
mod peaks;
mod plan;
mod rank;
mod recompute;
mod reverse;
mod trace;
mod value;

pub use backend::{Backend, BackendError, MemoryUse, OpTime, Parts, Planned, Session, Watts};
pub use build::{Builder, Node, Program, Scope};
pub use occupancy::{Held, Occupancy, occupancy};
pub use op::{Cost, Op, OpError};
pub use peaks::Peaks;
pub use plan::{Plan, plan};
pub use recompute::{Recompute, recompute};
pub use reverse::{Backward, reverse};
pub use trace::{Span, op_times};
pub use value::{Role, Type, Value, ValueInfo};
