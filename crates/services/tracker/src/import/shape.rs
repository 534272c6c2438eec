//! The shape that a record must have in the store so that `ba` can read its line: keys that must be there, and the types of their values.
//!
//! A value that has another shape is replaced by the nearest one that has it. What it was stands with what it became under
//! [`AS_IMPORTED`]: as long as the store still says what the import wrote, an export gives back what it was.

use super::{AS_IMPORTED, Role};
use crate::actions::BA_TYPES;
use crate::ownership::Status;
use crate::record::{Record, raw};
use crate::time::{self, stored};
use crate::view::ORIGINAL_STATUS;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

/// A record that is being given its shape.
pub(super) struct Shaper {
    record: Record,
    role: Role,
    /// Keys with what they were and what they are.
    marks: Record,
    /// Field and message of each change that somebody should know of.
    notes: Vec<(&'static str, String)>,
}

/// A record in its shape, with what was changed.
pub(super) type Shaped = (Record, Vec<(&'static str, String)>);

/// When an issue was made, as far as its record tells; else the first of its other times.
pub(super) fn created(record: &Record) -> Option<Timestamp> {
    own_time(record, "created_at")
        .or_else(|| own_time(record, "updated_at"))
        .or_else(|| own_time(record, "closed_at"))
}

/// A time of a record, where it can be read.
pub(super) fn own_time(record: &Record, key: &str) -> Option<Timestamp> {
    any_time(&text_of(record.get(key)?)?)
}

/// The shape of a record that comes from another program.
pub(super) fn shape(record: Record, from: &str, role: Role, now: Timestamp) -> Shaped {
    let created = created(&record).unwrap_or(now);
    let mut shaper = Shaper { record, role, marks: Record::default(), notes: Vec::new() };
    shaper.mandatory(created);
    shaper.complete();
    shaper.done(Some(from))
}

/// The shape of a line of the store whose values `ba` could not read; `None` where nothing had to be changed.
pub(crate) fn mend(record: &Record, now: Timestamp) -> Option<Shaped> {
    let created = created(record).unwrap_or(now);
    let marks = Record::default();
    let mut shaper = Shaper { record: record.clone(), role: Role::Wootz, marks, notes: Vec::new() };
    shaper.mandatory(created);
    for list in ["blocks", "blocked_by"] {
        let value = shaper.record.get(list);
        if value.is_some_and(|value| serde_json::from_str::<Vec<String>>(value.get()).is_err()) {
            let texts = shaper.record.texts(list);
            shaper.stand(list, raw(&texts), Some("only IDs can stand in it".to_owned()));
        }
    }
    let is_changed = shaper.marks.fields().next().is_some() || !shaper.notes.is_empty();
    is_changed.then(|| shaper.done(None))
}

impl Shaper {
    /// What `ba` must find, or must not find with another type.
    fn mandatory(&mut self, created: Timestamp) {
        self.text("title", Some(""));
        self.text("description", None);
        self.status();
        self.priority();
        self.kind();
        self.text("session_id", None);
        self.labels();
        self.time("created_at", Some(created));
        let changed = own_time(&self.record, "closed_at").unwrap_or(created);
        self.time("updated_at", Some(changed));
        self.time("closed_at", None);
        self.comments();
    }

    /// What `ba` writes in every line.
    fn complete(&mut self) {
        for (key, value) in [("description", "\"\""), ("priority", "2"), ("labels", "[]"), ("comments", "[]")]
        {
            if self.record.get(key).is_none() {
                let value = RawValue::from_string(value.to_owned()).expect("these are JSON");
                self.stand(key, value, None);
            }
        }
    }

    /// Puts a value in the place of another, or where there was none.
    fn stand(&mut self, key: &'static str, is: Box<RawValue>, why: Option<String>) {
        let mut mark = Record::default();
        if let Some(was) = self.record.get(key) {
            mark.push("was", was);
        }
        mark.push("is", &is);
        self.record.set_raw(key, is);
        self.marks.push(key, &mark.to_raw());
        self.notes.extend(why.map(|why| (key, why)));
    }

    /// A text, where there is one; another value becomes text, or the default.
    fn text(&mut self, key: &'static str, default: Option<&str>) {
        let Some(value) = self.record.get(key) else {
            if let Some(default) = default {
                self.stand(key, raw(default), None);
            }
            return;
        };
        if serde_json::from_str::<String>(value.get()).is_ok() {
            return;
        }
        let is_null = value.get() == "null";
        if is_null && key == "session_id" {
            return;
        }
        let is = match text_of(value) {
            Some(text) => text,
            None if is_null => default.unwrap_or_default().to_owned(),
            None => default.map_or_else(|| value.get().to_owned(), str::to_owned),
        };
        let why = (!is_null).then(|| "it is no text".to_owned());
        self.stand(key, raw(&is), why);
    }

    fn status(&mut self) {
        self.text("status", Some("open"));
        let status = self.record.text("status").unwrap_or_default();
        if status.is_empty() {
            self.stand("status", raw("open"), None);
        } else if Status::named(&status).is_none() {
            let stands = stands_for(&status);
            self.record.set("status", stands.name());
            self.record.set(ORIGINAL_STATUS, &status);
            let why = format!("'{status}' is none of ba's three: it reads {stands}");
            self.notes.push(("status", why));
        }
    }

    fn priority(&mut self) {
        let Some(value) = self.record.get("priority") else { return };
        let number: Option<f64> = serde_json::from_str(value.get()).ok();
        let (is, why) = match number {
            Some(_) if matches!(value.get(), "0" | "1" | "2" | "3" | "4") => return,
            Some(number) => (number.clamp(0.0, 4.0) as u8, format!("{} is not 0 to 4", value.get())),
            None => (2, "it is no number".to_owned()),
        };
        let why = (value.get() != "null").then_some(why);
        self.stand("priority", raw(&is), why);
    }

    fn kind(&mut self) {
        self.text("issue_type", Some("task"));
        let kind = self.record.text("issue_type").unwrap_or_default();
        if kind.is_empty() || self.role == Role::Ba && !BA_TYPES.contains(&kind.as_str()) {
            self.stand("issue_type", raw("task"), None);
        }
    }

    /// A time that `ba` can read, in UTC under its role.
    fn time(&mut self, key: &'static str, default: Option<Timestamp>) {
        let value = self.record.get(key);
        let text = value.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        let time = text.as_deref().and_then(any_time);
        let is_null = value.is_none_or(|value| value.get() == "null");
        if is_null && default.is_none() {
            return;
        }
        let is = match (time, &text) {
            (Some(time), Some(text)) if self.role == Role::Ba => {
                let is = stored(time);
                if is == *text {
                    return;
                }
                Some(is)
            }
            (Some(_), Some(text)) if is_rfc3339(text) => return,
            (Some(time), _) => Some(stored(time)),
            (None, _) => default.map(stored),
        };
        let why = match (time, key) {
            (Some(_), _) => None,
            (None, "updated_at") if is_null => None,
            (None, _) if is_null => Some("there is none: another of its times stands here".to_owned()),
            (None, _) => Some("it is no time".to_owned()),
        };
        // In place of what is no time `null` stands, which ba reads as none.
        self.stand(key, raw(&is), why);
    }

    fn labels(&mut self) {
        let Some(value) = self.record.get("labels") else { return };
        if serde_json::from_str::<Vec<String>>(value.get()).is_ok() {
            return;
        }
        let list: Vec<&RawValue> = match serde_json::from_str(value.get()) {
            Ok(list) => list,
            Err(_) if value.get() == "null" => Vec::new(),
            Err(_) => vec![value],
        };
        let texts: Vec<String> =
            list.iter().map(|one| text_of(one).unwrap_or_else(|| one.get().to_owned())).collect();
        let why = (value.get() != "null").then(|| "it is no list of texts".to_owned());
        self.stand("labels", raw(&texts), why);
    }

    fn comments(&mut self) {
        let Some(value) = self.record.get("comments") else { return };
        let list: Vec<&RawValue> = match serde_json::from_str(value.get()) {
            Ok(list) => list,
            Err(_) if value.get() == "null" => Vec::new(),
            Err(_) => vec![value],
        };
        let created_at = self.record.text("created_at").unwrap_or_default();
        let shaped: Vec<Option<Box<RawValue>>> = list.iter().map(|one| comment(one, &created_at)).collect();
        if value.get().starts_with('[') && shaped.iter().all(Option::is_none) {
            return;
        }
        let is: Vec<Box<RawValue>> = std::iter::zip(&list, shaped)
            .map(|(one, shaped)| shaped.unwrap_or_else(|| RawValue::to_owned(one)))
            .collect();
        let why = (value.get() != "null").then(|| "one has no author, text or time".to_owned());
        self.stand("comments", raw(&is), why);
    }

    fn done(mut self, from: Option<&str>) -> Shaped {
        let earlier: Option<Record> =
            self.record.get(AS_IMPORTED).and_then(|mark| Record::read(mark.get().as_bytes()).ok());
        let is_beads = from.is_some_and(|from| from != "ba");
        if earlier.is_some() || is_beads || self.marks.fields().next().is_some() {
            let mut mark = earlier.unwrap_or_default();
            if let Some(from) = from.filter(|_| mark.get("from").is_none()) {
                mark.push("from", from);
            }
            let fields = mark.get("fields").and_then(|fields| Record::read(fields.get().as_bytes()).ok());
            let mut fields = fields.unwrap_or_default();
            for (key, value) in
                self.marks.fields().filter(|(key, _)| fields.get(key).is_none()).collect::<Vec<_>>()
            {
                fields.push(key, value);
            }
            if fields.fields().next().is_some() {
                mark.set("fields", &fields.to_raw());
            }
            self.record.set(AS_IMPORTED, &mark.to_raw());
        }
        (self.record, self.notes)
    }
}

/// The status by which `ba` treats an issue of another status as that asks: what is gone is closed, what waits is shown to nobody as work.
pub(crate) fn stands_for(status: &str) -> Status {
    match status {
        "tombstone" => Status::Closed,
        _ => Status::InProgress,
    }
}

/// A comment as `ba` must find it; `None` where it is as it must be.
fn comment(value: &RawValue, created_at: &str) -> Option<Box<RawValue>> {
    let Ok(mut comment) = Record::read(value.get().as_bytes()) else {
        let mut comment = Record::default();
        comment.push("author", "anonymous");
        comment.push("text", &text_of(value).unwrap_or_else(|| value.get().to_owned()));
        comment.push("created_at", created_at);
        return Some(comment.to_raw());
    };
    let mut is_changed = false;
    for (key, default) in [("author", "anonymous"), ("text", ""), ("created_at", created_at)] {
        let text = comment.text(key);
        let fits = match (&text, key) {
            (Some(text), "created_at") => is_rfc3339(text) && time::read(text).is_some(),
            (text, _) => text.is_some(),
        };
        if !fits {
            let found = comment.get(key).and_then(text_of);
            let is = match (key, found) {
                ("created_at", found) => found.as_deref().and_then(any_time).map(stored),
                (_, found) => found.or_else(|| {
                    let value = comment.get(key).filter(|value| value.get() != "null")?;
                    Some(value.get().to_owned())
                }),
            };
            comment.set(key, &is.unwrap_or_else(|| default.to_owned()));
            is_changed = true;
        }
    }
    is_changed.then(|| comment.to_raw())
}

/// The text of a value; half a letter of two in an escape stands as the sign for what cannot be read.
pub(super) fn text_of(value: &RawValue) -> Option<String> {
    let json = value.get();
    if !json.starts_with('"') {
        return None;
    }
    serde_json::from_str(json).ok().or_else(|| {
        let mut mended = String::with_capacity(json.len());
        let mut rest = json;
        while let Some(at) = rest.find('\\') {
            let (before, escape) = rest.split_at(at);
            let is_half = |escape: &str| {
                let digits = escape.strip_prefix("\\u").and_then(|digits| digits.get(..4));
                digits
                    .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                    .is_some_and(|unit| unit & 0xf800 == 0xd800)
            };
            mended.push_str(before);
            let length = if escape.starts_with("\\u") { 6 } else { 2 };
            let pair = escape
                .get(..12)
                .filter(|pair| serde_json::from_str::<String>(&format!("\"{pair}\"")).is_ok());
            let taken = match pair {
                Some(pair) if is_half(escape) => pair.len(),
                _ => length.min(escape.len()),
            };
            let taken =
                (taken..=escape.len()).find(|at| escape.is_char_boundary(*at)).unwrap_or(escape.len());
            mended.push_str(if taken == 6 && is_half(escape) { "\\ufffd" } else { &escape[..taken] });
            rest = &escape[taken..];
        }
        mended.push_str(rest);
        serde_json::from_str(&mended).ok()
    })
}

/// A time in any of the ways in which programs write it; without an offset it is UTC.
fn any_time(text: &str) -> Option<Timestamp> {
    time::read(text).or_else(|| {
        let civil: jiff::civil::DateTime = text.trim().parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// Whether a time is written as RFC 3339 has it.
fn is_rfc3339(text: &str) -> bool {
    let Some((time, rest)) = text.split_at_checked(19) else { return false };
    let shape: String =
        time.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            if !(1..=9).contains(&(fraction.len() - offset.len())) {
                return false;
            }
            offset
        }
        None => rest,
    };
    let is_offset = offset == "Z"
        || offset.len() == 6
            && offset.starts_with(['+', '-'])
            && offset
                .char_indices()
                .skip(1)
                .all(|(at, letter)| if at == 3 { letter == ':' } else { letter.is_ascii_digit() });
    shape == "0000-00-00T00:00:00" && is_offset
}
