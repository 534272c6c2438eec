//! The index beside a large file: whoever asks it hears what the file would say, whatever was done to either.

use jiff::Timestamp;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use wootz_tracker::actions::{self, Draft};
use wootz_tracker::ownership::Move;
use wootz_tracker::ready::{Ready, Rules};
use wootz_tracker::{Record, Store, TrackerError, View};

const NOW: &str = "2026-06-01T00:00:00Z";

struct Place {
    _root: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new(lines: &[String]) -> Place {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".ba");
        Store::create(&folder, "/project").unwrap();
        let store = Store::at(folder).indexed_from(0);
        fs::write(store.file(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        Place { _root: root, store }
    }

    fn index(&self) -> PathBuf {
        self.store.folder().join("issues.index")
    }

    /// Which file the index is, if it is one.
    fn inode(&self) -> Option<u64> {
        fs::metadata(self.index()).ok().map(|file| file.ino())
    }
}

/// All that is asked of issues that are not done, under all rules.
fn answers(views: &[View<'_>], with_lines: bool) -> Vec<String> {
    let now: Timestamp = NOW.parse().unwrap();
    let mut all = Vec::new();
    for (rules, name) in Rules::ALL {
        let ready = Ready::new(views, rules, now);
        let ids: Vec<&str> = ready.all(None).iter().map(|view| view.id()).collect();
        all.push(format!("{name}: {ids:?}"));
        for view in views.iter().filter(|view| !view.is_done()) {
            all.push(format!("{name}: {}: {:?}", view.id(), ready.reasons(view)));
        }
    }
    for view in views.iter().filter(|view| !view.is_done()) {
        let labels: Vec<_> = view.labels().collect();
        let told =
            (view.status(), view.title(), view.kind(), view.session(), view.priority(), view.age(), labels);
        all.push(format!("{told:?} {:?} {:?}", view.text_of("lease_until"), view.is_aside()));
        if with_lines {
            all.push(String::from_utf8_lossy(view.line()).into_owned());
        }
    }
    all
}

/// Asks the index, with and without lines, and the file.
fn check(store: &Store) {
    let whole = store.read().unwrap();
    for with_lines in [false, true] {
        let expected = answers(&whole.views().unwrap(), with_lines);
        let told = store.ask_work(with_lines, |views| answers(views, with_lines)).unwrap();
        assert_eq!(told, expected);
    }
}

fn issue(number: usize, seed: u32) -> String {
    let pick = |shift: u32, of: &[&'static str]| of[(seed >> shift) as usize % of.len()];
    let status = pick(0, &["open", "open", "closed", "in_progress", "deferred", "tombstone"]);
    let kind = pick(3, &["task", "bug", "epic", "gate"]);
    let edge = pick(5, &["blocks", "parent-child", "waits-for", "conditional-blocks", "related"]);
    let (on, other) = ((seed >> 8) % 12, (seed >> 12) % 12);
    let blocked_by = if seed & 1 << 16 == 0 { String::new() } else { format!("\"aa-{other:02}\"") };
    let dependencies = if seed & 1 << 17 == 0 {
        String::new()
    } else {
        format!("{{\"depends_on_id\":\"aa-{on:02}\",\"type\":\"{edge}\",\"metadata\":\"any-children\"}}")
    };
    let until = pick(18, &["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]);
    let mut line = format!(
        "{{\"id\":\"aa-{number:02}\",\"title\":\"title {}\",\"description\":\"{}\",\"status\":\"{status}\",\"priority\":{},\"issue_type\":\"{kind}\"",
        "é".repeat(seed as usize % 60),
        "x".repeat(seed as usize % 200),
        (seed >> 20) % 5
    );
    line += &format!(
        ",\"created_at\":\"2026-05-{:02}T00:00:00Z\",\"close_reason\":\"{}\"",
        seed % 30 + 1,
        pick(21, &["failed", "done"])
    );
    if seed & 1 << 23 != 0 {
        line += &format!(",\"defer_until\":\"{until}\",\"lease_until\":\"{until}\",\"pinned\":true");
    }
    line + &format!(
        ",\"labels\":[\"l{}\"],\"blocked_by\":[{blocked_by}],\"dependencies\":[{dependencies}]}}",
        seed % 3
    )
}

#[derive(Debug, Clone)]
enum Step {
    Create,
    Move(usize, u8),
    Block(usize, usize),
    Delete(usize),
    /// Another program writes a line anew.
    Foreign(usize, u32),
    /// A byte of the index is another one.
    Flip(u32),
    /// The index ends earlier.
    Cut(u32),
    /// The index is one of long ago.
    Old,
    Remove,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_usize..12;
    prop_oneof![
        2 => Just(Step::Create),
        4 => (id.clone(), any::<u8>()).prop_map(|(id, what)| Step::Move(id, what)),
        4 => (id.clone(), id.clone()).prop_map(|(id, other)| Step::Block(id, other)),
        1 => id.clone().prop_map(Step::Delete),
        1 => (id, any::<u32>()).prop_map(|(id, seed)| Step::Foreign(id, seed)),
        1 => any::<u32>().prop_map(Step::Flip),
        1 => any::<u32>().prop_map(Step::Cut),
        1 => Just(Step::Old),
        1 => Just(Step::Remove),
    ]
}

impl Step {
    /// Whether the index counts behind it if it counted before.
    fn is_ours(&self) -> bool {
        matches!(self, Step::Create | Step::Move(..) | Step::Block(..) | Step::Delete(_))
    }

    fn take(&self, place: &Place, old: &Option<Vec<u8>>) -> Result<(), TrackerError> {
        let (store, now) = (&place.store, NOW.parse().unwrap());
        let id = |number: &usize| format!("aa-{number:02}");
        let index = fs::read(place.index()).unwrap_or_default();
        match self {
            Step::Create => {
                let draft = Draft { title: "new", description: "", kind: "task", priority: 1 };
                store.add(&draft, now, None).map(drop)
            }
            Step::Move(one, what) => store.change(|issues| {
                let moves = [Move::Claim("a"), Move::Release, Move::Finish, Move::Close];
                actions::advance(issues, &id(one), moves[usize::from(what % 4)], now).map(drop)
            }),
            Step::Block(one, other) => {
                store.change(|issues| actions::block(issues, &id(one), &id(other), true, now))
            }
            Step::Delete(one) => store.change(|issues| actions::delete(issues, &[id(one)].into(), now)),
            Step::Foreign(one, seed) => {
                let mut lines: Vec<String> =
                    fs::read_to_string(store.file()).unwrap().lines().map(str::to_owned).collect();
                let at = lines.iter().position(|line| line.contains(&format!("\"id\":\"{}\"", id(one))));
                match at {
                    Some(at) => lines[at] = issue(*one, *seed),
                    None => lines.insert(0, issue(*one, *seed)),
                }
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                let new = store.folder().join("new");
                fs::write(&new, text).unwrap();
                fs::rename(new, store.file()).unwrap();
                Ok(())
            }
            Step::Flip(at) if !index.is_empty() => {
                let mut index = index;
                let at = *at as usize % index.len();
                index[at] ^= 1 << (at % 8);
                fs::write(place.index(), index).unwrap();
                Ok(())
            }
            Step::Cut(at) if !index.is_empty() => {
                fs::write(place.index(), &index[..*at as usize % index.len()]).unwrap();
                Ok(())
            }
            Step::Old => {
                if let Some(old) = old {
                    fs::write(place.index(), old).unwrap();
                }
                Ok(())
            }
            Step::Remove => {
                let _ = fs::remove_file(place.index());
                Ok(())
            }
            Step::Flip(_) | Step::Cut(_) => Ok(()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_index_says_what_the_file_says(
        seeds in proptest::collection::vec(any::<u32>(), 12),
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let lines: Vec<String> = seeds.iter().enumerate().map(|(at, seed)| issue(at, *seed)).collect();
        let place = Place::new(&lines);
        check(&place.store);
        let old = fs::read(place.index()).ok();
        prop_assert!(old.is_some());
        for step in &steps {
            let before = place.inode();
            // What is refused changes nothing.
            let _ = step.take(&place, &old);
            check(&place.store);
            if step.is_ours() {
                prop_assert_eq!(place.inode(), before, "it was not kept but made anew");
            }
            // It is there again, whatever was done to it.
            prop_assert!(place.inode().is_some());
        }
    }
}

#[test]
fn lines_are_inserted_where_the_index_tells_that_the_file_is_plain() {
    let prefix = wootz_tracker::id::prefix("/project");
    let mut lines: Vec<String> =
        (0..6_000).map(|at| issue(at, at as u32 * 7919).replace("\"aa-", &format!("\"{prefix}-0"))).collect();
    lines.sort();
    for is_sorted in [true, false] {
        if !is_sorted {
            lines.swap(10, 20);
        }
        let place = Place::new(&lines);
        assert!(fs::metadata(place.store.file()).unwrap().len() > 1 << 20);
        check(&place.store);
        let before = place.inode();
        let draft = Draft { title: "new", description: "", kind: "task", priority: 0 };
        let made: Vec<Record> =
            (0..3).map(|_| place.store.add(&draft, NOW.parse().unwrap(), None).unwrap()).collect();
        check(&place.store);
        assert_eq!(place.inode(), before);
        let text = fs::read_to_string(place.store.file()).unwrap();
        let ids: Vec<&str> = text.lines().map(|line| &line[..line.find(',').unwrap()]).collect();
        assert!(ids.is_sorted() && ids.len() == lines.len() + made.len());
    }
}

#[test]
fn a_small_store_has_none_and_a_foreign_gitignore_stays() {
    let place = Place::new(&[issue(1, 0)]);
    Store::at(place.store.folder().to_owned()).ask_work(false, |views| assert_eq!(views.len(), 1)).unwrap();
    assert_eq!(place.inode(), None);
    let ignore = place.store.folder().join(".gitignore");
    assert!(!ignore.exists());
    fs::write(&ignore, "mine\n").unwrap();
    check(&place.store);
    assert!(place.inode().is_some());
    assert_eq!(fs::read_to_string(&ignore).unwrap(), "mine\n");
}

#[test]
fn a_line_that_cannot_be_read_is_told_of_and_nothing_is_written() {
    let place = Place::new(&[issue(1, 0), "{\"id\":\"bb\",\"title\":\"cut".to_owned()]);
    let error = place.store.ask_work(false, |_| ()).unwrap_err();
    assert!(error.to_string().starts_with("Failed to parse issue at line 2: "), "{error}");
    assert_eq!(place.inode(), None);
}
