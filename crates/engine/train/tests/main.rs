//! The engine beside PyTorch, the schedules' tables, and the event files' bytes.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod finite;
    mod parity;
    mod ranks;
    mod resume;
    mod schedule;
    mod tensorboard;
}
