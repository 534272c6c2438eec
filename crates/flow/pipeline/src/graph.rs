//! The shape of a plan: who waits for whom, by position in the plan.

use std::collections::{BTreeMap, BTreeSet};
use wootz_schema::plan::{OnFailure, Plan, PlanStep, Retries, WhenStatus};
use wootz_schema::task::Resources;

/// Why a plan has no order to run in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A step waits for, or is selected as, one that does not exist.
    #[error("unknown step `{0}`")]
    UnknownStep(String),
    /// Steps that wait for each other.
    #[error("dependency cycle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A step wants more than the run has.
    #[error("step {step} wants {wanted}")]
    Wants {
        /// The step.
        step: String,
        /// What it wants, and what there is.
        wanted: String,
    },
}

/// The steps of a plan with their edges both ways. Positions are those of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    ids: Vec<String>,
    positions: BTreeMap<String, usize>,
    dependencies: Vec<Vec<usize>>,
    pub(crate) dependents: Vec<Vec<usize>>,
    pub(crate) rules: Vec<Rule>,
}

/// What decides about a step beside its dependencies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    pub when: Option<(usize, WhenStatus)>,
    /// Steps whose failure this one is run for; not empty: it runs for nothing else.
    pub handles: Vec<usize>,
    pub resources: Resources,
    pub pools: BTreeMap<String, u32>,
    pub allow_failure: bool,
    pub retries: Retries,
}

impl Graph {
    /// The graph of a plan, or the first reason why it has none.
    pub fn new(plan: &Plan) -> Result<Graph, GraphError> {
        let ids: Vec<String> = plan.steps.iter().map(|s| s.id.clone()).collect();
        let positions: BTreeMap<String, usize> = ids.iter().cloned().zip(0..).collect();
        let find =
            |id: &String| positions.get(id).copied().ok_or_else(|| GraphError::UnknownStep(id.clone()));
        let mut dependencies = Vec::with_capacity(ids.len());
        let mut dependents = vec![Vec::new(); ids.len()];
        let mut rules = Vec::with_capacity(ids.len());
        for (position, step) in plan.steps.iter().enumerate() {
            let needed: BTreeSet<usize> = step.depends_on.iter().map(find).collect::<Result<_, _>>()?;
            needed.iter().for_each(|dependency| dependents[*dependency].push(position));
            dependencies.push(needed.into_iter().collect());
            let when = step.when.as_ref().map(|w| Ok((find(&w.step)?, w.status))).transpose()?;
            rules.push(Rule {
                when,
                handles: Vec::new(),
                resources: step.resources.clone(),
                pools: step.pools.clone(),
                allow_failure: step.allow_failure,
                retries: step.retries.clone(),
            });
        }
        for (position, step) in plan.steps.iter().enumerate() {
            if let Some(OnFailure::Run(handler)) = &step.on_failure {
                rules[find(handler)?].handles.push(position);
            }
        }
        match cycles(&plan.steps).into_iter().next() {
            Some(cycle) => Err(GraphError::Cycle(cycle)),
            None => Ok(Graph { ids, positions, dependencies, dependents, rules }),
        }
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Id of the step at this position.
    pub fn id(&self, position: usize) -> &str {
        &self.ids[position]
    }

    /// Position of the step of this id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).copied()
    }

    /// The steps that this one waits for itself, in the plan's order.
    pub fn dependencies(&self, position: usize) -> &[usize] {
        &self.dependencies[position]
    }

    /// Everything that must be over before the step can start, itself included.
    pub fn with_ancestors(&self, position: usize) -> BTreeSet<usize> {
        reach(position, &self.dependencies)
    }

    /// Everything that waits for the step, itself included.
    pub fn with_descendants(&self, position: usize) -> BTreeSet<usize> {
        reach(position, &self.dependents)
    }
}

fn reach(from: usize, edges: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(position) = open.pop() {
        open.extend(edges[position].iter().copied().filter(|next| seen.insert(*next)));
    }
    seen
}

/// Cycles of steps that wait for each other, each once and closed (`a, b, a`). Unknown dependencies and a step's
/// dependency on itself are other mistakes and not looked at.
pub(crate) fn cycles(steps: &[PlanStep]) -> Vec<Vec<String>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = steps
        .iter()
        .map(|s| (s.id.as_str(), s.depends_on.iter().map(String::as_str).filter(|d| *d != s.id).collect()))
        .collect();
    let mut found = Vec::new();
    loop {
        // What waits for nothing that is left cannot be part of a cycle.
        let mut free: Vec<&str> = Vec::new();
        loop {
            free.clear();
            free.extend(
                edges.iter().filter(|(_, d)| !d.iter().any(|d| edges.contains_key(d))).map(|(id, _)| *id),
            );
            if free.is_empty() {
                break;
            }
            for id in &free {
                edges.remove(id);
            }
        }
        let Some(first) = edges.keys().next().copied() else { return found };
        let cycle = walk(first, &edges);
        for id in &cycle {
            edges.remove(id.as_str());
        }
        found.push(cycle);
    }
}

/// Follows waiting steps until one comes again; every step in `edges` waits for another in it.
fn walk(first: &str, edges: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut path = vec![first];
    loop {
        let last = path[path.len() - 1];
        let next = edges[last]
            .iter()
            .copied()
            .find(|d| edges.contains_key(d))
            .expect("a next step, because steps that wait for nothing were removed");
        if let Some(start) = path.iter().position(|id| *id == next) {
            return path[start..].iter().chain([&next]).map(|id| (*id).to_owned()).collect();
        }
        path.push(next);
    }
}
