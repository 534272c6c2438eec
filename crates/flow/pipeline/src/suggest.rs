//! Words for messages about words that do not exist.

pub use wootz_schema::words::nearest;

/// The message for a key that does not exist.
pub(crate) fn unknown_key(key: &str, valid: &[&str]) -> String {
    match valid {
        [] => format!("unknown key `{key}`: there are no settings here"),
        valid => format!("unknown key `{key}`; valid keys: {}", valid.join(", ")),
    }
}

/// Words for a message; `none` where there are none.
pub(crate) fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
