//! Only `cli` speaks to people and ends the process; everything else returns values and errors.

use syn::visit::{Visit, visit_expr_call, visit_macro};

use crate::house::{House, lines};
use crate::tidy::Finding;

const PRINTS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    let spoken = |c: &crate::house::Crate| c.department == "dev" || c.name == "cli";
    for (_, source) in house.production().filter(|(owner, _)| !spoken(owner)) {
        Shell { path: &source.path, findings: &mut findings }.visit_file(&source.production);
    }
    findings
}

struct Shell<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl<'ast> Visit<'ast> for Shell<'_> {
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        if PRINTS.contains(&name.as_str()) {
            let fix = "report through `Observe`, or return it for cli to render";
            self.findings.push(Finding::new(self.path, lines(call).0, format!("`{name}!` outside cli"), fix));
        }
        visit_macro(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            let names: Vec<String> = function.path.segments.iter().map(|s| s.ident.to_string()).collect();
            if names.ends_with(&["process".into(), "exit".into()]) {
                let fix = "return an error that implements `Diagnose`; its exit code is cli's to use";
                self.findings.push(Finding::new(
                    self.path,
                    lines(call).0,
                    "`process::exit` outside cli",
                    fix,
                ));
            }
        }
        visit_expr_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn check(folder: &str, source: &str) -> Vec<String> {
        let (manifest, lib) = (format!("{folder}/Cargo.toml"), format!("{folder}/src/lib.rs"));
        findings_of(super::check, &[(&manifest, ""), (&lib, source)])
    }

    #[test]
    fn printing_and_exiting_belong_to_cli() {
        let source = "fn f() {\n    println!(\"x\");\n    std::process::exit(1);\n}\n";
        let expected = [
            "crates/flow/runner/src/lib.rs:2: `println!` outside cli",
            "crates/flow/runner/src/lib.rs:3: `process::exit` outside cli",
        ];
        assert_eq!(check("crates/flow/runner", source), expected);
        assert_eq!(check("crates/app/cli", source), [""; 0]);
        assert_eq!(check("dev/xtask", source), [""; 0]);
        assert_eq!(check("crates/flow/runner", "#[test]\nfn t() { println!(); }\n"), [""; 0]);
    }
}
