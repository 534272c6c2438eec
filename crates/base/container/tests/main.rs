//! Containers as a real podman has them.

mod suite;
