//! Which files of a repository are meant: shell patterns as Python's `fnmatch` has them, which the hub's own client uses.
//!
//! `*` goes across folders, `[abc]`, `[a-z]` and `[!a-z]` are one letter, and a pattern that ends with `/` means all below it.

/// Files that are wanted, and files among them that are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// At least one of these fits; none: every file is wanted.
    pub include: Vec<String>,
    /// None of these fits.
    pub exclude: Vec<String>,
}

impl Patterns {
    /// The pattern that means one path alone.
    pub fn exactly(path: &str) -> String {
        let letter = |letter| match letter {
            '*' | '?' | '[' => format!("[{letter}]"),
            other => other.to_string(),
        };
        path.chars().map(letter).collect()
    }

    /// Whether a path is meant.
    pub fn mean(&self, path: &str) -> bool {
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, path));
        (self.include.is_empty() || fits(&self.include)) && !fits(&self.exclude)
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut pattern: Vec<char> = pattern.chars().collect();
    if pattern.last() == Some(&'/') {
        pattern.push('*');
    }
    let path: Vec<char> = path.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star, should the rest not fit: one letter later each time.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == path.len() && p == pattern.len() {
            return true;
        }
        match path.get(t).and_then(|letter| one(&pattern[p..], *letter)) {
            Some(width) => {
                p += width;
                t += 1;
            }
            None => match star {
                Some((after, at)) if at < path.len() => {
                    star = Some((after, at + 1));
                    (p, t) = (after, at + 1);
                }
                _ => return false,
            },
        }
    }
}

/// Length of the first element of a pattern, where a letter fits it.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(pattern) {
            Some((inside, width)) => among(inside, letter).then_some(width),
            // A bracket that nothing closes is a letter.
            None => (letter == '[').then_some(1),
        },
        other => (*other == letter).then_some(1),
    }
}

/// What stands between brackets, and how long it is with them. A closing bracket at the beginning is a letter.
fn class(pattern: &[char]) -> Option<(&[char], usize)> {
    let from = if pattern.get(1) == Some(&'!') { 3 } else { 2 };
    let end = (from..pattern.len()).find(|at| pattern[*at] == ']')?;
    Some((&pattern[1..end], end + 1))
}

fn among(inside: &[char], letter: char) -> bool {
    let (is_not, mut rest) = match inside {
        ['!', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut is_in = false;
    loop {
        rest = match rest {
            [] => return is_in != is_not,
            [from, '-', to, rest @ ..] => {
                is_in |= (*from..=*to).contains(&letter);
                rest
            }
            [one, rest @ ..] => {
                is_in |= *one == letter;
                rest
            }
        };
    }
}
