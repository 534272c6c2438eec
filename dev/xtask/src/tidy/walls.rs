//! A file has at most 800 lines and a function at most 70, tests not counted.

use syn::visit::{self, Visit};

use crate::house::{House, Source, Standing, lines};
use crate::tidy::Finding;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in house.sources.iter().filter(|s| s.standing == Standing::Production) {
        let count = production_lines(house, source);
        if count > FILE_LINES_MAX {
            findings.push(long_file(&source.path, count));
        }
        Functions { path: &source.path, findings: &mut findings }.visit_file(&source.production);
    }
    let scripts = house.texts.iter().filter(|(path, _)| path.ends_with(".py") || path.ends_with(".sh"));
    for (path, text) in scripts.filter(|(_, text)| text.lines().count() > FILE_LINES_MAX) {
        findings.push(long_file(path, text.lines().count()));
    }
    findings
}

fn production_lines(house: &House, source: &Source) -> usize {
    let tests: usize = source.test_spans.iter().map(|(first, last)| last - first + 1).sum();
    house.texts.get(&source.path).map_or(0, |text| text.lines().count() - tests)
}

fn long_file(path: &str, count: usize) -> Finding {
    let what = format!("{count} lines of production code, the wall is {FILE_LINES_MAX}");
    Finding::new(path, 1, what, "split it by noun, one file each")
}

struct Functions<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Functions<'_> {
    /// From the line of `fn` to the closing brace: doc comments and attributes are free.
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (lines(signature).0, lines(block).1);
        let count = last - first + 1;
        if count > FUNCTION_LINES_MAX {
            let what = format!("`{}` has {count} lines, the wall is {FUNCTION_LINES_MAX}", signature.ident);
            self.findings.push(Finding::new(self.path, first, what, "name its parts and call them"));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    const LIB: &str = "crates/base/a/src/lib.rs";

    fn check(source: &str) -> Vec<String> {
        findings_of(super::check, &[("crates/base/a/Cargo.toml", ""), (LIB, source)])
    }

    #[test]
    fn a_function_of_70_lines_stands_and_one_of_71_does_not() {
        let function =
            |body: usize| format!("/// Long.\n#[inline]\nfn f() {{\n{}}}\n", "    g();\n".repeat(body));
        assert_eq!(check(&function(68)), [""; 0]);
        assert_eq!(check(&function(69)), [format!("{LIB}:3: `f` has 71 lines, the wall is 70")]);
        let method = |body: usize| format!("impl X {{\n{}}}\n", function(body));
        assert_eq!(check(&method(69)), [format!("{LIB}:4: `f` has 71 lines, the wall is 70")]);
        assert_eq!(check(&format!("#[cfg(test)]\n{}", function(200))), [""; 0]);
    }

    #[test]
    fn a_file_is_measured_without_its_tests() {
        let lines = |count: usize| "const X: u8 = 0;\n".repeat(count);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(500));
        assert_eq!(check(&format!("{}{tests}", lines(800))), [""; 0]);
        assert_eq!(check(&lines(801)), [format!("{LIB}:1: 801 lines of production code, the wall is 800")]);
    }
}
