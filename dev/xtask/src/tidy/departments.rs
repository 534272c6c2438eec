//! The folder is the layer: which crate may depend on which, and on which libraries.

use crate::house::{Crate, House};
use crate::tidy::Finding;

/// Lowest first; a crate depends on its own department or an earlier one.
const DEPARTMENTS: [&str; 7] = ["base", "data", "engine", "judge", "services", "flow", "app"];

const TABLES: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// Edges that the order allows and the design forbids: (crate or department, crate or department, what to do).
/// They hold for what is shipped; tests may cross them.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("judge", "engine", "a judge sees a model as `trait Generate`; pass one in from flow or app"),
    ("models", "ops", "models reach ops through nn; add the block to nn"),
    ("models", "cpu", "a model is a program; the backend is chosen above it"),
    ("nn", "cpu", "a block is a program; the backend is chosen above it"),
    ("train", "cpu", "take an `Arc<dyn Backend>`"),
    ("train", "cuda", "take an `Arc<dyn Backend>`"),
    ("infer", "cuda", "take an `Arc<dyn Backend>`"),
    ("models", "cuda", "a model is a program; the backend is chosen above it"),
    ("nn", "cuda", "a block is a program; the backend is chosen above it"),
    ("infer", "cpu", "take an `Arc<dyn Backend>`"),
    ("runner", "stations", "the runner knows `trait Step` only; register stations in app"),
    ("stations", "runner", "a station is driven by whichever engine; it never sees one"),
];

/// Libraries that one crate alone may use.
const RESERVED: &[(&str, &str)] =
    &[("clap", "cli"), ("indicatif", "cli"), ("anyhow", "cli"), ("rusqlite", "store runner")];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in house.crates.iter().filter(|c| c.department != "dev") {
        let Some(rank) = rank(&owner.department) else {
            let what = format!("`{}` is no department", owner.department);
            findings.push(Finding::new(
                owner.manifest_path(),
                1,
                what,
                "move the crate under one of DESIGN's seven",
            ));
            continue;
        };
        findings.extend(misnamed(owner));
        for table in TABLES {
            for name in owner.dependencies(table) {
                let fault = fault(house, owner, rank, table, name);
                findings.extend(fault.map(|(what, fix)| {
                    let path = owner.manifest_path();
                    Finding::new(path.clone(), house.line_of(&path, name), what, fix)
                }));
            }
        }
    }
    findings
}

fn rank(department: &str) -> Option<usize> {
    DEPARTMENTS.iter().position(|d| *d == department)
}

fn misnamed(owner: &Crate) -> Option<Finding> {
    let package = owner.manifest.get("package")?.get("name")?.as_str()?;
    let expected = format!("wootz-{}", owner.name);
    let binary = owner.name == "cli" && package == "wootz";
    (package != expected && !binary).then(|| {
        let what = format!("package `{package}` in folder `{}`", owner.name);
        Finding::new(owner.manifest_path(), 2, what, "one noun everywhere: name the package wootz-<folder>")
    })
}

/// What is wrong with one dependency of one crate.
fn fault(
    house: &House,
    owner: &Crate,
    rank_of_owner: usize,
    table: &str,
    name: &str,
) -> Option<(String, &'static str)> {
    let shipped = table != "dev-dependencies";
    let Some(folder) = name.strip_prefix("wootz-") else {
        let (_, holders) = RESERVED.iter().find(|(library, _)| *library == name)?;
        let held = holders.split(' ').any(|holder| holder == owner.name);
        let what = format!(
            "`{}` depends on `{name}`, which only {} may use",
            owner.name,
            holders.replace(' ', " and ")
        );
        return (shipped && !held).then_some((what, "move the code there, or pass the result in"));
    };
    if folder == "testkit" {
        let what = format!("`{}` ships with wootz-testkit", owner.name);
        return shipped.then_some((what, "testkit is a dev-dependency"));
    }
    let target = house.crates.iter().find(|c| c.department != "dev" && c.name == folder)?;
    let edge =
        format!("`{}/{}` depends on `{}/{}`", owner.department, owner.name, target.department, target.name);
    if rank(&target.department)? > rank_of_owner {
        return Some((
            format!("{edge}, a later department"),
            "turn the edge round, or move the shared part down",
        ));
    }
    let is = |crate_: &Crate, noun: &str| crate_.name == noun || crate_.department == noun;
    let (.., fix) = FORBIDDEN.iter().find(|(from, to, _)| shipped && is(owner, from) && is(target, to))?;
    Some((edge, fix))
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    /// A manifest of `wootz-<name>` with the given body.
    fn manifest(name: &str, body: &str) -> String {
        format!("[package]\nname = \"wootz-{name}\"\n{body}")
    }

    fn check(path: &str, name: &str, body: &str) -> Vec<String> {
        let others = [
            ("crates/base/stdx/Cargo.toml", manifest("stdx", "")),
            ("crates/engine/ops/Cargo.toml", manifest("ops", "")),
            ("crates/engine/cpu/Cargo.toml", manifest("cpu", "")),
            ("crates/flow/stations/Cargo.toml", manifest("stations", "")),
        ];
        let own = manifest(name, body);
        let mut files: Vec<(&str, &str)> = others.iter().map(|(p, t)| (*p, t.as_str())).collect();
        files.push((path, &own));
        findings_of(super::check, &files)
    }

    #[test]
    fn down_and_sideways_are_fine() {
        let body = "[dependencies]\nwootz-stdx.workspace = true\nwootz-ops.workspace = true\nserde = \"1\"\n";
        assert_eq!(check("crates/engine/nn/Cargo.toml", "nn", body), [""; 0]);
    }

    #[test]
    fn up_is_a_breach_even_in_tests() {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let body = format!("[{table}]\nwootz-ops.workspace = true\n");
            let expected =
                "crates/data/chunk/Cargo.toml:4: `data/chunk` depends on `engine/ops`, a later department";
            assert_eq!(check("crates/data/chunk/Cargo.toml", "chunk", &body), [expected]);
        }
    }

    #[test]
    fn forbidden_edges_hold_for_what_ships() {
        let cases = [
            ("judge", "gate", "ops", "`judge/gate` depends on `engine/ops`"),
            ("engine", "models", "ops", "`engine/models` depends on `engine/ops`"),
            ("engine", "train", "cpu", "`engine/train` depends on `engine/cpu`"),
            ("flow", "runner", "stations", "`flow/runner` depends on `flow/stations`"),
        ];
        for (department, name, target, what) in cases {
            let path = format!("crates/{department}/{name}/Cargo.toml");
            let shipped = format!("[dependencies]\nwootz-{target}.workspace = true\n");
            assert_eq!(check(&path, name, &shipped), [format!("{path}:4: {what}")]);
            let tested = format!("[dev-dependencies]\nwootz-{target}.workspace = true\n");
            assert_eq!(check(&path, name, &tested), [""; 0]);
        }
    }

    #[test]
    fn libraries_of_the_command_line_stay_there() {
        let body = "[dependencies]\nclap.workspace = true\n";
        assert_eq!(check("crates/app/cli/Cargo.toml", "cli", body), [""; 0]);
        let expected = "crates/flow/runner/Cargo.toml:4: `runner` depends on `clap`, which only cli may use";
        assert_eq!(check("crates/flow/runner/Cargo.toml", "runner", body), [expected]);
    }

    #[test]
    fn names_and_departments_are_the_folders() {
        let wrong = check("crates/base/disk/Cargo.toml", "store", "");
        assert_eq!(wrong, ["crates/base/disk/Cargo.toml:2: package `wootz-store` in folder `disk`"]);
        let lost = check("crates/extra/x/Cargo.toml", "x", "");
        assert_eq!(lost, ["crates/extra/x/Cargo.toml:1: `extra` is no department"]);
    }

    #[test]
    fn testkit_never_ships() {
        let body = "[dependencies]\nwootz-testkit.workspace = true\n";
        let expected = "crates/engine/nn/Cargo.toml:4: `nn` ships with wootz-testkit";
        assert_eq!(check("crates/engine/nn/Cargo.toml", "nn", body), [expected]);
    }
}
