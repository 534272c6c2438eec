//! Several processes as one job, one per device: axes, collectives, sharding rules. No device code.
//!
//! In the order of a job: [`Place`] says which rank this is; a [`World`] is the ranks that found one another
//! ([`rendezvous`]), each with a control connection that carries small messages and tells every rank when one is gone
//! ([`control`]); [`owners`] deals the parameters to the ranks; [`shard()`] rewrites the update program so that each rank
//! updates what it owns. The one axis is `data`: every rank has the whole model and its own micro-batches, and the
//! optimizer's states are split (ZeRO stage 1: Rajbhandari et al., arXiv 1910.02054, section 5.1).
//!
//! Not covered: a tensor axis, parameters split within a tensor, ranks that come or go while the job runs.

mod control;
mod local;
pub mod owners;
mod place;
mod rendezvous;
mod shard;
mod wire;
mod world;

pub use place::Place;
pub use shard::{Sharded, shard};
pub use world::{Channel, Link, MeshError, PEER, World};
