//! References in a plan's strings: `${params.NAME}`, `${steps.ID}`, `${matrix.AXIS}`, and in parameter defaults
//! `${env.NAME}` and `${env.NAME:-default}`, where the default may itself hold references.
//!
//! Of a step before, `${steps.ID}` is the folder of its output, `${steps.ID.stdout}` what its process said, without the
//! line's end, `${steps.ID.stdout.KEY}` a value of the JSON object that it said, and `${steps.ID.metrics.NAME}` a figure
//! that it reported.
//!
//! Only `${word.` starts a reference, so `${HOME}` in a command's arguments stays as it is; `$${` writes `${` where a
//! reference would be read. A string that is one parameter reference and nothing else takes the parameter's value with
//! its type: `depth: ${params.depth}` is a number.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A mistake in a reference: what is wrong and the fix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemplateError {
    pub message: String,
    pub hint: Option<String>,
}

/// A part of a string.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Param(&'a str),
    Step(&'a str, Part<'a>),
    Matrix(&'a str),
    Env { name: &'a str, default: Option<&'a str> },
}

/// What of a step is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The folder of its output.
    Output,
    /// What its process said on its standard output.
    Stdout,
    /// The value of this key of the JSON object that its process said.
    Key(&'a str),
    /// The figure of this name.
    Metric(&'a str),
}

/// As it stands after the step's id.
impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Output => Ok(()),
            Part::Stdout => f.write_str(".stdout"),
            Part::Key(key) => write!(f, ".stdout.{key}"),
            Part::Metric(name) => write!(f, ".metrics.{name}"),
        }
    }
}

/// Steps that a step's settings name, and those of them of which it reads what their processes said.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub steps: BTreeSet<String>,
    pub heard: BTreeSet<String>,
}

/// Replaces `${matrix.…}` in all that a step says; other references stay.
pub(crate) fn fill_matrix(tree: &mut Value, values: &BTreeMap<String, Value>) -> Result<(), TemplateError> {
    match tree {
        Value::String(text) => {
            let pieces = pieces(text)?;
            let value = |axis: &str| {
                values.get(axis).ok_or_else(|| {
                    let names: Vec<&str> = values.keys().map(String::as_str).collect();
                    let hint = Some(format!("its axes: {}", crate::suggest::list(&names)));
                    TemplateError { message: format!("unknown axis `{axis}` of the matrix"), hint }
                })
            };
            if let [Piece::Matrix(axis)] = pieces.as_slice() {
                *tree = value(axis)?.clone();
                return Ok(());
            }
            let mut filled = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => filled.push_str(&escape(text)),
                    Piece::Matrix(axis) => match value(axis)? {
                        Value::String(text) => filled.push_str(text),
                        value => filled.push_str(&value.to_string()),
                    },
                    Piece::Param(name) => filled.push_str(&format!("${{params.{name}}}")),
                    Piece::Step(id, part) => filled.push_str(&format!("${{steps.{id}{part}}}")),
                    Piece::Env { name, default: None } => filled.push_str(&format!("${{env.{name}}}")),
                    Piece::Env { name, default: Some(text) } => {
                        filled.push_str(&format!("${{env.{name}:-{text}}}"));
                    }
                }
            }
            *tree = Value::String(filled);
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_matrix(item, values)),
        Value::Object(entries) => {
            let filled = entries.iter_mut().filter(|(key, _)| *key != "matrix");
            filled.map(|(_, value)| value).try_for_each(|value| fill_matrix(value, values))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Replaces `${env.…}` in the default of a parameter.
pub(crate) fn fill_env(text: &str, env: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let mut filled = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Env { name, default } => match (env.get(name).filter(|v| !v.is_empty()), default) {
                (Some(value), _) => filled.push_str(value),
                (None, Some(default)) => filled.push_str(&fill_env(default, env)?),
                (None, None) => {
                    return Err(TemplateError {
                        message: format!("the environment variable {name} is not set"),
                        hint: Some(format!(
                            "set it, pass --param, or write a default: ${{env.{name}:-default}}"
                        )),
                    });
                }
            },
            Piece::Param(_) | Piece::Step(..) | Piece::Matrix(_) => {
                return Err(TemplateError {
                    message: "a parameter's default can only refer to the environment".to_owned(),
                    hint: Some("use ${env.NAME} or ${env.NAME:-default}".to_owned()),
                });
            }
        }
    }
    Ok(filled)
}

/// Replaces `${params.…}` in a setting, keeps `${steps.…}` with the step that `meant` says an id means, and collects the
/// steps named.
pub(crate) fn fill_params(
    text: &str,
    params: &BTreeMap<String, Value>,
    meant: &dyn Fn(&str) -> Result<String, TemplateError>,
    named: &mut Named,
) -> Result<Value, TemplateError> {
    let pieces = pieces(text)?;
    if let [Piece::Param(name)] = pieces.as_slice() {
        return Ok(match param(name, params)? {
            Value::String(text) => Value::String(escape(text)),
            value => value.clone(),
        });
    }
    let mut filled = String::new();
    for piece in pieces {
        match piece {
            // A literal `${` must survive the later pass that puts in the steps' outputs.
            Piece::Text(text) => filled.push_str(&escape(text)),
            Piece::Param(name) => filled.push_str(&match param(name, params)? {
                Value::String(text) => escape(text),
                value => value.to_string(),
            }),
            Piece::Step(id, part) => {
                let id = meant(id)?;
                if matches!(part, Part::Stdout | Part::Key(_)) {
                    named.heard.insert(id.clone());
                }
                filled.push_str(&format!("${{steps.{id}{part}}}"));
                named.steps.insert(id);
            }
            Piece::Matrix(axis) => {
                return Err(TemplateError {
                    message: format!("${{matrix.{axis}}} stands in a step without a matrix"),
                    hint: Some(format!("write matrix: {{ {axis}: [1, 2] }}")),
                });
            }
            Piece::Env { name, .. } => {
                return Err(TemplateError {
                    message: format!("${{env.{name}}} stands outside the defaults of params"),
                    hint: Some(format!(
                        "declare a parameter with the default ${{env.{name}}} and refer to that"
                    )),
                });
            }
        }
    }
    Ok(Value::String(filled))
}

/// Replaces every `${steps.ID…}` in a step's settings by what `output` says of that part of ID, and resolves `$${`.
pub fn fill_steps<E>(
    config: &Value,
    output: &mut impl FnMut(&str, Part<'_>) -> Result<String, E>,
) -> Result<Value, E> {
    Ok(match config {
        Value::String(text) => {
            // What cannot be read as references was refused when the plan was; as text it is still exact.
            let Ok(pieces) = pieces(text) else { return Ok(config.clone()) };
            let mut filled = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => filled.push_str(text),
                    Piece::Step(id, part) => filled.push_str(&output(id, part)?),
                    Piece::Matrix(axis) => filled.push_str(&format!("${{matrix.{axis}}}")),
                    Piece::Param(name) => filled.push_str(&format!("${{params.{name}}}")),
                    Piece::Env { name, .. } => filled.push_str(&format!("${{env.{name}}}")),
                }
            }
            Value::String(filled)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill_steps(item, output)).collect::<Result<_, E>>()?)
        }
        Value::Object(entries) => {
            let filled = entries.iter().map(|(key, value)| Ok((key.clone(), fill_steps(value, output)?)));
            Value::Object(filled.collect::<Result<_, E>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => config.clone(),
    })
}

fn param<'a>(name: &str, params: &'a BTreeMap<String, Value>) -> Result<&'a Value, TemplateError> {
    params.get(name).ok_or_else(|| {
        let names: Vec<&str> = params.keys().map(String::as_str).collect();
        TemplateError {
            message: format!("unknown parameter `{name}`"),
            hint: Some(match crate::suggest::nearest(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it under params; declared: {}", crate::suggest::list(&names)),
            }),
        }
    })
}

/// `$` before every `${word.`, so that the text is read back as itself.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        escaped.push_str(&rest[..at]);
        if opens_reference(&rest[at..]) {
            escaped.push('$');
        }
        escaped.push_str("${");
        rest = &rest[at + 2..];
    }
    escaped + rest
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Whether the text, which starts with `${`, starts with `${word.`.
fn opens_reference(text: &str) -> bool {
    let word = text[2..].find(|c| !is_name(c)).unwrap_or(0);
    word > 0 && text[2 + word..].starts_with('.')
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(open) = text[at..].find("${").map(|i| at + i) {
        if !opens_reference(&text[open..]) {
            at = open + 2;
            continue;
        }
        if text[start..open].ends_with('$') {
            found.push(Piece::Text(&text[start..open - 1]));
            (start, at) = (open, open + 2);
            continue;
        }
        let Some(close) = closing(&text[open..]).map(|i| open + i) else {
            return Err(TemplateError {
                message: format!("`{}` has no closing brace", &text[open..]),
                hint: Some("write ${params.NAME} or ${steps.ID}".to_owned()),
            });
        };
        if open > start {
            found.push(Piece::Text(&text[start..open]));
        }
        found.push(reference(&text[open + 2..close])?);
        (start, at) = (close + 1, close + 1);
    }
    if start < text.len() {
        found.push(Piece::Text(&text[start..]));
    }
    Ok(found)
}

/// Position of the brace that closes the one the text starts with; a default may hold references itself.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Reads what stands between `${` and `}`.
fn reference(text: &str) -> Result<Piece<'_>, TemplateError> {
    let (space, rest) = text.split_once('.').unwrap_or((text, ""));
    let (name, default) = match rest.split_once(":-") {
        Some((name, default)) if space == "env" => (name, Some(default)),
        _ => (rest, None),
    };
    let named = !name.is_empty() && name.chars().all(is_name);
    let (id, part) = name.split_once('.').unwrap_or((name, ""));
    let (what, key) = part.split_once('.').unwrap_or((part, ""));
    let is_step = space == "steps" && !id.is_empty() && id.chars().all(is_name);
    match space {
        "params" if named => Ok(Piece::Param(name)),
        "matrix" if named => Ok(Piece::Matrix(name)),
        "steps" if named => Ok(Piece::Step(name, Part::Output)),
        "steps" if is_step && part == "stdout" => Ok(Piece::Step(id, Part::Stdout)),
        "steps" if is_step && what == "stdout" && !key.is_empty() => Ok(Piece::Step(id, Part::Key(key))),
        "steps" if is_step && what == "metrics" && !key.is_empty() => Ok(Piece::Step(id, Part::Metric(key))),
        "steps" if is_step => Err(TemplateError {
            message: format!("`${{{text}}}` is no reference"),
            hint: Some(format!(
                "of a step: ${{steps.{id}}}, ${{steps.{id}.stdout}}, ${{steps.{id}.stdout.KEY}}, ${{steps.{id}.metrics.NAME}}"
            )),
        }),
        "env" if named => Ok(Piece::Env { name, default }),
        _ => Err(TemplateError {
            message: format!("`${{{text}}}` is no reference"),
            hint: Some(match crate::suggest::nearest(space, &["params", "steps", "matrix", "env"]) {
                Some(near) if near != space => format!("did you mean `${{{near}.{rest}}}`?"),
                _ => "write ${params.NAME} or ${steps.ID}; $${ for a literal ${".to_owned(),
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn params() -> BTreeMap<String, Value> {
        BTreeMap::from([("depth".to_owned(), json!(4)), ("source".to_owned(), json!("/a/${steps.x}"))])
    }

    #[test]
    fn settings_are_filled_in_two_passes() {
        for (text, expected, named) in [
            ("${params.depth}", json!(4), ""),
            ("d${params.depth}", json!("d4"), ""),
            ("${steps.corpus}/a.jsonl", json!("<corpus>/a.jsonl"), "corpus"),
            ("${HOME}/x ${x:-1.5}", json!("${HOME}/x ${x:-1.5}"), ""),
            ("$${steps.corpus}", json!("${steps.corpus}"), ""),
            ("p ${params.source}", json!("p /a/${steps.x}"), ""),
            ("${steps.a}${steps.b}", json!("<a><b>"), "a b"),
            ("x ${steps.a.stdout} y", json!("x <a.stdout> y"), "a"),
            ("${steps.a.stdout.loss.0}", json!("<a.stdout.loss.0>"), "a"),
            ("${steps.a.metrics.val/loss}", json!("<a.metrics.val/loss>"), "a"),
            ("", json!(""), ""),
        ] {
            let mut found = Named::default();
            let filled = fill_params(text, &params(), &|id| Ok(id.to_owned()), &mut found).unwrap();
            let steps: Vec<String> = found.steps.into_iter().collect();
            assert_eq!(steps.join(" "), named, "{text}");
            let filled = fill_steps::<()>(&filled, &mut |id, part| Ok(format!("<{id}{part}>"))).unwrap();
            assert_eq!(filled, expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("${params.dept}", "unknown parameter `dept`"),
            ("${param.depth}", "`${param.depth}` is no reference"),
            ("${env.HOME}", "${env.HOME} stands outside the defaults of params"),
            ("${steps.a", "`${steps.a` has no closing brace"),
            ("${steps.a b}", "`${steps.a b}` is no reference"),
            ("${steps.a.stderr}", "`${steps.a.stderr}` is no reference"),
            ("${matrix.depth}", "${matrix.depth} stands in a step without a matrix"),
        ] {
            let filled = fill_params(text, &params(), &|id| Ok(id.to_owned()), &mut Named::default());
            assert_eq!(filled.unwrap_err().message, message);
        }
    }

    #[test]
    fn defaults_come_from_the_environment_given() {
        let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned()), ("EMPTY".to_owned(), String::new())]);
        for (text, expected) in [
            ("${env.HOME}/x", Ok("/h/x")),
            ("${env.NONE:-/d}/x", Ok("/d/x")),
            ("${env.EMPTY:-e}", Ok("e")),
            ("${env.NONE:-${env.HOME}/.cargo}/registry", Ok("/h/.cargo/registry")),
            ("${env.NONE}", Err("the environment variable NONE is not set")),
            ("${params.a}", Err("a parameter's default can only refer to the environment")),
        ] {
            let filled = fill_env(text, &env).map_err(|e| e.message);
            assert_eq!(filled, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
