//! The driver under the real git: branches that edit the same issues, in folders whose names are hard to quote.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use wootz_tracker::Record;
use wootz_tracker::merge::{conflicts, driver_command, install, uninstall};

/// The program that cargo builds beside the tests.
fn driver() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let driver = test.parent().unwrap().with_file_name("examples").join("merge_driver");
    assert!(driver.exists(), "`cargo test -p wootz-tracker` builds {}", driver.display());
    driver
}

struct Repository {
    _root: tempfile::TempDir,
    path: PathBuf,
    store: PathBuf,
}

impl Repository {
    fn new(folder: &str) -> Repository {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("it's 100% [mine] \"so\"");
        let store = path.join(folder);
        fs::create_dir_all(&store).unwrap();
        let repository = Repository { _root: root, path, store };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn issues(&self) -> PathBuf {
        self.store.join("issues.jsonl")
    }

    fn try_git(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("git");
        for (key, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@example.com"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ] {
            command.env(key, value);
        }
        let output = command.arg("-C").arg(&self.path).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text.trim().to_owned())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let (is_good, text) = self.try_git(arguments);
        assert!(is_good, "git {arguments:?}: {text}");
        text
    }

    fn commit(&self, text: &str) {
        fs::write(self.issues(), text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "edit"]);
    }

    fn text(&self) -> String {
        fs::read_to_string(self.issues()).unwrap()
    }
}

/// Where a program with a name that has to be quoted leads to the driver.
fn program(folder: &Path) -> PathBuf {
    let program = folder.join("it's the %A driver");
    std::os::unix::fs::symlink(driver(), &program).unwrap();
    program
}

fn issue(id: &str, title: &str, priority: u8, labels: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"title\":\"{title}\",\"description\":\"\",\"status\":\"open\",\"priority\":{priority},\"issue_type\":\"task\",\"labels\":{labels},\"comments\":[],\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\",\"blocks\":[],\"blocked_by\":[]}}\n"
    )
}

#[test]
fn branches_that_edit_the_same_issues_are_merged() {
    for folder in [".ba", "sub dir/with *stars*/.ba"] {
        let repository = Repository::new(folder);
        fs::write(repository.path.join(".gitattributes"), "*.png binary").unwrap();
        let tools = tempfile::tempdir().unwrap();
        let installed = install(&repository.issues(), &program(tools.path())).unwrap();
        assert!(installed.is_new);
        repository.commit(&(issue("a-1", "one", 2, "[]") + &issue("a-2", "two", 2, "[\"x\"]")));

        repository.git(&["checkout", "--quiet", "-b", "other"]);
        repository.commit(&(issue("a-1", "one", 0, "[\"other\"]") + &issue("a-2", "zwei", 2, "[\"x\"]")));
        repository.git(&["checkout", "--quiet", "main"]);
        repository.commit(
            &(issue("a-1", "uno", 3, "[\"main\"]")
                + &issue("a-2", "two", 2, "[]")
                + &issue("a-3", "three", 1, "[]")),
        );
        fs::set_permissions(repository.issues(), PermissionsExt::from_mode(0o644)).unwrap();
        repository.git(&["merge", "--quiet", "other"]);
        let expected = issue("a-1", "uno", 0, "[\"main\",\"other\"]")
            + &issue("a-2", "zwei", 2, "[]")
            + &issue("a-3", "three", 1, "[]");
        assert_eq!(repository.text(), expected, "{folder}");
        assert_eq!(repository.git(&["status", "--porcelain"]), "");

        // Both call one issue something: git stops, and both names are there.
        repository.git(&["checkout", "--quiet", "-b", "again"]);
        repository.commit(&expected.replace("three", "trois"));
        repository.git(&["checkout", "--quiet", "main"]);
        repository.commit(&expected.replace("three", "drei"));
        let (is_merged, told) = repository.try_git(&["merge", "again"]);
        assert!(!is_merged && told.contains("CONFLICT"), "{told}");
        let text = repository.text();
        assert!(!text.contains("<<<<"), "{text}");
        let record = Record::read(text.lines().last().unwrap().as_bytes()).unwrap();
        let kept: Vec<String> = conflicts(&record).into_iter().map(|conflict| conflict.value).collect();
        assert_eq!(kept, ["\"drei\"", "\"trois\""]);
    }
}

#[test]
fn installing_is_done_once_and_can_be_taken_back() {
    let repository = Repository::new(".ba");
    let attributes = repository.path.join(".gitattributes");
    let program = Path::new("/opt/a tool's/wootz");
    let known = "*.png binary\r\n/.ba/issues.jsonl merge=union";
    fs::write(&attributes, known).unwrap();
    repository.git(&["config", "merge.ours.driver", "true"]);
    let before = repository.git(&["config", "--local", "--list"]);

    let installed = install(&repository.issues(), program).unwrap();
    assert_eq!(installed.command, "'/opt/a tool'\\''s/wootz' issue merge-driver %O %A %B %A");
    assert_eq!(repository.git(&["config", "merge.wootz-issue.driver"]), installed.command);
    let text = fs::read_to_string(&attributes).unwrap();
    assert_eq!(text, format!("{known}\r\n/.ba/issues.jsonl merge=wootz-issue\r\n"));
    let told = repository.git(&["check-attr", "merge", ".ba/issues.jsonl", "sub/.ba/issues.jsonl"]);
    assert_eq!(told, ".ba/issues.jsonl: merge: wootz-issue\nsub/.ba/issues.jsonl: merge: unspecified");

    assert!(!install(&repository.issues(), program).unwrap().is_new);
    assert_eq!(fs::read_to_string(&attributes).unwrap(), text);
    assert!(install(&repository.issues(), Path::new("/elsewhere/wootz")).unwrap().is_new);
    assert_eq!(repository.git(&["config", "--get-all", "merge.wootz-issue.driver"]).lines().count(), 1);

    // A worktree of the same clone has the settings, and its own attributes.
    repository.commit("");
    let worktree = repository.path.with_file_name("worktree");
    repository.git(&["worktree", "add", "--quiet", worktree.to_str().unwrap()]);
    assert!(!install(&worktree.join(".ba/issues.jsonl"), Path::new("/elsewhere/wootz")).unwrap().is_new);

    assert!(uninstall(&repository.issues()).unwrap());
    assert_eq!(fs::read_to_string(&attributes).unwrap(), format!("{known}\r\n"));
    assert_eq!(repository.git(&["config", "--local", "--list"]), before);
    assert!(!uninstall(&repository.issues()).unwrap());
}

#[test]
fn a_file_of_attributes_that_was_made_for_this_goes_again() {
    let repository = Repository::new(".ba");
    let installed = install(&repository.issues(), Path::new("/bin/wootz")).unwrap();
    assert!(installed.attributes.exists());
    uninstall(&repository.issues()).unwrap();
    assert!(!installed.attributes.exists());
}

#[test]
fn outside_of_a_repository_there_is_nothing_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let error = install(&folder.path().join("issues.jsonl"), Path::new("/bin/wootz")).unwrap_err();
    assert!(error.to_string().contains("not a git repository"), "{error}");
    assert!(driver_command(Path::new("/a\nb")).is_err());
}
