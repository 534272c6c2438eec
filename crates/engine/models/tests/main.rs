//! The model: its sizes, its initial weights, and decoding beside the whole sequence at once.

mod suite {
    mod decode;
    mod sizes;
}
