//! The IR of a training step: values, nodes, reverse transform, memory plan.
