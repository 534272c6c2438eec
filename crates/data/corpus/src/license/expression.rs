//! SPDX expressions: one spelling for each, and whether a list of allowed licenses covers one.

use crate::build::CorpusError;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};
use wootz_schema::corpus::NO_LICENSE;

/// An expression in its one spelling, or `None` where it is not valid.
///
/// Reads what package registries accept (`MIT/Apache-2.0`, `GPL-2.0+`); a plain choice or sum is sorted.
pub fn canonical_expression(text: &str) -> Option<String> {
    let text = text.trim();
    let repaired = Expression::canonicalize(text).ok()?.unwrap_or_else(|| text.to_owned());
    Expression::parse(&repaired).ok()?;
    for joiner in [" OR ", " AND "] {
        let other = if joiner == " OR " { " AND " } else { " OR " };
        if repaired.contains(joiner) && !repaired.contains(other) && !repaired.contains('(') {
            let mut parts: Vec<_> = repaired.split(joiner).collect();
            parts.sort_unstable();
            parts.dedup();
            return Some(parts.join(joiner));
        }
    }
    Some(repaired)
}

/// What people say of a license, in its one spelling: an expression, or an id as datasets write it (`mit`, `gpl-3.0`).
pub(crate) fn said(text: &str) -> Option<String> {
    let meant = |known: &&spdx::License| known.name.eq_ignore_ascii_case(text.trim());
    let id = || spdx::identifiers::LICENSES.iter().find(meant);
    canonical_expression(text).or_else(|| canonical_expression(id()?.name))
}

/// Whether an expression names a license that another one (of one or more ids) names.
pub(crate) fn mentions(expression: &str, license: &str) -> bool {
    let ids = |text: &str| -> Vec<String> {
        let parsed = Expression::parse(text).ok();
        let names = |parsed: Expression| {
            parsed.requirements().map(|part| base(&part.req.license.to_string())).collect()
        };
        parsed.map(names).unwrap_or_default()
    };
    let named = ids(expression);
    ids(license).iter().any(|id| named.contains(id))
}

/// A license text cannot say `-only` or `-or-later`.
fn base(id: &str) -> String {
    id.trim_end_matches("-only").trim_end_matches("-or-later").to_owned()
}

/// A list of allowed licenses.
#[derive(Debug)]
pub struct Allowed {
    licensees: Vec<Licensee>,
    unlicensed: bool,
}

impl Allowed {
    /// Reads SPDX ids, each with an exception or without (`Apache-2.0 WITH LLVM-exception`), and `NOASSERTION`.
    pub fn new(ids: &[String]) -> Result<Allowed, CorpusError> {
        let mut allowed = Allowed { licensees: Vec::new(), unlicensed: false };
        for id in ids {
            if id == NO_LICENSE {
                allowed.unlicensed = true;
                continue;
            }
            let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
            match Licensee::parse_mode(id, mode) {
                Ok(licensee) => allowed.licensees.push(licensee),
                Err(_) => {
                    let meant = spdx::imprecise_license_id(id).map(|(id, _)| id.name.to_owned());
                    return Err(CorpusError::UnknownLicense { id: id.clone(), meant });
                }
            }
        }
        Ok(allowed)
    }

    /// Whether an expression's terms can be met with allowed licenses: `OR` needs one side, `AND` both.
    ///
    /// An exception only ever adds permissions, so a license allowed plain is allowed with any exception.
    pub fn permits(&self, expression: &str) -> bool {
        if expression == NO_LICENSE {
            return self.unlicensed;
        }
        let Ok(parsed) = Expression::parse(expression) else { return false };
        parsed.evaluate(|required| {
            let plain = LicenseReq { license: required.license.clone(), addition: None };
            self.licensees.iter().any(|allowed| allowed.satisfies(required) || allowed.satisfies(&plain))
        })
    }
}

/// A list of licenses that no document may be under.
#[derive(Debug)]
pub struct Denied {
    ids: Vec<String>,
    unlicensed: bool,
}

impl Denied {
    /// Reads SPDX ids and `NOASSERTION`; an id denies its `-only` and `-or-later` forms too, with any exception.
    pub fn new(ids: &[String]) -> Result<Denied, CorpusError> {
        // The same list, so that the same ids are refused.
        let unlicensed = Allowed::new(ids)?.unlicensed;
        let ids = ids.iter().filter(|id| *id != NO_LICENSE).map(|id| plain(id)).collect();
        Ok(Denied { ids, unlicensed })
    }

    /// Whether an expression's terms cannot be met without a denied license.
    pub fn forbids(&self, expression: &str) -> bool {
        if expression == NO_LICENSE {
            return self.unlicensed;
        }
        let Ok(parsed) = Expression::parse(expression) else { return false };
        !parsed.evaluate(|required| !self.ids.contains(&plain(&required.to_string())))
    }
}

/// An id without its exception, `+`, `-only` or `-or-later`.
fn plain(id: &str) -> String {
    base(id.split(" WITH ").next().unwrap_or(id).trim_end_matches('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_any_case() {
        for (text, expected) in [
            ("mit", Some("MIT")),
            ("apache-2.0 ", Some("Apache-2.0")),
            ("gpl-3.0", Some("GPL-3.0-only")),
            ("MIT/Apache-2.0", Some("Apache-2.0 OR MIT")),
            ("other", None),
            ("", None),
        ] {
            assert_eq!(said(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn denied_licenses() {
        let denied = Denied::new(&["GPL-3.0-only", "AGPL-3.0", "NOASSERTION"].map(str::to_owned)).unwrap();
        for (expression, forbidden) in [
            ("MIT", false),
            ("GPL-3.0-only", true),
            ("GPL-3.0-or-later WITH GCC-exception-3.1", true),
            ("GPL-2.0-only", false),
            ("AGPL-3.0-or-later", true),
            ("MIT OR GPL-3.0-only", false),
            ("MIT AND GPL-3.0-or-later", true),
            ("NOASSERTION", true),
        ] {
            assert_eq!(denied.forbids(expression), forbidden, "{expression}");
        }
        assert!(!Denied::new(&[]).unwrap().forbids("NOASSERTION"));
        assert!(Denied::new(&["GPL 3".to_owned()]).is_err());
    }
}
