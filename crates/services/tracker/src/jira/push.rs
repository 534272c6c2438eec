//! Bringing one issue to Jira: making it, setting its fields, moving it to a status.
//!
//! Fields that Jira names in a refusal are left out and the rest is tried once more; what was left out is reported, and not tried again
//! while neither side changes. A status is reached by one transition; ways of several steps, and those that ask for fields, are reported.

use super::adf;
use super::client::{Client, Failure};
use super::plan::{Merge, marker};
use super::settings::{Api, Settings};
use super::sides::{Field, Fields, Local, MARKER, Remote};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

/// What was brought over.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Fields that Jira has taken.
    pub done: BTreeSet<Field>,
    /// Why it did not take the others.
    pub warnings: Vec<String>,
}

/// Makes an issue, once; its key.
pub fn create(
    client: &Client<'_>,
    settings: &Settings,
    project: &str,
    local: &Local,
) -> Result<(String, Vec<String>), Failure> {
    let wanted = [Field::Title, Field::Description, Field::Kind, Field::Priority, Field::Labels];
    let all = local.fields.iter().filter(|(field, value)| {
        wanted.contains(field) && (**field != Field::Description || !value.is_empty())
    });
    let all: Fields = all.map(|(field, value)| (*field, value.clone())).collect();
    let mut fields = values(settings, &all, &[marker(&local.id)]);
    fields.insert("project".to_owned(), json!({"key": project}));
    let mut warnings = Vec::new();
    let mut wait = settings.pace.first;
    for attempt in 1.. {
        match client.create(&Value::Object(fields.clone())) {
            Ok(key) => return Ok((key, warnings)),
            Err(Failure::Refused { why, fields: refused }) => {
                // Without its label it could be made twice, and without the others it is no issue.
                let may_go = ["description", "priority"];
                let dropped: Vec<&str> = may_go
                    .into_iter()
                    .filter(|name| refused.contains_key(*name) && fields.contains_key(*name))
                    .collect();
                if dropped.is_empty() {
                    return Err(Failure::Refused { why, fields: refused });
                }
                for name in dropped {
                    fields.remove(name);
                    warnings.push(format!("{}: {why}", local.id));
                }
            }
            Err(Failure::Uncertain(why)) => {
                thread::sleep(wait);
                wait = (wait * 2).min(settings.pace.longest);
                let found = client.search(&format!("labels in (\"{}\")", marker(&local.id)))?;
                if let Some(key) = found.into_keys().next() {
                    return Ok((key, warnings));
                }
                if attempt >= settings.pace.attempts {
                    return Err(Failure::Uncertain(why));
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::Uncertain("no attempt was made".to_owned()))
}

/// Brings changed fields to an issue that is there.
pub fn push(
    client: &Client<'_>,
    settings: &Settings,
    remote: &Remote,
    labels: &[String],
    local: &Local,
    merge: &Merge,
) -> Result<Pushed, Failure> {
    let mut pushed = Pushed::default();
    let markers: Vec<String> = labels.iter().filter(|label| label.starts_with(MARKER)).cloned().collect();
    let mut fields = values(settings, &merge.push, &markers);
    if let Some(name) = merge.push.get(&Field::Assignee) {
        match name.as_str() {
            "" => drop(fields.insert("assignee".to_owned(), Value::Null)),
            name => match client.person(&remote.key, name)? {
                Some(person) => drop(fields.insert("assignee".to_owned(), person)),
                None => {
                    let why = format!(
                        "{}: Jira knows nobody, or more than one, named {name} for {}",
                        local.id, remote.key
                    );
                    pushed.warnings.push(why);
                }
            },
        }
    }
    edit(client, &remote.key, &local.id, fields, &merge.push, &mut pushed)?;
    if let Some(status) = merge.push.get(&Field::Status) {
        match transit(client, settings, remote, status)? {
            None => drop(pushed.done.insert(Field::Status)),
            Some(why) => pushed.warnings.push(format!("{}: {why}", local.id)),
        }
    }
    Ok(pushed)
}

/// Sets fields; those that Jira names in a refusal are left out once.
fn edit(
    client: &Client<'_>,
    key: &str,
    id: &str,
    mut fields: Map<String, Value>,
    wanted: &Fields,
    pushed: &mut Pushed,
) -> Result<(), Failure> {
    while !fields.is_empty() {
        match client.edit(key, &Value::Object(fields.clone())) {
            Ok(()) => {
                let done = wanted.keys().filter(|field| fields.contains_key(field.in_jira()));
                pushed.done.extend(done.copied());
                return Ok(());
            }
            Err(Failure::Refused { why, fields: refused }) => {
                let before = fields.len();
                fields.retain(|name, _| !refused.contains_key(name));
                pushed.warnings.push(format!("{id}: {why}"));
                if fields.len() == before {
                    return Ok(());
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Moves an issue to a status; why it could not.
fn transit(
    client: &Client<'_>,
    settings: &Settings,
    remote: &Remote,
    status: &str,
) -> Result<Option<String>, Failure> {
    let key = &remote.key;
    let maps = &settings.maps.status;
    let ways = client.transitions(key)?;
    let mut fitting: Vec<_> = ways.iter().filter(|way| maps.from_jira(&way.to) == status).collect();
    let wanted = maps.to_jira(status);
    fitting.sort_by_key(|way| (!way.required.is_empty(), !way.to.eq_ignore_ascii_case(wanted)));
    let Some(way) = fitting.first() else {
        let there: BTreeSet<&str> = ways.iter().map(|way| way.to.as_str()).collect();
        let there: Vec<&str> = there.into_iter().collect();
        return Ok(Some(format!(
            "no transition of {key} leads to {wanted}; from where it is it can go to {}",
            if there.is_empty() { "no status".to_owned() } else { there.join(", ") }
        )));
    };
    if !way.required.is_empty() {
        let fields = way.required.join(", ");
        return Ok(Some(format!("{key} can only be moved to {} in Jira: it asks for {fields}", way.to)));
    }
    match client.transit(key, &way.id) {
        Ok(()) => Ok(None),
        Err(Failure::Refused { why, .. }) => Ok(Some(format!("{key} was not moved to {}: {why}", way.to))),
        Err(Failure::Uncertain(why)) => {
            // Whether it was done is seen at the issue.
            let (now, _) = client.issue(key)?;
            match now.fields.get(&Field::Status).is_some_and(|now| now == status) {
                true => Ok(None),
                false => Err(Failure::Uncertain(why)),
            }
        }
        Err(failure) => Err(failure),
    }
}

/// Fields as Jira takes them; a status and a person go other ways.
fn values(settings: &Settings, fields: &Fields, markers: &[String]) -> Map<String, Value> {
    let maps = &settings.maps;
    let mut values = BTreeMap::new();
    for (field, value) in fields {
        let json = match field {
            Field::Title => json!(value),
            Field::Description => match settings.api {
                Api::V2 => json!(value),
                Api::V3 => adf::from_text(value),
            },
            Field::Priority => json!({"name": maps.priority.to_jira(value)}),
            Field::Kind => json!({"name": maps.kind.to_jira(value)}),
            Field::Labels => {
                let own = value.split_whitespace().map(str::to_owned);
                json!(own.chain(markers.iter().cloned()).collect::<BTreeSet<String>>())
            }
            Field::Status | Field::Assignee => continue,
        };
        values.insert(field.in_jira().to_owned(), json);
    }
    values.into_iter().collect()
}
