//! Lists of issues: all, those that match, those that can be worked on, those that cannot and why.

use super::{Desk, Told, shape};
use crate::render::table::{Align, table};
use clap::builder::PossibleValuesParser;
use jiff::SignedDuration;
use serde_json::json;
use std::borrow::Cow;
use wootz_tracker::lease::{self, is_expired};
use wootz_tracker::ready::{Order, Ready, Reason, Rules};
use wootz_tracker::shares::in_shares;
use wootz_tracker::time::read;
use wootz_tracker::{Record, TrackerError, View};

/// Which issues.
#[derive(clap::Args)]
struct Filter {
    /// Only those with this label; of several, with all.
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Only those with at least one of these labels.
    #[arg(long, value_name = "LABEL")]
    any_label: Vec<String>,
    /// Only those without this label.
    #[arg(long, value_name = "LABEL")]
    without_label: Vec<String>,
    /// Only those of this type.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Only those of this priority.
    #[arg(long, short, value_name = "0-4")]
    priority: Option<i64>,
    /// Only those that this person is to do.
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Only those that nobody is named for.
    #[arg(long, conflicts_with = "assignee")]
    unassigned: bool,
    /// Only the parts of this issue.
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// No more than this many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

impl Filter {
    fn fits(&self, view: &View<'_>) -> bool {
        let has = |label: &String| view.labels().any(|known| known == label.as_str());
        self.label.iter().all(has)
            && (self.any_label.is_empty() || self.any_label.iter().any(has))
            && !self.without_label.iter().any(has)
            && self.kind.as_deref().is_none_or(|kind| view.kind() == kind)
            && self.priority.is_none_or(|priority| view.priority() == priority)
            && self.assignee.as_deref().is_none_or(|name| view.assignee().as_deref() == Some(name))
            && !(self.unassigned && view.assignee().is_some())
            && self.parent.as_deref().is_none_or(|parent| is_part(view, parent))
    }

    fn of<'v, 'a>(&self, views: impl IntoIterator<Item = &'v View<'a>>) -> Vec<&'v View<'a>>
    where
        'a: 'v,
    {
        let fitting = views.into_iter().filter(|view| self.fits(view));
        fitting.take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

/// Whether an issue is a part of another: by a dependency, or by its ID.
fn is_part(view: &View<'_>, parent: &str) -> bool {
    let by_id = view.id().strip_prefix(parent).and_then(|rest| rest.strip_prefix('.'));
    by_id.is_some_and(|rest| !rest.contains('.'))
        || view.dependencies().any(|edge| edge.kind == "parent-child" && edge.on == parent)
}

/// List issues by priority, then oldest first, without the closed ones unless asked.
#[derive(clap::Args)]
pub struct List {
    /// Only those of this status.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// The closed ones too.
    #[arg(long)]
    all: bool,
    /// Only those that this session has claimed.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Only those that should have been done by now.
    #[arg(long)]
    overdue: bool,
    /// Only those that are put off.
    #[arg(long)]
    deferred: bool,
    #[command(flatten)]
    filter: Filter,
}

/// Find issues whose title, description, comments or other text has all of these words.
#[derive(clap::Args)]
pub struct Search {
    /// The words, in any case.
    #[arg(required = true)]
    words: Vec<String>,
    #[command(flatten)]
    filter: Filter,
}

/// List what can be worked on now.
#[derive(clap::Args)]
pub struct ReadyArgs {
    /// Whose answer.
    #[arg(long, default_value = "wootz", value_parser = rules_names())]
    rules: String,
    /// In which order; default: as the rules have it.
    #[arg(long, value_name = "ORDER", value_parser = ["priority", "newest", "oldest", "hybrid"])]
    sort: Option<String>,
    /// Say of every issue that is not done and not ready why not.
    #[arg(long, conflicts_with = "claim")]
    explain: bool,
    /// Claim the first, in the same moment.
    #[arg(long, requires = "session")]
    claim: bool,
    /// Also what somebody has claimed whose lease is over; claimed, it is stolen.
    #[arg(long)]
    expired: bool,
    /// Who claims.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// With --claim: until when it is theirs, as `2h` or `1d`.
    #[arg(long, value_name = "DURATION", value_parser = super::life::lease, requires = "claim")]
    lease: Option<SignedDuration>,
    /// With --claim: print the ID and nothing else.
    #[arg(long, requires = "claim")]
    silent: bool,
    #[command(flatten)]
    filter: Filter,
}

/// List issues that are not done and cannot be worked on, each with its reasons.
#[derive(clap::Args)]
pub struct Blocked {
    /// Whose answer.
    #[arg(long, default_value = "wootz", value_parser = rules_names())]
    rules: String,
    #[command(flatten)]
    filter: Filter,
}

fn rules_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Rules::ALL.map(|(_, name)| name))
}

fn rules_of(name: &str) -> Rules {
    Rules::ALL.iter().find(|(_, known)| *known == name).map_or(Rules::Wootz, |(rules, _)| *rules)
}

/// Lists.
pub fn list(args: &List, desk: &Desk) -> Result<Told, TrackerError> {
    if args.all || matches!(args.status.as_deref(), Some("closed" | "tombstone")) {
        return list_of(args, desk, &desk.read()?.views()?);
    }
    desk.store()?.ask_work(desk.json, |views| list_of(args, desk, views))?
}

fn list_of(args: &List, desk: &Desk, views: &[View<'_>]) -> Result<Told, TrackerError> {
    let is_meant = |view: &&View<'_>| {
        let status = match &args.status {
            Some(wanted) => view.status() == wanted.as_str(),
            None => args.all || !view.is_done(),
        };
        let is_past =
            |time: Option<Cow<'_, str>>| time.and_then(|time| read(&time)).map(|time| time <= desk.now);
        status
            && args.session.as_deref().is_none_or(|name| view.session().as_deref() == Some(name))
            && (!args.overdue || is_past(view.text_of("due_at")) == Some(true))
            && (!args.deferred || is_past(view.defer_until()) == Some(false))
    };
    let shown = args.filter.of(sorted(views.iter().filter(is_meant).collect()));
    told(desk, &shown, "no issues found")
}

/// Finds by words.
pub fn search(args: &Search, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let words: Vec<String> = args.words.iter().map(|word| word.to_lowercase()).collect();
    let has_all = |view: &&View<'_>| {
        let Ok(record) = Record::read(view.line()) else { return false };
        // Text as it is read, not as it is spelled in JSON.
        let values = record
            .fields()
            .filter_map(|(_, value)| serde_json::from_str::<serde_json::Value>(value.get()).ok());
        let mut text = String::new();
        values.for_each(|value| gather(&value, &mut text));
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let shown = args.filter.of(sorted(views.iter().filter(has_all).collect()));
    told(desk, &shown, "no issues found")
}

/// All text in a value; what is stored is not deep.
fn gather(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::String(text) => {
            out.push_str(text);
            out.push('\n');
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| gather(value, out)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| gather(value, out)),
        _ => {}
    }
}

/// Lists what is ready, or claims the first of it.
pub fn ready(args: &ReadyArgs, desk: &Desk) -> Result<Told, TrackerError> {
    let rules = rules_of(&args.rules);
    let order = args.sort.as_deref().map(|name| match name {
        "newest" => Order::Newest,
        "oldest" => Order::Oldest,
        "hybrid" => Order::Hybrid,
        _ => Order::Priority,
    });
    if let Some(session) = args.session.as_deref().filter(|_| args.claim) {
        return claim(args, desk, rules, order, session);
    }
    desk.store()?.ask_work(desk.json, |views| {
        let ready = args.asked(Ready::new(views, rules, desk.now));
        match args.explain {
            true => explain(views, &ready, &args.filter),
            false => told(desk, &args.filter.of(ready.all(order)), "no issues ready to work on"),
        }
    })?
}

impl ReadyArgs {
    fn asked<'v, 'a>(&self, ready: Ready<'v, 'a>) -> Ready<'v, 'a> {
        if self.expired { ready.with_expired() } else { ready }
    }
}

fn claim(
    args: &ReadyArgs,
    desk: &Desk,
    rules: Rules,
    order: Option<Order>,
    session: &str,
) -> Result<Told, TrackerError> {
    let claimed = desk.change("claim", Some(session), |issues| {
        let views = issues.views()?;
        let all = args.asked(Ready::new(&views, rules, desk.now)).all(order);
        // Some rules show what others work on already.
        let is_free =
            |view: &&View<'_>| view.session().is_none() || args.expired && is_expired(view, desk.now);
        let first = args.filter.of(all.into_iter().filter(is_free)).first().map(|view| view.id().to_owned());
        let Some(id) = first else { return Ok(None) };
        let claim = lease::Claim { session, lease: args.lease };
        Ok(Some(lease::steal(issues, &id, claim, false, desk.now)?.0))
    })?;
    match claimed {
        Some(record) => {
            let (id, title) = (record.text("id").unwrap_or_default(), record.text("title"));
            let (title, until) = (title.unwrap_or_default(), super::life::until(&record));
            let text = match args.silent {
                true => id,
                false => format!("Claimed {id} for session {session}{until}: {title}"),
            };
            Ok(super::show::shown(&text, &record))
        }
        None => Err(TrackerError::Invalid {
            message: "no issues ready to work on".to_owned(),
            hint: Some("`wootz issue blocked` says what waits for what".to_owned()),
        }),
    }
}

/// Lists what is held up.
pub fn blocked(args: &Blocked, desk: &Desk) -> Result<Told, TrackerError> {
    desk.store()?.ask_work(desk.json, |views| {
        explain(views, &Ready::new(views, rules_of(&args.rules), desk.now), &args.filter)
    })?
}

fn explain(views: &[View<'_>], ready: &Ready<'_, '_>, filter: &Filter) -> Result<Told, TrackerError> {
    let held = views.iter().filter(|view| !view.is_done() && !ready.is_ready(view)).collect();
    let shown = filter.of(sorted(held));
    let mut text = String::new();
    let mut list = Vec::new();
    for view in shown {
        let reasons: Vec<String> = ready.reasons(view).iter().map(reason).collect();
        let (id, title) = (view.id(), view.title());
        text.push_str(&format!("{id}  {title}\n"));
        reasons.iter().for_each(|reason| text.push_str(&format!("  {reason}\n")));
        list.push(json!({ "id": id, "title": title, "reasons": reasons }));
    }
    if list.is_empty() {
        text.push_str("nothing is held up\n");
    }
    Ok(Told { text, json: json!(list).to_string() })
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Status(status) => format!("is {status}"),
        Reason::Waits { kind, on, status } => format!("waits for {on} ({kind}), which is {status}"),
        Reason::Parent(id) => format!("is part of {id}, which is held up"),
        Reason::Deferred(until) => format!("is put off until {until}"),
        Reason::NoWork(what) => format!("is nothing to work on: {what}"),
        Reason::OpenChildren(count) => format!("has {count} open part(s)"),
    }
}

pub fn sorted<'v, 'a>(mut views: Vec<&'v View<'a>>) -> Vec<&'v View<'a>> {
    views.sort_by_key(|view| (view.priority(), view.age()));
    views
}

/// What most priorities are written as.
const PRIORITIES: [&str; 5] = ["0", "1", "2", "3", "4"];

/// A row is a line, whatever a title holds.
fn in_one_line(title: Cow<'_, str>) -> Cow<'_, str> {
    const ENDS: [char; 3] = ['\n', '\r', '\t'];
    if title.contains(ENDS) { Cow::Owned(title.replace(ENDS, " ")) } else { title }
}

/// A table for people, the issues for programs.
pub fn told<'a>(desk: &Desk, views: &[&View<'a>], none: &str) -> Result<Told, TrackerError> {
    let header = [
        ("id", Align::Left),
        ("p", Align::Right),
        ("type", Align::Left),
        ("status", Align::Left),
        ("session", Align::Left),
        ("title", Align::Left),
    ];
    let row = |view: &&View<'a>| {
        let priority = view.priority();
        [
            Cow::Borrowed(view.id()),
            usize::try_from(priority)
                .ok()
                .and_then(|at| PRIORITIES.get(at))
                .map_or_else(|| Cow::Owned(priority.to_string()), |name| Cow::Borrowed(*name)),
            view.kind(),
            view.status(),
            view.session().unwrap_or_default(),
            in_one_line(view.title()),
        ]
    };
    let text = || match views.is_empty() {
        true => format!("{none}\n"),
        false => table(&header, &in_shares(views, |share| share.iter().map(row).collect())),
    };
    let line = |view: &&View<'a>| String::from_utf8_lossy(view.line().trim_ascii());
    Told::either(desk, text, || Ok(shape::list(views.iter().map(line))))
}
