//! Stores on a real file system: what stays as it is, what a failed command leaves, who waits for whom, and what can be taken back.

use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};
use wootz_tracker::actions::{self, Draft};
use wootz_tracker::ownership::Move;
use wootz_tracker::{Issues, Record, Store, TrackerError, events};

struct Place {
    root: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new(file: &str) -> Place {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".ba");
        Store::create(&folder, "/project").unwrap();
        let store = Store::find(root.path()).unwrap();
        fs::write(store.file(), file).unwrap();
        Place { root, store }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.store.file()).unwrap()
    }

    fn create(&self, title: &str) -> String {
        let draft = Draft { title, description: "", kind: "task", priority: 2 };
        self.store.add(&draft, Timestamp::now(), None).unwrap().text("id").unwrap()
    }
}

fn line(id: &str, rest: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"title\":\"t\",\"status\":\"open\",\"issue_type\":\"task\",\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\"{rest}}}"
    )
}

#[test]
fn a_change_touches_its_lines_and_no_others() {
    let odd = line("aa-1", ",\"x\":1.50e+3,\"unknown\": {\"deep\":[ 1,2 ]}");
    let memory = "{\"_type\":\"memory\",\"text\":\"no issue\"}";
    let last = line("zz-9", ",\"labels\":[\"b\"]");
    let place = Place::new(&format!("{odd}\r\n{memory}\n{}\n{last}", line("mm-5", "")));
    let (record, _) = place
        .store
        .change(|issues| actions::advance(issues, "mm-5", Move::Claim("s"), Timestamp::UNIX_EPOCH))
        .unwrap();
    assert_eq!(place.text(), format!("{memory}\n{odd}\r\n{}\n{last}\n", record.line()));
    assert_eq!(record.text("updated_at").as_deref(), Some("1970-01-01T00:00:00Z"));
}

#[test]
fn new_issues_stand_sorted_and_can_be_found() {
    let place = Place::new("");
    let mut ids: Vec<String> = (0..40).map(|at| place.create(&format!("issue {at}"))).collect();
    ids.sort();
    let text = place.text();
    let found: Vec<String> =
        text.lines().map(|line| Record::read(line.as_bytes()).unwrap().text("id").unwrap()).collect();
    assert_eq!(found, ids);
    let issues = place.store.read().unwrap();
    for id in &ids {
        assert_eq!(issues.resolve(id).unwrap(), *id);
        assert_eq!(issues.resolve(id.split_once('-').unwrap().1).unwrap(), *id);
    }
    let wrong = format!("{}x", &ids[0][..ids[0].len() - 1]);
    match issues.get(&wrong).unwrap_err() {
        TrackerError::NotFound { nearest, .. } => assert_eq!(nearest.as_ref(), Some(&ids[0])),
        other => panic!("{other}"),
    }
}

#[test]
fn a_failed_change_leaves_the_file_alone() {
    let place = Place::new(&format!("{}\n", line("aa-1", "")));
    let before = fs::metadata(place.store.file()).unwrap();
    let failed: Result<(), TrackerError> = place.store.change(|issues| {
        actions::advance(issues, "aa-1", Move::Claim("s"), Timestamp::UNIX_EPOCH)?;
        Err(TrackerError::invalid("no"))
    });
    failed.unwrap_err();
    let after = fs::metadata(place.store.file()).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert!(events::events(&place.store, None).unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_is_named_by_its_line() {
    for (bad, why) in [
        ("<<<<<<< HEAD", "expected value"),
        ("{\"id\":\"bb-2\",\"title\":\"cut", "EOF"),
        ("{\"title\":\"nobody\"}", "missing field `id`"),
        ("[1]", "an object"),
    ] {
        let place = Place::new(&format!("{}\n\n{bad}\n", line("aa-1", "")));
        let config = place.store.config().unwrap();
        let draft = Draft { title: "x", description: "", kind: "task", priority: 2 };
        let error = place
            .store
            .change(|issues| actions::create(issues, &config, &draft, Timestamp::now()))
            .unwrap_err();
        assert!(error.to_string().starts_with("Failed to parse issue at line 3: "), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.status(), 4);
        assert!(place.text().contains(bad));
    }
}

#[test]
fn a_large_file_is_read_in_parts_as_one() {
    let lines: Vec<String> = (0..30_000)
        .map(|at| line(&format!("aa-{at:06}"), &format!(",\"pad\":\"{}\"", "é\\\"".repeat(at % 60))))
        .collect();
    let place = Place::new(&(lines.join("\n") + "\n"));
    let issues = place.store.read().unwrap();
    let views = issues.views().unwrap();
    assert_eq!(views.len(), lines.len());
    assert!(views.iter().zip(&lines).all(|(view, line)| view.line() == line.as_bytes()));
    let whole = Issues::of_bytes(Path::new("x"), fs::read(place.store.file()).unwrap()).unwrap();
    assert_eq!(whole.lines().len(), issues.lines().len());
    let mut bad = fs::read(place.store.file()).unwrap();
    let at = bad.len() - 10;
    bad[at] = b'\n';
    fs::write(place.store.file(), bad).unwrap();
    let error = place.store.read().unwrap_err().to_string();
    assert!(error.starts_with("Failed to parse issue at line 30000: "), "{error}");
}

/// A large file gets its line by search, a file that is not sorted by reading it: the same comes of both.
#[test]
fn a_large_file_gets_its_line_in_its_place() {
    let mut lines: Vec<String> = (0..40_000)
        .map(|at| {
            let id = format!("{}-{:04x}", wootz_tracker::id::prefix("/project"), at);
            line(&id, &format!(",\"pad\":\"{}\"", "x".repeat(at * 7 % 90)))
        })
        .collect();
    lines[17_000] = line(
        &format!("{}-{:04x}", wootz_tracker::id::prefix("/project"), 17_000),
        &format!(",\"pad\":\"{}\"", "y".repeat(3_000_000)),
    );
    for is_sorted in [true, false] {
        if !is_sorted {
            lines.swap(5, 39_000);
        }
        let place = Place::new(&(lines.join("\n") + "\n"));
        let mut expected = lines.clone();
        for title in ["a", "b", "c", "d"] {
            let id = place.create(title);
            let record = place.store.read().unwrap().get(&id).unwrap();
            expected.push(record.line());
        }
        let id_of = |line: &String| Record::read(line.as_bytes()).unwrap().text("id").unwrap();
        expected.sort_by_cached_key(id_of);
        assert!(place.text() == expected.join("\n") + "\n", "sorted: {is_sorted}");
        assert_eq!(events::events(&place.store, None).unwrap().len(), 4);
    }
}

#[test]
fn mode_and_link_survive() {
    let place = Place::new("");
    let target = place.root.path().join("elsewhere.jsonl");
    fs::rename(place.store.file(), &target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../elsewhere.jsonl", place.store.file()).unwrap();
    place.create("through the link");
    assert!(place.store.file().is_symlink());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(&target).unwrap().lines().count(), 1);
    let names = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(place.root.path()), [".ba", "elsewhere.jsonl"]);
}

#[test]
fn a_held_lock_is_waited_for_and_its_holder_named() {
    let place = Place::new("");
    let lock = fs::File::create(place.store.folder().join("issues.lock")).unwrap();
    lock.lock().unwrap();
    let limit = Duration::from_millis(300);
    let store = place.store.clone().waiting(limit);
    let start = Instant::now();
    let error = store.read().unwrap_err();
    assert!(start.elapsed() >= limit && error.status() == 3, "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    lock.unlock().unwrap();
    lock.lock_shared().unwrap();
    store.read().unwrap();
    store.change(|_| Ok(())).unwrap_err();
}

#[test]
fn what_was_done_can_be_taken_back_in_turn() {
    let place = Place::new("");
    let mut states = vec![place.text()];
    let first = place.create("one");
    states.push(place.text());
    let second = place.create("two");
    states.push(place.text());
    place.store.change(|issues| actions::block(issues, &first, &second, true, Timestamp::now())).unwrap();
    states.push(place.text());
    for expected in states.iter().rev().skip(1) {
        events::undo(&place.store).unwrap();
        assert_eq!(place.text(), *expected);
    }
    assert!(events::undo(&place.store).unwrap_err().to_string().contains("nothing to take back"));
    let id = place.create("three");
    fs::write(place.store.file(), place.text().replace("three", "drei")).unwrap();
    let refused = events::undo(&place.store).unwrap_err().to_string();
    assert!(refused.contains(&id) && refused.contains("changed since"), "{refused}");
    // A line that a crash cut spoils nothing else.
    let path = events::file(&place.store);
    fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"version\":1,\"at\":\"2026").unwrap();
    let before = events::events(&place.store, None).unwrap().len();
    let last = place.create("four");
    assert_eq!(events::events(&place.store, None).unwrap().len(), before + 1);
    assert_eq!(events::events(&place.store, Some(&last)).unwrap().len(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Move(u8, u8),
    Block(u8, u8),
    Unblock(u8, u8),
    Label(u8, bool),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u8>().prop_map(Step::Create),
        any::<(u8, u8)>().prop_map(|(id, what)| Step::Move(id, what)),
        any::<(u8, u8)>().prop_map(|(id, other)| Step::Block(id, other)),
        any::<(u8, u8)>().prop_map(|(id, other)| Step::Unblock(id, other)),
        any::<(u8, bool)>().prop_map(|(id, add)| Step::Label(id, add)),
        any::<u8>().prop_map(Step::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is done: the file can be read, lists mirror each other, no ring has been closed, and what was refused changed nothing.
    #[test]
    fn any_steps_leave_a_sound_store(steps in proptest::collection::vec(step(), 0..60)) {
        let path = Path::new("issues.jsonl");
        let config = wootz_tracker::Config { version: 1, prefix: "aa".to_owned() };
        let mut issues = Issues::of_bytes(path, Vec::new()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        for step in steps {
            let all = issues.all().unwrap();
            let id = |number: u8| all.get(usize::from(number) % all.len().max(1)).and_then(|one| one.text("id")).unwrap_or("none".to_owned());
            let done = match step {
                Step::Create(title) => {
                    let draft = Draft { title: &title.to_string(), description: "", kind: "task", priority: title % 5 };
                    actions::create(&mut issues, &config, &draft, now).map(drop)
                }
                Step::Move(one, what) => {
                    let what = [Move::Claim("a"), Move::Claim("b"), Move::Release, Move::Finish, Move::Close][usize::from(what % 5)];
                    actions::advance(&mut issues, &id(one), what, now).map(drop)
                }
                Step::Block(one, other) => actions::block(&mut issues, &id(one), &id(other), true, now),
                Step::Unblock(one, other) => actions::unblock(&mut issues, &id(one), &id(other), now),
                Step::Label(one, true) => actions::add_label(&mut issues, &id(one), "l", now).map(drop),
                Step::Label(one, false) => actions::remove_label(&mut issues, &id(one), "l", now).map(drop),
                Step::Delete(one) => actions::delete(&mut issues, &[id(one)].into(), now),
            };
            if done.is_err() {
                prop_assert_eq!(issues.all().unwrap(), all);
            }
        }
        let all = issues.all().unwrap();
        let lists: BTreeMap<String, (Vec<String>, Vec<String>)> = all
            .iter()
            .map(|one| (one.text("id").unwrap(), (one.texts("blocks"), one.texts("blocked_by"))))
            .collect();
        for (id, (blocks, blocked_by)) in &lists {
            prop_assert!(blocks.iter().all(|other| lists[other].1.contains(id)));
            prop_assert!(blocked_by.iter().all(|other| lists[other].0.contains(id)));
        }
        let mut free: Vec<&String> = Vec::new();
        while let Some((id, _)) = lists.iter().find(|(id, (_, by))| !free.contains(id) && by.iter().all(|one| free.contains(&one))) {
            free.push(id);
        }
        prop_assert_eq!(free.len(), lists.len(), "a ring");
        for one in &all {
            let (status, owner) = (one.text("status").unwrap(), one.text("session_id"));
            prop_assert_eq!(status == "in_progress", owner.is_some());
            prop_assert_eq!(status == "closed", one.get("closed_at").is_some());
        }
    }
}
