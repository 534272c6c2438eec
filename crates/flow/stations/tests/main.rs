//! Tests of the step types and the report.

mod report;
