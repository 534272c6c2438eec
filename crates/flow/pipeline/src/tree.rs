//! YAML text as a tree of plain values.

use crate::parse::Problem;
use serde_json::{Map, Value};
use wootz_schema::yaml::{Part, locate};

/// The text as plain values.
pub(crate) fn read_tree(text: &str) -> Result<Value, Problem> {
    let problem = |message: String, at| Problem { at, message, hint: None };
    let yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = match (message.rfind(" at line "), error.location()) {
            (Some(end), Some(_)) => message[..end].to_owned(),
            _ => message,
        };
        problem(format!("not readable as YAML: {message}"), error.location().map(|l| (l.line(), l.column())))
    })?;
    let mut path = Vec::new();
    plain(yaml, &mut path).map_err(|message| problem(message, locate(text, &path)))
}

/// YAML as JSON; `path` is left at the value that has no such form.
fn plain(yaml: serde_yaml_ng::Value, path: &mut Vec<Part>) -> Result<Value, String> {
    use serde_yaml_ng::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::String(s) => Value::String(s),
        Yaml::Number(n) => {
            match (n.as_u64(), n.as_i64(), n.as_f64().and_then(serde_json::Number::from_f64)) {
                (Some(n), _, _) => Value::from(n),
                (None, Some(n), _) => Value::from(n),
                (None, None, Some(n)) => Value::Number(n),
                (None, None, None) => return Err(format!("{n} is not a finite number")),
            }
        }
        Yaml::Sequence(items) => {
            let mut plain_items = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                path.push(Part::Index(index));
                plain_items.push(plain(item, path)?);
                path.pop();
            }
            Value::Array(plain_items)
        }
        Yaml::Mapping(entries) => {
            let mut plain_entries = Map::new();
            for (key, value) in entries {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Number(n) => n.to_string(),
                    Yaml::Bool(b) => b.to_string(),
                    _ => return Err("a key must be a word".to_owned()),
                };
                path.push(Part::Key(key.clone()));
                plain_entries.insert(key, plain(value, path)?);
                path.pop();
            }
            Value::Object(plain_entries)
        }
        Yaml::Tagged(tagged) => return Err(format!("the tag {} has no meaning in a plan", tagged.tag)),
    })
}
