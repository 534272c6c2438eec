//! The CPU backend beside the definition of every op.

mod suite {
    mod ops;
}
