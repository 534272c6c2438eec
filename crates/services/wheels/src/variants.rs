//! Wheel variants: what the `variant.json` in a wheel must say, and the file that says it for all wheels of a version.
//!
//! The rules are those of PEP 825 in its format 0.1.1, a draft; wheels of another format are refused.

use crate::archive::Archive;
use crate::catalogue::{CatalogueError, Entry};
use crate::name::WheelName;
use std::collections::BTreeSet;
use wootz_schema::wheel_index::{VariantMetadata, VariantPriorities, VariantProperties};

/// The format that is read and written.
pub const SCHEMA: &str = "https://variants-schema.wheelnext.dev/peps/825/v0.1.1.json";
/// How the names of files end that say it for all wheels of a version.
pub const ENDING: &str = "-variants.json";
/// The label without properties, which fits every machine.
const NULL: &str = "null";

/// The name of the file of a version.
pub fn file_name(name: &WheelName) -> String {
    format!("{}-{}{ENDING}", name.project.replace('-', "_"), name.version)
}

/// What a variant's wheel says of itself; the wheel's name has a label.
pub(crate) fn of_wheel(archive: &mut Archive, label: &str) -> Result<VariantMetadata, String> {
    let path = format!("{}/variant.json", archive.name.dist_info());
    let index = archive.entry(&path).ok_or_else(|| format!("it has no {path}"))?.index;
    let bytes = archive.read(index).map_err(|error| format!("{path}: {error}"))?;
    let metadata = serde_json::from_slice(&bytes).map_err(|error| format!("{path}: {error}"))?;
    check(&metadata, label).map_err(|why| format!("{path}: {why}"))?;
    Ok(metadata)
}

/// Whether this is what a wheel with that label may say.
pub(crate) fn check(metadata: &VariantMetadata, label: &str) -> Result<(), String> {
    if metadata.schema != SCHEMA {
        return Err(format!("$schema is {:?}, and only {SCHEMA} is known", metadata.schema));
    }
    let namespaces = &metadata.default_priorities.namespace;
    if namespaces.is_empty() {
        return Err("default-priorities.namespace is empty".to_owned());
    }
    all_once("default-priorities.namespace", namespaces)?;
    namespaces.iter().try_for_each(|name| word(name, false))?;
    let labels: Vec<&str> = metadata.variants.keys().map(String::as_str).collect();
    if labels != [label] {
        return Err(format!("variants has {}, where the file's name has {label:?}", labels.join(", ")));
    }
    let properties = &metadata.variants[label];
    if label == NULL && !properties.is_empty() {
        return Err("the variant null has properties".to_owned());
    }
    for (namespace, features) in properties {
        if !namespaces.contains(namespace) {
            return Err(format!("default-priorities.namespace lacks {namespace:?}"));
        }
        for (feature, values) in features {
            word(feature, false)?;
            values.iter().try_for_each(|value| word(value, true))?;
            let what = format!("{namespace} :: {feature}");
            match values.is_empty() {
                true => return Err(format!("{what} has no value")),
                false => all_once(&what, values)?,
            }
        }
    }
    Ok(())
}

fn word(text: &str, with_dots: bool) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || (with_dots && c == '.');
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "{text:?} is not made of a to z, digits and _{}",
            if with_dots { " and ." } else { "" }
        )),
    }
}

fn all_once(what: &str, list: &[String]) -> Result<(), String> {
    match list.iter().collect::<BTreeSet<_>>().len() == list.len() {
        true => Ok(()),
        false => Err(format!("{what} says something twice")),
    }
}

/// What the variants among the files of one version say together; `None` where there are none.
///
/// A label stands for the same properties in all of them, and of two lists of namespaces one begins with the other: so the longest orders all.
pub fn combine(files: &[&Entry]) -> Result<Option<VariantMetadata>, CatalogueError> {
    let mut together: Option<(VariantMetadata, &str)> = None;
    for entry in files {
        let (Some(metadata), Some(label)) = (&entry.line.variant, &entry.name.variant) else { continue };
        let file = entry.line.filename.as_str();
        let Some((all, first)) = &mut together else {
            together = Some((VariantMetadata::clone(metadata), file));
            continue;
        };
        let differ =
            |why: String| CatalogueError::Variants { files: [(*first).to_owned(), file.to_owned()], why };
        let VariantPriorities { namespace } = &metadata.default_priorities;
        let known = &mut all.default_priorities.namespace;
        match (known.starts_with(namespace), namespace.starts_with(known)) {
            (true, _) => {}
            (false, true) => known.clone_from(namespace),
            (false, false) => {
                return Err(differ(format!(
                    "namespaces are ordered {} and {}",
                    known.join(", "),
                    namespace.join(", ")
                )));
            }
        }
        let said = &metadata.variants[label];
        match all.variants.get(label) {
            Some(known) if !same(known, said) => {
                return Err(differ(format!("the label {label} stands for other properties")));
            }
            Some(_) => {}
            None => drop(all.variants.insert(label.clone(), said.clone())),
        }
    }
    Ok(together.map(|(all, _)| all))
}

/// Whether two labels stand for the same, in whatever order their values are written.
fn same(one: &VariantProperties, other: &VariantProperties) -> bool {
    let sets = |properties: &VariantProperties| {
        let mut all = BTreeSet::new();
        for (namespace, features) in properties {
            for (feature, values) in features {
                all.extend(values.iter().map(|value| [namespace.clone(), feature.clone(), value.clone()]));
            }
        }
        all
    };
    sets(one) == sets(other)
}
