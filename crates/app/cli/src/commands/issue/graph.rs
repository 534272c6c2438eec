//! What an issue waits for, as a tree, and issues that wait for themselves. Nothing here calls itself: chains may be long.

use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use wootz_tracker::{Index, View};

use super::layout::cut;

/// How a node of the tree stands in it.
enum Node<'v, 'a> {
    Issue(&'v View<'a>),
    /// It is its own ancestor.
    Again(String),
    Missing(String),
}

/// A step of a walk from a root down to all it waits for.
enum Walk<'v, 'a> {
    Enter { node: Node<'v, 'a>, is_last: bool },
    Leave,
}

fn walk<'v, 'a>(index: &Index<'v, 'a>, root: &'v View<'a>, mut visit: impl FnMut(&Walk<'v, 'a>, usize)) {
    let mut path: Vec<&str> = Vec::new();
    let mut on_path: HashSet<&str> = HashSet::new();
    let mut stack = vec![Walk::Enter { node: Node::Issue(root), is_last: true }];
    while let Some(step) = stack.pop() {
        if matches!(step, Walk::Leave) {
            path.pop().into_iter().for_each(|id| {
                on_path.remove(id);
            });
            visit(&step, path.len());
            continue;
        }
        visit(&step, path.len());
        let Walk::Enter { node: Node::Issue(view), .. } = &step else { continue };
        path.push(view.id());
        on_path.insert(view.id());
        stack.push(Walk::Leave);
        let blockers: Vec<_> = view.blockers().collect();
        for (at, blocker) in blockers.iter().enumerate().rev() {
            let node = match index.get(blocker) {
                _ if on_path.contains(blocker.as_ref()) => Node::Again(blocker.to_string()),
                Some(view) => Node::Issue(view),
                None => Node::Missing(blocker.to_string()),
            };
            stack.push(Walk::Enter { node, is_last: at + 1 == blockers.len() });
        }
    }
}

/// The tree for people.
pub fn tree(index: &Index<'_, '_>, root: &View<'_>) -> String {
    let mut text = String::from("\n");
    // Of each ancestor but the root, whether others follow it.
    let mut open: Vec<bool> = Vec::new();
    walk(index, root, |step, depth| match step {
        Walk::Leave => open.truncate(depth.saturating_sub(1)),
        Walk::Enter { node, is_last } => {
            if depth > 0 {
                open.truncate(depth - 1);
                open.iter().for_each(|open| text.push_str(if *open { "│   " } else { "    " }));
                text.push_str(if *is_last { "└── " } else { "├── " });
                open.push(!is_last);
            }
            let _ = match node {
                Node::Issue(view) => {
                    let status = view.line_status().to_uppercase();
                    writeln!(text, "{}: {} [{status}]", view.id(), cut(&view.title(), 30))
                }
                Node::Again(id) => writeln!(text, "{id} [CYCLE]"),
                Node::Missing(id) => writeln!(text, "{id} [MISSING]"),
            };
        }
    });
    text
}

/// The tree for programs.
pub fn tree_json(index: &Index<'_, '_>, root: &View<'_>) -> String {
    let mut text = String::new();
    // Whether something stands before, in each list that is open.
    let mut begun: Vec<bool> = Vec::new();
    let mut tails: Vec<String> = Vec::new();
    let indent = |depth: usize| "  ".repeat(depth);
    walk(index, root, |step, depth| match step {
        Walk::Leave => {
            let had = begun.pop().unwrap_or(false);
            if had {
                let _ = write!(text, "\n{}", indent(depth * 2 + 1));
            }
            text.push(']');
            text.push_str(&tails.pop().unwrap_or_default());
        }
        Walk::Enter { node, .. } => {
            if let Some(begun) = begun.last_mut() {
                text.push_str(if *begun { ",\n" } else { "\n" });
                *begun = true;
            }
            let (outer, inner) = (indent(depth * 2), indent(depth * 2 + 1));
            match node {
                Node::Issue(view) => {
                    let _ = write!(text, "{outer}{{\n{inner}\"blocked_by\": [");
                    begun.push(false);
                    let (id, status, title) =
                        (json!(view.id()), json!(view.line_status()), json!(view.title()));
                    tails.push(format!(
                        ",\n{inner}\"id\": {id},\n{inner}\"status\": {status},\n{inner}\"title\": {title}\n{outer}}}"
                    ));
                }
                Node::Again(id) => {
                    let _ = write!(
                        text,
                        "{outer}{{\n{inner}\"cycle\": true,\n{inner}\"id\": {}\n{outer}}}",
                        json!(id)
                    );
                }
                Node::Missing(id) => {
                    let _ = write!(
                        text,
                        "{outer}{{\n{inner}\"id\": {},\n{inner}\"missing\": true\n{outer}}}",
                        json!(id)
                    );
                }
            }
        }
    });
    text + "\n"
}

/// Issues that wait for themselves through others, each ring once, its first issue also at its end.
pub fn rings(index: &Index<'_, '_>) -> Vec<Vec<String>> {
    let views = index.views();
    let place: HashMap<&str, usize> = views.iter().enumerate().map(|(at, view)| (view.id(), at)).collect();
    let edges: Vec<Vec<usize>> = views
        .iter()
        .map(|view| view.blockers().filter_map(|id| place.get(id.as_ref()).copied()).collect())
        .collect();
    let mut found = Vec::new();
    // Depth first; on the path, the place there.
    let (mut done, mut on_path) = (vec![false; views.len()], vec![usize::MAX; views.len()]);
    for root in 0..views.len() {
        let mut stack: Vec<(usize, usize)> = if done[root] { Vec::new() } else { vec![(root, 0)] };
        if !stack.is_empty() {
            on_path[root] = 0;
        }
        while let Some((at, next)) = stack.last_mut() {
            let Some(other) = edges[*at].get(*next).copied() else {
                done[*at] = true;
                on_path[*at] = usize::MAX;
                stack.pop();
                continue;
            };
            *next += 1;
            if on_path[other] != usize::MAX {
                let ring = stack[on_path[other]..].iter().map(|(at, _)| *at).chain([other]);
                found.push(ring.map(|at| views[at].id().to_owned()).collect());
            } else if !done[other] {
                on_path[other] = stack.len();
                stack.push((other, 0));
            }
        }
    }
    found
}
