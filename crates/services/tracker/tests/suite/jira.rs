//! Synchronisation with a fake Jira: what is brought where, what happens when both sides or neither has an issue any more, and what a run
//! that does not come to its end leaves.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use wootz_testkit::jira::{CREDENTIALS, Fault, Jira, status};
use wootz_tracker::actions::{self, Draft};
use wootz_tracker::jira::{Api, Options, Pace, Policy, Report, Settings, Which, adf, sync};
use wootz_tracker::ownership::Move;
use wootz_tracker::{Record, Store, TrackerError};

struct Place {
    root: tempfile::TempDir,
    store: Store,
    jira: Jira,
    settings: Settings,
}

impl Place {
    fn new(api: Api) -> Place {
        let root = tempfile::tempdir().unwrap();
        Store::create(&root.path().join(".ba"), "/project").unwrap();
        let store = Store::find(root.path()).unwrap();
        let jira = Jira::start();
        let variables = BTreeMap::from([
            ("JIRA_URL", jira.url.as_str()),
            ("JIRA_PROJECT", "AB"),
            ("JIRA_USERNAME", CREDENTIALS.0),
            ("JIRA_API_TOKEN", CREDENTIALS.1),
        ]);
        let find = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let mut settings = Settings::read(&Record::default(), &find).unwrap();
        settings.api = api;
        settings.pace = Pace {
            timeout: Duration::from_secs(10),
            attempts: 3,
            first: Duration::from_millis(1),
            longest: Duration::from_secs(2),
        };
        jira.world().page = 3;
        Place { root, store, jira, settings }
    }

    fn try_sync(&self, options: &Options) -> Result<Report, TrackerError> {
        sync(&self.store, &self.settings, options, Timestamp::UNIX_EPOCH)
    }

    fn sync(&self) -> Report {
        self.try_sync(&Options::default()).unwrap()
    }

    fn create(&self, title: &str, description: &str) -> String {
        let draft = Draft { title, description, kind: "bug", priority: 1 };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        self.store.add(&draft, now, None).unwrap().text("id").unwrap()
    }

    fn edit(&self, id: &str, key: &str, value: impl serde::Serialize, at: &str) {
        let edited = self.store.change(|issues| {
            let mut record = issues.get(id)?;
            record.set(key, &value);
            record.set("updated_at", at);
            issues.put(id, Some(record));
            Ok(())
        });
        edited.unwrap();
    }

    fn get(&self, id: &str) -> Record {
        self.store.read().unwrap().get(id).unwrap()
    }

    fn only(&self) -> Record {
        let all = self.store.read().unwrap().all().unwrap();
        assert_eq!(all.len(), 1);
        all.into_iter().next().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.store.file()).unwrap()
    }

    /// All files but locks.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.root.path().join(".ba")).unwrap();
        let entries =
            entries.map(|entry| entry.unwrap()).filter(|entry| !entry.path().ends_with("issues.lock"));
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    }

    /// That another run changes nothing anywhere.
    fn settled(&self) {
        let (files, writes) = (self.files(), self.jira.world().writes);
        let report = self.sync();
        assert_eq!((report.stats.pulled, report.stats.pushed, report.stats.errors), (0, 0, 0), "{report:?}");
        assert_eq!(self.jira.world().writes, writes);
        assert_eq!(self.files(), files);
    }
}

const APIS: [Api; 2] = [Api::V2, Api::V3];
const EARLY: &str = "2026-01-02T00:00:00Z";
const LATE: &str = "2026-09-01T00:00:00Z";

fn description(api: Api, text: &str) -> Value {
    if api == Api::V2 { json!(text) } else { adf::from_text(text) }
}

#[test]
fn issues_of_jira_come_over_page_by_page_and_twice_is_once() {
    for api in APIS {
        let place = Place::new(api);
        {
            let mut world = place.jira.world();
            for at in 0..7 {
                world.add("AB", json!({"summary": format!("issue {at}")}));
            }
            world.add("OTHER", json!({"summary": "of another project"}));
            world.add("AB", json!({
                "summary": "all of it", "description": description(api, "one\n\ntwo é"), "status": status("In Progress"),
                "priority": {"name": "Blocker!"}, "issuetype": {"name": "Story"}, "labels": ["b", "a"],
                "assignee": {"displayName": "Ann Lee"},
            }));
            world.add(
                "AB",
                json!({"summary": "done", "status": status("Done"), "priority": {"name": "Highest"}}),
            );
            world.add("AB", json!({"summary": "stuck", "status": status("Blocked")}));
        }
        let report = place.sync();
        assert!(report.success);
        assert_eq!((report.stats.pulled, report.stats.created, report.stats.pushed), (10, 10, 0));
        assert_eq!(report.last_sync.as_deref(), Some("1970-01-01T00:00:00Z"));
        let all = place.store.read().unwrap().all().unwrap();
        let of =
            |title: &str| all.iter().find(|record| record.text("title").as_deref() == Some(title)).unwrap();
        let full = of("all of it");
        let text = |key: &str| full.text(key).unwrap();
        assert_eq!((text("description").as_str(), text("status").as_str()), ("one\n\ntwo é", "in_progress"));
        assert_eq!(
            (text("issue_type").as_str(), text("assignee").as_str(), text("owner").as_str()),
            ("feature", "Ann Lee", "Ann Lee")
        );
        assert_eq!(
            (full.read_as::<u8>("priority"), full.texts("labels")),
            (Some(2), vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(text("external_ref"), format!("{}/browse/AB-9", place.jira.url));
        assert_eq!(text("created_at"), "2026-02-01T00:00:09Z");
        assert_eq!(of("done").text("status").as_deref(), Some("closed"));
        assert!(of("done").text("closed_at").is_some());
        assert_eq!(of("stuck").text("original_status").as_deref(), Some("blocked"));
        place.settled();
    }
}

#[test]
fn issues_of_ours_go_over_and_twice_is_once() {
    for api in APIS {
        let place = Place::new(api);
        place.jira.world().people = vec!["Ann Lee".to_owned(), "Ann Lee-Smith".to_owned()];
        let id = place.create("a  title\nof two lines", "text\n\nmore");
        let labels = place.store.change(|issues| {
            actions::add_label(issues, &id, "two words", Timestamp::UNIX_EPOCH)?;
            actions::advance(issues, &id, Move::Claim("s1"), Timestamp::UNIX_EPOCH)
        });
        labels.unwrap();
        place.edit(&id, "assignee", "Ann Lee", EARLY);
        let report = place.sync();
        assert_eq!((report.stats.pushed, report.stats.created, report.stats.errors), (1, 1, 0), "{report:?}");
        {
            let world = place.jira.world();
            assert_eq!(world.issues.len(), 1);
            assert_eq!(world.field("AB-1", "summary"), "a title of two lines");
            assert_eq!(world.field("AB-1", "description"), description(api, "text\n\nmore"));
            assert_eq!(world.field("AB-1", "status")["name"], "In Progress");
            assert_eq!(world.field("AB-1", "priority")["name"], "High");
            assert_eq!(world.field("AB-1", "issuetype")["name"], "Bug");
            assert_eq!(world.field("AB-1", "labels"), json!(["two-words", format!("wootz-id-{id}")]));
            assert_eq!(world.field("AB-1", "assignee")["displayName"], "Ann Lee");
        }
        let record = place.get(&id);
        assert_eq!(record.text("title").as_deref(), Some("a  title\nof two lines"));
        assert_eq!(record.texts("labels"), ["two words"]);
        assert_eq!(record.text("session_id").as_deref(), Some("s1"));
        assert_eq!(record.text("external_ref"), Some(format!("{}/browse/AB-1", place.jira.url)));
        place.settled();
    }
}

#[test]
fn each_side_gets_what_the_other_changed() {
    for api in APIS {
        let place = Place::new(api);
        let id = place.create("one", "text");
        place.sync();
        place.edit(&id, "title", "one, here", EARLY);
        place.edit(&id, "labels", ["ours"], EARLY);
        let marker = format!("wootz-id-{id}");
        place.jira.world().edit(
            "AB-1",
            json!({"description": description(api, "text, there"), "labels": [marker, "theirs"]}),
        );
        let report = place.sync();
        assert_eq!(
            (report.stats.conflicts, report.stats.updated, report.stats.pulled, report.stats.pushed),
            (0, 1, 1, 1)
        );
        let record = place.get(&id);
        assert_eq!(record.text("description").as_deref(), Some("text, there"));
        assert_eq!(record.texts("labels"), ["ours", "theirs"]);
        assert_eq!(place.jira.world().field("AB-1", "summary"), "one, here");
        assert_eq!(
            place.jira.world().field("AB-1", "labels"),
            json!(["ours", "theirs", format!("wootz-id-{id}")])
        );
        place.settled();
        // What is taken away on one side goes on the other.
        place.edit(&id, "labels", ["theirs"], LATE);
        place.sync();
        assert_eq!(place.jira.world().field("AB-1", "labels"), json!(["theirs", format!("wootz-id-{id}")]));
        place.settled();
    }
}

#[test]
fn of_two_changes_the_policy_takes_one() {
    for (policy, at, expected) in [
        (Policy::Newest, EARLY, "there"),
        (Policy::Newest, LATE, "here"),
        (Policy::PreferLocal, EARLY, "here"),
        (Policy::PreferJira, LATE, "there"),
    ] {
        let place = Place::new(Api::V3);
        let id = place.create("one", "");
        place.sync();
        place.edit(&id, "title", "here", at);
        place.jira.world().edit("AB-1", json!({"summary": "there"}));
        let report = place.try_sync(&Options { policy, ..Options::default() }).unwrap();
        assert_eq!(report.stats.conflicts, 1);
        assert_eq!(place.get(&id).text("title").as_deref(), Some(expected));
        assert_eq!(place.jira.world().field("AB-1", "summary"), expected);
        place.settled();
    }
}

#[test]
fn a_document_that_nobody_edited_here_stays_as_it_is() {
    let place = Place::new(Api::V3);
    let rich = json!({"type": "doc", "version": 1, "content": [
        {"type": "heading", "attrs": {"level": 1}, "content": [{"type": "text", "text": "Why"}]},
        {"type": "vendorThing", "attrs": {"x": 1}},
    ]});
    place.jira.world().add("AB", json!({"summary": "rich", "description": rich}));
    place.sync();
    let id = place.only().text("id").unwrap();
    assert_eq!(place.get(&id).text("description").as_deref(), Some("# Why\n\n[vendorThing]"));
    place.edit(&id, "title", "richer", LATE);
    place.sync();
    assert_eq!(place.jira.world().field("AB-1", "summary"), "richer");
    assert_eq!(place.jira.world().field("AB-1", "description"), rich);
    place.settled();
}

#[test]
fn what_jira_lost_stays_here_and_what_was_deleted_here_stays_there() {
    let place = Place::new(Api::V3);
    let id = place.create("one", "");
    place.sync();
    place.jira.world().issues.clear();
    let report = place.sync();
    assert!(report.warnings[0].contains("AB-1 is not in Jira any more"), "{report:?}");
    assert_eq!(place.get(&id).text("status").as_deref(), Some("open"));
    place.settled();
    assert!(place.jira.world().issues.is_empty());
    // Made anew where that is asked for.
    place.edit(&id, "external_ref", "", LATE);
    place.sync();
    assert_eq!(place.jira.world().issues.len(), 1);
    place.settled();

    let removed = place.store.change(|issues| {
        issues.put(&id, None);
        Ok(())
    });
    removed.unwrap();
    place.settled();
    place.jira.world().edit("AB-2", json!({"summary": "edited after that"}));
    place.sync();
    assert_eq!(place.only().text("id").as_deref(), Some(id.as_str()));
    place.settled();
}

#[test]
fn a_dry_run_writes_nothing_anywhere() {
    let place = Place::new(Api::V3);
    let id = place.create("ours", "");
    place.sync();
    place.create("new here", "");
    place.edit(&id, "title", "edited", LATE);
    place.jira.world().add("AB", json!({"summary": "new there"}));
    let (files, writes) = (place.files(), place.jira.world().writes);
    let told = place.try_sync(&Options { dry_run: true, ..Options::default() }).unwrap();
    assert_eq!((place.files(), place.jira.world().writes), (files, writes));
    let done = place.sync();
    assert_eq!(told.stats, done.stats);
    assert_eq!((done.stats.created, done.stats.updated), (2, 1));
}

#[test]
fn an_issue_is_made_once_whatever_happens_behind_it() {
    for api in APIS {
        // The answer got lost.
        let place = Place::new(api);
        place.create("one", "");
        place.jira.world().faults.push_back(Fault::MadeThenBroken);
        assert_eq!(place.sync().stats.created, 1);
        assert_eq!(place.jira.world().issues.len(), 1);
        place.settled();

        // The run died before the store knew; meanwhile somebody edits ours.
        let place = Place::new(api);
        let id = place.create("one", "");
        place.jira.world().faults.push_back(Fault::MadeThenDead);
        let error = place.try_sync(&Options::default()).unwrap_err();
        assert!(!error.to_string().contains(CREDENTIALS.1));
        assert_eq!(place.get(&id).text("external_ref"), None);
        place.edit(&id, "title", "one, edited", EARLY);
        place.jira.world().calm();
        place.sync();
        assert_eq!(place.jira.world().issues.len(), 1);
        assert_eq!(place.jira.world().field("AB-1", "summary"), "one, edited");
        place.settled();

        // The label is all that is left to know it by.
        fs::remove_file(place.store.folder().join("jira.json")).unwrap();
        place.edit(&id, "external_ref", "", EARLY);
        let pushed = place.try_sync(&Options { pull: false, ..Options::default() }).unwrap();
        assert_eq!((pushed.stats.created, place.jira.world().issues.len()), (0, 1));
    }
}

#[test]
fn a_busy_jira_is_waited_for() {
    for api in APIS {
        let place = Place::new(api);
        place.create("one", "");
        place.jira.world().faults.extend([Fault::TooMany(1), Fault::Broken, Fault::Broken, Fault::Broken]);
        let error = place.try_sync(&Options::default()).unwrap_err();
        assert_eq!(error.to_string(), "Jira answered 503 (3 attempts)");
        assert_eq!(place.jira.world().log.len(), 3);
        // One more is left.
        let report = place.sync();
        assert_eq!((report.stats.created, report.stats.errors), (1, 0));
        place.settled();
        place.jira.world().faults.push_back(Fault::TooMany(3600));
        let error = place.try_sync(&Options::default()).unwrap_err();
        assert_eq!(error.code(), "remote");
        assert!(wootz_schema::Diagnose::hint(&error).unwrap().contains("3600 s"));
    }
}

#[test]
fn what_jira_refuses_is_reported_and_not_tried_again() {
    for api in APIS {
        let place = Place::new(api);
        let id = place.create("one", "");
        place.sync();
        place.jira.world().required.insert("Done".to_owned(), vec!["resolution".to_owned()]);
        place.jira.world().refused.insert("priority".to_owned());
        place.edit(&id, "status", "closed", LATE);
        place.edit(&id, "priority", 0, LATE);
        place.edit(&id, "title", "two", LATE);
        let report = place.sync();
        assert!(report.warnings.iter().any(|text| text.contains("asks for resolution")), "{report:?}");
        assert!(report.warnings.iter().any(|text| text.contains("priority")), "{report:?}");
        assert_eq!(place.jira.world().field("AB-1", "summary"), "two");
        let writes = place.jira.world().writes;
        let report = place.sync();
        assert_eq!((place.jira.world().writes, report.warnings.len()), (writes, 2));
        assert_eq!(place.get(&id).text("status").as_deref(), Some("closed"));
        // As soon as a side changes, it is.
        place.jira.world().required.clear();
        place.jira.world().refused.clear();
        place.edit(&id, "priority", 3, LATE);
        place.jira.world().edit("AB-1", json!({"status": status("In Progress")}));
        place.sync();
        assert_eq!(place.jira.world().field("AB-1", "priority")["name"], "Low");
        assert_eq!(place.jira.world().field("AB-1", "status")["name"], "Done");
        place.settled();
    }
}

#[test]
fn a_run_can_be_narrowed() {
    let place = Place::new(Api::V3);
    let parent = place.create("parent", "");
    let child = place.create("child", "");
    let other = place.create("other", "");
    place.edit(
        &child,
        "dependencies",
        [json!({"issue_id": child, "depends_on_id": parent, "type": "parent-child"})],
        EARLY,
    );
    place.jira.world().add("AB", json!({"summary": "theirs, open"}));
    place.jira.world().add("AB", json!({"summary": "theirs, done", "status": status("Done")}));
    let run = |options: Options| place.try_sync(&options).unwrap().stats;
    let all = Options::default;
    assert_eq!(run(Options { parent: Some(parent.clone()), ..all() }).created, 2);
    assert_eq!(place.get(&other).text("external_ref"), None);
    assert_eq!(run(Options { issues: vec![other.clone()], ..all() }).created, 1);
    assert_eq!(run(Options { state: Which::Closed, pull: true, ..all() }).created, 1);
    assert_eq!(run(Options { push: true, pull: false, ..all() }).created, 0);
    assert_eq!(run(Options { issues: vec!["AB-1".to_owned()], ..all() }).created, 1);
    place.edit(&other, "title", "edited", LATE);
    let stats = run(Options { create_only: true, ..all() });
    assert_eq!((stats.created, stats.updated), (0, 0));
    assert_eq!(run(Options { push: false, ..all() }).updated, 0);
    assert_eq!(run(all()).updated, 1);
    place.settled();
}

#[test]
fn a_moved_issue_keeps_its_place() {
    let place = Place::new(Api::V3);
    let id = place.create("one", "");
    place.sync();
    place.jira.world().issues[0].key = "AB-77".to_owned();
    place.sync();
    assert_eq!(place.only().text("external_ref"), Some(format!("{}/browse/AB-77", place.jira.url)));
    assert_eq!(place.only().text("id").as_deref(), Some(id.as_str()));
    place.settled();
}

#[test]
fn a_server_without_a_certificate_gets_nothing() {
    let place = Place::new(Api::V3);
    let mut settings = place.settings.clone();
    settings.url = settings.url.replace("http://", "https://");
    let error = sync(&place.store, &settings, &Options::default(), Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(error.to_string().starts_with("Failed to reach Jira at http"), "{error}");
    assert!(place.jira.world().log.is_empty());
}

#[test]
fn the_token_is_nowhere() {
    let place = Place::new(Api::V3);
    place.create("one", "");
    place.sync();
    let mut settings = place.settings.clone();
    settings.username = "somebody else".to_owned();
    let error = sync(&place.store, &settings, &Options::default(), Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(error.to_string().contains("credentials"), "{error}");
    let shown = format!("{error:?}{settings:?}");
    assert!(!shown.contains(CREDENTIALS.1));
    for (name, bytes) in place.files() {
        assert!(!String::from_utf8(bytes).unwrap().contains(CREDENTIALS.1), "{name}");
    }
    assert!(!place.text().is_empty());
}

#[test]
fn what_jira_changes_during_a_run_is_a_conflict_too() {
    for (policy, stands) in [(Policy::PreferLocal, "ours"), (Policy::PreferJira, "edited meanwhile")] {
        let place = Place::new(Api::V3);
        let id = place.create("first", "");
        place.sync();
        place.edit(&id, "title", "ours", LATE);
        place.jira.world().faults.push_back(Fault::EditedBefore);
        let options = Options { policy, ..Options::default() };
        let report = place.try_sync(&options).unwrap();
        assert_eq!(report.stats.conflicts, 1, "{report:?}");
        assert!(report.warnings.iter().any(|warning| warning.contains("summary") && warning.contains(&id)));
        place.try_sync(&options).unwrap();
        assert_eq!(place.get(&id).text("title").as_deref(), Some(stands));
        let key = place.jira.world().issues[0].key.clone();
        assert_eq!(place.jira.world().field(&key, "summary"), stands);
        place.settled();
    }
}

#[test]
fn an_order_in_the_condition_is_left_out_and_quotes_are_not() {
    let mut place = Place::new(Api::V3);
    place.settings.pull_jql = Some("text ~ \"order by mail\" ORDER BY created".to_owned());
    place.jira.world().add("AB", json!({"summary": "one that is asked about"}));
    // The fake does not know such conditions, and says which it was asked.
    let error = place.try_sync(&Options::default()).unwrap_err().to_string();
    assert!(error.contains("(text ~ \"order by mail\") ORDER BY key"), "{error}");
}
