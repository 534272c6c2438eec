//! Tests of the Temporal engine, on a real server, against the embedded engine.

#![allow(clippy::unwrap_used)]

mod cases {
    mod conformance;
    mod kill;
    mod replay;
    mod server;
    mod stop;
}
