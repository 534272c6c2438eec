//! pip and uv, as they are, choose from an index of ours: from JSON as `index serve` answers it, and from HTML as any static host does.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;

/// Writes a wheel that installs a module which says its version.
pub fn write_wheel(folder: &Path, version: &str, tags: &str, requires_python: &str) -> String {
    write_variant(folder, version, tags, requires_python, None)
}

/// The same; with the label of a variant and its `variant.json`, if they are given.
pub fn write_variant(
    folder: &Path,
    version: &str,
    tags: &str,
    requires_python: &str,
    variant: Option<(&str, &str)>,
) -> String {
    let label = variant.map(|(label, _)| format!("-{label}")).unwrap_or_default();
    let name = format!("demo_gpu-{version}-{tags}{label}.whl");
    let info = format!("demo_gpu-{version}.dist-info");
    let metadata = format!(
        "Metadata-Version: 2.1\nName: demo-gpu\nVersion: {version}\nRequires-Python: {requires_python}\n"
    );
    let wheel = format!("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tags}\n");
    let mut files = vec![
        ("demo_gpu.py".to_owned(), format!("version = {version:?}\n")),
        (format!("{info}/METADATA"), metadata),
        (format!("{info}/WHEEL"), wheel),
    ];
    files.extend(variant.map(|(_, json)| (format!("{info}/variant.json"), json.to_owned())));
    let record = files.iter().map(|(file, _)| format!("{file},,\n")).collect::<String>();
    files.push((format!("{info}/RECORD"), format!("{record}{info}/RECORD,,\n")));
    let mut archive = zip::ZipWriter::new(fs::File::create(folder.join(&name)).unwrap());
    for (file, text) in files {
        archive.start_file(file, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    name
}

pub fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin").join(name);
    assert!(path.exists(), "dev/setup.sh installs {name}");
    path
}

/// A folder of wheels, an index of them, and two servers.
struct Site {
    folder: TempDir,
    served: Server,
    statical: Server,
}

struct Server {
    child: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a command that says its address in its first line, on stdout.
    fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_default();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, stderr) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()));
        let reader = thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line));
        });
        assert!(!url.is_empty(), "it said {line:?}");
        Server { url: url.to_owned(), child, log, reader: Some(reader) }
    }

    fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

const STATIC: &str = "import functools, http.server, sys\n\
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])\n\
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)\n\
    print(f'http://127.0.0.1:{server.server_port}/', flush=True)\n\
    server.serve_forever()";

impl Site {
    fn new(wheels: &[(&str, &str, &str)]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("wheels")).unwrap();
        fs::create_dir_all(path("index/simple")).unwrap();
        wheels.iter().for_each(|(version, tags, python)| {
            write_wheel(&path("wheels"), version, tags, python);
        });
        let mut serve = Command::new(env!("CARGO_BIN_EXE_wootz"));
        serve.args(["index", "serve", "--port", "0", "--dir", "index/simple", "--wheels-dir", "wheels"]);
        let served = Server::start(serve.current_dir(folder.path()));
        let mut statical = Command::new(tool("python"));
        let statical = Server::start(statical.args(["-c", STATIC]).arg(path("index")));
        Site { folder, served, statical }
    }

    fn wootz(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        let output = command.args(args).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Lists the wheels in the catalogue and makes the pages.
    fn build(&self) {
        let base = self.served.url.replace("/simple/", "/wheels");
        let catalogue = self.folder.path().join("catalogue.jsonl");
        if !catalogue.exists() {
            self.wootz(&[
                "index",
                "add",
                "--catalogue",
                "catalogue.jsonl",
                "--wheels-dir",
                "wheels",
                "--base-url",
                &base,
                "--write-metadata",
            ]);
        }
        self.wootz(&["index", "build", "--catalogue", "catalogue.jsonl", "--sub-indexes"]);
        self.wootz(&["index", "lint", "index/simple"]);
    }

    fn edit(&self, change: impl Fn(&str) -> String) {
        let catalogue = self.folder.path().join("catalogue.jsonl");
        let text = fs::read_to_string(&catalogue).unwrap();
        fs::write(catalogue, text.lines().map(|line| change(line) + "\n").collect::<String>()).unwrap();
        self.build();
    }

    /// The addresses of an index, as JSON and as HTML.
    fn indexes(&self, sub: &str) -> [String; 2] {
        [
            self.served.url.replace("simple/", &format!("{sub}simple/")),
            format!("{}{sub}simple/", self.statical.url),
        ]
    }

    fn pip(&self, index: &str, args: &[&str]) -> Output {
        pip(index, args).current_dir(self.folder.path()).output().unwrap()
    }

    fn uv(&self, index: &str, args: &[&str]) -> Output {
        uv(index, args).current_dir(self.folder.path()).output().unwrap()
    }

    /// The version that each client installs from each index.
    fn installed(&self, sub: &str, args: &[&str]) -> Vec<String> {
        self.indexes(sub).iter().flat_map(|index| installed(index, args)).collect()
    }
}

pub fn pip(index: &str, args: &[&str]) -> Command {
    let mut command = Command::new(tool("python"));
    command.args(["-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--isolated"]);
    command.args(["--index-url", index]).args(args);
    command
}

pub fn uv(index: &str, args: &[&str]) -> Command {
    let mut command = Command::new(tool("uv"));
    command.args(["pip", "install", "--no-cache", "--no-config", "--python"]).arg(tool("python"));
    command.args(["--index-url", index]).args(args);
    command
}

/// The version that pip installs from an index, and that which uv does.
pub fn installed(index: &str, args: &[&str]) -> [String; 2] {
    [pip, uv].map(|client| {
        let target = tempfile::tempdir().unwrap();
        let mut command = client(index, &["--target", target.path().to_str().unwrap()]);
        let output = command.args(args).current_dir(target.path()).output().unwrap();
        assert!(output.status.success(), "{index} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let module = fs::read_to_string(target.path().join("demo_gpu.py")).unwrap();
        module.split('"').nth(1).unwrap().to_owned()
    })
}

#[test]
fn the_latest_that_fits_is_installed() {
    let site = Site::new(&[
        ("1.9", "py3-none-any", ">=3.8"),
        ("1.10+cu128torch2.9", "py3-none-any", ">=3.8"),
        ("2.0", "py3-none-any", ">=99"),
        ("3.0", "cp27-cp27mu-linux_x86_64", ">=2.7"),
    ]);
    site.build();
    assert_eq!(site.installed("", &["demo-gpu"]), ["1.10+cu128torch2.9"; 4]);
    assert_eq!(site.installed("", &["demo.GPU==1.9"]), ["1.9"; 4]);
    // It is the form that the client asked for: both ask for JSON first.
    assert!(site.served.requests().iter().any(|line| line == "200 GET /simple/demo-gpu/"));
}

#[test]
fn each_cuda_is_installed_from_its_own_index() {
    let site = Site::new(&[
        ("2.8.3+cu129torch2.8", "py3-none-any", ">=3.8"),
        ("2.8.3+cu130torch2.9", "py3-none-any", ">=3.8"),
    ]);
    site.build();
    for (sub, version) in [
        ("cu129/", "2.8.3+cu129torch2.8"),
        ("cu130/", "2.8.3+cu130torch2.9"),
        ("cu130-torch2.9/", "2.8.3+cu130torch2.9"),
    ] {
        assert_eq!(site.installed(sub, &["demo-gpu==2.8.3"]), [version; 4], "{sub}");
    }
}

#[test]
fn a_file_with_another_hash_is_refused() {
    let site = Site::new(&[("1.0", "py3-none-any", ">=3.8")]);
    site.build();
    site.edit(|line| {
        let at = line.find("\"sha256\":\"").unwrap() + 10;
        format!("{}{}{}", &line[..at], "0".repeat(64), &line[at + 64..])
    });
    for index in site.indexes("") {
        for client in [Site::pip, Site::uv] {
            let output = client(&site, &index, &["--target", "t", "demo-gpu"]);
            let told = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&output.stdout)
            );
            assert!(!output.status.success() && told.to_lowercase().contains("hash"), "{told}");
        }
    }
}

#[test]
fn what_was_taken_back_is_taken_only_by_its_name() {
    let site = Site::new(&[("1.0", "py3-none-any", ">=3.8"), ("1.1", "py3-none-any", ">=3.8")]);
    site.build();
    site.wootz(&[
        "index",
        "yank",
        "--catalogue",
        "catalogue.jsonl",
        "demo_gpu-1.1-*",
        "--reason",
        "a <bad> build",
    ]);
    site.build();
    assert_eq!(site.installed("", &["demo-gpu"]), ["1.0"; 4]);
    assert_eq!(site.installed("", &["demo-gpu==1.1"]), ["1.1"; 4]);
    site.wootz(&["index", "unyank", "--catalogue", "catalogue.jsonl", "demo_gpu-1.1-*"]);
    site.build();
    assert_eq!(site.installed("", &["demo-gpu"]), ["1.1"; 4]);
}

#[test]
fn a_dry_run_reads_metadata_and_no_wheel() {
    let site = Site::new(&[("1.0", "py3-none-any", ">=3.8")]);
    site.build();
    for (client, name) in [(Site::pip as fn(&Site, &str, &[&str]) -> Output, "pip"), (Site::uv, "uv")] {
        let before = site.served.requests().len();
        let output = client(&site, &site.indexes("")[0], &["--dry-run", "--target", "t", "demo-gpu"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // A line of the log may come a moment behind the answer.
        thread::sleep(Duration::from_millis(100));
        let requests = site.served.requests()[before..].to_vec();
        assert!(requests.iter().any(|line| line.ends_with(".whl.metadata")), "{name}: {requests:?}");
        assert!(!requests.iter().any(|line| line.ends_with(".whl")), "{name}: {requests:?}");
    }
}

#[test]
fn an_index_is_looked_at_by_its_address() {
    let site = Site::new(&[("1.0", "py3-none-any", ">=3.8")]);
    site.build();
    let lint = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        let output =
            command.args(["index", "lint", "--fetch", url]).current_dir(site.folder.path()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    for index in site.indexes("") {
        assert_eq!(lint(&index), (Some(0), "nothing is wrong\n".to_owned()));
    }
    let wheel = site.folder.path().join("wheels/demo_gpu-1.0-py3-none-any.whl");
    fs::write(&wheel, [fs::read(&wheel).unwrap(), b"more".to_vec()].concat()).unwrap();
    for index in site.indexes("").iter().map(String::as_str).chain(["index/simple"]) {
        let (code, told) = lint(index);
        assert!(code == Some(1) && told.contains("has the SHA-256"), "{index}: {told}");
    }
    let (code, told) = lint(&site.served.url.replace("/simple/", "/none/"));
    assert!(!matches!(code, Some(0 | 1)) && told.contains("404"), "{code:?} {told}");
}

#[test]
fn what_came_later_can_be_left_out() {
    let site = Site::new(&[("1.0", "py3-none-any", ">=3.8"), ("1.1", "py3-none-any", ">=3.8")]);
    site.build();
    site.edit(|line| {
        let at = line.find("\"upload_time\":\"").unwrap() + 15;
        let time =
            if line.contains("demo_gpu-1.0-") { "2026-01-01T00:00:00Z" } else { "2026-03-01T00:00:00Z" };
        format!("{}{time}{}", &line[..at], &line[at + time.len()..])
    });
    for (limit, version) in [("2026-02-01T00:00:00Z", "1.0"), ("2026-04-01T00:00:00Z", "1.1")] {
        let target = tempfile::tempdir().unwrap();
        let target = target.path().to_str().unwrap();
        let output =
            site.uv(&site.indexes("")[0], &["--exclude-newer", limit, "--target", target, "demo-gpu"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read_to_string(Path::new(target).join("demo_gpu.py")).unwrap().contains(version));
    }
}
