//! The one list of what may break a rule, each with the reason why.

/// A file, or a folder that ends in `/`, which one rule leaves alone.
pub struct Exemption {
    /// The rule's name in [`super::RULES`].
    pub rule: &'static str,
    pub path: &'static str,
    /// For the reader of the list.
    #[allow(dead_code)]
    pub reason: &'static str,
}

impl Exemption {
    pub fn covers(&self, path: &str) -> bool {
        path == self.path || (self.path.ends_with('/') && path.starts_with(self.path))
    }
}

pub const EXEMPTIONS: &[Exemption] = &[
    Exemption {
        rule: "words",
        path: "crates/flow/pipeline/tests/cases/plan.rs",
        reason: "a made-up home folder shows what ${env.HOME} becomes",
    },
    Exemption {
        rule: "words",
        path: "crates/services/tracker/tests/data/",
        reason: "issues of another project, as their authors wrote them",
    },
    Exemption {
        rule: "stored",
        path: "crates/services/tracker/src/import/ba.rs",
        reason: "reads what another program reads, to tell what it would refuse",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exemption_names_a_rule_and_a_reason() {
        for exemption in EXEMPTIONS {
            assert!(
                super::super::RULES.iter().any(|(name, _)| *name == exemption.rule),
                "{}",
                exemption.rule
            );
            assert!(exemption.reason.split(' ').count() >= 4, "{}: say why", exemption.path);
        }
    }
}
