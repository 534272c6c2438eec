//! One line of the store: an object whose fields keep the bytes that they were read with.
//!
//! A field that nobody sets is written as it came, whatever it holds: keys that are not known, numbers of any precision, other
//! spellings of text, keys that stand twice. What the tracker works with is read from it when it is asked for.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};
use std::fmt;

/// The keys of an issue in the order in which they are written; what is not among them follows.
pub const KEYS: [&str; 15] = [
    "id",
    "title",
    "description",
    "status",
    "priority",
    "issue_type",
    "session_id",
    "labels",
    "comments",
    "created_at",
    "updated_at",
    "closed_at",
    "blocks",
    "blocked_by",
    "dependencies",
];

/// The fields of an object, in order.
#[derive(Debug, Clone, Default)]
pub struct Record {
    fields: Vec<(String, Box<RawValue>)>,
}

impl Record {
    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Record, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(line);
        let fields = Fields.deserialize(&mut reader)?;
        reader.end()?;
        Ok(Record { fields })
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        let length: usize = self.fields.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum();
        let mut line = String::with_capacity(length + 2);
        line.push('{');
        for (at, (key, value)) in self.fields.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            line.push_str(&raw(key).to_string());
            line.push(':');
            // Between two parts of a value there may be a line break, which is white space in JSON and an end in the store.
            if value.get().contains(['\n', '\r']) {
                line.push_str(&value.get().replace(['\n', '\r'], " "));
            } else {
                line.push_str(value.get());
            }
        }
        line.push('}');
        line
    }

    /// Keys and values, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    /// The value of a key; of one that stands twice, the last, as JSON's readers have it.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.fields.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_ref())
    }

    /// A value of a type, where there is one.
    pub fn read_as<'a, T: serde::Deserialize<'a>>(&'a self, key: &str) -> Option<T> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// Text, where a key has some.
    pub fn text(&self, key: &str) -> Option<String> {
        self.read_as(key)
    }

    /// Texts, where a key has a list; what else is in it is skipped.
    pub fn texts(&self, key: &str) -> Vec<String> {
        let values: Vec<&RawValue> = self.read_as(key).unwrap_or_default();
        values.into_iter().filter_map(|value| serde_json::from_str(value.get()).ok()).collect()
    }

    /// Sets a key, in its place where it is new.
    pub fn set<T: serde::Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.set_raw(key, raw(value));
    }

    /// Sets a key to JSON.
    pub fn set_raw(&mut self, key: &str, value: Box<RawValue>) {
        if let Some((_, known)) = self.fields.iter_mut().rev().find(|(known, _)| known == key) {
            *known = value;
            return;
        }
        let rank = |key: &str| KEYS.iter().position(|known| *known == key).unwrap_or(KEYS.len());
        let at = match rank(key) {
            unknown if unknown == KEYS.len() => self.fields.len(),
            own => {
                self.fields.iter().rposition(|(other, _)| rank(other) < own).map_or(0, |before| before + 1)
            }
        };
        self.fields.insert(at, (key.to_owned(), value));
    }

    /// Sets a key and moves it before all others.
    pub fn lead<T: serde::Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.remove(key);
        self.fields.insert(0, (key.to_owned(), raw(value)));
    }

    /// Adds a key behind all others.
    pub fn push<T: serde::Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.fields.push((key.to_owned(), raw(value)));
    }

    /// The object as JSON.
    pub fn to_raw(&self) -> Box<RawValue> {
        RawValue::from_string(self.line()).expect("keys and values are JSON, each by itself")
    }

    /// Removes a key, however often it stands.
    pub fn remove(&mut self, key: &str) {
        self.fields.retain(|(known, _)| known != key);
    }
}

/// Fields are compared as JSON: neither their order nor how they are spelled counts.
impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        let value = |record: &Record| {
            let parsed = |(key, value): (&str, &RawValue)| {
                (key.to_owned(), serde_json::from_str::<serde_json::Value>(value.get()).unwrap_or_default())
            };
            record.fields().map(parsed).collect::<serde_json::Map<_, _>>()
        };
        value(self) == value(other)
    }
}

/// A value as JSON.
pub(crate) fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    to_raw_value(value).expect("what the tracker stores is JSON because its keys are text")
}

struct Fields;

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = Vec<(String, Box<RawValue>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, Box<RawValue>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(KEYS.len());
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sets_keeps_its_bytes() {
        let line = r#"{"id":"a-1","n":1.50e+3,"big":123456789012345678901234567890,"t":"\u00e9\/","o":{ "x" : [1 ,2]},"id2":null,"n":2}"#;
        let mut record = Record::read(line.as_bytes()).unwrap();
        assert_eq!(record.line(), line);
        record.set("status", "open");
        assert_eq!(record.line(), line.replacen(r#","n""#, r#","status":"open","n""#, 1));
        record.remove("status");
        assert_eq!(record.line(), line);
    }

    #[test]
    fn new_keys_stand_in_their_places() {
        let mut record = Record::read(br#"{"id":"a","extra":1,"blocks":[],"zz":0}"#).unwrap();
        record.set("other", &1);
        record.set("title", "t");
        record.set("blocked_by", &["b"]);
        // Behind what comes before it, and before what is not known.
        assert_eq!(
            record.line(),
            r#"{"id":"a","title":"t","extra":1,"blocks":[],"blocked_by":["b"],"zz":0,"other":1}"#
        );
    }

    #[test]
    fn a_value_never_ends_a_line() {
        let record = Record::read(b"{\"a\":[1,\r\n2],\"b\":\"x\\ny\"}").unwrap();
        assert_eq!(record.line(), "{\"a\":[1,  2],\"b\":\"x\\ny\"}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["", "[]", "1", "{\"a\":1} x", "{\"a\":1", "{\"a\"}", "<<<<<<< HEAD"] {
            assert!(Record::read(line.as_bytes()).is_err(), "{line}");
        }
    }
}
