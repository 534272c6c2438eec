//! Names of projects (PEP 503).

/// The one spelling of a name: lower case, every run of `-`, `_` and `.` a single `-`.
pub fn normalize(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            letter => normal.push(letter),
        }
    }
    normal
}
