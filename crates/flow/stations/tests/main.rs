//! Tests of the step types and the report.

mod suite {
    mod report;
    mod steps;
}
