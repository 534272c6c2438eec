//! The report: one self-contained HTML page drawn from a [`wootz_schema::report::Report`].
//!
//! A page carries its style and its charts inline and loads nothing, so that it can be mailed, archived, or
//! opened without a network. Text that came from data is escaped by the templates.
//!
//! Not covered: anything interactive beyond hover; the dashboard is another program's work.

mod bars;
mod chart;
mod collect;
mod page;
mod sections;

pub use collect::{collect, drop_reason, gate, quote};
pub use page::page;
