//! tk's tickets: a folder of Markdown files, each with its fields between two lines `---`.
//!
//! A title stands behind `# `, sections behind `## `; what stands before the first section, and sections that have no key, are the
//! description. The fields are the part of YAML that tk writes: `key: value`, and lists in brackets or behind hyphens.

use super::report::Place;
use super::source::Entry;
use crate::record::Record;
use crate::store::TrackerError;
use std::fs;
use std::path::Path;

/// The tickets of a folder, or of `.tickets` in it, sorted by their names.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<Entry>, TrackerError> {
    let inner = folder.join(".tickets");
    let folder = if inner.is_dir() { inner } else { folder.to_owned() };
    let failed = |error| TrackerError::io("read", &folder, error);
    let mut names = Vec::new();
    for file in fs::read_dir(&folder).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            names.push(path);
        }
    }
    if names.is_empty() {
        let message = format!("{} holds no tickets: there is no file *.md in it", folder.display());
        return Err(TrackerError::invalid(message));
    }
    names.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).map_err(|error| TrackerError::io("read", path, error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(entry(&name, &bytes))
    };
    names.iter().map(read).collect()
}

/// A ticket with beads' keys.
pub(super) fn entry(name: &str, bytes: &[u8]) -> Entry {
    let place = Place::File(name.to_owned());
    let refused = |why: &str| Entry::refused(place.clone(), None, "parsing", why.to_owned());
    let Ok(text) = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) else {
        return refused("it is no text in UTF-8");
    };
    let Some((fields, body)) = split(text) else {
        return refused("it does not begin with fields between two lines ---");
    };
    let fields = parse(&fields);
    let body = Body::read(&body);
    let mut record = Record::default();
    let field = |key: &str| fields.iter().find(|(known, _)| known == key).map(|(_, value)| value);
    let text_of = |key: &str| field(key).and_then(Value::text);
    let id = text_of("id").unwrap_or_else(|| name.trim_end_matches(".md").to_owned());
    record.push("id", &id);
    record.push("title", &body.title.unwrap_or_else(|| id.clone()));
    for (key, section) in Body::KEYS.iter().zip(&body.sections) {
        if !section.is_empty() || *key == "description" {
            record.push(key, section);
        }
    }
    if let Some(status) = text_of("status") {
        record.push("status", &status);
    }
    match text_of("priority").map(|priority| (priority.parse::<i64>(), priority)) {
        Some((Ok(number), _)) => record.push("priority", &number),
        Some((Err(_), text)) => record.push("priority", &text),
        None => {}
    }
    for (key, own) in [
        ("type", "issue_type"),
        ("created", "created_at"),
        ("assignee", "assignee"),
        ("external-ref", "external_ref"),
    ] {
        if let Some(value) = text_of(key) {
            record.push(own, &value);
        }
    }
    if let Some(tags) = field("tags") {
        record.push("labels", &tags.list());
    }
    let edges = [("deps", "blocks"), ("parent", "parent-child"), ("links", "related")];
    let edges = edges.iter().flat_map(|(key, kind)| {
        let others = field(key).map(Value::list).unwrap_or_default();
        others.into_iter().map(|on| edge(&id, &on, kind)).collect::<Vec<_>>()
    });
    let edges: Vec<_> = edges.collect();
    if !edges.is_empty() {
        record.push("dependencies", &edges);
    }
    const PLACED: [&str; 11] = [
        "id",
        "status",
        "deps",
        "links",
        "created",
        "type",
        "priority",
        "assignee",
        "external-ref",
        "parent",
        "tags",
    ];
    for (key, value) in fields.iter().filter(|(key, _)| !PLACED.contains(&key.as_str())) {
        // A key of tk's that is also one of ours says something else.
        let key = if record.get(key).is_some() { format!("tk_{key}") } else { key.clone() };
        match value {
            Value::Text(text) => record.push(&key, text),
            Value::List(list) => record.push(&key, list),
        }
    }
    Entry { place, from: "tk", record: Ok(record), changes: Vec::new(), is_left_out: false }
}

fn edge(id: &str, on: &str, kind: &str) -> Box<serde_json::value::RawValue> {
    let mut edge = Record::default();
    edge.push("issue_id", id);
    edge.push("depends_on_id", on);
    edge.push("type", kind);
    edge.to_raw()
}

/// The lines between the two of hyphens, and those behind.
fn split(text: &str) -> Option<(Vec<&str>, Vec<&str>)> {
    let mut lines = text.lines();
    lines.next().filter(|line| line.trim_end() == "---")?;
    let fields: Vec<&str> = lines.by_ref().take_while(|line| line.trim_end() != "---").collect();
    let length: usize = fields.len() + 2;
    (text.lines().count() >= length).then(|| (fields, lines.collect()))
}

/// A value of a field.
enum Value {
    Text(String),
    List(Vec<String>),
}

impl Value {
    fn text(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.clone()).filter(|text| !text.is_empty() && text != "null"),
            Value::List(_) => None,
        }
    }

    fn list(&self) -> Vec<String> {
        match self {
            Value::Text(_) => self.text().into_iter().collect(),
            Value::List(list) => list.clone(),
        }
    }
}

fn parse(lines: &[&str]) -> Vec<(String, Value)> {
    let mut fields: Vec<(String, Value)> = Vec::new();
    for line in lines {
        if let Some(item) = line.trim_start().strip_prefix("- ") {
            if let Some((_, value)) = fields.last_mut() {
                let mut list = value.list();
                list.push(unquote(item));
                *value = Value::List(list);
            }
            continue;
        }
        let Some((key, value)) = line.split_once(':').filter(|(key, _)| !key.trim().is_empty()) else {
            continue;
        };
        let value = value.trim();
        let value = match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(items) => {
                Value::List(items.split(',').map(unquote).filter(|item| !item.is_empty()).collect())
            }
            None => Value::Text(unquote(value)),
        };
        fields.push((key.trim().to_owned(), value));
    }
    fields
}

fn unquote(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('"')
        && let Ok(text) = serde_json::from_str(text)
    {
        return text;
    }
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) => inner.replace("''", "'"),
        None => text.to_owned(),
    }
}

/// What stands behind the fields.
struct Body {
    title: Option<String>,
    /// Of each key its text.
    sections: [String; 4],
}

impl Body {
    const KEYS: [&str; 4] = ["description", "design", "acceptance_criteria", "notes"];

    fn read(lines: &[&str]) -> Body {
        const NAMES: [&str; 4] = ["description", "design", "acceptance criteria", "notes"];
        let mut body = Body { title: None, sections: Default::default() };
        let (mut at, mut is_code) = (0, false);
        for line in lines {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            let heading = if is_code { None } else { line.strip_prefix("## ") };
            match (heading, line.strip_prefix("# ")) {
                (Some(name), _) => {
                    let known = NAMES.iter().position(|known| name.trim().eq_ignore_ascii_case(known));
                    at = known.unwrap_or(0);
                    if known.is_some() {
                        continue;
                    }
                }
                (None, Some(title)) if body.title.is_none() && !is_code => {
                    body.title = Some(title.trim().to_owned());
                    continue;
                }
                _ => {}
            }
            body.sections[at].push_str(line);
            body.sections[at].push('\n');
        }
        for section in &mut body.sections {
            *section = section.trim_matches(['\n', '\r']).trim_end().to_owned();
        }
        body
    }
}
