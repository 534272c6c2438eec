//! Tests of the step types and the report.

mod suite {
    mod original;
    mod report;
    mod steps;
}
