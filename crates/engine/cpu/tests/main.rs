//! The CPU backend beside the definition of every op.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod collective;
    mod definitions;
    mod ops;
    mod session;
}
