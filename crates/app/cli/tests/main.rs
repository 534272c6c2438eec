//! Tests of the binary: the manual pages executed, the reference of all commands, exit codes on bad input.

mod suite {
    mod pages;
    mod reference;
    mod resume;
}
