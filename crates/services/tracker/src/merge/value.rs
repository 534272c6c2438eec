//! JSON values that are compared by what they say and written with the bytes that they came with.
//!
//! Two values say the same where they differ in white space, in how a text is escaped, or in the order of an object's keys. Numbers are
//! compared as they are spelled: none is ever rounded. Below a depth of [`DEEPEST`] only equal bytes are equal.

use crate::record::{Record, raw};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Objects and lists are looked into so far.
pub(super) const DEEPEST: usize = 48;

/// A value: its bytes, and what they say.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub raw: Box<RawValue>,
    canon: String,
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.canon == other.canon
    }
}

impl Value {
    pub fn new(raw: &RawValue) -> Value {
        let mut canon = String::with_capacity(raw.get().len());
        write(raw.get(), 0, &mut canon);
        // A line break between two parts of a value is white space in JSON, and the end of a line in a file of lines.
        let raw = match raw.get().contains(['\n', '\r']) {
            false => raw.to_owned(),
            true => RawValue::from_string(raw.get().replace(['\n', '\r'], " "))
                .expect("white space is JSON wherever other white space is"),
        };
        Value { raw, canon }
    }

    pub fn of<T: serde::Serialize + ?Sized>(value: &T) -> Value {
        Value::new(&raw(value))
    }

    /// The same for all values that say the same.
    pub fn canon(&self) -> &str {
        &self.canon
    }

    pub fn text(&self) -> Option<String> {
        serde_json::from_str(self.raw.get()).ok()
    }

    pub fn is_null(&self) -> bool {
        self.canon == "null"
    }

    pub fn list(&self) -> Option<Vec<Value>> {
        let values: Vec<&RawValue> =
            self.canon.starts_with('[').then(|| serde_json::from_str(self.raw.get()).ok())??;
        Some(values.into_iter().map(Value::new).collect())
    }

    pub fn of_list(values: &[Value]) -> Value {
        let values: Vec<&RawValue> = values.iter().map(|value| value.raw.as_ref()).collect();
        Value::of(&values)
    }

    pub fn object(&self) -> Option<Fields> {
        self.canon
            .starts_with('{')
            .then(|| Record::read(self.raw.get().as_bytes()).ok())?
            .as_ref()
            .map(Fields::new)
    }
}

/// The fields of an object; of a key that stands twice the last counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// The keys in the order of the line.
    pub order: Vec<String>,
    pub values: BTreeMap<String, Value>,
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.values == other.values
    }
}

impl Fields {
    pub fn new(record: &Record) -> Fields {
        let mut fields = Fields::default();
        for (key, value) in record.fields() {
            if fields.values.insert(key.to_owned(), Value::new(value)).is_none() {
                fields.order.push(key.to_owned());
            }
        }
        fields
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    /// The object, with keys in the order that is given, then those that a line has in a place of their own, then the others.
    pub fn record(mut self, order: &[String]) -> Record {
        let mut record = Record::default();
        for key in order {
            if let Some(value) = self.values.remove(key) {
                record.push(key, &value.raw);
            }
        }
        let known: Vec<&str> = crate::KEYS.into_iter().filter(|key| self.values.contains_key(*key)).collect();
        for key in known {
            if let Some(value) = self.values.remove(key) {
                record.set_raw(key, value.raw);
            }
        }
        for (key, value) in self.values {
            record.push(&key, &value.raw);
        }
        record
    }
}

fn write(raw: &str, depth: usize, out: &mut String) {
    let raw = raw.trim_ascii();
    let is_deep = depth >= DEEPEST;
    match raw.as_bytes().first() {
        Some(b'{') if !is_deep => match Record::read(raw.as_bytes()) {
            Ok(record) => write_object(&record, depth, out),
            Err(_) => out.push_str(raw),
        },
        Some(b'[') if !is_deep => {
            let values: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            out.push('[');
            for (at, value) in values.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value.get(), depth + 1, out);
            }
            out.push(']');
        }
        Some(b'"') => match serde_json::from_str::<String>(raw) {
            Ok(text) => out.push_str(crate::record::raw(&text).get()),
            // Half of a surrogate pair: JSON to a reader of bytes, no text.
            Err(_) => out.push_str(raw),
        },
        _ => out.push_str(raw),
    }
}

fn write_object(record: &Record, depth: usize, out: &mut String) {
    let fields: BTreeMap<&str, &RawValue> = record.fields().collect();
    out.push('{');
    for (at, (key, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(raw(key).get());
        out.push(':');
        write(value.get(), depth + 1, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::new(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn what_says_the_same_is_equal() {
        for (one, other) in [
            ("\"\\u00e9\\/\"", "\"é/\""),
            ("{\"a\":1,\"b\":[ {} ]}", "{ \"b\" : [{}], \"a\":1 }"),
            ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
            ("[1,\n2]", "[1,2]"),
        ] {
            assert_eq!(value(one), value(other));
        }
    }

    #[test]
    fn what_says_another_thing_is_not() {
        for (one, other) in [
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("1", "\"1\""),
            ("[1,2]", "[2,1]"),
            ("\"\\ud800\"", "\"\\ud801\""),
            ("null", "[]"),
        ] {
            assert_ne!(value(one), value(other));
        }
    }

    #[test]
    fn depth_does_no_harm() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(value(&deep), value(&deep));
        assert!(value(&deep).list().is_some());
    }
}
