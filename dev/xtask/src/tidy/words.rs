//! No path of somebody's machine, no host of a package registry, no note to do later.

use crate::house::House;
use crate::tidy::Finding;

/// (what to look for, what it is, the fix). Written in halves, so that this file does not hold what it looks for.
const NEEDLES: &[(&str, &str, &str)] = &[
    (concat!("/ho", "me/"), "a path of one machine", MACHINE),
    (concat!("/ro", "ot/"), "a path of one machine", MACHINE),
    (concat!("/Us", "ers/"), "a path of one machine", MACHINE),
    (concat!("/wo", "rk/"), "a path of one machine", MACHINE),
    (concat!("crates", ".io"), "a registry's host", REGISTRY),
    (concat!("py", "pi.org"), "a registry's host", REGISTRY),
    (concat!("python", "hosted.org"), "a registry's host", REGISTRY),
    (concat!("download.py", "torch.org"), "a registry's host", REGISTRY),
    (concat!("registry.npm", "js.org"), "a registry's host", REGISTRY),
    (concat!("proxy.go", "lang.org"), "a registry's host", REGISTRY),
    (concat!("TO", "DO"), "a note to do later", LATER),
    (concat!("FIX", "ME"), "a note to do later", LATER),
];
const MACHINE: &str = "take it from an argument, the environment, or a path relative to the repository";
const REGISTRY: &str = "name no registry; the tools know theirs";
const LATER: &str = "do it, or return an error that says what is not covered";

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in house.texts.iter().filter(|(path, _)| *path != "Cargo.lock") {
        // Most files hold none: one pass each before going line by line.
        for (needle, what, fix) in NEEDLES.iter().filter(|(needle, ..)| text.contains(needle)) {
            let hits = text.lines().enumerate().filter(|(_, line)| holds(line, needle));
            findings.extend(
                hits.map(|(index, _)| Finding::new(path, index + 1, format!("`{needle}`: {what}"), fix)),
            );
        }
    }
    findings
}

/// Whether a line holds the needle; a path counts only where it begins there.
fn holds(line: &str, needle: &str) -> bool {
    let inside = |at: usize| {
        needle.starts_with('/') && line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.')
    };
    line.match_indices(needle).any(|(at, _)| !inside(at))
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn machine_paths_and_hosts_are_found_with_their_line() {
        let (home, host) = (super::NEEDLES[0].0, super::NEEDLES[4].0);
        let inside = format!("cd ..{home}x\ncd some{home}y\n");
        let script = format!("#!/bin/sh\ncd {home}me\ncurl {host}\n");
        let expected = [
            format!("dev/a.sh:2: `{home}`: a path of one machine"),
            format!("dev/a.sh:3: `{host}`: a registry's host"),
        ];
        assert_eq!(findings_of(super::check, &[("dev/a.sh", &script)]), expected);
        assert_eq!(findings_of(super::check, &[("Cargo.lock", &script), ("dev/b.sh", &inside)]), [""; 0]);
    }
}
