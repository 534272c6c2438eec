//! Walks along what issues depend on: trees and rings, without recursion, so that a chain may be as long as it likes.
//!
//! Rings are found by one depth-first search (Tarjan 1972, edges back to the path that is being walked): each edge that leads back is one
//! ring. That is every issue that waits for itself at least once, not every way in which it does, of which there may be exponentially many.

use std::collections::{HashMap, HashSet};

/// An issue at its place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How many edges below the root.
    pub depth: usize,
    /// The issue.
    pub id: String,
    /// What is below it.
    pub below: Below,
    /// Whether it is the last of its parent's.
    pub is_last: bool,
}

/// Why a branch of a tree goes on or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// The places behind it that are deeper, if any.
    Walked,
    /// It stands above itself.
    Ring,
    /// There is no such issue.
    Missing,
}

/// The tree below an issue, each issue before what is below it. `next` gives the edges of an issue, `None` where there is none.
pub fn tree(root: &str, next: impl Fn(&str) -> Option<Vec<String>>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut on_path: HashSet<String> = HashSet::new();
    let mut waiting = vec![(0, root.to_owned(), true)];
    while let Some((depth, id, is_last)) = waiting.pop() {
        for left in path.drain(depth..) {
            on_path.remove(&left);
        }
        let below = if on_path.contains(&id) {
            Below::Ring
        } else {
            match next(&id) {
                None => Below::Missing,
                Some(edges) => {
                    let count = edges.len();
                    let edges = edges.into_iter().enumerate().rev();
                    waiting.extend(edges.map(|(at, edge)| (depth + 1, edge, at + 1 == count)));
                    Below::Walked
                }
            }
        };
        if below == Below::Walked {
            on_path.insert(id.clone());
            path.push(id.clone());
        }
        places.push(Place { depth, id, below, is_last });
    }
    places
}

/// The rings among issues, given sorted by ID with their edges; each begins and ends with its smallest ID.
pub fn rings(issues: &[(String, Vec<String>)]) -> Vec<Vec<String>> {
    let places: HashMap<&str, usize> =
        issues.iter().enumerate().map(|(at, (id, _))| (id.as_str(), at)).collect();
    let mut depth_of: Vec<Option<usize>> = vec![None; issues.len()];
    let mut is_over = vec![false; issues.len()];
    let mut rings = Vec::new();
    for root in 0..issues.len() {
        if depth_of[root].is_some() {
            continue;
        }
        // Issues on the path, each with the number of its next edge.
        let mut path = vec![(root, 0)];
        depth_of[root] = Some(0);
        while let Some((at, edge)) = path.last_mut() {
            let Some(next) = issues[*at].1.get(*edge) else {
                is_over[*at] = true;
                path.pop();
                continue;
            };
            *edge += 1;
            let Some(next) = places.get(next.as_str()).copied() else { continue };
            match depth_of[next] {
                None => {
                    depth_of[next] = Some(path.len());
                    path.push((next, 0));
                }
                Some(depth) if !is_over[next] => {
                    let ring: Vec<usize> = path[depth..].iter().map(|(at, _)| *at).collect();
                    rings.push(from_least(ring));
                }
                Some(_) => {}
            }
        }
    }
    rings.sort();
    rings.into_iter().map(|ring| ring.into_iter().map(|at| issues[at].0.clone()).collect()).collect()
}

/// The same ring from its least member on, and back to it.
fn from_least(mut ring: Vec<usize>) -> Vec<usize> {
    let least = ring.iter().enumerate().min_by_key(|(_, member)| **member).map_or(0, |(at, _)| at);
    ring.rotate_left(least);
    ring.push(ring[0]);
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str) -> Vec<(String, Vec<String>)> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        text.split(';')
            .map(|part| part.split_once(':').expect("an issue and its edges"))
            .map(|(id, edges)| (id.trim().to_owned(), words(edges)))
            .collect()
    }

    #[test]
    fn every_issue_that_waits_for_itself_is_in_a_ring() {
        for (given, expected) in [
            ("a:b; b:c; c:", ""),
            ("a:b; b:c; c:b", "b c b"),
            ("a:a", "a a"),
            ("a:b; b:a c; c:d; d:c missing", "a b a, c d c"),
            ("a:c; b:a; c:b", "a c b a"),
            ("a:b c; b:d; c:d; d:", ""),
        ] {
            let rings: Vec<String> = rings(&graph(given)).iter().map(|ring| ring.join(" ")).collect();
            assert_eq!(rings.join(", "), expected, "{given}");
        }
    }

    #[test]
    fn a_chain_may_be_long() {
        let chain = |last: &str| -> Vec<(String, Vec<String>)> {
            let id = |at: usize| format!("x-{at:05}");
            let next = |at: usize| if at == 19_999 { last.to_owned() } else { id(at + 1) };
            (0..20_000).map(|at| (id(at), vec![next(at)])).collect()
        };
        assert!(rings(&chain("gone")).is_empty());
        assert_eq!(rings(&chain("x-00000")).iter().map(Vec::len).collect::<Vec<_>>(), [20_001]);
        let edges: HashMap<String, Vec<String>> = chain("x-00000").into_iter().collect();
        let places = tree("x-00000", |id| edges.get(id).cloned());
        assert_eq!(places.len(), 20_001);
        assert_eq!(places[20_000].below, Below::Ring);
    }

    #[test]
    fn a_tree_shows_shared_branches_twice_and_rings_once() {
        let edges: HashMap<String, Vec<String>> = graph("a:b c; b:d; c:d a x; d:").into_iter().collect();
        let told: Vec<String> = tree("a", |id| edges.get(id).cloned())
            .iter()
            .map(|place| format!("{}{} {:?} {}", place.depth, place.id, place.below, place.is_last))
            .collect();
        assert_eq!(
            told,
            [
                "0a Walked true",
                "1b Walked false",
                "2d Walked true",
                "1c Walked true",
                "2d Walked false",
                "2a Ring false",
                "2x Missing true"
            ]
        );
    }
}
