//! Tests of the engine: caching, failure, selection, cancellation, and being killed.

#![allow(clippy::unwrap_used)]

mod cases {
    mod kill;
    mod order;
    mod run;
}
