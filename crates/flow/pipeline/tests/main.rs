//! Tests of the plan reader and of the state machine.

#![allow(clippy::unwrap_used)]

mod cases {
    mod machine;
    mod original;
    mod plan;
    mod replan;
}
