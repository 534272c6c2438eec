//! A repository's history through the `git` program: which files each commit changed, and their contents before and after.
//!
//! Two children: one lists commits, one hands out blobs by id. Both run without the user's and the machine's settings,
//! without hooks, filters, text conversion or network, so that what comes out depends on the repository alone.

use super::CommitsError;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use wootz_schema::corpus::DropReason;

/// A file that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Path in the repository.
    pub path: String,
    pub old: String,
    pub new: String,
}

/// A file of the newest commit.
#[derive(Debug)]
pub(super) struct Entry {
    pub path: String,
    pub id: String,
}

/// A commit and the files it modified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub id: String,
    pub subject: String,
    pub body: String,
    pub changes: Vec<Change>,
    /// What else it did, and how often.
    pub skipped: BTreeMap<DropReason, u64>,
}

/// A repository that git can read.
pub(super) struct Repository {
    path: PathBuf,
}

impl Repository {
    /// Checks that there is one, and that it has a commit.
    pub fn open(path: &Path) -> Result<Repository, CommitsError> {
        if !path.is_dir() {
            return Err(CommitsError::NotRepository {
                path: path.to_owned(),
                reason: "no such folder".to_owned(),
            });
        }
        let this = Repository { path: path.to_owned() };
        this.output(&["rev-parse", "--git-dir"])?;
        this.output(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
            .map_err(|_| CommitsError::NoCommits { path: path.to_owned() })?;
        // Git would fetch what is missing one by one, or end.
        let partial = ["config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"];
        if this.output(&partial).is_ok_and(|said| !said.is_empty()) {
            return Err(CommitsError::Partial { path: path.to_owned() });
        }
        Ok(this)
    }

    /// The files of the newest commit.
    pub fn files(&self) -> Result<Vec<Entry>, CommitsError> {
        let listed = self.output(&["ls-tree", "-r", "-z", "HEAD"])?;
        // `mode blob id TAB path`.
        let entry = |line: &[u8]| {
            let line = String::from_utf8(line.to_owned()).ok()?;
            let (about, path) = line.split_once('\t')?;
            let id = about.strip_prefix("100")?.split(' ').nth(2)?;
            Some(Entry { path: path.to_owned(), id: id.to_owned() })
        };
        Ok(listed.split(|byte| *byte == 0).filter_map(entry).collect())
    }

    /// How many commits [`Repository::history`] will pass.
    pub fn count(&self) -> Result<u64, CommitsError> {
        let text = self.output(&["rev-list", "--count", "HEAD"])?;
        Ok(String::from_utf8_lossy(&text).trim().parse().unwrap_or(0))
    }

    /// The commits, parents before children.
    pub fn history(&self) -> Result<History, CommitsError> {
        let mut child = self
            .command(&[
                "log",
                "-z",
                "--raw",
                "--no-abbrev",
                "--no-renames",
                "-O/dev/null",
                "--topo-order",
                "--reverse",
                "--format=tformat:%x01%H%x00%P%x00%s%x00%b%x00",
                "HEAD",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(CommitsError::start)?;
        let output = child.stdout.take().ok_or(CommitsError::Lost)?;
        let mut output = BufReader::with_capacity(1 << 16, output);
        // What stands before the first commit: nothing.
        let mut before = Vec::new();
        output.read_until(1, &mut before).map_err(CommitsError::read)?;
        Ok(History { child, output })
    }

    /// A way to read files by their ids.
    pub fn blobs(&self) -> Result<Blobs, CommitsError> {
        let mut child = self
            .command(&["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(CommitsError::start)?;
        let input = child.stdin.take().ok_or(CommitsError::Lost)?;
        let output = BufReader::with_capacity(1 << 16, child.stdout.take().ok_or(CommitsError::Lost)?);
        Ok(Blobs { child, input, output })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.path);
        for setting in [
            "core.fsmonitor=false",
            "core.quotepath=off",
            "i18n.logOutputEncoding=UTF-8",
            "log.showRoot=true",
            "log.showSignature=false",
            "safe.directory=*",
        ] {
            command.args(["-c", setting]);
        }
        command.args(arguments);
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
        ] {
            command.env(name, value);
        }
        // A plain folder inside a repository is none: nobody asks for the history of what happens to be around it.
        if let Some(above) = self.path.canonicalize().ok().as_deref().and_then(Path::parent) {
            command.env("GIT_CEILING_DIRECTORIES", above);
        }
        // Whoever calls from a hook hands these down.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, CommitsError> {
        let mut command = self.command(arguments);
        let done = command.stderr(Stdio::piped()).output().map_err(CommitsError::start)?;
        if done.status.success() {
            return Ok(done.stdout);
        }
        let reason = String::from_utf8_lossy(&done.stderr).trim().trim_start_matches("fatal: ").to_owned();
        Err(CommitsError::NotRepository { path: self.path.clone(), reason })
    }
}

/// Commits, one after the other.
pub(super) struct History {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Iterator for History {
    type Item = Result<Commit, CommitsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = Vec::new();
        loop {
            match self.output.read_until(1, &mut record) {
                Err(error) => return Some(Err(CommitsError::read(error))),
                Ok(0) if record.is_empty() => return self.ended(),
                Ok(0) => break,
                Ok(_) if begins_record(&mut self.output) => break,
                // The byte stands in a message.
                Ok(_) => {}
            }
        }
        if record.last() == Some(&1) {
            record.pop();
        }
        Some(Ok(commit(&record)))
    }
}

impl History {
    /// Git's own end, which may be an error.
    fn ended(&mut self) -> Option<Result<Commit, CommitsError>> {
        match self.child.wait() {
            Ok(status) if !status.success() => Some(Err(CommitsError::Git { status: status.to_string() })),
            _ => None,
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a commit's id follows.
fn begins_record(output: &mut BufReader<ChildStdout>) -> bool {
    match output.fill_buf() {
        Ok([]) | Err(_) => true,
        // A buffer that ends right here is read on; 40 digits may be parted by its end.
        Ok(next) => next.iter().take(40).all(u8::is_ascii_hexdigit),
    }
}

/// `id NUL parents NUL subject NUL body NUL NUL`, and for each file `:modes old new STATUS NUL path NUL`.
fn commit(record: &[u8]) -> Commit {
    let mut fields = record.split(|byte| *byte == 0);
    let mut text =
        || fields.next().map(|field| String::from_utf8_lossy(field).into_owned()).unwrap_or_default();
    let (id, parents, subject, body) = (text(), text(), text(), text());
    let (mut changes, mut skipped) = (Vec::new(), BTreeMap::new());
    if parents.contains(' ') {
        skipped.insert(DropReason::Merge, 1);
    }
    // A line break stands before the first file.
    let mut rest = fields
        .map(|field| field.strip_prefix(b"\n").unwrap_or(field))
        .skip_while(|field| !field.starts_with(b":"));
    while let (Some(about), Some(path)) = (rest.next(), rest.next()) {
        match change(&String::from_utf8_lossy(about), path) {
            Ok(change) => changes.push(change),
            Err(reason) => *skipped.entry(reason).or_default() += 1,
        }
    }
    Commit { id, subject, body: body.trim().to_owned(), changes, skipped }
}

/// A file that was modified, or why it is left out.
fn change(about: &str, path: &[u8]) -> Result<Change, DropReason> {
    let words: Vec<&str> = about.trim_start_matches(':').split(' ').collect();
    let [before, after, old, new, status] = words[..] else { return Err(DropReason::Unreadable) };
    match (status.as_bytes().first(), before.get(..3), after.get(..3)) {
        (Some(b'A' | b'D'), ..) => Err(DropReason::AddedOrRemoved),
        (_, Some("160"), _) | (_, _, Some("160")) => Err(DropReason::Submodule),
        (_, Some("120"), _) | (_, _, Some("120")) => Err(DropReason::Symlink),
        (Some(b'M'), Some("100"), Some("100")) => {
            let path = String::from_utf8(path.to_owned()).map_err(|_| DropReason::Unreadable)?;
            Ok(Change { path, old: old.to_owned(), new: new.to_owned() })
        }
        _ => Err(DropReason::Unreadable),
    }
}

/// Blobs by id.
pub(super) struct Blobs {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Blobs {
    /// The bytes of a blob; the inner error is why there are none: it is longer than `limit`, or missing.
    pub fn read(&mut self, id: &str, limit: u64) -> Result<Result<Vec<u8>, DropReason>, CommitsError> {
        self.input.write_all(format!("{id}\n").as_bytes()).map_err(CommitsError::read)?;
        self.input.flush().map_err(CommitsError::read)?;
        let mut head = String::new();
        self.output.read_line(&mut head).map_err(CommitsError::read)?;
        let Some(size) = head.split(' ').nth(2).and_then(|size| size.trim().parse::<u64>().ok()) else {
            return if head.is_empty() { Err(CommitsError::Lost) } else { Ok(Err(DropReason::Unreadable)) };
        };
        let mut content = (&mut self.output).take(size);
        let mut bytes = Vec::new();
        if size <= limit {
            content.read_to_end(&mut bytes).map_err(CommitsError::read)?;
        } else {
            std::io::copy(&mut content, &mut std::io::sink()).map_err(CommitsError::read)?;
        }
        self.output.read_exact(&mut [0]).map_err(CommitsError::read)?;
        Ok(if size <= limit { Ok(bytes) } else { Err(DropReason::TooLarge) })
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
