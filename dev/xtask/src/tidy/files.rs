//! No Rust file that nothing compiles.

use crate::house::{House, Standing};
use crate::tidy::Finding;

pub fn check(house: &House) -> Vec<Finding> {
    let dead = house.sources.iter().filter(|source| source.standing == Standing::Dead);
    dead.map(|source| {
        let fix = "declare it with `mod`, delete it, or put test input under tests/inputs/";
        Finding::new(&source.path, 1, "no target of its crate reaches this file", fix)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn a_file_that_nothing_declares_is_dead() {
        let files = [
            ("crates/base/a/Cargo.toml", ""),
            ("crates/base/a/src/lib.rs", "mod used;"),
            ("crates/base/a/src/used.rs", ""),
            ("crates/base/a/src/unused.rs", "this need not even parse ("),
        ];
        let expected = ["crates/base/a/src/unused.rs:1: no target of its crate reaches this file"];
        assert_eq!(findings_of(super::check, &files), expected);
    }
}
