//! The order of a document's parts.
//!
//! Values and types first, then functions, callee before caller, the root last: a walk in depth gives each part its
//! wish. What a part needs when it is loaded has to stand above it, whatever the wishes; and what that needs when it runs
//! stands above as well, as it may run then.

use std::collections::{BTreeMap, BTreeSet};
use wootz_chunk::PartKind;

use super::Place;
use super::slice::Slice;

/// Needs of a part, as places in the list of parts.
struct Needs {
    all: Vec<usize>,
    eager: BTreeSet<usize>,
    /// With what the eager ones need, directly or through others.
    running: BTreeSet<usize>,
}

/// The parts of a slice in order.
pub(super) fn arrange(slice: &Slice<'_>) -> Vec<Place> {
    let parts: Vec<Place> = slice.parts.iter().copied().collect();
    let needs = needs_of(slice, &parts);
    let wishes = wishes(slice, &parts, &needs);
    let mut left: BTreeSet<(usize, usize)> =
        wishes.iter().copied().enumerate().map(|(part, wish)| (wish, part)).collect();
    let mut done = vec![false; parts.len()];
    let mut order = Vec::with_capacity(parts.len());
    while let Some(first) = left.first().copied() {
        let ready = |needed: &BTreeSet<usize>| needed.iter().all(|part| done[*part]);
        let next = left.iter().find(|(_, part)| ready(&needs[*part].running));
        // Where these go in circles, the order of the source is one that loads.
        let loadable =
            || left.iter().filter(|(_, part)| ready(&needs[*part].eager)).min_by_key(|(_, part)| *part);
        let next = next.or_else(loadable).copied();
        // A circle of files.
        let (wish, part) = next.unwrap_or(first);
        left.remove(&(wish, part));
        done[part] = true;
        order.push(parts[part]);
    }
    order
}

fn needs_of(slice: &Slice<'_>, parts: &[Place]) -> Vec<Needs> {
    let places: BTreeMap<Place, usize> =
        parts.iter().copied().enumerate().map(|(at, place)| (place, at)).collect();
    let mut givers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut declared: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for (at, place) in parts.iter().enumerate() {
        for member in slice.part(*place).into_iter().flat_map(|part| &part.members) {
            givers.entry(member).or_default().push(at);
        }
    }
    let mut needs: Vec<Needs> = Vec::with_capacity(parts.len());
    for (at, place) in parts.iter().enumerate() {
        let mut own = Needs { all: Vec::new(), eager: BTreeSet::new(), running: BTreeSet::new() };
        if let Some(part) = slice.part(*place) {
            let meant = |word: &String| {
                slice.meant(place.0, word).into_iter().filter_map(|place| places.get(&place).copied())
            };
            own.all.extend(part.words.iter().flat_map(meant));
            own.eager.extend(part.eager.iter().flat_map(meant));
            let members = part.mentioned_members.iter().filter_map(|member| givers.get(member.as_str()));
            own.all.extend(members.flatten());
            // What declares a name once more, or changes it, comes after those before it.
            for name in part.names.iter().chain(&part.touches) {
                if let Some(earlier) = declared.insert((place.0, name), at) {
                    own.eager.insert(earlier);
                }
            }
        }
        own.all.retain(|part| *part != at);
        // What stands further down in the same file cannot be what loading needs.
        own.eager.retain(|other| *other < at || parts[*other].0 != place.0);
        own.eager.remove(&at);
        needs.push(own);
    }
    for at in 0..needs.len() {
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut stack: Vec<usize> = needs[at].eager.iter().copied().collect();
        while let Some(next) = stack.pop() {
            if reached.insert(next) {
                stack.extend(&needs[next].all);
            }
        }
        reached.remove(&at);
        needs[at].running = reached;
    }
    needs
}

/// The place at which each part would stand if nothing had to be above anything.
fn wishes(slice: &Slice<'_>, parts: &[Place], needs: &[Needs]) -> Vec<usize> {
    let is_function = |at: &usize| slice.part(parts[*at]).is_some_and(|part| part.kind == PartKind::Function);
    let root = parts.iter().position(|place| *place == slice.root);
    let mut starts: Vec<usize> =
        (0..parts.len()).filter(|at| !is_function(at) && Some(*at) != root).collect();
    starts.extend((0..parts.len()).filter(|at| is_function(at) && Some(*at) != root));
    starts.extend(root);
    let mut wishes = vec![usize::MAX; parts.len()];
    let mut seen = vec![false; parts.len()];
    if let Some(root) = root {
        // Nothing that needs the root draws it forward.
        seen[root] = true;
    }
    let mut next = 0;
    for start in starts {
        if Some(start) != root && std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let value = !is_function(&start);
        let mut stack = vec![(start, 0)];
        while let Some((at, child)) = stack.last_mut() {
            match needs[*at].all.get(*child) {
                Some(needed) => {
                    *child += 1;
                    // Values and types ask for each other only; functions follow them.
                    let follow = !value || !is_function(needed);
                    if follow && !std::mem::replace(&mut seen[*needed], true) {
                        stack.push((*needed, 0));
                    }
                }
                None => {
                    wishes[*at] = next;
                    next += 1;
                    stack.pop();
                }
            }
        }
    }
    wishes
}
