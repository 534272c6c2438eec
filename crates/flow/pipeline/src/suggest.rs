//! Words for messages about words that do not exist.

pub use wootz_schema::words::nearest;

/// The message for a key that does not exist.
pub(crate) fn unknown_key(key: &str, valid: &[&str]) -> String {
    match valid {
        [] => format!("unknown key `{key}`: there are no settings here"),
        valid => format!("unknown key `{key}`; valid keys: {}", valid.join(", ")),
    }
}

/// The keys that [`unknown_key`] says are valid.
pub(crate) fn valid_keys(message: &str) -> Vec<String> {
    let keys = message.split_once("; valid keys: ").map_or("", |(_, keys)| keys);
    keys.split(", ").filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Words for a message; `none` where there are none.
pub(crate) fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
