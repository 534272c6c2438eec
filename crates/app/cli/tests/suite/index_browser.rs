//! The page for people of `wootz index serve`, in a real browser: filters, and the install line that is copied.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Asks the page what a person would see; with a second argument it keeps a picture.
const VISIT: &str = r##"
import json, sys
from playwright.sync_api import sync_playwright

def rows(page):
    return page.locator("#rows td.file").all_inner_texts()

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    context = browser.new_context(viewport={"width": 1180, "height": 520})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(sys.argv[1])
    page.wait_for_selector("#rows tr")
    seen = {"all": len(rows(page)), "count": page.inner_text("#count")}
    seen["cuda"] = page.locator("#cuda option").all_inner_texts()
    page.select_option("#cuda", "13.0")
    page.select_option("#python", "cp312")
    seen["filtered"] = rows(page)
    page.click("#rows button")
    seen["line"] = page.inner_text("#line")
    seen["copied"] = page.evaluate("navigator.clipboard.readText()")
    if len(sys.argv) > 2:
        page.screenshot(path=sys.argv[2])
    page.select_option("#cuda", "")
    page.select_option("#python", "")
    page.fill("#text", "APEX")
    seen["named"] = rows(page)
    seen["errors"] = errors
    print(json.dumps(seen))
    browser.close()
"##;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_page_filters_and_copies_the_install_line() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "apex-0.1-py3-none-any.whl",
        "flash_attn-2.8.3+cu128torch2.9-cp312-cp312-linux_x86_64.whl",
        "flash_attn-2.8.3+cu129torch2.8-cp312-cp312-linux_x86_64.whl",
        "flash_attn-2.8.3+cu130torch2.9-cp312-cp312-linux_x86_64.whl",
        "flash_attn-2.8.3+cu130torch2.9-cp313-cp313-linux_x86_64.whl",
        "flash_attn-2.8.3+cu130torch2.10-cp313-cp313-manylinux_2_28_x86_64.whl",
    ];
    let line = |name: &str| {
        json!({
            "url": format!("https://example.test/v1/{name}"), "filename": name, "sha256": "a".repeat(64), "size": 1,
            "upload_time": "2026-01-01T00:00:00Z",
        })
    };
    let text: String = names.iter().map(|name| format!("{}\n", line(name))).collect();
    fs::write(folder.path().join("c.jsonl"), text).unwrap();
    let wootz = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.arg("index").args(args).current_dir(folder.path());
        command
    };
    assert!(wootz(&["build", "--catalogue", "c.jsonl"]).status().unwrap().success());
    let mut serve = wootz(&["serve", "--port", "0"]);
    let mut server = Server(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut url = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let url = url.trim().replace("/simple/", "/");
    assert!(Path::new("/usr/bin/chromium").exists(), "dev/setup.sh test installs chromium");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin/python");
    let mut visit = Command::new(python);
    visit.args(["-c", VISIT, &url]).args(
        std::env::var_os("UPDATE_EXPECT")
            .map(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/wheels.png")),
    );
    let output = visit.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let command = "pip install \"https://example.test/v1/flash_attn-2.8.3%2Bcu130torch2.9-cp312-cp312-linux_x86_64.whl\"";
    assert_eq!(
        seen,
        json!({
            "all": 6, "count": "6 of 6 files", "cuda": ["any", "12.8", "12.9", "13.0"], "filtered": [names[3]], "line": command,
            "copied": command, "named": [names[0]], "errors": [],
        })
    );
}
