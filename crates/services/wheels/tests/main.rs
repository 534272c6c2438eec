//! Wheels as a library: names beside PyPA's `packaging`, and indexes.

#[cfg(test)]
mod suite {
    mod names;
}
