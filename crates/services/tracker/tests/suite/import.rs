//! Imports and exports: the real files of beads, what `ba` does with its own fixture, sources of every kind, and input that is wrong.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wootz_tracker::export::beads_of;
use wootz_tracker::import::{Options, Report, Role, entries_of, import, take};
use wootz_tracker::ready::{Ready, Rules};
use wootz_tracker::{Config, Issues, Record, Store};

const REAL: [(&str, &str); 2] = [
    ("v0.24.0", include_str!("../data/beads/v0.24.0.jsonl")),
    ("v0.30.3", include_str!("../data/beads/v0.30.3.jsonl")),
];

/// The nine lines of `ba`'s import, with what comes of each told beside it.
const FIXTURE: &str = concat!(
    r#"{"id":"x-1","title":"A","description":"","status":"open","priority":1,"issue_type":"task","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"id":"x-2","title":"B","description":"","status":"closed","priority":9,"issue_type":"bug","created_at":"2025-01-01T00:00:00-08:00","updated_at":"2025-01-01T00:00:00-08:00","closed_at":"2025-01-02T00:00:00-08:00","labels":["l"],"comments":[{"id":1,"issue_id":"x-2","author":"me","text":"hi","created_at":"2025-01-01T00:00:00Z"}]}"#,
    "\n",
    r#"{"id":"x-3","title":"C","description":"","status":"deferred","priority":1,"issue_type":"task","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"id":"x-4","title":"D","description":"","status":"open","priority":-1,"issue_type":"task","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"id":"x-5","title":"E","description":null,"status":"open","priority":1,"issue_type":"task","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"id":"x-6","title":"F","description":"","status":"open","priority":1,"issue_type":"epic","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z","dependencies":[{"issue_id":"x-6","depends_on_id":"x-1","type":"blocks"},{"issue_id":"x-6","depends_on_id":"x-3","type":"blocks"},{"issue_id":"x-6","depends_on_id":"x-2","type":"parent-child"}]}"#,
    "\n",
    "not json\n",
    r#"{"id":"x-8","title":"G","description":"","status":"open","priority":1,"issue_type":"zzz","created_at":"bad","updated_at":"2025-01-01T00:00:00Z"}"#,
    "\n\n",
);

const BA: Options = Options { role: Role::Ba, keep_ids: false, strict: false };
const WOOTZ: Options = Options { role: Role::Wootz, keep_ids: false, strict: false };

fn kept(options: Options) -> Options {
    Options { keep_ids: true, ..options }
}

/// A store in memory: the file, and the records that are no issues.
#[derive(Default, Clone)]
struct Memory {
    file: String,
    others: Vec<Record>,
}

impl Memory {
    fn issues(&self) -> Issues {
        Issues::of_bytes(Path::new("issues.jsonl"), self.file.clone().into_bytes()).unwrap()
    }

    fn import(&mut self, source: &[u8], options: Options) -> Report {
        let config = Config { version: 1, prefix: "um".to_owned() };
        let mut issues = self.issues();
        let now = "2026-05-05T05:05:05Z".parse().unwrap();
        let (report, others) = take(&mut issues, &config, entries_of(source), options, now).unwrap();
        self.others
            .extend(others.into_iter().filter(|other| !self.others.contains(other)).collect::<Vec<_>>());
        self.file = issues.all().unwrap().iter().map(|record| record.line() + "\n").collect();
        report
    }

    fn of(source: &[u8], options: Options) -> (Memory, Report) {
        let mut memory = Memory::default();
        let report = memory.import(source, options);
        (memory, report)
    }

    fn export(&self) -> String {
        beads_of(&self.issues(), &self.others).unwrap()
    }

    fn get(&self, id: &str) -> Value {
        serde_json::from_str(&self.issues().get(id).unwrap().line()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        self.issues().all().unwrap().iter().map(|record| record.text("id").unwrap()).collect()
    }

    fn ready(&self, rules: Rules) -> usize {
        let issues = self.issues();
        let views = issues.views().unwrap();
        Ready::new(&views, rules, "2026-01-01T00:00:00Z".parse().unwrap()).all(None).len()
    }
}

fn values(lines: &str) -> Vec<Value> {
    let mut values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    values.sort_by_key(|value| (value["id"].to_string(), value["key"].to_string()));
    values
}

/// Every line is one that `ba` can read: its keys are there, with its types.
fn check_readable(file: &str) {
    for line in file.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{key} of {line}"));
        assert!(line.starts_with("{\"id\":\""), "{line}");
        text("title");
        text("description");
        assert!(["open", "in_progress", "closed"].contains(&text("status")), "{line}");
        assert!(value["priority"].as_u64().is_some_and(|priority| priority <= 4), "{line}");
        text("issue_type");
        for key in ["created_at", "updated_at"] {
            text(key).parse::<Timestamp>().unwrap();
        }
        if let Some(time) = value.get("closed_at").and_then(Value::as_str) {
            time.parse::<Timestamp>().unwrap();
        }
        for key in ["labels", "blocks", "blocked_by"] {
            assert!(value[key].as_array().unwrap().iter().all(Value::is_string), "{key} of {line}");
        }
        for comment in value["comments"].as_array().unwrap() {
            assert!(comment["author"].is_string() && comment["text"].is_string(), "{line}");
            comment["created_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
        }
    }
}

/// Lists mirror each other.
fn check_mirrors(memory: &Memory) {
    let all = memory.issues().all().unwrap();
    let lists: BTreeMap<String, (Vec<String>, Vec<String>)> = all
        .iter()
        .map(|one| (one.text("id").unwrap(), (one.texts("blocks"), one.texts("blocked_by"))))
        .collect();
    for (id, (blocks, blocked_by)) in &lists {
        assert!(blocks.iter().all(|other| lists[other].1.contains(id)), "{id}");
        let there = |other: &&String| lists.contains_key(*other);
        assert!(blocked_by.iter().filter(there).all(|other| lists[other].0.contains(id)), "{id}");
    }
}

#[test]
fn the_fixture_under_the_role_of_ba() {
    let mut memory = Memory::default();
    let report = memory.import(FIXTURE.as_bytes(), BA);
    expect_test::expect![[r#"
        Imported 3 issues (0 skipped, 7 errors)

        Errors:
          Line 4: Issue 'x-4' - parsing: invalid value: integer `-1`, expected u8
          Line 5: Issue 'x-5' - parsing: invalid type: null, expected a string
          Line 7: json: Invalid JSON: expected ident at line 1 column 2
          Line 2: Issue 'x-2' - issue_type: Unknown type 'bug' mapped to 'task'
          Line 3: Issue 'x-3' - status: Unknown status 'deferred', expected open/in_progress/closed
          Line 8: Issue 'x-8' - issue_type: Unknown type 'zzz' mapped to 'task'
          Line 8: Issue 'x-8' - created_at: Invalid timestamp 'bad'
    "#]]
    .assert_eq(&report.text());
    assert_eq!(report.counts().line(), r#"{"imported":3,"skipped":0,"errors":7}"#);
    assert_eq!(memory.ids(), ["um-5sah", "um-hh22", "um-vuxr"]);
    assert_eq!(memory.get("um-5sah")["blocked_by"], json!(["um-hh22", "um-7l5r"]));
    assert_eq!(memory.get("um-hh22")["blocks"], json!(["um-5sah"]));
    let second = memory.get("um-vuxr");
    assert_eq!(
        (&second["created_at"], &second["closed_at"], &second["priority"], &second["issue_type"]),
        (&json!("2025-01-01T08:00:00Z"), &json!("2025-01-02T08:00:00Z"), &json!(4), &json!("task"))
    );
    // What ba loses is kept.
    assert_eq!(second["labels"], json!(["l"]));
    assert_eq!(second["comments"][0]["text"], json!("hi"));
    check_readable(&memory.file);

    let before = memory.file.clone();
    let report = memory.import(FIXTURE.as_bytes(), BA);
    assert!(report.text().starts_with("Imported 0 issues (3 skipped, 6 errors)\n"), "{}", report.text());
    assert_eq!(memory.file, before);

    let report = memory.import(FIXTURE.as_bytes(), kept(BA));
    assert!(report.text().starts_with("Imported 3 issues (0 skipped, 7 errors)\n"), "{}", report.text());
    assert_eq!(memory.ids(), ["um-5sah", "um-hh22", "um-vuxr", "x-1", "x-2", "x-6"]);
    assert_eq!(memory.get("x-6")["blocked_by"], json!(["x-1", "x-3"]));
    let before = memory.file.clone();
    let report = memory.import(FIXTURE.as_bytes(), kept(BA));
    assert!(report.text().starts_with("Imported 0 issues (3 skipped, 6 errors)\n"), "{}", report.text());
    assert!(!report.text().contains("x-2"));
    assert_eq!(memory.file, before);
}

#[test]
fn the_fixture_with_all_that_can_be_taken() {
    let (memory, report) = Memory::of(FIXTURE.as_bytes(), WOOTZ);
    expect_test::expect![[r#"
        Imported 7 issues (0 skipped, 1 errors)

        Errors:
          Line 7: json: Invalid JSON: expected ident at line 1 column 2

        Changed, with what it was kept in the issue:
          Line 8: Issue 'x-8' - created_at: it is no time
          Line 4: Issue 'x-4' - priority: -1 is not 0 to 4
          Line 2: Issue 'x-2' - priority: 9 is not 0 to 4
          Line 3: Issue 'x-3' - status: 'deferred' is none of ba's three: it reads in_progress
    "#]]
    .assert_eq(&report.text());
    check_readable(&memory.file);
    check_mirrors(&memory);
    let deferred = memory.get("um-7l5r");
    assert_eq!(
        (&deferred["status"], &deferred["original_status"]),
        (&json!("in_progress"), &json!("deferred"))
    );
    assert_eq!(memory.get("um-5sah")["blocked_by"], json!(["um-hh22", "um-7l5r"]));
    // What waits for a deferred issue is not ready, and neither is that.
    let issues = memory.issues();
    let views = issues.views().unwrap();
    let ready = Ready::new(&views, Rules::Ba, Timestamp::UNIX_EPOCH).all(None);
    assert!(ready.iter().all(|view| !["um-5sah", "um-7l5r"].contains(&view.id())));
    let refused = take(
        &mut Memory::default().issues(),
        &Config { version: 1, prefix: "um".to_owned() },
        entries_of(FIXTURE.as_bytes()),
        Options { strict: true, ..WOOTZ },
        Timestamp::UNIX_EPOCH,
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("1 lines were refused") && refused.contains("Line 7: json"), "{refused}");
}

#[test]
fn real_files_lose_nothing_and_say_what_is_ready() {
    for (name, file) in REAL {
        for options in [WOOTZ, kept(WOOTZ)] {
            let (mut memory, report) = Memory::of(file.as_bytes(), options);
            assert_eq!((report.imported, report.errors.len()), (file.lines().count(), 0), "{name}");
            check_readable(&memory.file);
            check_mirrors(&memory);
            let exported = memory.export();
            assert_eq!(values(&exported), values(file), "{name}");
            let expected = if name == "v0.24.0" { [50, 50, 52] } else { [89, 89, 89] };
            let ready = [Rules::Ba, Rules::Bd096, Rules::Bd049].map(|rules| memory.ready(rules));
            assert_eq!(ready, expected, "{name}");
            let before = memory.file.clone();
            for again in [WOOTZ, kept(WOOTZ), BA] {
                let report = memory.import(file.as_bytes(), again);
                if again.role == Role::Wootz {
                    assert_eq!((report.imported, report.skipped), (0, file.lines().count()), "{name}");
                }
                assert_eq!(memory.file, before, "{name} {again:?}");
            }
            for options in [WOOTZ, kept(WOOTZ)] {
                let (again, _) = Memory::of(exported.as_bytes(), options);
                assert_eq!(again.export(), exported, "{name}: a fixed point");
            }
        }
    }
}

#[test]
fn what_ba_takes_of_the_real_files() {
    for (name, file) in REAL {
        let (mut memory, report) = Memory::of(file.as_bytes(), BA);
        check_readable(&memory.file);
        let live: Vec<Value> = values(file).into_iter().filter(|one| one["status"] != "tombstone").collect();
        assert_eq!(report.imported, live.len(), "{name}");
        let before = memory.file.clone();
        assert_eq!(memory.import(file.as_bytes(), BA).imported, 0);
        assert_eq!(memory.file, before);
        // An export still has every value as it came, but edges to what ba refused.
        for value in values(&memory.export()) {
            let source = live.iter().find(|one| one["id"] == value["id"]).unwrap();
            for (key, value) in value.as_object().unwrap().iter().filter(|(key, _)| *key != "dependencies") {
                assert_eq!(value, &source[key], "{key} in {name}");
            }
        }
    }
}

#[test]
fn every_era_comes_back() {
    let lines = [
        // 0.9: sequential IDs, comments with numbers.
        json!({"id":"bd-1","title":"é \u{1f600} \"q\" \\","description":"d","design":"x","acceptance_criteria":"y","notes":"z","status":"in_progress","priority":0,"issue_type":"feature","assignee":"me","estimated_minutes":30,"created_at":"2025-10-12T10:00:00.123456789-07:00","updated_at":"2025-10-12T10:00:00Z","external_ref":"gh-9","labels":["b","a","a"],"comments":[{"id":7,"issue_id":"bd-1","author":"a","text":"t","created_at":"2025-10-12T10:00:00Z"}]}),
        // 0.30: tombstones and messages.
        json!({"id":"bd-a3f8","content_hash":"00","source_repo":".","title":"gone","description":"","status":"tombstone","priority":2,"issue_type":"task","created_at":"2025-10-12T10:00:00Z","updated_at":"2025-10-12T10:00:00Z","deleted_at":"2025-10-12T10:00:00Z","deleted_by":"x","delete_reason":"r","original_type":"bug"}),
        // 0.34 to 0.49: other statuses and types, wisps, metadata of edges.
        json!({"id":"bd-w","title":"w","description":"","status":"hooked","priority":3,"issue_type":"molecule","wisp":true,"created_at":"2025-10-12T10:00:00-08:00","updated_at":"2025-10-12T10:00:00-08:00","defer_until":"2030-01-01T00:00:00-08:00","waiters":["a"],"timeout":5000000000u64,"dependencies":[{"issue_id":"bd-w","depends_on_id":"bd-1","type":"waits-for","metadata":"{\"gate\":\"any-children\"}"},{"issue_id":"bd-w","depends_on_id":"bd-1","type":"blocks","created_at":"2025-10-12T10:00:00-08:00","created_by":"me"},{"issue_id":"bd-w","depends_on_id":"bd-1","type":"blocks","created_by":"twice"},{"issue_id":"bd-w","depends_on_id":"external:other:bd-9","type":"blocks"},{"issue_id":"bd-w","depends_on_id":"bd-1","type":"my-own-type"}]}),
        // 1.0: types of records, UUIDs, counts.
        json!({"_type":"issue","id":"bd-a3f8.1","title":"child","status":"blocked","priority":1,"issue_type":"spike","created_at":"2026-05-01T00:00:00Z","updated_at":"2026-05-01T00:00:00Z","started_at":"2026-05-01T00:00:00Z","spec_id":"s","metadata":{"k":[1,{"n":null}]},"comments":[{"id":"0197-uuid","issue_id":"bd-a3f8.1","author":"a","text":"t","created_at":"2026-05-01T00:00:00Z"}],"dependencies":[{"issue_id":"bd-a3f8.1","depends_on_id":"bd-a3f8","type":"parent-child","created_at":"2026-05-01T00:00:00Z","created_by":"m","metadata":"{}","thread_id":""}],"dependency_count":0,"dependent_count":9,"comment_count":1}),
        json!({"_type":"memory","key":"k","value":"remember é"}),
        // A status of one's own, missing and null fields, other types.
        json!({"id":"bd-c","title":"","status":"review:active","priority":null,"created_at":"2026-05-01T00:00:00Z"}),
        json!({"id":"bd-n","title":"n","description":null,"status":null,"priority":"high","issue_type":null,"labels":null,"comments":null,"dependencies":null,"created_at":null,"updated_at":"yesterday","closed_at":"never","session_id":5}),
        json!({"id":"bd-t","title":"t","description":5,"status":3,"priority":2.5,"issue_type":[],"labels":["a",1],"comments":["plain",{"body":1},{"author":"x","text":"y","created_at":"2026-01-01 00:00:00"}],"dependencies":["odd",{"no":"ends"}],"created_at":"2026-05-01 10:00:00","updated_at":"2026-05-01"}),
    ];
    let file: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let file = format!("\u{feff}{}", file.trim_end());
    for options in [WOOTZ, kept(WOOTZ)] {
        let (mut memory, report) = Memory::of(file.as_bytes(), options);
        assert_eq!((report.imported, report.errors.len()), (7, 0), "{}", report.text());
        check_readable(&memory.file);
        check_mirrors(&memory);
        let exported = memory.export();
        assert_eq!(values(&exported), values(&file.replace('\u{feff}', "")));
        let before = memory.file.clone();
        assert_eq!(memory.import(file.as_bytes(), options).skipped, 7);
        assert_eq!((&memory.file, memory.others.len()), (&before, 1));
        assert_eq!(Memory::of(exported.as_bytes(), options).0.export(), exported);
    }
}

#[test]
fn equal_titles_and_times_are_two_issues() {
    let line = |id: &str| {
        format!(
            "{{\"id\":\"{id}\",\"title\":\"same\",\"status\":\"open\",\"priority\":2,\"issue_type\":\"task\",\"created_at\":\"2025-01-01T00:00:00Z\",\"updated_at\":\"2025-01-01T00:00:00Z\"}}\n"
        )
    };
    let file = line("x-1") + &line("x-2") + &line("x-1");
    for options in [BA, WOOTZ] {
        let (mut memory, report) = Memory::of(file.as_bytes(), options);
        assert_eq!((report.imported, report.skipped, report.errors.len()), (2, 1, 0));
        assert_eq!(memory.import(file.as_bytes(), options).skipped, 3);
    }
    // Another project's x-1 is another issue, which cannot have the ID too.
    let (mut memory, _) = Memory::of(file.as_bytes(), kept(WOOTZ));
    let other = line("x-1").replace("2025", "2024");
    let report = memory.import(other.as_bytes(), kept(WOOTZ));
    assert!(report.text().contains("another issue of the store has this ID"), "{}", report.text());
    assert_eq!(memory.import(other.as_bytes(), WOOTZ).imported, 1);
    assert_eq!(memory.ids().len(), 3);
    // Of lines that differ the one that was changed last is taken, and the other is named.
    let newer =
        line("x-1").replace("same", "newer").replace("\"updated_at\":\"2025", "\"updated_at\":\"2026");
    let (memory, report) = Memory::of((newer + &line("x-1")).as_bytes(), kept(WOOTZ));
    assert_eq!(memory.get("x-1")["title"], "newer");
    assert!(report.text().contains("Line 2: Issue 'x-1' - id: stands again"), "{}", report.text());
}

#[test]
fn input_that_is_wrong_is_named_and_the_rest_is_taken() {
    let good = "{\"id\":\"a-1\",\"title\":\"good\",\"created_at\":\"2025-01-01T00:00:00Z\"}";
    let large = format!(
        "{{\"id\":\"a-2\",\"title\":\"ü{}\",\"description\":\"{}\"}}",
        "é".repeat(300),
        "x\\n".repeat(350_000)
    );
    let mut file = format!("{good}\n{large}\n[1]\n\"text\"\n{{\"title\":\"no id\"}}\n{{\"id\":\"a-3\"}}\n{{\"id\":\"a-4\",\"title\":7}}\n<<<<<<< HEAD\n{{\"id\":\"\",\"title\":\"e\"}}\n").into_bytes();
    file.extend(b"{\"id\":\"a-5\",\"title\":\"\xff\"}\n");
    file.extend(b"{\"id\":\"a-6\",\"title\":\"half \\ud83d here\"}\n");
    file.extend(b"{\"id\":\"a-7\",\"title\":\"torn");
    let (memory, report) = Memory::of(&file, kept(WOOTZ));
    assert_eq!(memory.ids(), ["a-1", "a-2", "a-6"]);
    let places: Vec<String> = report.errors.iter().map(|error| error.place.to_string()).collect();
    assert_eq!(
        places,
        ["Line 3", "Line 4", "Line 5", "Line 6", "Line 7", "Line 8", "Line 9", "Line 10", "Line 12"]
    );
    let half = memory.issues().get("a-6").unwrap();
    assert_eq!(half.text("title").unwrap(), "half \u{fffd} here");
    assert_eq!(memory.get("a-2")["description"].as_str().unwrap().len(), 700_000);
    assert!(memory.export().contains(r#""title":"half \ud83d here""#));
    // What it was stands in the line as it came.
    check_readable(&memory.file.replace("\\ud83d", ""));
    for empty in ["", "\n\n", "\u{feff}", "\r\n", "[]"] {
        assert_eq!(Memory::of(empty.as_bytes(), WOOTZ).1, Report::default(), "{empty:?}");
    }
}

#[test]
fn an_export_follows_what_changed_since() {
    let (mut memory, _) = Memory::of(FIXTURE.as_bytes(), WOOTZ);
    let mut issues = memory.issues();
    use wootz_tracker::actions;
    use wootz_tracker::ownership::Move;
    let now = Timestamp::UNIX_EPOCH;
    actions::comment(&mut issues, "um-vuxr", "me", "later", now).unwrap();
    actions::prioritize(&mut issues, "um-vuxr", 3, now).unwrap();
    actions::unblock(&mut issues, "um-5sah", "um-hh22", now).unwrap();
    actions::advance(&mut issues, "um-7l5r", Move::Claim("S"), now).unwrap();
    let config = Config { version: 1, prefix: "um".to_owned() };
    let draft = actions::Draft { title: "own", description: "", kind: "task", priority: 2 };
    let own = actions::create(&mut issues, &config, &draft, now).unwrap().text("id").unwrap();
    actions::block(&mut issues, &own, "um-5sah", true, now).unwrap();
    memory.file = issues.all().unwrap().iter().map(|record| record.line() + "\n").collect();
    let exported = memory.export();
    let all = values(&exported);
    let one = |id: &str| all.iter().find(|one| one["id"] == id).unwrap().clone();
    assert_eq!((&one("x-2")["priority"], one("x-2")["comments"].as_array().unwrap().len()), (&json!(3), 2));
    let on: Vec<Value> = one("x-6")["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| edge["depends_on_id"].clone())
        .collect();
    assert_eq!(on, ["x-3", "x-2"]);
    assert_eq!((&one("x-3")["status"], &one("x-3")["assignee"]), (&json!("in_progress"), &json!("S")));
    let made = one(&own);
    assert_eq!(
        (&made["_type"], &made["dependency_count"], &made["dependent_count"]),
        (&json!("issue"), &json!(1), &json!(0))
    );
    assert_eq!(made["dependencies"][0]["depends_on_id"], "x-6");
    for options in [WOOTZ, kept(WOOTZ)] {
        let (again, _) = Memory::of(exported.as_bytes(), options);
        assert_eq!(again.export(), exported);
    }
}

#[test]
fn another_store_is_taken_with_its_edges() {
    let (source, _) = Memory::of(FIXTURE.as_bytes(), WOOTZ);
    let (mut copy, report) = Memory::of(source.file.as_bytes(), kept(WOOTZ));
    assert_eq!((report.imported, report.errors.len(), report.changes.len()), (7, 0, 0));
    assert_eq!(copy.file, source.file);
    let (other, _) = Memory::of(source.file.replace("\"um-", "\"aa-").as_bytes(), WOOTZ);
    check_mirrors(&other);
    let first = other.get("um-5sah");
    assert_eq!(
        (&first["original_id"], &first["blocked_by"]),
        (&json!("aa-5sah"), &json!(["um-hh22", "um-7l5r"]))
    );
    assert_eq!(copy.import(source.file.as_bytes(), WOOTZ).skipped, 7);
}

#[test]
fn issues_of_github() {
    let gh = r#"[
  {"assignees":[{"id":"u","login":"mona","name":""}],"author":{"login":"octo"},"body":"text\r\n","closed":true,"closedAt":"2025-02-02T00:00:00Z",
   "comments":[{"id":"IC_1","author":{"login":"ann"},"authorAssociation":"NONE","body":"hello","createdAt":"2025-02-01T00:00:00Z","url":"u1"}],
   "createdAt":"2025-01-01T00:00:00Z","labels":[{"id":"L","name":"bug","description":"","color":"f00"},{"id":"M","name":"P1","description":"","color":"f00"}],
   "milestone":{"number":1,"title":"1.0"},"number":12,"state":"CLOSED","stateReason":"NOT_PLANNED","title":"It breaks","updatedAt":"2025-02-02T00:00:00Z","url":"https://github.com/octo/Hello.World/issues/12"},
  {"number":13,"title":"Open","state":"OPEN","createdAt":"2025-01-01T00:00:00Z","updatedAt":"2025-01-01T00:00:00Z","body":"","labels":[],"comments":[],"url":"https://github.com/octo/Hello.World/issues/13","parent":{"number":12}}
]"#;
    let (mut memory, report) = Memory::of(gh.as_bytes(), kept(WOOTZ));
    assert_eq!((report.imported, report.errors.len(), report.changes.len()), (2, 0, 0), "{}", report.text());
    check_readable(&memory.file);
    let one = memory.get("hello-world-12");
    for (key, expected) in [
        ("title", json!("It breaks")),
        ("description", json!("text\r\n")),
        ("status", json!("closed")),
        ("priority", json!(1)),
        ("issue_type", json!("bug")),
        ("labels", json!(["bug", "P1"])),
        ("closed_at", json!("2025-02-02T00:00:00Z")),
        ("close_reason", json!("not_planned")),
        ("assignee", json!("mona")),
        ("created_by", json!("octo")),
        ("external_ref", json!("https://github.com/octo/Hello.World/issues/12")),
    ] {
        assert_eq!(one[key], expected, "{key}");
    }
    assert_eq!(one["github"]["milestone"]["title"], "1.0");
    assert_eq!((&one["comments"][0]["author"], &one["comments"][0]["url"]), (&json!("ann"), &json!("u1")));
    assert_eq!(memory.get("hello-world-13")["dependencies"][0]["depends_on_id"], "hello-world-12");
    assert_eq!(memory.import(gh.as_bytes(), kept(WOOTZ)).skipped, 2);

    let rest = r#"[{"id":1,"html_url":"https://github.com/o/r/issues/3","url":"https://api.github.com/repos/o/r/issues/3","number":3,"state":"open","state_reason":null,"title":"R","body":null,"user":{"login":"u"},"labels":["plain",{"name":"enhancement"}],"comments":4,"created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z","closed_at":null}]
[{"number":4,"title":"a pull","state":"open","html_url":"https://github.com/o/r/pull/4","pull_request":{"url":"x"},"created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}]"#;
    let (memory, report) = Memory::of(rest.as_bytes(), kept(Options { strict: true, ..WOOTZ }));
    let one = memory.get("r-3");
    assert_eq!(
        (&one["description"], &one["issue_type"], &one["created_by"]),
        (&json!(""), &json!("feature"), &json!("u"))
    );
    assert_eq!((&one["labels"], &one["github"]["comments"]), (&json!(["plain", "enhancement"]), &json!(4)));
    expect_test::expect![[r#"
        Imported 1 issues (0 skipped, 0 errors)

        Changed, with what it was kept in the issue:
          Line 1: Issue 'r-3' - comments: the file has their number only
          Line 2: Issue 'gh-4' - pull_request: a pull request is no issue: it is left out
    "#]]
    .assert_eq(&report.text());
}

#[test]
fn tickets() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(".tickets");
    fs::create_dir(&folder).unwrap();
    Store::create(&root.path().join(".ba"), "/project").unwrap();
    let store = Store::find(root.path()).unwrap();
    let first = "---\nid: tkt-fftk\nstatus: in_progress\ndeps: [tkt-abcd]\nlinks: []\ncreated: 2026-01-02T03:04:05Z\ntype: bug\npriority: 0\nassignee: Zoë\nexternal-ref: gh-7\nparent: tkt-abcd\ntags: [ui, \"two words\"]\nodd: 'it''s'\n---\n# Title: ü\n\nIntro\n\n## Design\n\n```\n## no section\n```\n\n## Acceptance Criteria\n\n- done\n\n## Notes\n\n**2026**\n\nnote\n\n## Else\n\nmore\n";
    fs::write(folder.join("tkt-fftk.md"), first).unwrap();
    let second = "---\r\nid: tkt-abcd\r\nstatus: closed\r\ncreated: 2026-01-01T00:00:00Z\r\ndeps:\r\n- tkt-none\r\n---\r\n# Second\r\n";
    fs::write(folder.join("tkt-abcd.md"), second).unwrap();
    fs::write(folder.join("notes.md"), "no fields").unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let report = import(&store, root.path(), kept(WOOTZ), now).unwrap();
    assert_eq!(
        report.text(),
        "Imported 2 issues (0 skipped, 1 errors)\n\nErrors:\n  notes.md: parsing: it does not begin with fields between two lines ---\n"
    );
    check_readable(&fs::read_to_string(store.file()).unwrap());
    let one: Value = serde_json::from_str(&store.read().unwrap().get("tkt-fftk").unwrap().line()).unwrap();
    for (key, expected) in [
        ("title", json!("Title: ü")),
        ("description", json!("Intro\n\n## Else\n\nmore")),
        ("design", json!("```\n## no section\n```")),
        ("acceptance_criteria", json!("- done")),
        ("notes", json!("**2026**\n\nnote")),
        ("status", json!("in_progress")),
        ("priority", json!(0)),
        ("issue_type", json!("bug")),
        ("assignee", json!("Zoë")),
        ("external_ref", json!("gh-7")),
        ("labels", json!(["ui", "two words"])),
        ("odd", json!("it's")),
        ("blocked_by", json!(["tkt-abcd"])),
    ] {
        assert_eq!(one[key], expected, "{key}");
    }
    let kinds: Vec<&str> =
        one["dependencies"].as_array().unwrap().iter().map(|edge| edge["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["blocks", "parent-child"]);
    let before = fs::read(store.file()).unwrap();
    assert_eq!(import(&store, &folder, kept(WOOTZ), now).unwrap().skipped, 2);
    assert_eq!(import(&store, &folder, WOOTZ, now).unwrap().skipped, 2);
    assert_eq!(fs::read(store.file()).unwrap(), before);
    let strict = import(&store, &folder, Options { strict: true, ..WOOTZ }, now).unwrap_err();
    assert!(strict.to_string().contains("notes.md"), "{strict}");
}

#[test]
fn what_is_no_issue_stands_beside_the_store() {
    let root = tempfile::tempdir().unwrap();
    Store::create(&root.path().join(".ba"), "/project").unwrap();
    let store = Store::find(root.path()).unwrap();
    let file = root.path().join("in.jsonl");
    let memory = "{\"_type\":\"memory\",\"key\":\"k\",\"value\":\"v\"}\n";
    let issue = "{\"_type\":\"issue\",\"id\":\"b-1\",\"title\":\"t\",\"status\":\"open\",\"priority\":0,\"issue_type\":\"task\",\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\"}\n";
    fs::write(&file, format!("{memory}{issue}")).unwrap();
    for (imported, records) in [(1, 1), (0, 0)] {
        let report = import(&store, &file, kept(WOOTZ), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((report.imported, report.records), (imported, records));
    }
    check_readable(&fs::read_to_string(store.file()).unwrap());
    assert_eq!(wootz_tracker::export::beads(&store).unwrap(), format!("{issue}{memory}"));
}

/// A record as beads could write it, and as nobody should.
fn record() -> impl Strategy<Value = Value> {
    let text = "[ -~é\u{1f600}\n\\\\\"]{0,12}";
    let time = (0_i64..2_000_000_000, 0..4_u8).prop_map(|(second, form)| {
        let time = Timestamp::from_second(second).unwrap();
        match form {
            0 => time.to_string(),
            1 => time.to_string().replace('Z', ".123456+05:30"),
            2 => time.to_string().replace('T', " "),
            _ => time.to_string().replace('Z', "-08:00"),
        }
    });
    let odd = prop_oneof![
        Just(Value::Null),
        any::<i8>().prop_map(Value::from),
        Just(json!([1, "x"])),
        Just(json!({"a": null}))
    ];
    let edge = (0..8_u8, prop_oneof!["blocks", "parent-child", "related", "own"], any::<bool>()).prop_map(
        |(on, kind, more)| {
            let mut edge = json!({"depends_on_id": format!("g-{on}"), "type": kind});
            if more {
                edge["metadata"] = json!("{}");
            }
            edge
        },
    );
    let comment = (text, time.clone())
        .prop_map(|(text, at)| json!({"id": 1, "author": "a", "text": text, "created_at": at}));
    let statuses = prop_oneof!["open", "in_progress", "closed", "tombstone", "deferred", "pinned", "x:wip"];
    let fields = (
        proptest::option::of(statuses.prop_map(Value::from)),
        proptest::option::of((-2..7_i8).prop_map(Value::from)),
        proptest::option::of(proptest::collection::vec("[a-c]{1,2}", 0..4).prop_map(Value::from)),
        proptest::option::of(proptest::collection::vec(comment, 0..3).prop_map(Value::from)),
        proptest::option::of(proptest::collection::vec(edge, 0..4).prop_map(Value::from)),
        proptest::option::of(time.clone().prop_map(Value::from)),
        proptest::option::of(time.prop_map(Value::from)),
        proptest::option::of(text.prop_map(Value::from)),
        proptest::option::of(odd.clone()),
    );
    let keys = [
        "status",
        "priority",
        "labels",
        "comments",
        "dependencies",
        "created_at",
        "closed_at",
        "description",
        "extra",
    ];
    let spoiled = proptest::option::weighted(0.3, (0..keys.len(), odd));
    (text, fields, spoiled, any::<bool>()).prop_map(move |(title, f, spoiled, is_new)| {
        let mut record = json!({});
        if is_new {
            record["_type"] = json!("issue");
        }
        record["title"] = json!(title);
        for (key, value) in keys.iter().zip([f.0, f.1, f.2, f.3, f.4, f.5, f.6, f.7, f.8]) {
            if let Some(value) = value {
                record[*key] = value;
            }
        }
        if is_new {
            record["dependency_count"] = json!(7);
            record["comment_count"] = json!(0);
        }
        if let Some((at, value)) = spoiled {
            record[keys[at]] = value;
        }
        record
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in records: all are taken, ba can read every line, lists mirror each other, nothing is lost on the way back, a second import adds
    /// nothing, and what was exported is a fixed point.
    #[test]
    fn any_records_come_back(records in proptest::collection::vec(record(), 0..7), keep_ids: bool, shuffled: bool) {
        let mut records = records;
        for (at, record) in records.iter_mut().enumerate() {
            record["id"] = json!(format!("g-{at}"));
            if let Some(edges) = record["dependencies"].as_array_mut() {
                edges.iter_mut().filter(|edge| edge.get("type").is_some()).for_each(|edge| edge["issue_id"] = json!(format!("g-{at}")));
            } else if record.get("dependencies") == Some(&Value::Null) {
                record.as_object_mut().unwrap().remove("dependencies");
            }
        }
        if shuffled {
            records.reverse();
        }
        let file: String = records.iter().map(|record| format!("{record}\n")).collect();
        let options = Options { keep_ids, ..WOOTZ };
        let (mut memory, report) = Memory::of(file.as_bytes(), options);
        prop_assert_eq!((report.imported, report.errors.len()), (records.len(), 0), "{}", report.text());
        check_readable(&memory.file);
        check_mirrors(&memory);
        let exported = memory.export();
        prop_assert_eq!(values(&exported), values(&file));
        let before = memory.file.clone();
        for again in [options, kept(WOOTZ), WOOTZ] {
            prop_assert_eq!(memory.import(file.as_bytes(), again).skipped, records.len());
        }
        prop_assert_eq!(&memory.file, &before);
        for again in [WOOTZ, kept(WOOTZ)] {
            prop_assert_eq!(&Memory::of(exported.as_bytes(), again).0.export(), &exported);
        }
    }

    /// No bytes make an import fail but for reasons that it names.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(prop_oneof![Just(b'{'), Just(b'"'), Just(b'['), Just(b'\n'), Just(b':'), any::<u8>()], 0..80)) {
        for options in [WOOTZ, BA] {
            let (memory, report) = Memory::of(&bytes, options);
            prop_assert_eq!(memory.ids().len(), report.imported);
        }
    }
}
