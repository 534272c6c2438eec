//! Tests of the step types and the report.

// The attribute tells the lints that everything below is test code, helper functions included.
#[cfg(test)]
mod suite {
    mod hub;
    mod original;
    mod report;
    mod steps;
}
