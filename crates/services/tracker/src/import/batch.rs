//! One import: which entries are new, which IDs they get, and how they are tied to each other and to the store.
//!
//! IDs are given before records are shaped, to refused ones too under `ba`: that is what it does, so that an issue waits for one that
//! never came. Edges then go by the IDs that issues got. Two issues are the same where the store's has the source's ID, as its own or as its
//! original one, and was made at the same time: numbers such as `bd-1` stand in many projects.

use super::report::{Remark, Report};
use super::shape::{self, created, own_time};
use super::source::Entry;
use super::{AS_IMPORTED, ORIGINAL_ID, Options, Role, ba};
use crate::export::counts;
use crate::id;
use crate::record::{Record, raw};
use crate::store::{Config, Issues, TrackerError};
use crate::time::stored;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};

/// An import in progress.
pub(super) struct Batch<'a> {
    issues: &'a Issues,
    config: &'a Config,
    options: Options,
    now: Timestamp,
    report: Report,
    /// IDs of the store by the ID that the issue had where it came from, with the time when it was made.
    known: HashMap<String, Vec<(Option<Timestamp>, String)>>,
    /// IDs of the store by those of the source.
    ids: HashMap<String, String>,
    /// IDs that are given and are not in the store.
    given: HashSet<String>,
}

/// What an import will put into the store.
pub(super) struct Taken {
    pub(super) report: Report,
    records: BTreeMap<String, Record>,
}

/// An entry that can be read.
struct Candidate {
    entry: Entry,
    record: Record,
    /// Its ID in the source.
    id: String,
    /// Its ID in the store.
    own: String,
    is_known: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        issues: &'a Issues,
        config: &'a Config,
        options: Options,
        now: Timestamp,
    ) -> Result<Batch<'a>, TrackerError> {
        let mut known: HashMap<String, Vec<_>> = HashMap::new();
        let finder = memchr::memmem::Finder::new(ORIGINAL_ID);
        for line in issues.lines() {
            let id = issues.id_of(line);
            if id.is_empty() || finder.find(issues.bytes_of(line)).is_none() {
                continue;
            }
            let record = issues.get(id)?;
            if let Some(original) = record.text(ORIGINAL_ID) {
                known.entry(original).or_default().push((own_time(&record, "created_at"), id.to_owned()));
            }
        }
        let (ids, given) = (HashMap::new(), HashSet::new());
        Ok(Batch { issues, config, options, now, report: Report::default(), known, ids, given })
    }

    /// Records that are no issues come beside what is taken.
    pub(super) fn run(mut self, entries: Vec<Entry>) -> Result<(Taken, Vec<Record>), TrackerError> {
        let (candidates, others) = self.read(entries);
        let candidates = self.without_repeats(candidates);
        let candidates = self.identify(candidates)?;
        let mut records = BTreeMap::new();
        for candidate in candidates {
            let own = candidate.own.clone();
            if let Some(record) = self.convert(candidate) {
                records.insert(own, record);
            }
        }
        self.report.imported = records.len();
        self.mirror(&mut records)?;
        self.count(&mut records);
        self.report.refused = match self.options.role {
            Role::Wootz => self.report.errors.len(),
            Role::Ba => self.report.refused,
        };
        Ok((Taken { report: self.report, records }, others))
    }

    fn refuse(&mut self, remark: Remark) {
        self.report.refused += 1;
        self.report.errors.push(remark);
    }

    /// The first pass: what is a record of an issue at all.
    fn read(&mut self, entries: Vec<Entry>) -> (Vec<Candidate>, Vec<Record>) {
        let (mut candidates, mut others) = (Vec::new(), Vec::new());
        for mut entry in entries {
            self.report.changes.append(&mut entry.changes);
            if entry.is_left_out {
                continue;
            }
            let record = match std::mem::replace(&mut entry.record, Ok(Record::default())) {
                Ok(record) => record,
                Err(remark) => {
                    self.refuse(remark);
                    continue;
                }
            };
            if record.get("_type").is_some() && record.text("_type").as_deref() != Some("issue") {
                others.push(record);
                continue;
            }
            let wrong = match self.options.role {
                Role::Ba => ba::unread(&entry, &record),
                Role::Wootz => without_essence(&entry, &record),
            };
            match wrong {
                Some(remark) => self.refuse(remark),
                None => {
                    let id = record.get("id").and_then(shape::text_of).unwrap_or_default();
                    candidates.push(Candidate { entry, record, id, own: String::new(), is_known: false });
                }
            }
        }
        (candidates, others)
    }

    /// Of records with one ID the one that was changed last; of equal ones the rest counts as there already.
    fn without_repeats(&mut self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let mut kept: Vec<Candidate> = Vec::with_capacity(candidates.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        for candidate in candidates {
            let Some(at) = places.get(&candidate.id).copied() else {
                places.insert(candidate.id.clone(), kept.len());
                kept.push(candidate);
                continue;
            };
            if kept[at].record == candidate.record {
                self.report.skipped += 1;
                continue;
            }
            let age = |one: &Candidate| own_time(&one.record, "updated_at");
            let is_newer = age(&candidate) >= age(&kept[at]);
            let older = if is_newer { std::mem::replace(&mut kept[at], candidate) } else { candidate };
            let message = format!("stands again, and otherwise, in {}, which is newer", kept[at].entry.place);
            let place = older.entry.place;
            self.refuse(Remark { place, id: Some(older.id), field: "id".to_owned(), message });
        }
        kept
    }

    /// Gives every issue its ID in the store.
    fn identify(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, TrackerError> {
        let mut identified = Vec::with_capacity(candidates.len());
        for mut candidate in candidates {
            match self.known(&candidate)? {
                Some(Known::Same(own)) => {
                    candidate.own = own;
                    candidate.is_known = true;
                }
                Some(Known::Other) => {
                    let id = candidate.id.clone();
                    let message = "another issue of the store has this ID".to_owned();
                    let place = candidate.entry.place.clone();
                    self.refuse(Remark { place, id: Some(id), field: "id".to_owned(), message });
                    continue;
                }
                None if self.options.keep_ids => candidate.own = candidate.id.clone(),
                None => candidate.own = self.new_id(&candidate.record),
            }
            self.given.insert(candidate.own.clone());
            self.ids.insert(candidate.id.clone(), candidate.own.clone());
            identified.push(candidate);
        }
        Ok(identified)
    }

    fn known(&self, candidate: &Candidate) -> Result<Option<Known>, TrackerError> {
        let Options { role, keep_ids, .. } = self.options;
        let time = own_time(&candidate.record, "created_at");
        let is_same = |known: &Option<Timestamp>| time.is_none() || known.is_none() || *known == time;
        if self.issues.has(&candidate.id) {
            let own = self.issues.get(&candidate.id)?;
            if is_same(&own_time(&own, "created_at")) || keep_ids && role == Role::Ba {
                return Ok(Some(Known::Same(candidate.id.clone())));
            }
            if keep_ids {
                return Ok(Some(Known::Other));
            }
        }
        if keep_ids && role == Role::Ba {
            return Ok(None);
        }
        let known = self.known.get(&candidate.id).into_iter().flatten();
        Ok(known.into_iter().find(|(known, _)| is_same(known)).map(|(_, own)| Known::Same(own.clone())))
    }

    fn new_id(&self, record: &Record) -> String {
        let created_at = stored(created(record).unwrap_or(self.now));
        let title = record.get("title").and_then(shape::text_of).unwrap_or_default();
        let of = |suffix: &str| format!("{}-{suffix}", self.config.prefix);
        let is_taken = |suffix: &str| self.issues.has(&of(suffix)) || self.given.contains(&of(suffix));
        of(&id::suffix(&title, &created_at, is_taken))
    }

    /// The second pass: an issue's record as the store has it, `None` where it is there or is refused.
    fn convert(&mut self, candidate: Candidate) -> Option<Record> {
        let Candidate { entry, record, id, own, is_known } = candidate;
        if is_known {
            self.report.skipped += 1;
            self.report.ids.insert(id, own);
            return None;
        }
        if self.options.role == Role::Ba {
            let (remarks, is_refused) = ba::unconverted(&entry, &record);
            self.report.errors.extend(remarks);
            if is_refused {
                self.report.refused += 1;
                return None;
            }
        }
        let (mut record, notes) = shape::shape(record, entry.from, self.options.role, self.now);
        if self.options.role == Role::Wootz {
            let remark = |(field, message): (&str, String)| Remark {
                place: entry.place.clone(),
                id: Some(id.clone()),
                field: field.to_owned(),
                message,
            };
            self.report.changes.extend(notes.into_iter().map(remark));
        }
        self.tie(&mut record, &id, &own);
        self.report.ids.insert(id, own);
        Some(record)
    }

    /// Gives a record its own ID, and the IDs of those to which it is tied.
    fn tie(&mut self, record: &mut Record, id: &str, own: &str) {
        if id != own {
            record.set(ORIGINAL_ID, id);
        }
        record.lead("id", own);
        let is_ba = self.options.role == Role::Ba;
        let mut blocked_by: Vec<String> = Vec::new();
        let mut add = |blocker: &str, ids: &HashMap<String, String>| {
            let stored = match ids.get(blocker) {
                Some(stored) => stored.clone(),
                None if is_ba && id != own => return,
                None => blocker.to_owned(),
            };
            if !blocked_by.contains(&stored) {
                blocked_by.push(stored);
            }
        };
        for blocker in record.texts("blocked_by") {
            add(&blocker, &self.ids);
        }
        if let Some(list) = record.read_as::<Vec<&serde_json::value::RawValue>>("dependencies") {
            let mut tied = Vec::with_capacity(list.len());
            for value in list {
                let Ok(mut edge) = Record::read(value.get().as_bytes()) else {
                    tied.push(value.to_owned());
                    continue;
                };
                let of_this = edge.text("issue_id").is_none_or(|issue| issue == id);
                let on = edge.text("depends_on_id");
                if let Some(on) = on.as_ref().filter(|_| of_this && is_blocks(&edge)) {
                    add(on, &self.ids);
                }
                for key in ["issue_id", "depends_on_id"] {
                    if let Some(stored) = edge.text(key).and_then(|named| self.ids.get(&named)) {
                        edge.set(key, stored);
                    }
                }
                tied.push(edge.to_raw());
            }
            record.set_raw("dependencies", raw(&tied));
        }
        let blocks: Vec<String> = record.texts("blocks");
        let blocks: Vec<&String> = blocks.iter().map(|named| self.ids.get(named).unwrap_or(named)).collect();
        let blocks = raw(&blocks);
        record.set_raw("blocks", blocks);
        record.set("blocked_by", &blocked_by);
    }

    /// Writes into the list `blocks` of each issue who waits for it.
    fn mirror(&self, records: &mut BTreeMap<String, Record>) -> Result<(), TrackerError> {
        let mut edges: Vec<(String, String)> = Vec::new();
        for (id, record) in records.iter() {
            edges.extend(record.texts("blocked_by").into_iter().map(|blocker| (blocker, id.clone())));
        }
        for view in self.issues.views()?.iter().filter(|view| view.has_edges()) {
            let new = view.blockers().filter(|blocker| records.contains_key(blocker.as_ref()));
            edges.extend(new.map(|blocker| (blocker.into_owned(), view.id().to_owned())));
        }
        edges.sort();
        edges.dedup();
        for of_one in edges.chunk_by(|one, other| one.0 == other.0) {
            let blocker = &of_one[0].0;
            let is_new = records.contains_key(blocker);
            let mut record = match records.get(blocker) {
                Some(record) => record.clone(),
                None if self.issues.has(blocker) => self.issues.get(blocker)?,
                None => continue,
            };
            let mut blocks = record.texts("blocks");
            let before = blocks.len();
            let seen: HashSet<String> = blocks.iter().cloned().collect();
            blocks.extend(of_one.iter().map(|(_, id)| id.clone()).filter(|id| !seen.contains(id)));
            if is_new || blocks.len() > before {
                record.set("blocks", &blocks);
                records.insert(blocker.clone(), record);
            }
        }
        Ok(())
    }

    /// Of issues that bring counts of their edges and comments, keeps what these are now: an export can see whether they changed.
    fn count(&self, records: &mut BTreeMap<String, Record>) {
        let has_counts = |record: &Record| counts::KEYS.iter().any(|key| record.get(key).is_some());
        if !records.values().any(has_counts) {
            return;
        }
        let old = self.issues.all().unwrap_or_default();
        let all = old.iter().chain(records.values());
        let dependents = counts::dependents(all);
        for (id, record) in records.iter_mut().filter(|(_, record)| has_counts(record)) {
            let now = counts::of(record, dependents.get(id).copied().unwrap_or_default());
            let mark = record.get(AS_IMPORTED).and_then(|mark| Record::read(mark.get().as_bytes()).ok());
            let mut mark = mark.unwrap_or_default();
            mark.set("counts", &now);
            record.set(AS_IMPORTED, &mark.to_raw());
        }
    }
}

enum Known {
    /// The issue of the store with this ID.
    Same(String),
    /// An issue that has the ID and is another.
    Other,
}

impl Taken {
    pub(super) fn put(self, issues: &mut Issues) -> Report {
        for (id, record) in self.records {
            issues.put(&id, Some(record));
        }
        self.report
    }
}

/// Whether an edge is one that `blocked_by` tells.
pub(crate) fn is_blocks(edge: &Record) -> bool {
    edge.text("type").is_none_or(|kind| kind == "blocks")
}

/// Why a record cannot be an issue at all.
fn without_essence(entry: &Entry, record: &Record) -> Option<Remark> {
    let id = record.get("id").and_then(shape::text_of).filter(|id| !id.is_empty());
    let (field, message) = match (&id, record.get("title")) {
        (None, _) => ("id", "it has no ID"),
        (_, Some(title)) if shape::text_of(title).is_some() => return None,
        (_, None) => ("title", "it has no title"),
        (_, Some(_)) => ("title", "the title is no text"),
    };
    let place = entry.place.clone();
    Some(Remark { place, id, field: field.to_owned(), message: message.to_owned() })
}
