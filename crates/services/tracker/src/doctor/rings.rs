//! Issues that wait for each other: the strongly connected parts of the graph (Tarjan, "Depth-first search and linear graph algorithms", 1972), with
//! a stack of its own, so that long chains are no deep calls.

use std::collections::{HashMap, HashSet, VecDeque};

/// One shortest ring of each group of issues that wait for each other, the first ID of the group at both ends; sorted.
///
/// `edges` are issues with those for which they wait.
pub fn rings(edges: &[(String, Vec<String>)]) -> Vec<Vec<String>> {
    let places: HashMap<&str, usize> =
        edges.iter().enumerate().map(|(at, (id, _))| (id.as_str(), at)).collect();
    let next: Vec<Vec<usize>> = edges
        .iter()
        .map(|(_, on)| on.iter().filter_map(|id| places.get(id.as_str()).copied()).collect())
        .collect();
    let mut rings: Vec<Vec<String>> = groups(&next)
        .into_iter()
        .filter(|group| group.len() > 1 || next[group[0]].contains(&group[0]))
        .map(|group| {
            let first = group.iter().copied().min_by_key(|at| &edges[*at].0).expect("a group has an issue");
            let ring = ring(&next, first, &group.into_iter().collect());
            ring.into_iter().map(|at| edges[at].0.clone()).collect()
        })
        .collect();
    rings.sort();
    rings
}

/// The strongly connected parts.
fn groups(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let (mut order, mut low) = (vec![UNSEEN; next.len()], vec![0; next.len()]);
    let (mut open, mut is_open) = (Vec::new(), vec![false; next.len()]);
    let (mut groups, mut seen) = (Vec::new(), 0);
    for root in 0..next.len() {
        let mut calls: Vec<(usize, usize)> = if order[root] == UNSEEN { vec![(root, 0)] } else { Vec::new() };
        while let Some((at, edge)) = calls.pop() {
            if edge == 0 {
                order[at] = seen;
                low[at] = seen;
                seen += 1;
                open.push(at);
                is_open[at] = true;
            }
            match next[at].get(edge) {
                Some(to) => {
                    calls.push((at, edge + 1));
                    if order[*to] == UNSEEN {
                        calls.push((*to, 0));
                    } else if is_open[*to] {
                        low[at] = low[at].min(order[*to]);
                    }
                }
                None => {
                    if let Some((caller, _)) = calls.last() {
                        low[*caller] = low[*caller].min(low[at]);
                    }
                    if low[at] == order[at] {
                        let start = open.iter().rposition(|one| *one == at).expect("it is on the stack");
                        let group = open.split_off(start);
                        group.iter().for_each(|one| is_open[*one] = false);
                        groups.push(group);
                    }
                }
            }
        }
    }
    groups
}

/// The shortest way from an issue back to itself within its group.
fn ring(next: &[Vec<usize>], first: usize, group: &HashSet<usize>) -> Vec<usize> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(at) = queue.pop_front() {
        for to in next[at].iter().copied().filter(|to| group.contains(to)) {
            if to == first {
                let mut ring = vec![first];
                let mut back = at;
                while back != first {
                    ring.push(back);
                    back = came_from[&back];
                }
                ring.push(first);
                ring.reverse();
                return ring;
            }
            if let std::collections::hash_map::Entry::Vacant(vacant) = came_from.entry(to) {
                vacant.insert(at);
                queue.push_back(to);
            }
        }
    }
    vec![first, first]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(edges: &[(&str, &[&str])]) -> Vec<String> {
        let owned =
            |(id, on): &(&str, &[&str])| (id.to_string(), on.iter().map(|on| on.to_string()).collect());
        let edges: Vec<(String, Vec<String>)> = edges.iter().map(owned).collect();
        rings(&edges).iter().map(|ring| ring.join(" ")).collect()
    }

    #[test]
    fn each_group_tells_its_shortest_ring() {
        let edges: &[(&str, &[&str])] = &[
            ("z", &["z"]),
            ("c", &["a", "b"]),
            ("a", &["b", "none"]),
            ("b", &["c", "d"]),
            ("d", &["e"]),
            ("e", &[]),
            ("f", &["g"]),
            ("g", &["f", "a"]),
        ];
        assert_eq!(told(edges), ["a b c a", "f g f", "z z"]);
    }

    #[test]
    fn long_chains_and_rings_are_walked() {
        let mut edges: Vec<(String, Vec<String>)> =
            (0..20_000).map(|at| (format!("{at:05}"), vec![format!("{:05}", at + 1)])).collect();
        assert!(rings(&edges).is_empty());
        edges[19_999].1 = vec!["00000".to_owned()];
        assert_eq!(rings(&edges)[0].len(), 20_001);
    }
}
