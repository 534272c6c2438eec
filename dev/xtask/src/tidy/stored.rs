//! Only `schema` holds what is written to disk or sent over a wire, and reads it strictly.

use syn::Attribute;
use syn::visit::{self, Visit};

use crate::house::{House, lines};
use crate::tidy::Finding;

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (owner, source) in house.production().filter(|(owner, _)| owner.department != "dev") {
        let in_schema = owner.name == "schema";
        Stored { path: &source.path, in_schema, findings: &mut findings }.visit_file(&source.production);
    }
    findings
}

struct Stored<'a> {
    path: &'a str,
    in_schema: bool,
    findings: &'a mut Vec<Finding>,
}

impl<'ast> Visit<'ast> for Stored<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        let tokens = list.tokens.to_string();
        let has =
            |word: &str| tokens.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word);
        let line = lines(attribute).0;
        if attribute.path().is_ident("derive") && !self.in_schema && (has("Serialize") || has("Deserialize"))
        {
            let fix = "move the type to wootz-schema, with a version where it is stored";
            self.findings.push(Finding::new(self.path, line, "a stored type outside schema", fix));
        }
        for word in ["flatten", "untagged"] {
            if attribute.path().is_ident("serde") && has(word) {
                let fix = "write the fields out, or tag the enum: readers must refuse what they do not know";
                self.findings.push(Finding::new(self.path, line, format!("`serde({word})`"), fix));
            }
        }
        visit::visit_attribute(self, attribute);
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
    fn stored_types_live_in_schema() {
        let source = "#[derive(Debug, Serialize)]\nstruct X { a: u8 }\n";
        assert_eq!(check("crates/base/schema", source), [""; 0]);
        assert_eq!(
            check("crates/flow/runner", source),
            ["crates/flow/runner/src/lib.rs:1: a stored type outside schema"]
        );
        assert_eq!(check("crates/flow/runner", "#[derive(Debug, Clone)]\nstruct X;\n"), [""; 0]);
    }

    #[test]
    fn lax_reading_is_refused_in_schema_too() {
        let source = "#[derive(Deserialize)]\nstruct X {\n    #[serde(flatten)]\n    rest: Map,\n}\n";
        assert_eq!(
            check("crates/base/schema", source),
            ["crates/base/schema/src/lib.rs:3: `serde(flatten)`"]
        );
    }
}
