//! The tracker as tools of an agent: the Model Context Protocol over standard input and output, a JSON-RPC message a line.
//!
//! A tool is a command of `wootz issue`: its name, description and schema are read from the command line's own definition, and a call goes through
//! the same parser, so a tool cannot do other things than the command does. Lists come short: the keys that one chooses by, and
//! 20 issues unless more are asked for, since an agent reads every word of them.
//!
//! Source: the protocol's specification, revisions 2024-11-05 to 2025-11-25; of it tools, and nothing that needs a session on the server.

use super::Args;
use crate::outcome::Reply;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Args as _, FromArgMatches};
use serde_json::{Map, Value, json};
use std::any::TypeId;
use std::io::{BufRead, Write};
use std::path::Path;

/// Serve the tracker to an agent as tools (Model Context Protocol, standard input and output).
#[derive(clap::Args)]
pub struct Mcp {
    /// The session of tools that work for one and are called without.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
}

/// Revisions of the protocol, the newest last.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// Commands that are no tools: they are for people, for git, or would read what the protocol is spoken on.
const LEFT_OUT: [&str; 7] = ["mcp", "merge-driver", "install-git", "onboard", "quickstart", "jira", "help"];
/// Tools that change nothing.
const READERS: [&str; 15] = [
    "show",
    "list",
    "search",
    "blocked",
    "tree",
    "cycles",
    "graph",
    "stats",
    "labels",
    "epics",
    "stale",
    "duplicates",
    "history",
    "export",
    "dep_list",
];
/// How many issues a list has when nothing is said.
const LIST_LENGTH: usize = 20;
/// The keys of an issue in a list.
const LIST_KEYS: [&str; 12] = [
    "id",
    "title",
    "status",
    "original_status",
    "priority",
    "issue_type",
    "session_id",
    "lease_until",
    "assignee",
    "labels",
    "due_at",
    "blocked_by",
];

/// Serves until the input ends.
pub fn serve(args: &Mcp, dir: &Path) -> Reply {
    let server = Server::new(args, dir);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if line.trim().is_empty() {
            continue;
        }
        let Some(answer) = server.answer(&line) else { continue };
        // An agent that has gone needs no answer.
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Reply { stdout: Vec::new(), stderr: String::new(), exit: 0 }
}

/// What a tool is called, and the words of its command.
struct Tool {
    name: String,
    words: Vec<String>,
    command: clap::Command,
}

struct Server<'s> {
    tools: Vec<Tool>,
    session: Option<&'s str>,
    dir: &'s Path,
}

impl<'s> Server<'s> {
    fn new(args: &'s Mcp, dir: &'s Path) -> Server<'s> {
        let mut tools = Vec::new();
        gather(&root(), &[], &mut tools);
        Server { tools, session: args.session.as_deref(), dir }
    }

    /// The answer to a line; none to what asks nothing.
    fn answer(&self, line: &str) -> Option<Value> {
        match serde_json::from_str(line) {
            Ok(Value::Array(calls)) => {
                let answers: Vec<Value> = calls.iter().filter_map(|call| self.answer_one(call)).collect();
                (!answers.is_empty()).then_some(Value::Array(answers))
            }
            Ok(call) => self.answer_one(&call),
            Err(error) => Some(refusal(&Value::Null, -32700, &format!("no JSON: {error}"))),
        }
    }

    fn answer_one(&self, call: &Value) -> Option<Value> {
        let Some(method) = call["method"].as_str() else {
            let is_answer = call.get("result").is_some() || call.get("error").is_some();
            return (!is_answer).then(|| refusal(&call["id"], -32600, "a call has a method"));
        };
        let id = call.get("id")?;
        let params = &call["params"];
        let result = match method {
            "initialize" => initialize(params),
            "ping" => json!({}),
            "tools/list" => {
                json!({ "tools": self.tools.iter().map(|tool| self.describe(tool)).collect::<Vec<_>>() })
            }
            "tools/call" => {
                let name = params["name"].as_str().unwrap_or_default();
                match self.tools.iter().find(|tool| tool.name == name) {
                    Some(tool) => self.call(tool, &params["arguments"]),
                    None => return Some(refusal(id, -32602, &format!("there is no tool {name}"))),
                }
            }
            _ => return Some(refusal(id, -32601, &format!("there is no method {method}"))),
        };
        Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
    }

    fn describe(&self, tool: &Tool) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for arg in arguments(&tool.command) {
            let name = property(arg);
            if arg.is_required_set() && !(name == "session" && self.session.is_some()) {
                required.push(name.clone());
            }
            properties.insert(name, schema(arg));
        }
        let about = tool.command.get_about().map(ToString::to_string).unwrap_or_default();
        json!({
            "name": tool.name,
            "description": about,
            "inputSchema": { "type": "object", "properties": properties, "required": required, "additionalProperties": false },
            "annotations": {
                "readOnlyHint": READERS.contains(&tool.name.as_str()),
                "destructiveHint": tool.name == "delete",
                "openWorldHint": false,
            },
        })
    }

    /// Runs the command; what it refuses is a result that says so, for the agent to read.
    fn call(&self, tool: &Tool, given: &Value) -> Value {
        let words = match self.words(tool, given) {
            Ok(words) => words,
            Err(message) => return told(&message, true),
        };
        let parsed = root().try_get_matches_from(words).and_then(|found| Args::from_arg_matches(&found));
        let reply = match parsed {
            Ok(args) => super::run(&args, true),
            Err(error) => super::usage(&error),
        };
        if reply.exit != 0 && reply.stdout.is_empty() {
            return told(reply.stderr.trim_end(), true);
        }
        let text = String::from_utf8_lossy(&reply.stdout).trim_end().to_owned();
        match serde_json::from_str(&text) {
            Ok(Value::Array(issues)) if is_list(&tool.command) => {
                told(&Value::from_iter(issues.into_iter().map(short)).to_string(), false)
            }
            _ => told(&text, false),
        }
    }

    /// The command line of a call.
    fn words(&self, tool: &Tool, given: &Value) -> Result<Vec<String>, String> {
        let empty = Map::new();
        let given = match given {
            Value::Null => &empty,
            Value::Object(given) => given,
            _ => return Err("arguments are an object".to_owned()),
        };
        let known = |name: &str| arguments(&tool.command).any(|arg| property(arg) == name);
        if let Some(other) = given.keys().find(|name| !known(name)) {
            return Err(format!("{} has no argument {other}", tool.name));
        }
        let mut words = vec!["wootz issue".to_owned(), "--dir".to_owned(), self.dir.display().to_string()];
        words.extend(tool.words.iter().cloned());
        let mut positional = Vec::new();
        for arg in arguments(&tool.command) {
            let name = property(arg);
            let mut values = texts(given.get(&name))
                .ok_or_else(|| format!("{name} is text, a number, true or false, or a list"))?;
            if values.is_empty() && name == "session" && !READERS.contains(&tool.name.as_str()) {
                values.extend(self.session.map(str::to_owned));
            }
            if values.is_empty() && name == "limit" {
                values.push(LIST_LENGTH.to_string());
            }
            match arg.get_long() {
                None => positional.extend(values),
                Some(long) if matches!(arg.get_action(), ArgAction::SetTrue) => {
                    words.extend(values.iter().filter(|value| *value == "true").map(|_| format!("--{long}")));
                }
                Some(long) => words.extend(values.iter().map(|value| format!("--{long}={value}"))),
            }
        }
        words.push("--".to_owned());
        words.extend(positional);
        Ok(words)
    }
}

fn root() -> clap::Command {
    Args::augment_args(clap::Command::new("wootz issue"))
}

fn gather(command: &clap::Command, path: &[String], tools: &mut Vec<Tool>) {
    for sub in command.get_subcommands().filter(|sub| !LEFT_OUT.contains(&sub.get_name())) {
        let words: Vec<String> = path.iter().cloned().chain([sub.get_name().to_owned()]).collect();
        if sub.has_subcommands() {
            gather(sub, &words, tools);
        } else {
            tools.push(Tool { name: words.join("_").replace('-', "_"), words, command: sub.clone() });
        }
    }
}

/// The arguments that a tool has: the input is the protocol's, and a store is chosen once.
fn arguments(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    let left_out = ["dir", "help", "version", "silent", "file"];
    command.get_arguments().filter(move |arg| !left_out.contains(&arg.get_id().as_str()))
}

fn property(arg: &Arg) -> String {
    arg.get_long().unwrap_or(arg.get_id().as_str()).replace('-', "_")
}

fn schema(arg: &Arg) -> Value {
    let is_many = matches!(arg.get_action(), ArgAction::Append)
        || arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    let values = arg.get_possible_values();
    let mut one = Map::new();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        one.insert("type".to_owned(), json!("boolean"));
    } else if is_number(arg.get_value_parser()) {
        one.insert("type".to_owned(), json!("integer"));
    } else {
        one.insert("type".to_owned(), json!("string"));
        if !values.is_empty() {
            one.insert("enum".to_owned(), values.iter().map(|value| value.get_name()).collect());
        }
    }
    let mut all = if is_many { json!({ "type": "array", "items": one }) } else { Value::Object(one) };
    if let Some(help) = arg.get_help() {
        all["description"] = json!(help.to_string());
    }
    all
}

fn is_number(parser: &ValueParser) -> bool {
    [TypeId::of::<u8>(), TypeId::of::<i64>(), TypeId::of::<usize>()].iter().any(|id| parser.type_id() == *id)
}

/// What an argument says, as words; `None` where it is nothing that has words.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => Some(vec![value.to_string()]),
        Some(Value::Array(values)) => {
            let all: Option<Vec<_>> = values.iter().map(|value| texts(Some(value))).collect();
            all.map(|all| all.concat())
        }
        Some(Value::Object(_)) => None,
    }
}

fn is_list(command: &clap::Command) -> bool {
    arguments(command).any(|arg| arg.get_id() == "limit") || command.get_name() == "stale"
}

fn short(issue: Value) -> Value {
    match issue {
        Value::Object(fields) if fields.contains_key("issue_type") => {
            fields.into_iter().filter(|(key, _)| LIST_KEYS.contains(&key.as_str())).collect()
        }
        other => other,
    }
}

fn initialize(params: &Value) -> Value {
    let asked = params["protocolVersion"].as_str().unwrap_or_default();
    let newest = REVISIONS[REVISIONS.len() - 1];
    let revision = REVISIONS.iter().find(|known| **known == asked).unwrap_or(&newest);
    json!({
        "protocolVersion": revision,
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "wootz", "version": env!("CARGO_PKG_VERSION") },
        "instructions": "Issues of this project. Take work with `ready` and `claim: true`, read `prime` once before.",
    })
}

fn told(text: &str, is_error: bool) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": is_error })
}

fn refusal(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}
