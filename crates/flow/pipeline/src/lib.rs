//! YAML to plan to state machine; and what a kind of step must offer. No IO: an engine drives it.

mod graph;
mod launch;
pub mod machine;
mod parse;
pub mod step;
mod suggest;
mod template;
mod tokens;
mod tree;

pub use graph::{Graph, GraphError};
pub use launch::{Ended, Launcher, NoLauncher};
pub use parse::{PlanErrors, Problem, Source, load};
pub use step::{Registry, RunView, Step, StepContext, StepError, StepOutcome, StepView, settings};
pub use suggest::nearest;
pub use template::{Part, fill_steps};
