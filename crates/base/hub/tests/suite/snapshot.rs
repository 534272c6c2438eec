//! Our client: into the cache that the official one has, and back.

use super::python::{official, printed};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wootz_fetch::Pace;
use wootz_hub::{Downloaded, Hub, HubError, Patterns, Place, Wanted};
use wootz_schema::Diagnose;
use wootz_schema::hub::HubKind;
use wootz_schema::progress::{Observe, Progress, Silent};
use wootz_testkit::hub::{Access, Content, Fault, Hub as Double, STRANGER, TOKEN};

const SNAPSHOT: &str = "
import sys
from huggingface_hub import scan_cache_dir, snapshot_download
print(snapshot_download(sys.argv[1], repo_type=sys.argv[2]))
print(scan_cache_dir().warnings)
";

fn double() -> Double {
    let double = Double::start();
    let weights: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    let model = [
        ("config.json", Content::git("{}")),
        ("deep/er/a b.txt", Content::git("text")),
        ("deep/same.txt", Content::git("text")),
        ("empty", Content::git("")),
        ("model.safetensors", Content::lfs(&weights)),
    ];
    let repo = double.world().add("models", "me/tiny", &model).clone();
    let mut world = double.world();
    let key = ("models".to_owned(), "me/tiny".to_owned());
    world.repos.get_mut(&key).unwrap().names.insert("refs/pr/1".to_owned(), repo.sha);
    world.add("datasets", "me/rows", &[("data/train.jsonl", Content::lfs("{\"a\": 1}\n"))]);
    drop(world);
    double
}

fn place(double: &Double) -> Place {
    Place { endpoint: Some(double.url.clone()), token: None, is_offline: false }
}

fn pace(attempts: u32) -> Pace {
    let wait = Duration::from_millis(1);
    Pace { attempts, first_wait: wait, longest_wait: wait * 4, ..Pace::default() }
}

static ALL: Patterns = Patterns { include: Vec::new(), exclude: Vec::new() };

fn snapshot<'a>(
    place: &Place,
    cache: &'a Path,
    change: impl Fn(&mut Wanted<'a>),
) -> Result<Downloaded, HubError> {
    let mut wanted =
        Wanted { kind: HubKind::Model, repo: "me/tiny", revision: "main", patterns: &ALL, cache };
    change(&mut wanted);
    Hub::new(place, pace(1), &Silent, &AtomicBool::new(false)).snapshot(&wanted)
}

/// Everything in a folder: a link's target, a file's bytes; without locks, which only the official client has.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut folders, mut all) = (vec![root.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_symlink() {
                all.insert(name, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes());
            } else if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with(".locks") && name != "CACHEDIR.TAG" {
                all.insert(name, fs::read(path).unwrap());
            }
        }
    }
    all
}

#[test]
fn the_cache_is_the_official_clients_to_the_byte_and_each_uses_the_others_offline() {
    let double = double();
    double.world().elsewhere = Some(double.elsewhere.clone());
    for (kind, repo, word) in [(HubKind::Model, "me/tiny", "model"), (HubKind::Dataset, "me/rows", "dataset")]
    {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (our_cache, their_cache) = (ours.path().join("hf/hub"), theirs.path().join("hf/hub"));
        let change = |wanted: &mut Wanted<'_>| (wanted.kind, wanted.repo) = (kind, repo);
        let downloaded = snapshot(&place(&double), &our_cache, change).unwrap();
        let ask = |home: &Path, offline: &str| {
            let mut python = official("python", &double, home, None);
            python.args(["-c", SNAPSHOT, repo, word]).env("HF_HUB_OFFLINE", offline);
            printed(&python.output().unwrap())
        };
        ask(theirs.path(), "0");
        assert_eq!(tree(&our_cache), tree(&their_cache));
        assert!(our_cache.join("CACHEDIR.TAG").exists());
        // Theirs reads ours, and finds nothing wrong with it.
        let asked = double.world().log.len();
        assert_eq!(ask(ours.path(), "1"), format!("{}\n[]\n", downloaded.snapshot.folder));
        // Ours reads theirs.
        let offline = Place { is_offline: true, ..place(&double) };
        let found = snapshot(&offline, &their_cache, change).unwrap().snapshot;
        assert_eq!((found.sha, found.files), (downloaded.snapshot.sha, downloaded.snapshot.files));
        assert_eq!(double.world().log.len(), asked);
        // And with a hub, it asks which commit it is and for no more.
        assert_eq!(snapshot(&place(&double), &their_cache, change).unwrap().fetched_bytes, 0);
        assert_eq!(double.world().log.len(), asked + 1);
    }
}

#[test]
fn what_is_not_whole_is_not_used_offline_by_either() {
    let (double, home) = (double(), tempfile::tempdir().unwrap());
    let cache = home.path().join("hf/hub");
    let offline = Place { is_offline: true, ..place(&double) };
    assert!(matches!(snapshot(&offline, &cache, |_| {}), Err(HubError::NotCached { .. })));
    let patterns = Patterns { include: vec!["deep/".to_owned()], exclude: Vec::new() };
    let some = snapshot(&place(&double), &cache, |wanted| wanted.patterns = &patterns).unwrap();
    let paths: Vec<&str> = some.snapshot.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["deep/er/a b.txt", "deep/same.txt"]);
    // They have the same bytes.
    assert_eq!((double.world().fetched().len(), some.fetched_bytes), (1, 4));
    let error = snapshot(&offline, &cache, |_| {}).unwrap_err();
    assert!(error.to_string().contains("config.json is missing"), "{error}");
    assert!(snapshot(&offline, &cache, |wanted| wanted.patterns = &patterns).is_ok());
    let mut python = official("python", &double, home.path(), None);
    python.args(["-c", SNAPSHOT, "me/tiny", "model"]).env("HF_HUB_OFFLINE", "1");
    assert!(!python.output().unwrap().status.success());
}

#[test]
fn long_lists_and_revisions_with_slashes_are_read() {
    let (double, cache) = (double(), tempfile::tempdir().unwrap());
    double.world().page = 2;
    let found = snapshot(&place(&double), cache.path(), |wanted| wanted.revision = "refs/pr/1").unwrap();
    assert_eq!(found.snapshot.files.len(), 5);
    let noted = fs::read_to_string(cache.path().join("models--me--tiny/refs/refs/pr/1")).unwrap();
    assert_eq!(noted, found.snapshot.sha);
    // A commit is asked for as it is, and noted nowhere.
    let sha = found.snapshot.sha.clone();
    let again = snapshot(&place(&double), cache.path(), |wanted| wanted.revision = &sha).unwrap();
    assert_eq!(again.snapshot.files, found.snapshot.files);
}

#[test]
fn refusals_say_what_to_do_and_hold_no_token() {
    let (double, cache) = (double(), tempfile::tempdir().unwrap());
    let with = |token: Option<&str>| Place { token: token.map(str::to_owned), ..place(&double) };
    let said = |place: &Place, change: &dyn for<'a> Fn(&mut Wanted<'a>)| {
        let error = snapshot(place, cache.path(), change).unwrap_err();
        let said = format!("{error}; {}", error.hint().unwrap_or_default());
        assert!(!said.contains("hf_"), "{said}");
        (error, said.replace(&double.url, "HUB"))
    };
    for token in [None, Some(TOKEN)] {
        let (error, said) = said(&with(token), &|wanted| wanted.repo = "me/none");
        assert!(matches!(error, HubError::Missing { .. }), "{said}");
    }
    let (_, revision) = said(&with(None), &|wanted| wanted.revision = "v9");
    assert_eq!(revision, "download me/tiny: it has no revision \"v9\"; ");
    let (_, wrong) = said(&with(Some("hf_wrong")), &|_| {});
    assert_eq!(wrong, "ask HUB: it does not accept the token; set HF_TOKEN to a token that is valid");
    for name in ["none.bin", "*.bin"] {
        let patterns = Patterns { include: vec![name.to_owned()], exclude: Vec::new() };
        let place = with(None);
        let error = snapshot(&place, cache.path(), |wanted| wanted.patterns = &patterns).unwrap_err();
        assert_eq!(error.to_string(), format!("download me/tiny: it has no file {name:?}"));
    }
    for name in ["../tiny", "me/ti?ny", "a/b/c", "me/.."] {
        assert!(matches!(said(&with(None), &|wanted| wanted.repo = name).0, HubError::Name { .. }));
    }
    assert!(matches!(said(&with(None), &|wanted| wanted.revision = "../x").0, HubError::Name { .. }));
    let key = ("models".to_owned(), "me/tiny".to_owned());
    double.world().repos.get_mut(&key).unwrap().access = Access::Gated;
    let (_, gated) = said(&with(None), &|_| {});
    let expected = "download me/tiny: it is gated, and it wants a token; ask for access at HUB/me/tiny, then set HF_TOKEN to a token of yours";
    assert_eq!(gated, expected);
    let (_, gated) = said(&with(Some(STRANGER)), &|_| {});
    assert!(gated.contains("has not been let in"), "{gated}");
    snapshot(&with(Some(TOKEN)), cache.path(), |_| {}).unwrap();
}

#[test]
fn a_token_stays_with_the_hub() {
    let (double, cache) = (double(), tempfile::tempdir().unwrap());
    double.world().elsewhere = Some(double.elsewhere.clone());
    let place = Place { token: Some(TOKEN.to_owned()), ..place(&double) };
    snapshot(&place, cache.path(), |_| {}).unwrap();
    let elsewhere = double.elsewhere.trim_start_matches("http://").to_owned();
    let world = double.world();
    let (there, here): (Vec<_>, Vec<_>) = world.log.iter().partition(|asked| asked.host == elsewhere);
    assert!(!there.is_empty() && there.iter().all(|asked| asked.authorization.is_none()), "{there:?}");
    assert!(here.iter().all(|asked| asked.authorization == Some(format!("Bearer {TOKEN}"))), "{here:?}");
}

#[test]
fn a_list_that_leads_out_of_the_cache_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    for path in ["../evil", "/evil", "a/../../evil", "a\\..\\evil", ""] {
        let double = Double::start();
        double.world().add("models", "me/tiny", &[(path, Content::git("evil"))]);
        let error = snapshot(&place(&double), &cache.path().join("cache"), |_| {}).unwrap_err();
        assert!(matches!(error, HubError::Odd { .. }), "{error}");
        assert!(double.world().fetched().is_empty());
    }
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

/// Asks to stop as soon as some bytes are there.
struct Impatient<'a>(&'a AtomicBool);

impl Observe for Impatient<'_> {
    fn observe(&self, progress: Progress<'_>) {
        if matches!(progress, Progress::Advance { done } if done > 1 << 20) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn who_stops_it_goes_on_later() {
    let (double, cache, content) =
        (Double::start(), tempfile::tempdir().unwrap(), Content::Generated(64 << 20));
    double.world().add("models", "me/tiny", &[("big", content)]);
    let (cancel, patterns, place) = (AtomicBool::new(false), Patterns::default(), place(&double));
    let wanted = Wanted {
        kind: HubKind::Model,
        repo: "me/tiny",
        revision: "main",
        patterns: &patterns,
        cache: cache.path(),
    };
    let error = Hub::new(&place, pace(1), &Impatient(&cancel), &cancel).snapshot(&wanted).unwrap_err();
    assert_eq!(error.to_string(), "finish: stopped on request");
    assert!(!cache.path().join("models--me--tiny/refs").exists());
    snapshot(&place, cache.path(), |_| {}).unwrap();
    let asked = double.world().fetched();
    assert_eq!(asked.len(), 2);
    let from: u64 = asked[1].1.as_ref().unwrap()[6..].trim_end_matches('-').parse().unwrap();
    assert!((1 << 20..64 << 20).contains(&from), "{from}");
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..100_000u64).prop_map(Fault::Cut),
        Just(Fault::Wrong),
        prop_oneof![Just(500), Just(503), Just(408)].prop_map(Fault::Status),
        Just(Fault::TooMany(0)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_faults_end_in_the_right_bytes_or_in_an_error_after_which_it_goes_on(
        faults in proptest::collection::vec(fault(), 0..8),
    ) {
        let (double, cache) = (double(), tempfile::tempdir().unwrap());
        double.world().faults = faults.iter().copied().collect();
        let mut tries = 0;
        while let Err(error) = snapshot(&place(&double), cache.path(), |_| {}) {
            prop_assert!(error.is_passing(), "{}", error);
            prop_assert!(!cache.path().join("models--me--tiny/refs/main").exists());
            tries += 1;
            prop_assert!(tries <= faults.len());
        }
        let good = tempfile::tempdir().unwrap();
        snapshot(&place(&double), good.path(), |_| {}).unwrap();
        prop_assert_eq!(tree(cache.path()), tree(good.path()));
    }
}
