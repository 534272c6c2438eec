//! The format of plans as a JSON Schema (draft 2020-12), for editors that complete and check what is written.
//!
//! It says less than reading a plan does: references, cycles and what a kind asks of its settings are not in it.

use crate::step::{Registry, Step};
use crate::suggest;
use serde_json::{Map, Value, json};
use wootz_schema::plan::{Retries, VERSION};

/// The schema of plans with these kinds of steps.
pub fn schema(registry: &Registry) -> Value {
    let kinds: Vec<&str> = registry.kinds().collect();
    let steps: Vec<Value> =
        kinds.iter().filter_map(|kind| registry.get(kind)).map(|kind| step(kind.as_ref())).collect();
    let plain = json!({ "type": ["string", "number", "boolean"] });
    let count = json!({ "type": "integer", "minimum": 1 });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A wootz plan",
        "type": "object",
        "required": ["steps"],
        "additionalProperties": false,
        "properties": {
            "version": { "const": VERSION },
            "name": { "type": "string", "description": "Name for people; the file's stem without it." },
            "log_dir": { "type": "string", "description": "Folder of what processes say." },
            "params": {
                "type": "object",
                "description": "Parameters with their defaults; null: one has to be given.",
                "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            },
            "pools": {
                "type": "object",
                "description": "How many of each pool there are.",
                "additionalProperties": count,
            },
            "steps": { "type": "array", "minItems": 1, "items": { "oneOf": steps } },
        },
        "$defs": {
            "text": { "type": "string" },
            // A parameter may stand for a number.
            "number": { "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "$ref": "#/$defs/reference" }] },
            "count": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "$ref": "#/$defs/reference" }] },
            "reference": { "type": "string", "pattern": "\\$\\{(params|matrix)\\." },
            "matrix": {
                "description": "One step for each combination of values.",
                "anyOf": [
                    { "type": "object", "minProperties": 1, "additionalProperties": { "type": "array", "minItems": 1, "items": plain } },
                    { "type": "array", "minItems": 1, "items": { "type": "object", "minProperties": 1, "additionalProperties": plain } },
                ],
            },
            "retries": retries(),
            "resources": {
                "type": "object",
                "description": "What an attempt has for itself.",
                "additionalProperties": false,
                "properties": {
                    "cpus": { "$ref": "#/$defs/count" },
                    "gpus": { "$ref": "#/$defs/count" },
                    "nodes": { "$ref": "#/$defs/count" },
                    "memory": { "type": "string", "examples": ["512MiB", "16GiB"] },
                    "pools": { "type": "object", "additionalProperties": count },
                },
            },
        },
    })
}

fn retries() -> Value {
    let default = Retries::default();
    json!({
        "type": "object",
        "description": "How often, and after how long, a failed attempt is repeated.",
        "additionalProperties": false,
        "properties": {
            "max_attempts": {
                "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 1000 }, { "$ref": "#/$defs/reference" }],
                "default": default.max_attempts,
            },
            "initial_seconds": { "$ref": "#/$defs/number", "default": default.initial_seconds },
            "factor": { "$ref": "#/$defs/number", "default": default.factor },
            "max_seconds": { "$ref": "#/$defs/number", "default": default.max_seconds },
            "jitter": { "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, { "$ref": "#/$defs/reference" }] },
            "on_exit_codes": { "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 255 } },
        },
    })
}

/// A step of one kind.
fn step(kind: &dyn Step) -> Value {
    let mut properties = Map::new();
    let mut add = |key: &str, value: Value| drop(properties.insert(key.to_owned(), value));
    add("id", json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "maxLength": 100 }));
    add("name", json!({ "$ref": "#/$defs/text" }));
    add("type", json!({ "const": kind.kind() }));
    add("depends_on", json!({ "type": "array", "items": { "type": "string" } }));
    let when =
        json!({ "step": { "type": "string" }, "status": { "enum": ["success", "failure", "finished"] } });
    add(
        "when",
        json!({ "type": "object", "required": ["step", "status"], "additionalProperties": false, "properties": when }),
    );
    add("matrix", json!({ "$ref": "#/$defs/matrix" }));
    add("timeout_seconds", json!({ "$ref": "#/$defs/number" }));
    add("allow_failure", json!({ "type": "boolean", "default": false }));
    add("on_failure", json!({ "type": "string", "pattern": "^(issue|run .+)$" }));
    add("retries", json!({ "$ref": "#/$defs/retries" }));
    add("resources", json!({ "$ref": "#/$defs/resources" }));
    let inline = kind.inline_keys();
    for key in inline {
        add(key, json!({}));
    }
    if inline.is_empty() {
        let keys: Map<String, Value> = keys(kind).into_iter().map(|key| (key, json!({}))).collect();
        // For completion only: a kind may read keys under other names, too.
        let block = json!({ "type": "object", "properties": keys });
        add(kind.kind(), block);
    }
    json!({ "type": "object", "required": ["id", "type"], "additionalProperties": false, "properties": properties })
}

/// The keys of a kind's settings, which it names when it is given one that is none of them.
fn keys(kind: &dyn Step) -> Vec<String> {
    let Err(error) = kind.validate(&json!({ "": null })) else { return Vec::new() };
    suggest::valid_keys(&error.message)
}
