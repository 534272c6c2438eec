//! Only `schema` holds what is written to disk or sent over a wire, and whatever is read is read strictly.
//!
//! Settings of a step are read from a plan and never written: they stand beside their step, in `stations`.

use syn::visit::{self, Visit};
use syn::{Attribute, Fields};

use crate::house::{House, lines};
use crate::tidy::Finding;

/// Attributes under which unknown keys cannot pass although nothing denies them.
const STRICT: [&str; 4] = ["deny_unknown_fields", "transparent", "try_from", "from"];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (owner, source) in house.production().filter(|(owner, _)| owner.department != "dev") {
        let may_write = owner.name == "schema";
        let may_read = may_write || owner.name == "stations";
        Stored { path: &source.path, may_write, may_read, findings: &mut findings }
            .visit_file(&source.production);
    }
    findings
}

struct Stored<'a> {
    path: &'a str,
    may_write: bool,
    may_read: bool,
    findings: &'a mut Vec<Finding>,
}

impl Stored<'_> {
    fn found(&mut self, line: usize, what: &str, fix: &'static str) {
        self.findings.push(Finding::new(self.path, line, what, fix));
    }

    /// Judges a type by its attributes; `keys`: it is read from an object with keys.
    fn judge(&mut self, attributes: &[Attribute], line: usize, keys: bool) {
        let (writes, reads) =
            (has(attributes, "derive", "Serialize"), has(attributes, "derive", "Deserialize"));
        if (writes && !self.may_write) || (reads && !self.may_read) {
            self.found(
                line,
                "a stored type outside schema",
                "move it to wootz-schema, with a version where it is stored",
            );
        }
        if reads && keys && !STRICT.iter().any(|word| has(attributes, "serde", word)) {
            self.found(line, "a type that reads unknown keys", "add #[serde(deny_unknown_fields)]");
        }
    }
}

impl<'ast> Visit<'ast> for Stored<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.judge(&item.attrs, lines(&item.ident).0, matches!(item.fields, Fields::Named(_)));
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        let keys = item.variants.iter().any(|variant| matches!(variant.fields, Fields::Named(_)));
        self.judge(&item.attrs, lines(&item.ident).0, keys);
        visit::visit_item_enum(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        for word in ["flatten", "untagged"] {
            if has(std::slice::from_ref(attribute), "serde", word) {
                let fix = "write the fields out, or tag the enum: readers must refuse what they do not know";
                self.found(lines(attribute).0, &format!("`serde({word})`"), fix);
            }
        }
    }
}

/// Whether one of the attributes is `#[name(... word ...)]`.
fn has(attributes: &[Attribute], name: &str, word: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident(name)).any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.tokens.to_string().split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn check(crate_: &str, source: &str) -> Vec<String> {
        let (manifest, lib) = (format!("crates/{crate_}/Cargo.toml"), format!("crates/{crate_}/src/lib.rs"));
        let found = findings_of(super::check, &[(&manifest, ""), (&lib, source)]);
        found.iter().map(|f| f.replace(&format!("crates/{crate_}/src/lib.rs:"), "")).collect()
    }

    #[test]
    fn stored_types_live_in_schema() {
        let source = "#[derive(Debug, Serialize)]\nstruct X { a: u8 }\n";
        assert_eq!(check("base/schema", source), [""; 0]);
        assert_eq!(check("flow/runner", source), ["2: a stored type outside schema"]);
        assert_eq!(check("flow/stations", source), ["2: a stored type outside schema"]);
        assert_eq!(check("flow/runner", "#[derive(Debug, Clone)]\nstruct X;\n"), [""; 0]);
    }

    #[test]
    fn settings_live_beside_their_step() {
        let source = "#[derive(Deserialize)]\n#[serde(deny_unknown_fields)]\nstruct Settings { a: u8 }\n";
        assert_eq!(check("flow/stations", source), [""; 0]);
        assert_eq!(check("data/corpus", source), ["3: a stored type outside schema"]);
    }

    #[test]
    fn reading_is_strict() {
        let lax = ["2: a type that reads unknown keys"];
        assert_eq!(check("base/schema", "#[derive(Deserialize)]\nstruct X { a: u8 }\n"), lax);
        assert_eq!(check("base/schema", "#[derive(Deserialize)]\nenum X { A { a: u8 } }\n"), lax);
        for fine in
            ["struct X(u8);", "enum X { A, B(u8) }", "#[serde(try_from = \"String\")]\nstruct X { a: u8 }"]
        {
            assert_eq!(check("base/schema", &format!("#[derive(Deserialize)]\n{fine}\n")), [""; 0]);
        }
        let flat = "#[derive(Deserialize)]\n#[serde(deny_unknown_fields)]\nstruct X {\n    #[serde(flatten)]\n    rest: Map,\n}\n";
        assert_eq!(check("base/schema", flat), ["4: `serde(flatten)`"]);
    }
}
