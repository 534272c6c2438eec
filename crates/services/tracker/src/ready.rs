//! What can be worked on now.
//!
//! Several programs answer this differently about the same issues, so the rules are chosen by name. They differ in which statuses
//! are work, which hold others up, which dependencies hold up, and in the order:
//!
//! | rules | work | holds up | what hides besides | order |
//! |---|---|---|---|---|
//! | `ba` | open | all but closed; missing ones do not | | priority, oldest |
//! | `bd-0.9.6` | open | open, in progress, blocked | a parent that is held up | priority, newest |
//! | `bd-0.49` | open, in progress | those, deferred, hooked | a parent that is held up, `defer_until`, pinned, types and IDs that are no work | young ones by priority, then oldest |
//! | `bd-1.0` | open | those | the same, and a parent that is put off | priority, newest |
//! | `wootz` | open | all but closed | the same, and an epic with open children | priority, oldest |

use crate::lease;
use crate::shares::in_shares;
use crate::view::{Edge, Index, View};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Whose answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// Our own.
    #[default]
    Wootz,
    /// That of `ba`.
    Ba,
    /// That of beads 0.9.6.
    Bd096,
    /// That of beads 0.49.
    Bd049,
    /// That of beads 1.0.
    Bd10,
}

impl Rules {
    /// All, with their names.
    pub const ALL: [(Rules, &'static str); 5] = [
        (Rules::Wootz, "wootz"),
        (Rules::Ba, "ba"),
        (Rules::Bd096, "bd-0.9.6"),
        (Rules::Bd049, "bd-0.49"),
        (Rules::Bd10, "bd-1.0"),
    ];

    fn is_work(self, status: &str) -> bool {
        status == "open" || self == Rules::Bd049 && status == "in_progress"
    }

    fn holds_up(self, status: &str) -> bool {
        match self {
            Rules::Wootz | Rules::Ba => !matches!(status, "closed" | "tombstone"),
            Rules::Bd096 => matches!(status, "open" | "in_progress" | "blocked"),
            Rules::Bd049 | Rules::Bd10 => {
                matches!(status, "open" | "in_progress" | "blocked" | "deferred" | "hooked")
            }
        }
    }

    fn order(self) -> Order {
        match self {
            Rules::Wootz | Rules::Ba => Order::Priority,
            Rules::Bd096 | Rules::Bd10 => Order::Newest,
            Rules::Bd049 => Order::Hybrid,
        }
    }
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By priority, then oldest first.
    Priority,
    /// By priority, then newest first.
    Newest,
    /// Oldest first.
    Oldest,
    /// Those of the last 48 hours by priority, then the others, oldest first.
    Hybrid,
}

/// Why an issue is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its status is none of work.
    Status(String),
    /// It waits for another issue.
    Waits {
        /// The kind of the dependency.
        kind: String,
        /// The other issue.
        on: String,
        /// Its status.
        status: String,
    },
    /// The issue it is part of is held up or put off.
    Parent(String),
    /// It is put off.
    Deferred(String),
    /// It is nothing to work on.
    NoWork(String),
    /// An epic whose parts are not done.
    OpenChildren(usize),
}

/// How often a parent's own parent is asked.
const DEPTH: usize = 50;

/// Issues with an answer for each.
pub struct Ready<'v, 'a> {
    index: Index<'v, 'a>,
    rules: Rules,
    now: Timestamp,
    takes_expired: bool,
    /// Children of each issue that has some, as `parent-child` edges tell.
    children: HashMap<String, Vec<usize>>,
}

impl<'v, 'a> Ready<'v, 'a> {
    /// Prepares for questions; `views` are sorted by ID.
    pub fn new(views: &'v [View<'a>], rules: Rules, now: Timestamp) -> Ready<'v, 'a> {
        let mut children: HashMap<String, Vec<usize>> = HashMap::new();
        if rules != Rules::Ba {
            for (at, view) in views.iter().enumerate() {
                for edge in view.dependencies().filter(|edge| edge.kind == "parent-child") {
                    children.entry(edge.on.into_owned()).or_default().push(at);
                }
            }
        }
        Ready { index: Index::new(views), rules, now, takes_expired: false, children }
    }

    /// The same, with what somebody has whose lease is over as work too.
    pub fn with_expired(self) -> Ready<'v, 'a> {
        Ready { takes_expired: true, ..self }
    }

    fn is_work(&self, view: &View<'_>) -> bool {
        self.rules.is_work(&view.status()) || self.takes_expired && lease::is_expired(view, self.now)
    }

    /// The issues that can be worked on, in the order of `order` or of the rules.
    pub fn all(&self, order: Option<Order>) -> Vec<&'v View<'a>> {
        let order = order.unwrap_or(self.rules.order());
        let young =
            |view: &View<'_>| self.now.duration_since(view.created()) < SignedDuration::from_hours(48);
        let key = |view: &View<'_>| {
            let (priority, age) = (view.priority(), view.age());
            match order {
                Order::Priority => (0, priority, age),
                Order::Newest => (0, priority, u128::MAX - age),
                Order::Oldest => (0, 0, age),
                Order::Hybrid if young(view) => (0, priority, age),
                Order::Hybrid => (1, 0, age),
            }
        };
        let keyed = |views: &'v [View<'a>]| {
            let ready = views.iter().filter(|view| self.is_ready(view));
            ready.map(|view| (key(view), view)).collect::<Vec<_>>()
        };
        let mut keyed = in_shares(self.index.views(), keyed);
        // Views come sorted by ID, which decides between equals.
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, view)| view).collect()
    }

    /// Whether an issue can be worked on.
    pub fn is_ready(&self, view: &View<'_>) -> bool {
        self.is_work(view) && self.reasons(view).is_empty()
    }

    /// Why not; empty where it can.
    pub fn reasons(&self, view: &View<'_>) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if !self.is_work(view) {
            reasons.push(Reason::Status(view.status().into_owned()));
        }
        if self.rules == Rules::Ba {
            reasons.extend(view.blockers().filter_map(|on| self.waits("blocks", &on)));
            return reasons;
        }
        reasons.extend(self.held_up(view));
        let parent = self.parents(view).find(|parent| self.hides_children(parent, 0));
        reasons.extend(parent.map(|parent| Reason::Parent(parent.id().to_owned())));
        if self.rules == Rules::Bd096 {
            return reasons;
        }
        if let Some(until) = self.put_off(view) {
            reasons.push(Reason::Deferred(until));
        }
        let is_work_type = !matches!(
            view.kind().as_ref(),
            "merge-request" | "gate" | "molecule" | "message" | "agent" | "role" | "rig"
        );
        if view.is_aside() || !is_work_type || view.id().contains("-mol-") || view.id().contains("-wisp-") {
            reasons.push(Reason::NoWork(if view.is_aside() {
                "pinned or ephemeral".to_owned()
            } else {
                view.kind().into_owned()
            }));
        }
        if self.rules == Rules::Wootz && view.kind() == "epic" {
            let open = self
                .children
                .get(view.id())
                .into_iter()
                .flatten()
                .filter(|at| !self.index.views()[**at].is_done())
                .count();
            if open > 0 {
                reasons.push(Reason::OpenChildren(open));
            }
        }
        reasons
    }

    fn waits(&self, kind: &str, on: &str) -> Option<Reason> {
        let status = self.index.get(on)?.status();
        let reason =
            || Reason::Waits { kind: kind.to_owned(), on: on.to_owned(), status: status.to_string() };
        self.rules.holds_up(&status).then(reason)
    }

    /// What holds an issue up by its own dependencies.
    fn held_up<'s>(&'s self, view: &View<'s>) -> impl Iterator<Item = Reason> {
        view.edges().filter_map(|edge| self.edge_holds(&edge))
    }

    fn edge_holds(&self, edge: &Edge<'_>) -> Option<Reason> {
        match edge.kind.as_ref() {
            "blocks" => self.waits("blocks", &edge.on),
            _ if self.rules == Rules::Bd096 => None,
            // It runs only when the other has failed.
            "conditional-blocks" => {
                let other = self.index.get(&edge.on)?;
                let failed =
                    other.status() == "closed" && other.close_reason().as_deref().is_some_and(says_failure);
                let reason = Reason::Waits {
                    kind: edge.kind.to_string(),
                    on: edge.on.to_string(),
                    status: other.status().into_owned(),
                };
                (!failed && other.status() != "tombstone").then_some(reason)
            }
            "waits-for" => self.waits_for_children(edge),
            _ => None,
        }
    }

    /// Until all children of the other issue are done, or any where the edge says so.
    fn waits_for_children(&self, edge: &Edge<'_>) -> Option<Reason> {
        let children = self.children.get(edge.on.as_ref())?;
        let any = edge.metadata.as_deref().is_some_and(|metadata| metadata.contains("any-children"));
        let mut open = children
            .iter()
            .map(|at| &self.index.views()[*at])
            .filter(|child| self.rules.holds_up(&child.status()));
        let first = open.next()?;
        let rest = open.count();
        if any && rest + 1 < children.len() {
            return None;
        }
        let (on, status) = (first.id().to_owned(), first.status().into_owned());
        Some(Reason::Waits { kind: edge.kind.to_string(), on, status })
    }

    fn parents<'s>(&'s self, view: &View<'s>) -> impl Iterator<Item = &'v View<'a>> {
        let parents = view.dependencies().filter(|edge| edge.kind == "parent-child");
        parents.filter_map(|edge| self.index.get(&edge.on))
    }

    /// Whether what an issue consists of cannot be worked on because it cannot.
    fn hides_children(&self, view: &View<'_>, depth: usize) -> bool {
        let put_off = match self.rules {
            Rules::Bd10 | Rules::Wootz => view.status() == "deferred" || self.put_off(view).is_some(),
            _ => false,
        };
        put_off
            || self.held_up(view).next().is_some()
            || depth < DEPTH && self.parents(view).any(|parent| self.hides_children(parent, depth + 1))
    }

    fn put_off(&self, view: &View<'_>) -> Option<String> {
        let until = view.defer_until()?;
        crate::time::read(&until).is_some_and(|time| time > self.now).then(|| until.into_owned())
    }
}

/// Whether the reason for closing says that the work did not succeed.
fn says_failure(reason: &str) -> bool {
    const WORDS: [&str; 11] = [
        "failed",
        "rejected",
        "wontfix",
        "won't fix",
        "canceled",
        "cancelled",
        "abandoned",
        "blocked",
        "error",
        "timeout",
        "aborted",
    ];
    let reason = reason.to_lowercase();
    WORDS.iter().any(|word| reason.contains(word))
}
