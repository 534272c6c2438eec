//! Static hosts under the rules that `index rules` prints: nginx and Apache as they are, and one that only heeds `_headers`.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use super::index_clients::{installed, tool, write_wheel};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// A site with wheels for two CUDA versions, and the port where it will be served.
struct Site {
    folder: TempDir,
    port: u16,
    host: Option<Child>,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(host) = &mut self.host {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let wheels = folder.path().join("site/wheels");
        fs::create_dir_all(&wheels).unwrap();
        for version in ["1.0", "1.1+cu128torch2.9", "1.1+cu130torch2.9"] {
            write_wheel(&wheels, version, "py3-none-any", ">=3.8");
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = Site { folder, port, host: None };
        site.wootz(&[
            "build",
            "--wheels-dir",
            "site/wheels",
            "--output-dir",
            "site/simple",
            "--base-url",
            &format!("http://127.0.0.1:{port}/wheels"),
            "--sub-indexes",
            "--json-tree",
            "--write-metadata",
        ]);
        site
    }

    fn wootz(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        let output = command.arg("index").args(args).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts the host, and waits until it answers.
    fn serve(&mut self, command: &mut Command) {
        let log = fs::File::create(self.folder.path().join("host.log")).unwrap();
        let child =
            command.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.host = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{}",
                fs::read_to_string(self.folder.path().join("host.log")).unwrap()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// The head of an answer, in lower case, and its body.
    fn get(&self, path: &str, accept: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET /{path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    /// What pip and uv make of the index and of its sub-indexes, in the folder `tree`.
    fn clients_install(&self, tree: &str) {
        assert_eq!(installed(&self.url(&format!("{tree}/")), &["demo-gpu==1.0"]), ["1.0", "1.0"]);
        for sub in ["cu128", "cu130"] {
            let version = format!("1.1+{sub}torch2.9");
            let index = self.url(&format!("{sub}/{tree}/"));
            assert_eq!(installed(&index, &["demo-gpu"]), [version.clone(), version]);
        }
    }

    /// Who accepts JSON gets JSON under its type, others get HTML.
    fn negotiates(&self) {
        let pip = format!("{JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01");
        for path in ["simple/", "simple/demo-gpu/", "cu128/simple/", "cu128/simple/demo-gpu/"] {
            let (head, body) = self.get(path, &pip);
            assert!(
                head.contains(&format!("content-type: {JSON}")) && body.starts_with("{\"meta\""),
                "{path}: {head}"
            );
            assert!(head.contains("vary: accept"), "{path}: {head}");
            let (head, body) = self.get(path, "text/html,*/*;q=0.8");
            assert!(
                head.contains("content-type: text/html") && body.starts_with("<!DOCTYPE html>"),
                "{path}: {head}"
            );
            assert!(head.contains("vary: accept"), "{path}: {head}");
        }
        self.clients_install("simple");
        self.wootz(&["lint", "--fetch", &self.url("simple/")]);
    }
}

fn program(name: &str) -> &Path {
    let path = Path::new(name);
    assert!(path.exists(), "`dev/setup.sh test` installs {name}");
    path
}

#[test]
fn nginx_gives_each_client_its_form() {
    let mut site = Site::new();
    let rules = site.wootz(&["rules", "nginx", "--dir", "site/simple"]);
    site.write("index.conf", &rules);
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
         server {{ listen 127.0.0.1:{}; root site; include index.conf; }} }}\n",
        site.port
    );
    let config = site.write("nginx.conf", &config);
    let prefix = site.folder.path().to_owned();
    let mut command = Command::new(program("/usr/sbin/nginx"));
    site.serve(command.args(["-e", "stderr", "-p"]).arg(prefix).arg("-c").arg(config));
    site.negotiates();
}

#[test]
fn apache_gives_each_client_its_form() {
    let mut site = Site::new();
    let rules = site.wootz(&["rules", "apache", "--dir", "site/simple"]);
    site.write("site/.htaccess", &rules);
    let modules = ["mpm_event", "authz_core", "dir", "mime", "rewrite", "headers"];
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let folder = site.folder.path().display();
    let config = format!(
        "{}ServerRoot {folder}\nServerName localhost\nListen 127.0.0.1:{}\nPidFile {folder}/apache.pid\nErrorLog /dev/stderr\n\
         DefaultRuntimeDir {folder}\nMutex sem\nTypesConfig {folder}/types\nUser www-data\nGroup www-data\nDocumentRoot {folder}/site\n\
         <Directory {folder}/site>\nAllowOverride FileInfo Indexes\nRequire all granted\n</Directory>\n",
        modules.iter().map(load).collect::<String>(),
        site.port
    );
    site.write("types", "text/html html\n");
    let config = site.write("apache.conf", &config);
    // Workers run as another user, who must be able to come in.
    Command::new("chmod").args(["-R", "go+rX"]).arg(site.folder.path()).status().unwrap();
    let mut command = Command::new(program("/usr/sbin/apache2"));
    site.serve(command.args(["-D", "FOREGROUND", "-f"]).arg(config));
    site.negotiates();
}

/// A host that gives `index.html` for a folder and, of each block of `_headers` whose path fits, the headers.
const HEEDS_HEADERS: &str = r##"
import fnmatch, functools, http.server, pathlib, sys
site, port = sys.argv[1], int(sys.argv[2])
rules = []
for line in pathlib.Path(site, "_headers").read_text().splitlines():
    if line.startswith("#") or not line.strip():
        continue
    if line.startswith("/"):
        rules.append((line.strip(), []))
    else:
        rules[-1][1].append([part.strip() for part in line.split(":", 1)])
class Handler(http.server.SimpleHTTPRequestHandler):
    def send_header(self, key, value):
        for path, headers in rules:
            for name, replaced in headers:
                if name.lower() == key.lower() and fnmatch.fnmatchcase(self.path, path):
                    value = replaced
        super().send_header(key, value)
http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Handler, directory=site)).serve_forever()
"##;

#[test]
fn hosts_that_heed_headers_give_json_from_its_own_tree() {
    let mut site = Site::new();
    let rules = site.wootz(&["rules", "headers", "--dir", "site/simple"]);
    site.write("site/_headers", &rules);
    let port = site.port.to_string();
    site.serve(Command::new(tool("python")).args(["-c", HEEDS_HEADERS, "site", &port]));
    let (head, body) = site.get("json/demo-gpu/", JSON);
    assert!(head.contains(&format!("content-type: {JSON}")) && body.starts_with("{\"meta\""), "{head}");
    let (head, _) = site.get("simple/demo-gpu/", JSON);
    assert!(head.contains("content-type: text/html"), "{head}");
    site.clients_install("json");
    site.clients_install("simple");
    assert!(rules.contains("\n/cu128/json/*\n") && rules.contains("\n/cu128-torch2.9/json/*\n"), "{rules}");
}
