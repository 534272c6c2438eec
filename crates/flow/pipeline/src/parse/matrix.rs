//! `matrix`: one step of the text is many of the plan, one for each combination of values.
//!
//! ```yaml
//! - id: train
//!   matrix: { depth: [4, 8], lr: [0.1, 0.2] }     # four steps: train-4-0_1, train-4-0_2, …
//!   train: { depth: "${matrix.depth}", … }
//! ```
//!
//! A list of mappings says the combinations one by one. Whoever names `train` means its steps that agree with the one
//! that speaks on every axis that both have: of a step of its own without a matrix, all of them.

use super::{Path, Reader, under};
use crate::template::{self, TemplateError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use wootz_schema::yaml::Part;

/// More steps than this are made by nobody who meant to.
const MOST_CELLS: usize = 10_000;

/// The values that a step has on each axis.
pub(super) type Values = BTreeMap<String, Value>;

/// One step that the text stands for.
#[derive(Debug)]
pub(super) struct Cell {
    /// Position in the text.
    pub index: usize,
    /// The step's text with the values of its axes.
    pub tree: Value,
    /// Id in the text.
    pub base: String,
    /// Id in the plan.
    pub id: String,
    pub values: Values,
    /// Whether its matrix is wrong, so that nothing more need be said of what refers to it.
    pub is_broken: bool,
}

impl Cell {
    /// The step as messages name it: the one of the text.
    pub fn shown<'a>(&'a self, id: &'a str) -> &'a str {
        if self.values.is_empty() { id } else { &self.base }
    }
}

/// The steps of each id in the text that has a matrix.
#[derive(Debug, Default)]
pub(super) struct Families(BTreeMap<String, Vec<(String, Values)>>);

impl Families {
    pub fn of(cells: &[Cell]) -> Families {
        let mut families: BTreeMap<String, Vec<(String, Values)>> = BTreeMap::new();
        for cell in cells.iter().filter(|cell| !cell.values.is_empty()) {
            families.entry(cell.base.clone()).or_default().push((cell.id.clone(), cell.values.clone()));
        }
        Families(families)
    }

    /// The steps that a step with these values means by an id.
    pub fn meant(&self, id: &str, own: &Values) -> Vec<String> {
        let Some(family) = self.0.get(id) else { return vec![id.to_owned()] };
        let agrees = |values: &Values| own.iter().all(|(axis, v)| values.get(axis).is_none_or(|w| w == v));
        family.iter().filter(|(_, values)| agrees(values)).map(|(id, _)| id.clone()).collect()
    }

    /// The one step that is meant by an id.
    pub fn one(&self, id: &str, own: &Values) -> Result<String, TemplateError> {
        let mut meant = self.meant(id, own);
        if meant.len() == 1 {
            return Ok(meant.remove(0));
        }
        let message = format!("{id} is {} steps here, and one is to be named", meant.len());
        let family =
            self.0.get(id).map(|family| family.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>());
        let family = crate::suggest::list(&family.unwrap_or_default());
        Err(TemplateError { message, hint: Some(format!("its steps: {family}")) })
    }
}

impl Reader<'_> {
    /// The steps that a list of steps stands for.
    pub(super) fn cells(&mut self, steps: &[Value]) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(steps.len());
        for (index, tree) in steps.iter().enumerate() {
            let base = tree.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let path = [Part::Key("steps".to_owned()), Part::Index(index)];
            let combinations = match tree.get("matrix") {
                None | Some(Value::Null) => Vec::new(),
                Some(matrix) => self.combinations(matrix, &under(&path, "matrix"), &format!("step {base}")),
            };
            if combinations.is_empty() {
                let is_broken = tree.get("matrix").is_some_and(|matrix| !matrix.is_null());
                let (tree, id, values) = (tree.clone(), base.clone(), Values::new());
                cells.push(Cell { index, tree, base, id, values, is_broken });
                continue;
            }
            let first = cells.len();
            for (number, values) in combinations.into_iter().enumerate() {
                let mut tree = tree.clone();
                let filled = template::fill_matrix(&mut tree, &values);
                let is_broken = filled.is_err();
                if let Err(error) = filled {
                    self.found.push((
                        Some(path.to_vec()),
                        format!("step {base}: {}", error.message),
                        error.hint,
                    ));
                }
                let mut id = format!("{base}-{}", values.values().map(word).collect::<Vec<_>>().join("-"));
                if cells[first..].iter().any(|cell| cell.id == id) {
                    id = format!("{id}-{}", number + 1);
                }
                cells.push(Cell { index, tree, base: base.clone(), id, values, is_broken });
            }
        }
        cells
    }

    /// Every combination of values that a matrix stands for; none where it is no matrix, which is told.
    fn combinations(&mut self, matrix: &Value, path: &Path, who: &str) -> Vec<Values> {
        let hint = "write matrix: { depth: [4, 8] }, or a list of mappings";
        let mut found: Vec<Values> = Vec::new();
        match matrix {
            Value::Object(axes) if !axes.is_empty() => {
                found.push(Values::new());
                for (axis, values) in axes {
                    let values = match values {
                        Value::Array(values) if !values.is_empty() && values.iter().all(is_plain) => values,
                        _ => {
                            let message = format!("{who}: matrix: {axis} must be a list of values");
                            self.hinted(&under(path, axis), message, hint);
                            return Vec::new();
                        }
                    };
                    if found.len() * values.len() > MOST_CELLS {
                        let message = format!("{who}: matrix has more than {MOST_CELLS} combinations");
                        self.problem(path, message);
                        return Vec::new();
                    }
                    let with = |cell: &Values, value: &Value| {
                        let mut cell = cell.clone();
                        cell.insert(axis.clone(), value.clone());
                        cell
                    };
                    found = found.iter().flat_map(|cell| values.iter().map(|v| with(cell, v))).collect();
                }
            }
            Value::Array(cells) if !cells.is_empty() && cells.len() <= MOST_CELLS => {
                for cell in cells {
                    let plain = cell.as_object().filter(|c| !c.is_empty() && c.values().all(is_plain));
                    let Some(cell) = plain else {
                        self.hinted(
                            path,
                            format!("{who}: matrix has {cell}, which is no mapping of values"),
                            hint,
                        );
                        return Vec::new();
                    };
                    found.push(own(cell));
                }
            }
            _ => self.hinted(
                path,
                format!("{who}: matrix must be a mapping of lists or a list of mappings"),
                hint,
            ),
        }
        found
    }
}

fn own(cell: &Map<String, Value>) -> Values {
    cell.iter().map(|(axis, value)| (axis.clone(), value.clone())).collect()
}

fn is_plain(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// A value as part of an id.
fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}
