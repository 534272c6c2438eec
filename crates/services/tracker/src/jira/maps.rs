//! What a status, a type and a priority are called on the other side.
//!
//! Both sides have names that the other lacks. What they are compared by is what a value would be after a way there and back: an issue
//! of type `refactor` and one of Jira's type Task agree, and neither is changed. Entries of the configuration come before the tables here.

use std::collections::BTreeMap;

/// One property's names: own ones and Jira's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Jira's name, in small letters, to ours.
    from: BTreeMap<String, String>,
    /// Ours to Jira's.
    to: BTreeMap<String, String>,
    /// What a name of Jira's is that nothing knows.
    unknown: &'static str,
}

impl Names {
    fn new(unknown: &'static str, table: &[(&'static str, &[&str])]) -> Names {
        let mut names = Names { from: BTreeMap::new(), to: BTreeMap::new(), unknown };
        for (own, theirs) in table {
            names.add(own, theirs);
        }
        names
    }

    fn add(&mut self, own: &str, theirs: &[&str]) {
        if let Some(first) = theirs.first() {
            self.to.insert(own.to_owned(), (*first).to_owned());
        }
        for name in theirs {
            self.from.insert(name.to_lowercase(), own.to_owned());
        }
    }

    /// An entry of the configuration: one of our names with Jira's, the first of which is the one to be given, or one of Jira's with ours.
    pub fn set(&mut self, key: &str, values: &[String]) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let is_own = |name: &str| self.to.contains_key(name) || name == self.unknown;
        match values.as_slice() {
            [own] if !is_own(key) && is_own(own) => {
                self.from.insert(key.to_lowercase(), (*own).to_owned());
            }
            theirs => self.add(key, theirs),
        }
    }

    /// Our name for one of Jira's.
    pub fn from_jira(&self, theirs: &str) -> &str {
        self.from.get(&theirs.trim().to_lowercase()).map_or(self.unknown, String::as_str)
    }

    /// Jira's name for one of ours.
    pub fn to_jira(&self, own: &str) -> &str {
        let known = self.to.get(own).or_else(|| self.to.get(self.unknown));
        known.map_or(self.unknown, String::as_str)
    }

    /// What one of ours is after a way there and back.
    pub fn agreed<'a>(&'a self, own: &'a str) -> &'a str {
        if self.to.contains_key(own) { own } else { self.from_jira(self.to_jira(own)) }
    }
}

/// All names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// `open`, `in_progress`, `blocked`, `closed`.
    pub status: Names,
    /// Types.
    pub kind: Names,
    /// From `0` to `4`.
    pub priority: Names,
}

impl Default for Maps {
    fn default() -> Maps {
        Maps {
            status: Names::new(
                "open",
                &[
                    ("open", &["To Do", "Open", "Backlog", "New"]),
                    ("in_progress", &["In Progress", "In Review"]),
                    ("blocked", &["Blocked"]),
                    ("closed", &["Done", "Closed", "Resolved"]),
                ],
            ),
            kind: Names::new(
                "task",
                &[
                    ("bug", &["Bug"]),
                    ("feature", &["Story", "Feature"]),
                    ("epic", &["Epic"]),
                    ("task", &["Task", "Sub-task"]),
                ],
            ),
            priority: Names::new(
                "2",
                &[
                    ("0", &["Highest"]),
                    ("1", &["High"]),
                    ("2", &["Medium"]),
                    ("3", &["Low"]),
                    ("4", &["Lowest"]),
                ],
            ),
        }
    }
}

impl Maps {
    /// The status by which an issue of ours is compared: those that Jira's have no name for count as what they come nearest to.
    pub fn status_of(&self, own: &str) -> String {
        let near = match own {
            "hooked" => "in_progress",
            "tombstone" => "closed",
            other => other,
        };
        self.status.agreed(near).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        let maps = Maps::default();
        for (theirs, own) in [
            ("To Do", "open"),
            ("backlog", "open"),
            ("In Review", "in_progress"),
            ("Blocked", "blocked"),
            ("RESOLVED", "closed"),
            ("Waiting for Godot", "open"),
        ] {
            assert_eq!(maps.status.from_jira(theirs), own, "{theirs}");
        }
        assert_eq!(
            ["open", "closed", "deferred"].map(|own| maps.status.to_jira(own)),
            ["To Do", "Done", "To Do"]
        );
        assert_eq!(
            ["Story", "Sub-task", "Initiative"].map(|name| maps.kind.from_jira(name)),
            ["feature", "task", "task"]
        );
        assert_eq!(["feature", "refactor"].map(|own| maps.kind.to_jira(own)), ["Story", "Task"]);
        assert_eq!(["refactor", "feature"].map(|own| maps.kind.agreed(own)), ["task", "feature"]);
        assert_eq!(["Highest", "Urgent!"].map(|name| maps.priority.from_jira(name)), ["0", "2"]);
        assert_eq!(
            ["deferred", "hooked", "tombstone"].map(|own| maps.status_of(own)),
            ["open", "in_progress", "closed"]
        );
        // Every name of ours comes back from the one it is given.
        for names in [&maps.status, &maps.kind, &maps.priority] {
            for own in names.to.keys() {
                assert_eq!(names.from_jira(names.to_jira(own)), own);
            }
        }
    }

    #[test]
    fn the_configuration_comes_first() {
        let mut maps = Maps::default();
        let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        maps.status.set("open", &text(&["Ready", "Selected"]));
        maps.status.set("QA", &text(&["in_progress"]));
        maps.kind.set("spike", &text(&["Research"]));
        maps.priority.set("Blocker", &text(&["0"]));
        assert_eq!(maps.status.to_jira("open"), "Ready");
        assert_eq!(
            ["Selected", "qa", "To Do"].map(|name| maps.status.from_jira(name)),
            ["open", "in_progress", "open"]
        );
        assert_eq!(maps.status.to_jira("in_progress"), "In Progress");
        assert_eq!((maps.kind.to_jira("spike"), maps.kind.from_jira("research")), ("Research", "spike"));
        assert_eq!((maps.priority.from_jira("blocker"), maps.priority.to_jira("0")), ("0", "Highest"));
    }
}
