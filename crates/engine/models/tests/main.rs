//! The model: its sizes, its initial weights, and decoding beside the whole sequence at once.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod decode;
    mod sizes;
}
