//! One synchronisation: look at both sides, bring Jira's changes here in one change of the store, then ours there one by one.
//!
//! What is to be brought here is planned while the store's lock is held, from what Jira said before, so that no edit of somebody else is
//! overwritten unseen. Before anything is brought to Jira the issue is asked for again: a search may be some seconds old. An issue that is
//! made in Jira carries a label with our ID, which is looked for first; where a run ended between the two, the next finds what it made.
//! After each issue that was made the store and `jira.json` know it.
//!
//! Limits: comments, links between issues and custom fields are not brought over. Two runs at once on one store are refused; on two
//! clones of it they are not, and may make an issue twice if both make it within the seconds that Jira needs to find a label.

use super::client::{Client, Failure};
use super::plan::{self, Merge, Options, Sides, Step, Which};
use super::push;
use super::settings::Settings;
use super::sides::{Field, Local, Remote, apply, mark};
use super::state::{self, Link, State};
use crate::actions::{self, Draft};
use crate::record::Record;
use crate::store::{Config, Issues, Store, TrackerError};
use crate::time::stored;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
pub use wootz_schema::jira::{JiraReport as Report, JiraStats as Stats, JiraStatus as Status};

/// Brings both sides together.
pub fn sync(
    store: &Store,
    settings: &Settings,
    options: &Options,
    now: Timestamp,
) -> Result<Report, TrackerError> {
    let config = store.config()?;
    let _alone = if options.dry_run { None } else { Some(alone(store)?) };
    let mut state = state::read(store.folder())?;
    let client = Client::new(settings);
    let locals = locals(&store.read()?, settings)?;
    let mut seen = look(&client, settings, options, &state, &locals)?;
    find_markers(&client, settings, options, &state, &locals, &mut seen)?;
    let mut run =
        Run { client: &client, settings, options, report: Report::default(), pulled: BTreeSet::new() };
    let steps = if options.dry_run {
        let steps = plan::plan(&seen.sides(&locals), &state, settings, options);
        run.tell(&steps);
        steps
    } else {
        store.change(|issues| {
            let locals = self::locals(issues, settings)?;
            let steps = plan::plan(&seen.sides(&locals), &state, settings, options);
            run.pull(issues, &config, &mut state, &seen.remotes, &steps)?;
            issues.describe("jira", None);
            Ok(steps)
        })?
    };
    if options.dry_run {
        return Ok(run.finish(None));
    }
    state::write(&mut state, store.folder())?;
    let pushed = if options.push { run.push(store, &mut state, &steps) } else { Ok(()) };
    if pushed.is_ok() {
        state.last_sync = Some(stored(now));
    }
    // What was done is kept, however far it went.
    state::write(&mut state, store.folder())?;
    pushed?;
    Ok(run.finish(state.last_sync))
}

/// What is known of a store's issues in Jira.
pub fn status(store: &Store, settings: &Settings) -> Result<Status, TrackerError> {
    let state = state::read(store.folder())?;
    let locals = locals(&store.read()?, settings)?;
    let (remotes, gone) = (BTreeMap::new(), BTreeSet::new());
    let sides = Sides { locals: &locals, remotes: &remotes, gone: &gone };
    let links = plan::links(&sides, &state, settings);
    let is_changed = |local: &&Local| match state.issues.get(&local.id) {
        Some(link) => has_changed(local, link),
        None => links.contains_key(&local.id),
    };
    let is_gone = |id: &&String| state.issues.get(*id).is_some_and(|link| link.gone);
    Ok(Status {
        url: settings.url.clone(),
        projects: settings.projects.clone(),
        last_sync: state.last_sync.clone(),
        issues: locals.len(),
        linked: links.len(),
        changed: locals.values().filter(is_changed).map(|local| local.id.clone()).collect(),
        gone: locals.keys().filter(is_gone).cloned().collect(),
    })
}

fn has_changed(local: &Local, link: &Link) -> bool {
    local.fields.iter().any(|(field, value)| link.base.get(field) != Some(&mark(*field, value)))
}

/// Takes the right to synchronise; the file's lock goes with it.
fn alone(store: &Store) -> Result<File, TrackerError> {
    let path = store.folder().join("jira.lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|error| TrackerError::io("open", &path, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(TrackerError::Invalid {
            message: "Another synchronisation with Jira is running".to_owned(),
            hint: Some("wait until it has ended".to_owned()),
        }),
    }
}

fn locals(issues: &Issues, settings: &Settings) -> Result<BTreeMap<String, Local>, TrackerError> {
    let all = issues.all()?;
    let all = all.iter().filter_map(|record| Local::of(record, &settings.maps));
    Ok(all.map(|local| (local.id.clone(), local)).collect())
}

/// What Jira has.
#[derive(Default)]
struct Seen {
    remotes: BTreeMap<String, Remote>,
    gone: BTreeSet<String>,
}

impl Seen {
    fn sides<'a>(&'a self, locals: &'a BTreeMap<String, Local>) -> Sides<'a> {
        Sides { locals, remotes: &self.remotes, gone: &self.gone }
    }

    fn ask(&mut self, client: &Client<'_>, key: &str) -> Result<(), TrackerError> {
        if self.remotes.contains_key(key) {
            return Ok(());
        }
        match client.issue(key) {
            Ok((remote, _)) => drop(self.remotes.insert(remote.key.clone(), remote)),
            Err(Failure::Gone) => drop(self.gone.insert(key.to_owned())),
            Err(failure) => return Err(failure.error(&format!("look at {key}"))),
        }
        Ok(())
    }
}

fn look(
    client: &Client<'_>,
    settings: &Settings,
    options: &Options,
    state: &State,
    locals: &BTreeMap<String, Local>,
) -> Result<Seen, TrackerError> {
    let mut seen = Seen::default();
    let scope = plan::scope(locals, options);
    if scope.is_none() {
        let found = client.search(&condition(settings, options));
        seen.remotes = found.map_err(|failure| failure.error("search Jira"))?;
    }
    for key in options.issues.iter().filter_map(|asked| settings.key_of(asked)) {
        seen.ask(client, &key)?;
    }
    let links = plan::links(&seen.sides(locals), state, settings);
    let is_all = options.state == Which::All && settings.pull_jql.is_none() && options.projects.is_empty();
    for (id, key) in &links {
        let is_in_scope = scope.as_ref().is_none_or(|scope| scope.contains(id));
        let link = state.issues.get(id);
        let is_of_interest =
            scope.is_some() || is_all || link.is_none_or(|link| has_changed(&locals[id], link));
        if is_in_scope && is_of_interest && !link.is_some_and(|link| link.gone) {
            seen.ask(client, key)?;
        }
    }
    Ok(seen)
}

/// Issues of ours that Jira may already have, from a run that did not come to its end.
fn find_markers(
    client: &Client<'_>,
    settings: &Settings,
    options: &Options,
    state: &State,
    locals: &BTreeMap<String, Local>,
    seen: &mut Seen,
) -> Result<(), TrackerError> {
    let steps = plan::plan(&seen.sides(locals), state, settings, options);
    let new: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            // One that Jira lost is made anew with the label that it had.
            Step::Create { id } if !state.issues.get(id).is_some_and(|link| link.gone) => {
                Some(format!("\"{}\"", plan::marker(id)))
            }
            _ => None,
        })
        .collect();
    for part in new.chunks(50) {
        let found = client.search(&format!("labels in ({})", part.join(", ")));
        seen.remotes.extend(found.map_err(|failure| failure.error("search Jira"))?);
    }
    Ok(())
}

/// What a search asks for.
fn condition(settings: &Settings, options: &Options) -> String {
    let projects = if options.projects.is_empty() { &settings.projects } else { &options.projects };
    let quoted = |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let projects: Vec<String> = projects.iter().map(quoted).collect();
    let mut parts = vec![format!("project in ({})", projects.join(", "))];
    match options.state {
        Which::Open => parts.push("statusCategory != Done".to_owned()),
        Which::Closed => parts.push("statusCategory = Done".to_owned()),
        Which::All => {}
    }
    if let Some(own) = &settings.pull_jql {
        let own = without_order(own).trim();
        if !own.is_empty() {
            parts.push(format!("({own})"));
        }
    }
    format!("{} ORDER BY key ASC", parts.join(" AND "))
}

/// A condition without its order, which would end up within the brackets.
fn without_order(condition: &str) -> &str {
    let lower = condition.to_ascii_lowercase();
    let mut quote = None;
    for (at, letter) in lower.char_indices() {
        match quote {
            Some(open) => quote = (letter != open).then_some(open),
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if lower[at..].starts_with("order by") => return &condition[..at],
            None => {}
        }
    }
    condition
}

struct Run<'a> {
    client: &'a Client<'a>,
    settings: &'a Settings,
    options: &'a Options,
    report: Report,
    /// Changed here by this run.
    pulled: BTreeSet<String>,
}

impl Run<'_> {
    /// Counts what would be done.
    fn tell(&mut self, steps: &[Step]) {
        for step in steps {
            self.warn(step);
            let stats = &mut self.report.stats;
            match step {
                Step::New { .. } => {
                    stats.created += 1;
                    stats.pulled += 1;
                }
                Step::Create { .. } => {
                    stats.created += 1;
                    stats.pushed += 1;
                }
                Step::Both { merge, .. } => {
                    let pulls = self.options.pull && !merge.pull.is_empty();
                    let pushes = self.options.push && !merge.push.is_empty();
                    stats.pulled += usize::from(pulls);
                    stats.pushed += usize::from(pushes);
                    stats.updated += usize::from(pulls || pushes);
                    stats.skipped += usize::from(!pulls && !pushes);
                    stats.conflicts += usize::from(!merge.conflicts.is_empty());
                }
                Step::Gone { .. } | Step::Left { .. } => stats.skipped += 1,
            }
        }
    }

    fn warn(&mut self, step: &Step) {
        let text = match step {
            Step::Gone { id, key } => format!(
                "{key} is not in Jira any more; {id} stays as it is. To have it made there anew, remove its external_ref"
            ),
            Step::Left { why } => why.clone(),
            Step::Both { id, key, merge } => {
                self.warn_of_conflicts(id, key, merge, &[]);
                for field in &merge.stuck {
                    let name = field.in_jira();
                    self.report.warnings.push(format!("Jira refused the {name} of {id} for {key} before; it is not tried again until one of them changes"));
                }
                return;
            }
            _ => return,
        };
        self.report.warnings.push(text);
    }

    /// Says of what both sides have changed which stands; `told` are the fields of which that was said. Whether there was one to tell of.
    fn warn_of_conflicts(&mut self, id: &str, key: &str, merge: &Merge, told: &[Field]) -> bool {
        let new = merge.conflicts.iter().filter(|field| !told.contains(field));
        let warning = |field: &Field| {
            let whose = if merge.push.contains_key(field) { "the store's" } else { "Jira's" };
            format!("The {} of {id} and of {key} were both changed; {whose} stands", field.in_jira())
        };
        let warnings: Vec<String> = new.map(warning).collect();
        let is_any = !warnings.is_empty();
        self.report.warnings.extend(warnings);
        is_any
    }

    /// Brings Jira's changes into the store.
    fn pull(
        &mut self,
        issues: &mut Issues,
        config: &Config,
        state: &mut State,
        remotes: &BTreeMap<String, Remote>,
        steps: &[Step],
    ) -> Result<(), TrackerError> {
        for step in steps {
            self.warn(step);
            match step {
                Step::New { key, id } => {
                    let remote = &remotes[key];
                    let id = self.make(issues, config, remote, id.as_deref())?;
                    let mut link = Link::default();
                    state::see(&mut link, remote);
                    link.base =
                        remote.fields.iter().map(|(field, value)| (*field, mark(*field, value))).collect();
                    state.issues.insert(id, link);
                    self.report.stats.created += 1;
                    self.report.stats.pulled += 1;
                }
                Step::Both { id, key, merge } => self.pull_into(issues, state, id, &remotes[key], merge)?,
                Step::Gone { id, .. } => {
                    state.issues.entry(id.clone()).or_default().gone = true;
                    self.report.stats.skipped += 1;
                }
                Step::Left { .. } => self.report.stats.skipped += 1,
                Step::Create { .. } => {}
            }
        }
        Ok(())
    }

    fn make(
        &self,
        issues: &mut Issues,
        config: &Config,
        remote: &Remote,
        id: Option<&str>,
    ) -> Result<String, TrackerError> {
        let of = |field| remote.fields.get(&field).map_or("", String::as_str);
        let draft = Draft {
            title: of(Field::Title),
            description: of(Field::Description),
            kind: of(Field::Kind),
            priority: of(Field::Priority).parse().unwrap_or(2).min(4),
        };
        let made = remote.created.unwrap_or_else(|| remote.changed());
        let mut record = match id {
            Some(id) => actions::fresh(id, &draft, &stored(made)),
            None => actions::create(issues, config, &draft, made)?,
        };
        apply(&mut record, &remote.fields, remote, &self.settings.maps);
        record.set("external_ref", &self.settings.browse(&remote.key));
        let id = record.text("id").unwrap_or_default();
        issues.put(&id, Some(record));
        Ok(id)
    }

    fn pull_into(
        &mut self,
        issues: &mut Issues,
        state: &mut State,
        id: &str,
        remote: &Remote,
        merge: &Merge,
    ) -> Result<(), TrackerError> {
        let link = state.issues.entry(id.to_owned()).or_default();
        if !state::is_of(link, remote) {
            *link = Link::default();
        }
        if link.base.is_empty() && merge.conflicts.is_empty() {
            // Ours is right: what Jira has is an older state of it, however far this run gets.
            let there = |field: &Field| remote.fields.get(field).map(|value| (*field, mark(*field, value)));
            link.base.extend(merge.push.keys().filter_map(there));
        }
        state::see(link, remote);
        let stats = &mut self.report.stats;
        stats.conflicts += usize::from(!merge.conflicts.is_empty());
        if self.options.pull {
            let record = issues.get(id)?;
            let mut changed = record.clone();
            apply(&mut changed, &merge.pull, remote, &self.settings.maps);
            refer(&mut changed, self.settings, &remote.key);
            if changed != record {
                issues.put(id, Some(changed));
            }
            for (field, value) in &merge.pull {
                // Labels that go there as well are agreed on when they are there.
                if !merge.push.contains_key(field) {
                    link.base.insert(*field, mark(*field, value));
                }
            }
        }
        agree(link, merge);
        let pulls = self.options.pull && !merge.pull.is_empty();
        let pushes = self.options.push && !merge.push.is_empty();
        if pulls {
            stats.pulled += 1;
            stats.updated += 1;
            self.pulled.insert(id.to_owned());
        }
        stats.skipped += usize::from(!pulls && !pushes);
        Ok(())
    }

    /// Brings our changes to Jira.
    fn push(&mut self, store: &Store, state: &mut State, steps: &[Step]) -> Result<(), TrackerError> {
        let locals = locals(&store.read()?, self.settings)?;
        for step in steps {
            let (id, done) = match step {
                Step::Create { id } => match locals.get(id) {
                    Some(local) => (id, self.create(store, state, local)),
                    None => continue,
                },
                Step::Both { id, key, merge } if !merge.push.is_empty() => match locals.get(id) {
                    Some(local) => (id, self.edit(store, state, local, key, Some(&merge.conflicts))),
                    None => continue,
                },
                _ => continue,
            };
            match done {
                Ok(()) => {}
                Err(Failure::Fatal(error)) => return Err(error),
                Err(failure) => {
                    self.report.stats.errors += 1;
                    self.report.warnings.push(format!("{}", failure.error(&format!("bring {id} to Jira"))));
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, store: &Store, state: &mut State, local: &Local) -> Result<(), Failure> {
        let projects =
            if self.options.projects.is_empty() { &self.settings.projects } else { &self.options.projects };
        let (key, warnings) = push::create(self.client, self.settings, &projects[0], local)?;
        self.report.warnings.extend(warnings);
        let made = Link { key: key.clone(), ..Link::default() };
        state.issues.insert(local.id.clone(), made);
        self.keep(store, state, &local.id, |record, settings| refer(record, settings, &key))?;
        self.report.stats.created += 1;
        self.report.stats.pushed += 1;
        self.edit(store, state, local, &key, None)
    }

    /// Brings what differs to an issue that is there; `told` are the fields of which is known that both sides changed them, none where this
    /// run made the issue.
    fn edit(
        &mut self,
        store: &Store,
        state: &mut State,
        local: &Local,
        key: &str,
        told: Option<&[Field]>,
    ) -> Result<(), Failure> {
        let is_new = told.is_none();
        let (remote, labels) = match self.client.issue(key) {
            Err(Failure::Gone) if !is_new => {
                state.issues.entry(local.id.clone()).or_default().gone = true;
                self.warn(&Step::Gone { id: local.id.clone(), key: key.to_owned() });
                return Ok(());
            }
            issue => issue?,
        };
        let known = state.issues.get(&local.id).filter(|link| !link.base.is_empty());
        let merge = match is_new {
            true => plan::adopt(local, &remote),
            false => plan::merge_of(local, &remote, known, self.options.policy),
        };
        // Jira may have been changed since it was looked at.
        let told = told.unwrap_or_default();
        if self.warn_of_conflicts(&local.id, key, &merge, told) && told.is_empty() {
            self.report.stats.conflicts += 1;
        }
        let pushed = push::push(self.client, self.settings, &remote, &labels, local, &merge)?;
        self.report.warnings.extend(pushed.warnings);
        let link = state.issues.entry(local.id.clone()).or_default();
        agree(link, &merge);
        for (field, value) in &merge.push {
            let there = remote.fields.get(field).map_or("", String::as_str);
            if pushed.done.contains(field) {
                link.base.insert(*field, mark(*field, value));
                link.stuck.remove(field);
            } else {
                link.stuck.insert(*field, (mark(*field, value), mark(*field, there)));
            }
        }
        let is_changed = !pushed.done.is_empty();
        if is_changed && !is_new {
            self.report.stats.pushed += 1;
            self.report.stats.updated += usize::from(!self.pulled.contains(&local.id));
        }
        self.report.stats.skipped += usize::from(!is_changed && !is_new && !self.pulled.contains(&local.id));
        let after = if is_changed { self.client.issue(key)?.0 } else { remote };
        state::see(link, &after);
        // What Jira filled in itself in a new issue is known here at once.
        let (maps, fields) =
            (self.settings.maps.clone(), if is_new { merge.pull } else { Default::default() });
        for (field, value) in &fields {
            link.base.insert(*field, mark(*field, value));
        }
        match fields.is_empty() {
            true => state::write(state, store.folder()).map_err(Failure::Fatal),
            false => self.keep(store, state, &local.id, |record, _| apply(record, &fields, &after, &maps)),
        }
    }

    /// Changes an issue here, then says in `jira.json` what is known.
    fn keep(
        &self,
        store: &Store,
        state: &mut State,
        id: &str,
        change: impl FnOnce(&mut Record, &Settings),
    ) -> Result<(), Failure> {
        let kept = store.change(|issues| {
            if issues.has(id) {
                let mut record = issues.get(id)?;
                change(&mut record, self.settings);
                issues.put(id, Some(record));
                issues.describe("jira", None);
            }
            Ok(())
        });
        kept.and_then(|()| state::write(state, store.folder())).map_err(Failure::Fatal)
    }

    fn finish(mut self, last_sync: Option<String>) -> Report {
        self.report.success = self.report.stats.errors == 0;
        self.report.last_sync = last_sync;
        self.report
    }
}

/// What is the same on both sides is agreed on, and no longer refused.
fn agree(link: &mut Link, merge: &Merge) {
    for (field, value) in &merge.agreed {
        link.base.insert(*field, mark(*field, value));
        link.stuck.remove(field);
    }
}

/// An address elsewhere that is not Jira's stays.
fn refer(record: &mut Record, settings: &Settings, key: &str) {
    let known = record.text("external_ref").filter(|text| !text.is_empty());
    if known.is_none_or(|known| known.starts_with(&settings.url)) {
        let address = settings.browse(key);
        if record.text("external_ref").as_deref() != Some(&address) {
            record.set("external_ref", &address);
        }
    }
}
