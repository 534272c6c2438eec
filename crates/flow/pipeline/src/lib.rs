//! YAML to plan to state machine; and what a kind of step must offer. No IO: an engine drives it.

pub mod step;
mod suggest;

pub use step::{Registry, RunView, Step, StepContext, StepError, StepOutcome, StepView, settings};
