//! Where in a YAML text a value stands.
//!
//! The YAML library tells the position of an error and of nothing else. So the text is read once more by a visitor that
//! follows the path to the value and fails there on purpose: the error carries the position. That costs a second read
//! for each mistake, and nothing when there is none.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// One step down a YAML document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The key of a mapping.
    Key(String),
    /// The place in a sequence, from 0.
    Index(usize),
}

/// Line and column, both from 1, of the key or the entry that the path leads to; of the nearest one above it where
/// the path leads nowhere.
pub fn locate(text: &str, path: &[Part]) -> Option<(usize, usize)> {
    (0..=path.len()).rev().find_map(|length| {
        let error = Seek(&path[..length]).deserialize(serde_yaml_ng::Deserializer::from_str(text)).err()?;
        let location = error.to_string().contains(FOUND).then(|| error.location())??;
        Some((location.line(), location.column()))
    })
}

const FOUND: &str = "wootz: here it is";

/// Follows the path; fails with [`FOUND`] at its end.
struct Seek<'a>(&'a [Part]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    fn scalar<E: Error>(&self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        match self.0.split_first() {
            None => Err(A::Error::custom(FOUND)),
            Some((Part::Index(index), rest)) => {
                for _ in 0..*index {
                    if items.next_element::<IgnoredAny>()?.is_none() {
                        return Ok(());
                    }
                }
                items.next_element_seed(Seek(rest))?;
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
            Some((Part::Key(_), _)) => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let (wanted, rest) = match self.0.split_first() {
            None => return Err(A::Error::custom(FOUND)),
            Some((Part::Key(key), rest)) => (Some(key.as_str()), rest),
            Some((Part::Index(_), rest)) => (None, rest),
        };
        while let Some(matched) = entries.next_key_seed(KeySeed { wanted, last: rest.is_empty() })? {
            if matched {
                entries.next_value_seed(Seek(rest))?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Reads a key and says whether it is the wanted one; fails with [`FOUND`] if the path ends with it.
struct KeySeed<'a> {
    wanted: Option<&'a str>,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match (self.wanted == Some(key), self.last) {
            (true, true) => Err(E::custom(FOUND)),
            (matched, _) => Ok(matched),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_entries_are_found() {
        let text =
            "a: 1\nsteps:\n  - id: x\n    train: {depth: 4,\n      wide: [1, 2]}\n\n  # note\n  - id: y\n";
        let key = |k: &str| Part::Key(k.to_owned());
        for (path, expected) in [
            (vec![key("a")], Some((1, 1))),
            (vec![key("steps")], Some((2, 1))),
            (vec![key("steps"), Part::Index(0)], Some((3, 5))),
            (vec![key("steps"), Part::Index(0), key("train"), key("depth")], Some((4, 13))),
            (vec![key("steps"), Part::Index(0), key("train"), key("wide"), Part::Index(1)], Some((5, 17))),
            (vec![key("steps"), Part::Index(1), key("none")], Some((8, 5))),
            (vec![], Some((1, 1))),
        ] {
            assert_eq!(locate(text, &path), expected, "{path:?}");
        }
    }
}
