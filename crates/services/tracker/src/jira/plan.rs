//! What is to be done on either side: a function of both, of what they last agreed on, and of what was asked for.
//!
//! A field that differs from what was agreed has been changed. Changed on one side, it goes to the other; on both, the policy decides and
//! the issue counts as a conflict. Labels are sets: what either side added or took away happens on both, so they never conflict.
//! No clock is asked whether something has changed; times only decide under the policy `newest`.
//! An issue that Jira has no more stays here, and one that was deleted here stays in Jira; neither is made again unless the other side
//! has been changed since.

use super::settings::Settings;
use super::sides::{Field, Fields, Local, MARKER, Remote, mark};
use super::state::{Link, State, is_of};
use std::collections::{BTreeMap, BTreeSet};

/// Who is right when both sides have changed a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The issue that was changed later.
    #[default]
    Newest,
    /// The store.
    PreferLocal,
    /// Jira.
    PreferJira,
}

/// Which issues by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Those that are not closed.
    Open,
    /// Those that are.
    Closed,
    /// All.
    #[default]
    All,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether the store may change.
    pub pull: bool,
    /// Whether Jira may.
    pub push: bool,
    /// Says what would be done, and writes nothing anywhere.
    pub dry_run: bool,
    /// For conflicts.
    pub policy: Policy,
    /// Makes issues and changes none that are on both sides.
    pub create_only: bool,
    /// By status.
    pub state: Which,
    /// In place of the projects of the settings.
    pub projects: Vec<String>,
    /// Only these: IDs, keys of Jira's, or their addresses.
    pub issues: Vec<String>,
    /// Only what is part of this issue, and it.
    pub parent: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            pull: true,
            push: true,
            dry_run: false,
            policy: Policy::default(),
            create_only: false,
            state: Which::default(),
            projects: Vec::new(),
            issues: Vec::new(),
            parent: None,
        }
    }
}

/// What is to be done for one issue that is on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merge {
    /// To be brought here.
    pub pull: Fields,
    /// To be brought to Jira.
    pub push: Fields,
    /// What is the same on both sides.
    pub agreed: Fields,
    /// Changed on both sides.
    pub conflicts: Vec<Field>,
    /// What Jira has refused before, and would again.
    pub stuck: Vec<Field>,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An issue of Jira's is made here; under an ID that it had, where there is one.
    New {
        /// Its key.
        key: String,
        /// The ID.
        id: Option<String>,
    },
    /// On both sides.
    Both {
        /// Here.
        id: String,
        /// There.
        key: String,
        /// What for.
        merge: Merge,
    },
    /// An issue of ours is made there.
    Create {
        /// Its ID.
        id: String,
    },
    /// Jira has it no more.
    Gone {
        /// Here.
        id: String,
        /// What its key was.
        key: String,
    },
    /// Nothing, for a reason that is worth a word.
    Left {
        /// What.
        why: String,
    },
}

/// What is known of both sides.
#[derive(Debug)]
pub struct Sides<'a> {
    /// By ID.
    pub locals: &'a BTreeMap<String, Local>,
    /// By key.
    pub remotes: &'a BTreeMap<String, Remote>,
    /// Keys that were asked for and that Jira does not have.
    pub gone: &'a BTreeSet<String>,
}

/// The steps, those of the store's issues first, sorted by ID.
pub fn plan(sides: &Sides<'_>, state: &State, settings: &Settings, options: &Options) -> Vec<Step> {
    let links = links(sides, state, settings);
    let scope = scope(sides.locals, options);
    let mut steps = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (id, local) in sides.locals {
        let key = links.get(id);
        let asked_by_key = key.is_some_and(|key| asks_for_key(options, settings, key));
        if !scope.as_ref().is_none_or(|scope| scope.contains(id)) && !asked_by_key {
            if let Some(key) = key {
                taken.insert(key, id);
            }
            continue;
        }
        let Some(key) = key else {
            if is_to_create(local, settings, options) {
                steps.push(Step::Create { id: id.clone() });
            }
            continue;
        };
        if let Some(other) = taken.insert(key, id) {
            taken.insert(key, other);
            steps.push(Step::Left {
                why: format!("{id} and {other} both stand for {key}; {id} was left alone"),
            });
            continue;
        }
        steps.extend(step_of_linked(sides, state, options, local, key));
    }
    let is_narrow = options.parent.is_some() && options.issues.is_empty();
    if options.pull && !is_narrow {
        let free = sides.remotes.values().filter(|remote| !taken.contains_key(remote.key.as_str()));
        let asked =
            free.filter(|remote| options.issues.is_empty() || asks_for_key(options, settings, &remote.key));
        steps.extend(asked.filter_map(|remote| step_of_new(remote, sides, state, options)));
    }
    steps
}

fn step_of_linked(
    sides: &Sides<'_>,
    state: &State,
    options: &Options,
    local: &Local,
    key: &str,
) -> Option<Step> {
    let link = state.issues.get(&local.id);
    let Some(remote) = sides.remotes.get(key) else {
        let is_gone = sides.gone.contains(key) || link.is_some_and(|link| link.gone);
        return is_gone.then(|| Step::Gone { id: local.id.clone(), key: key.to_owned() });
    };
    let is_adopted = link.is_none() && remote.marker.as_deref() == Some(&local.id);
    if options.create_only && !is_adopted {
        return None;
    }
    let merge = merge_of(local, remote, link, options.policy);
    Some(Step::Both { id: local.id.clone(), key: key.to_owned(), merge })
}

/// What is to be done for an issue on both sides, whether it has been in step or was made by a run that did not come to its end.
pub fn merge_of(local: &Local, remote: &Remote, link: Option<&Link>, policy: Policy) -> Merge {
    let is_ours = remote.marker.as_deref() == Some(&local.id);
    match link {
        Some(link) if !link.base.is_empty() && is_of(link, remote) => {
            merge(local, remote, &link.base, &link.stuck, policy)
        }
        Some(_) if is_ours => adopt(local, remote),
        // Its address was never written down here.
        None if is_ours && local.external_ref.is_none() => adopt(local, remote),
        _ => merge(local, remote, &Fields::new(), &BTreeMap::new(), policy),
    }
}

/// For an issue that was just made in Jira from ours: ours is right, except where Jira filled in what we do not say.
pub fn adopt(local: &Local, remote: &Remote) -> Merge {
    let base = Fields::from([(Field::Assignee, String::new())]);
    let merged = merge(local, remote, &base, &BTreeMap::new(), Policy::PreferLocal);
    Merge { conflicts: Vec::new(), ..merged }
}

/// The three-way comparison of two issues.
pub fn merge(
    local: &Local,
    remote: &Remote,
    base: &Fields,
    stuck: &BTreeMap<Field, (String, String)>,
    policy: Policy,
) -> Merge {
    let mut merge = Merge::default();
    for (field, here) in &local.fields {
        let field = *field;
        let there = remote.fields.get(&field).cloned().unwrap_or_default();
        let agreed = base.get(&field);
        if *here == there {
            merge.agreed.insert(field, here.clone());
            continue;
        }
        let is_stuck = stuck.get(&field) == Some(&(mark(field, here), mark(field, &there)));
        if field == Field::Labels {
            let both = merge_labels(here, &there, agreed.map(String::as_str));
            if both != *here {
                merge.pull.insert(field, both.clone());
            }
            if both != there && !is_stuck {
                merge.push.insert(field, both);
            } else if both != there {
                merge.stuck.push(field);
            }
            continue;
        }
        let is_same_here = agreed.is_some_and(|agreed| *agreed == mark(field, here));
        let is_same_there = agreed.is_some_and(|agreed| *agreed == mark(field, &there));
        let ours_wins = match policy {
            _ if is_same_there => true,
            _ if is_same_here => false,
            Policy::PreferLocal => true,
            Policy::PreferJira => false,
            Policy::Newest => local.updated > remote.changed(),
        };
        if !is_same_here && !is_same_there {
            merge.conflicts.push(field);
        }
        match ours_wins {
            false => drop(merge.pull.insert(field, there)),
            true if is_stuck => merge.stuck.push(field),
            true => drop(merge.push.insert(field, here.clone())),
        }
    }
    merge
}

fn merge_labels(here: &str, there: &str, base: Option<&str>) -> String {
    let set = |text: &str| text.split(' ').filter(|label| !label.is_empty()).map(str::to_owned).collect();
    let (here, there): (BTreeSet<String>, BTreeSet<String>) = (set(here), set(there));
    let base: BTreeSet<String> = base.map(set).unwrap_or_default();
    // In both, or in one and new there.
    let stays = |label: &&String| (here.contains(*label) && there.contains(*label)) || !base.contains(*label);
    here.union(&there).filter(stays).cloned().collect::<Vec<_>>().join(" ")
}

/// Which issue of ours is which of Jira's: by what was agreed, by its address, or by the ID that a label of Jira's carries.
pub fn links(sides: &Sides<'_>, state: &State, settings: &Settings) -> BTreeMap<String, String> {
    let by_number: BTreeMap<&str, &str> =
        sides.remotes.values().map(|remote| (remote.number.as_str(), remote.key.as_str())).collect();
    let by_marker: BTreeMap<&str, &str> = sides
        .remotes
        .values()
        .filter_map(|remote| Some((remote.marker.as_deref()?, remote.key.as_str())))
        .collect();
    let of = |local: &Local| -> Option<String> {
        let address = local.external_ref.as_deref().filter(|address| address.starts_with(&settings.url));
        let address = address.and_then(|address| settings.key_of(address));
        let link = state.issues.get(&local.id);
        match (link, address) {
            // Its address was taken away after Jira had lost it: it may be made anew.
            (Some(link), None) if link.gone => None,
            (Some(link), address) if address.is_none() || address.as_deref() == Some(&link.key) => {
                let moved = by_number.get(link.number.as_str()).filter(|_| !link.number.is_empty());
                Some(moved.map_or_else(|| link.key.clone(), |key| (*key).to_owned()))
            }
            (_, Some(address)) => Some(address),
            _ => by_marker.get(local.id.as_str()).map(|key| (*key).to_owned()),
        }
    };
    sides.locals.values().filter_map(|local| Some((local.id.clone(), of(local)?))).collect()
}

/// The IDs that were asked for; `None` where all were.
pub fn scope(locals: &BTreeMap<String, Local>, options: &Options) -> Option<BTreeSet<String>> {
    if options.issues.is_empty() && options.parent.is_none() {
        return None;
    }
    let named = locals.keys().filter(|id| options.issues.contains(id)).cloned();
    let mut scope: BTreeSet<String> = named.collect();
    if let Some(parent) = &options.parent {
        let mut family = BTreeSet::from([parent.clone()]);
        loop {
            let is_new = |local: &&Local| {
                !family.contains(&local.id) && local.parents.iter().any(|parent| family.contains(parent))
            };
            let found: Vec<String> = locals.values().filter(is_new).map(|local| local.id.clone()).collect();
            if found.is_empty() {
                break;
            }
            family.extend(found);
        }
        family.retain(|id| locals.contains_key(id));
        scope = if options.issues.is_empty() { family } else { &scope & &family };
    }
    Some(scope)
}

fn asks_for_key(options: &Options, settings: &Settings, key: &str) -> bool {
    options.issues.iter().any(|asked| settings.key_of(asked).as_deref() == Some(key))
}

fn is_to_create(local: &Local, settings: &Settings, options: &Options) -> bool {
    let is_closed = local.fields.get(&Field::Status).is_some_and(|status| status == "closed");
    let prefixes = &settings.push_prefixes;
    options.push
        && match options.state {
            Which::Open => !is_closed,
            Which::Closed => is_closed,
            Which::All => true,
        }
        && (prefixes.is_empty() || prefixes.iter().any(|prefix| local.id.starts_with(prefix.as_str())))
}

fn step_of_new(remote: &Remote, sides: &Sides<'_>, state: &State, options: &Options) -> Option<Step> {
    let is_closed = remote.fields.get(&Field::Status).is_some_and(|status| status == "closed");
    let is_wanted = match options.state {
        Which::Open => !is_closed,
        Which::Closed => is_closed,
        Which::All => true,
    };
    if !is_wanted {
        return None;
    }
    let before = state.issues.iter().find(|(_, link)| is_of(link, remote));
    match before {
        Some((id, link)) if !sides.locals.contains_key(id) => {
            // Deleted here: it comes back only where Jira has changed it since.
            (link.hash != remote.hash()).then(|| Step::New { key: remote.key.clone(), id: Some(id.clone()) })
        }
        _ => Some(Step::New { key: remote.key.clone(), id: None }),
    }
}

/// The label that carries the ID of an issue of ours.
pub fn marker(id: &str) -> String {
    format!("{MARKER}{id}")
}
