//! JSON as text: the keys of an issue keep their order, and values the digits they are stored with.

use serde_json::value::RawValue;
use wootz_tracker::Record;

/// A list on one line.
pub fn list<Item: AsRef<str>>(items: impl IntoIterator<Item = Item>) -> String {
    let mut list = "[".to_owned();
    for item in items {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(item.as_ref());
    }
    list.push(']');
    list
}

/// A text.
pub fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The same JSON over several lines, two spaces a level; written without recursion.
pub fn pretty(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let mut before = ' ';
    let mut letters = compact.chars().peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(letter) = letters.next() {
        if is_text {
            out.push(letter);
            is_text = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            before = letter;
            continue;
        }
        match letter {
            '{' | '[' => {
                out.push(letter);
                if !matches!(letters.peek(), Some('}' | ']')) {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                if !matches!(before, '{' | '[') {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                }
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                is_text = letter == '"';
                out.push(letter);
            }
        }
        before = letter;
    }
    out
}

/// An issue as `ba` knows it: its keys and no others, in its order, with what it assumes where one is absent.
pub fn of_ba(record: &Record) -> Record {
    let mut out = Record::default();
    let text = |key: &str| record.text(key);
    let required = |out: &mut Record, key: &str| out.push(key, &text(key).unwrap_or_default());
    for key in ["id", "title", "description"] {
        required(&mut out, key);
    }
    out.push("status", ba_status(&text("status").unwrap_or_default()));
    out.push("priority", &record.read_as::<i64>("priority").unwrap_or(2));
    out.push("issue_type", ba_type(&text("issue_type").unwrap_or_default()));
    if let Some(session) = text("session_id") {
        out.push("session_id", &session);
    }
    out.push("labels", &record.texts("labels"));
    out.push("comments", &comments(record).iter().map(Record::to_raw).collect::<Vec<_>>());
    for key in ["created_at", "updated_at"] {
        required(&mut out, key);
    }
    if let Some(closed) = text("closed_at") {
        out.push("closed_at", &closed);
    }
    out.push("blocks", &record.texts("blocks"));
    out.push("blocked_by", &record.texts("blocked_by"));
    out
}

/// The comments of an issue, each with author, text and time.
pub fn comments(record: &Record) -> Vec<Record> {
    let values: Vec<Box<RawValue>> = record.read_as("comments").unwrap_or_default();
    let read = |value: &RawValue| {
        let given = Record::read(value.get().as_bytes()).ok()?;
        let mut comment = Record::default();
        for key in ["author", "text", "created_at"] {
            comment.push(key, &given.text(key).unwrap_or_default());
        }
        Some(comment)
    };
    values.iter().filter_map(|value| read(value)).collect()
}

/// The status that a store says to `ba` for one that it does not know.
pub fn ba_status(status: &str) -> &str {
    match status {
        "open" | "in_progress" | "closed" => status,
        "tombstone" => "closed",
        "" => "open",
        _ => "in_progress",
    }
}

/// The type that `ba` reads: one of its four.
pub fn ba_type(kind: &str) -> &str {
    if wootz_tracker::actions::BA_TYPES.contains(&kind) { kind } else { "task" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_is_what_a_library_prints() {
        for compact in [
            r#"{"a":[1,{"b":[],"c":{}},"x,y:{}[]\"\\"],"d":"\\\"","e":null}"#,
            "[]",
            "{}",
            "[[[]]]",
            r#"{"a":"é\u0001"}"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(compact).unwrap();
            assert_eq!(pretty(&value.to_string()), serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
