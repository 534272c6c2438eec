//! The tracker as an agent's tools, asked by the protocol's own client library.

#![allow(clippy::unwrap_used, reason = "a server that cannot be started has failed")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start(folder: &Path, args: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wootz"))
            .args(["issue", "mcp"])
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Server { child, input, output }
    }

    fn ask(&mut self, line: &str) -> Value {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn tool(&mut self, name: &str, arguments: Value) -> (bool, String) {
        let call = json!({
            "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": { "name": name, "arguments": arguments },
        });
        let answer = self.ask(&call.to_string());
        assert_eq!(answer["id"], 7);
        let result = &answer["result"];
        (result["isError"].as_bool().unwrap(), result["content"][0]["text"].as_str().unwrap().to_owned())
    }

    /// Ends the input; the server ends with it.
    fn end(self) {
        let Server { mut child, input, output } = self;
        drop(input);
        drop(output);
        assert!(child.wait().unwrap().success());
    }
}

fn store() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let init =
        Command::new(env!("CARGO_BIN_EXE_wootz")).args(["issue", "init"]).current_dir(&folder).output();
    assert!(init.unwrap().status.success());
    folder
}

#[test]
fn the_protocols_own_client_works_an_issue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let python: PathBuf = root.join(".venv/bin/python");
    let folder = store();
    let output = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tracker/mcp_client.py"))
        .arg(env!("CARGO_BIN_EXE_wootz"))
        .arg(folder.path())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `dev/setup.sh test` makes it", python.display()));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.trim_end().ends_with("the client is content"), "{stdout}");
}

#[test]
fn tools_do_what_their_commands_do() {
    let folder = store();
    let mut server = Server::start(folder.path(), &["--session", "agent-1"]);
    let (failed, made) =
        server.tool("create", json!({ "title": "--looks like a flag", "label": ["a", "b"], "priority": 1 }));
    assert!(!failed, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["title"], &made["labels"]), (&json!("--looks like a flag"), &json!(["a", "b"])));
    let (failed, claimed) = server.tool("ready", json!({ "claim": true }));
    assert!(!failed, "{claimed}");
    assert_eq!(serde_json::from_str::<Value>(&claimed).unwrap()["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    let (failed, refusal) = server.tool("claim", json!({ "id": id, "session": "agent-2" }));
    assert!(failed);
    let refusal: Value = serde_json::from_str(&refusal).unwrap();
    assert_eq!(refusal["error"]["code"], "claimed");
    assert!(refusal["error"]["hint"].as_str().unwrap().contains("claimed since"), "{refusal}");
    assert!(!server.tool("finish", json!({ "id": id, "reason": "done" })).0);
    for number in 0..30 {
        assert!(
            !server.tool("create", json!({ "title": format!("Issue {number}"), "description": "long" })).0
        );
    }
    // An agent's list is short unless it asks.
    for (arguments, expected) in [(json!({}), 20), (json!({ "limit": 25 }), 25)] {
        let (_, list) = server.tool("list", arguments);
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        assert_eq!(list.len(), expected);
        assert!(list.iter().all(|issue| issue.get("description").is_none() && issue["title"].is_string()));
    }
    server.end();
}

#[test]
fn what_is_no_call_is_answered_with_an_error_and_the_server_goes_on() {
    let folder = store();
    let mut server = Server::start(folder.path(), &[]);
    for (line, code) in [
        ("nonsense", -32700),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"mcp"}}"#, -32602),
    ] {
        assert_eq!(server.ask(line)["error"]["code"], code, "{line}");
    }
    for (tool, arguments) in [
        ("show", json!({})),
        ("show", json!({ "id": "x", "dir": "/" })),
        ("show", json!({ "id": { "a": 1 } })),
        ("show", json!([1])),
        ("claim", json!({ "id": "x" })),
        ("create", json!({ "title": "t", "type": "nonsense" })),
        ("dep_add", json!({ "id": "x", "on": "y", "type": "nonsense" })),
    ] {
        assert!(server.tool(tool, arguments.clone()).0, "{tool} {arguments}");
    }
    // Notifications ask nothing.
    writeln!(server.input, r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#).unwrap();
    assert_eq!(server.ask(r#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#)["id"], "last");
    server.end();
}
