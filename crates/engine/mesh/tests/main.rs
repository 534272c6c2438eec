//! Ranks that meet over TCP, talk, and fail.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod control;
}
