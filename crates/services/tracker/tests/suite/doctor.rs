//! What is wrong with a store is told with its line, and a repair loses nothing.

use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use wootz_tracker::Store;
use wootz_tracker::doctor::{self, Kind, REJECTED, Repair};

struct Place {
    root: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new(file: &[u8]) -> Place {
        let root = tempfile::tempdir().unwrap();
        Store::create(&root.path().join(".ba"), "/project").unwrap();
        let store = Store::find(root.path()).unwrap();
        fs::write(store.file(), file).unwrap();
        Place { root, store }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.store.file()).unwrap()).into_owned()
    }

    /// The findings, with the folder left out.
    fn told(&self) -> String {
        let findings = doctor::examine(&self.store, Timestamp::UNIX_EPOCH).unwrap();
        let folder = format!("{}/.ba/", self.root.path().display());
        findings
            .iter()
            .map(|one| format!("{} {}\n", one.kind.name(), one.to_string().replace(&folder, "")))
            .collect()
    }

    fn fix(&self) -> Repair {
        doctor::fix(&self.store, Timestamp::UNIX_EPOCH).unwrap()
    }
}

fn line(id: &str, rest: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"title\":\"t\",\"status\":\"open\",\"issue_type\":\"task\",\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\"{rest}}}"
    )
}

#[test]
fn a_sound_store_has_no_findings_and_is_left_alone() {
    let file = format!(
        "\u{feff}{}\r\n\n{}",
        line("b-1", ",\"blocks\":[\"b-2\"]"),
        line("b-2", ",\"blocked_by\":[\"b-1\"],\"odd\": [ 1.0 ]")
    );
    let place = Place::new(file.as_bytes());
    assert_eq!(place.told(), "");
    let repair = place.fix();
    assert!(repair.repaired.is_empty() && repair.left.is_empty());
    assert_eq!(place.text(), file);
    fs::remove_file(place.store.file()).unwrap();
    assert_eq!(place.told(), "");
    assert!(place.fix().left.is_empty() && !place.store.file().exists());
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line() {
    let file = [
        line("a-1", ",\"blocked_by\":[\"a-2\",\"gone\"],\"blocks\":[\"a-3\"]"),
        line("a-2", ",\"blocked_by\":[\"a-1\"]").replace("\"open\"", "\"deferred\""),
        line("a-3", ",\"session_id\":\"S\",\"labels\":null"),
        "not a record".to_owned(),
        line("a-3", ",\"title2\":1"),
        "{\"_type\":\"memory\",\"key\":\"k\"}".to_owned(),
        line("a-4", ",\"session_id\":\"S\",\"priority\":\"high\""),
        "{\"title\":\"nobody\"}".to_owned(),
        "{\"id\":\"a-5\",\"title\":\"to".to_owned(),
    ]
    .join("\n");
    let place = Place::new(file.as_bytes());
    fs::write(place.store.folder().join("issues.jsonl.tmp.123.456"), "x").unwrap();
    fs::write(place.store.folder().join("issues.jsonl.tmp.mine"), "x").unwrap();
    expect_test::expect![[r#"
        mirror issues.jsonl:1: Issue a-1 waits for a-2, whose blocks do not have it
        dangling issues.jsonl:1: Issue a-1 waits for gone, which is not there
        mirror issues.jsonl:1: Issue a-1 blocks a-3, whose blocked_by does not have it
        cycle issues.jsonl:1: these wait for each other: a-1 -> a-2 -> a-1
        status issues.jsonl:2: Issue a-2 has an unknown status: 'deferred' is none of ba's three: it reads in_progress
        mirror issues.jsonl:2: Issue a-2 waits for a-1, whose blocks do not have it
        unreadable issues.jsonl:4: no record: expected ident at column 2
        duplicate issues.jsonl:5: Issue a-3 stands on line 3 too
        no_issue issues.jsonl:6: a record that is no issue: ba cannot read it
        value issues.jsonl:7: Issue a-4 has a value in priority that ba cannot read: it is no number
        owner issues.jsonl:7: Issue a-4 is open and session S has it
        unreadable issues.jsonl:8: no record: missing field `id`
        torn issues.jsonl:9: the last line is cut off: EOF while parsing a string at column 23
        temporary issues.jsonl.tmp.123.456: a temporary file of a command that did not end
    "#]]
    .assert_eq(&place.told());
    let repair = place.fix();
    expect_test::expect![[r#"
        dangling issues.jsonl:1: Issue a-1 waits for gone, which is not there
        cycle issues.jsonl:1: these wait for each other: a-1 -> a-2 -> a-1
    "#]]
    .assert_eq(&place.told());
    assert_eq!((repair.repaired.len(), repair.left.len()), (12, 2));
    assert_eq!(repair.moved_to, Some(place.store.folder().join(REJECTED)));
    let rejected = fs::read_to_string(place.store.folder().join(REJECTED)).unwrap();
    assert_eq!(rejected, "not a record\n{\"title\":\"nobody\"}\n{\"id\":\"a-5\",\"title\":\"to\n");
    assert_eq!(place.store.records().unwrap()[0].text("key").as_deref(), Some("k"));
    let names: BTreeSet<String> = fs::read_dir(place.store.folder())
        .unwrap()
        .map(|one| one.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.contains("issues.jsonl.tmp.mine") && !names.contains("issues.jsonl.tmp.123.456"));
    let issues = place.store.read().unwrap();
    let views = issues.views().unwrap();
    let told: Vec<(String, String)> =
        views.iter().map(|one| (one.id().to_owned(), one.status().into_owned())).collect();
    let told: Vec<(&str, &str)> = told.iter().map(|(id, status)| (id.as_str(), status.as_str())).collect();
    assert_eq!(told, [("a-1", "open"), ("a-2", "deferred"), ("a-3", "in_progress"), ("a-4", "in_progress")]);
    // What a value was comes back in an export.
    assert!(wootz_tracker::export::beads(&place.store).unwrap().contains("\"priority\":\"high\""));
}

#[test]
fn conflicts_are_merged_issue_by_issue() {
    let titled = |id: &str, title: &str| line(id, "").replace("\"t\"", &format!("\"{title}\""));
    let (one, last) = (line("c-1", ""), line("c-9", ""));
    let ours = [titled("c-2", "ours"), titled("c-3", "kept"), titled("c-5", "base")];
    let base = [titled("c-2", "base"), titled("c-4", "base"), titled("c-5", "base")];
    let theirs = [titled("c-2", "theirs"), titled("c-4", "edited"), titled("c-6", "new")];
    for with_base in [true, false] {
        let middle = if with_base {
            format!("||||||| merged common ancestors\n{}\n", base.join("\n"))
        } else {
            String::new()
        };
        let file = format!(
            "{one}\n<<<<<<< HEAD\n{}\n{middle}=======\n{}\n>>>>>>> branch\n{last}\n",
            ours.join("\n"),
            theirs.join("\n")
        );
        let place = Place::new(file.as_bytes());
        assert!(place.store.read().is_err());
        assert_eq!(place.told(), "conflict issues.jsonl:2: a merge of branches left both versions\n");
        let repair = place.fix();
        assert_eq!(repair.repaired.len(), 1);
        // One title stands; the other is kept for somebody to decide.
        assert!(
            repair.left.iter().all(|one| one.kind == Kind::Undecided && one.id.as_deref() == Some("c-2"))
        );
        let titles = |text: &str| ["ours", "theirs"].map(|title| text.contains(&format!("\"{title}\"")));
        assert_eq!(
            titles(&place.text()),
            [true, true],
            "one stands, the other is kept for somebody to decide"
        );
        assert!(
            place.told().starts_with("undecided issues.jsonl:2: Issue c-2 has another title"),
            "{}",
            place.told()
        );
        let mut expected = vec!["c-1", "c-2", "c-3", "c-4"];
        // The base tells that theirs deleted what ours left alone.
        if !with_base {
            expected.push("c-5");
        }
        expected.extend(["c-6", "c-9"]);
        let issues = place.store.read().unwrap();
        let found: Vec<String> = issues.all().unwrap().iter().filter_map(|one| one.text("id")).collect();
        assert_eq!(found, expected);
        assert_eq!(issues.get("c-4").unwrap().text("title").as_deref(), Some("edited"));
    }
}

#[test]
fn versions_of_one_issue_become_one_that_has_all() {
    let file = format!(
        "{}\n{}\n{}\n",
        line("d-1", ",\"labels\":[\"a\"]"),
        line("d-1", ",\"labels\":[\"a\"]"),
        line("d-1", ",\"labels\":[\"b\"],\"x\":1")
    );
    let place = Place::new(file.as_bytes());
    assert_eq!(place.fix().repaired.len(), 2);
    let issue = place.store.read().unwrap().get("d-1").unwrap();
    assert_eq!((issue.texts("labels"), issue.read_as("x")), (vec!["a".to_owned(), "b".to_owned()], Some(1)));
    assert_eq!(place.text().lines().count(), 1);
}

#[test]
fn a_file_behind_a_link_is_looked_after_where_it_is() {
    let place = Place::new(b"");
    let target = place.root.path().join("elsewhere.jsonl");
    fs::rename(place.store.file(), &target).unwrap();
    std::os::unix::fs::symlink("../elsewhere.jsonl", place.store.file()).unwrap();
    fs::write(&target, "garbage\n").unwrap();
    assert_eq!(place.fix().repaired.len(), 1);
    assert!(place.store.file().is_symlink());
    assert_eq!(fs::read_to_string(Path::new(&target)).unwrap(), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// After a repair the store can be read, a second one finds nothing to do, and every line that was there is in the store, in it merged, or beside it.
    #[test]
    fn a_repair_ends_and_loses_no_line(parts in proptest::collection::vec((0..7_u8, 0..5_u8, 0..5_u8), 0..14), is_cut: bool) {
        let mut file = String::new();
        for (what, id, other) in &parts {
            let (id, other) = (format!("e-{id}"), format!("e-{other}"));
            let part = match what {
                0 => line(&id, &format!(",\"blocked_by\":[\"{other}\"],\"blocks\":[\"{other}\"]")),
                1 => line(&id, ",\"session_id\":\"S\",\"description\":null").replace("\"t\"", "\"other\""),
                2 => line(&id, "").replace("open", "hooked"),
                3 => "<<<<<<< HEAD".to_owned(),
                4 => "=======".to_owned(),
                5 => ">>>>>>> b".to_owned(),
                _ => "{\"id\":\"e".to_owned(),
            };
            file += &part;
            file.push('\n');
        }
        if is_cut {
            file.pop();
        }
        let place = Place::new(file.as_bytes());
        let repair = place.fix();
        prop_assert!(repair.left.iter().all(|one| !one.kind.is_repairable()), "{:?}", repair.left);
        let issues = place.store.read().unwrap();
        issues.views().unwrap();
        let text = place.text();
        let again = place.fix();
        prop_assert!(again.repaired.is_empty() && place.text() == text);
        let ids: BTreeSet<String> = issues.all().unwrap().iter().filter_map(|one| one.text("id")).collect();
        let rejected = fs::read_to_string(place.store.folder().join(REJECTED)).unwrap_or_default();
        for (what, id, _) in &parts {
            match what {
                0..=2 => prop_assert!(ids.contains(&format!("e-{id}")), "{}", id),
                6 => prop_assert!(rejected.contains("{\"id\":\"e\n"), "{}", rejected),
                _ => {}
            }
        }
    }
}
