//! Originals compiled, and with that the standard that each project's files are written in.
//!
//! All are compiled under the first standard of their language. What fails is tried under the later ones; where one
//! helps, what did not fail is tried under it too, and it is taken if more files compile than under the first. A
//! project is so judged under one standard per language, and most files are compiled once.

use super::compiler::{Compilers, Verdict};
use super::project::Project;
use super::sample::Group;
use super::syntax::Place;
use super::{Audit, Original, not_cancelled};
use crate::build::CorpusError;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use wootz_schema::audit::Failure;

/// The standards that are tried, in this order, by language.
const STANDARDS: [(&str, &[&str]); 2] = [("c", &["c11", "gnu11"]), ("cpp", &["c++17", "c++20", "c++23"])];

fn standards(language: &str) -> &'static [&'static str] {
    STANDARDS.iter().find(|(name, _)| *name == language).map_or(&[], |(_, standards)| standards)
}

/// Verdicts by the index of the original, under the standards that are now those of the projects.
pub(super) fn settle(
    audit: &mut Audit<'_>,
    compilers: &Compilers<'_>,
    place: Place<'_>,
) -> Result<Vec<Verdict>, CorpusError> {
    let compiled: Vec<usize> =
        (0..audit.originals.len()).filter(|index| audit.originals[*index].group == Group::CCpp).collect();
    for index in &compiled {
        let Original { project, language, .. } = &audit.originals[*index];
        if let Some(first) = standards(language).first() {
            audit.projects[*project].standards.insert(language.clone(), (*first).to_owned());
        }
    }
    let jobs: Vec<Job> = compiled.iter().map(|index| (*index, None)).collect();
    let first = compile(audit, "corpus audit: originals", &jobs, compilers, place)?;
    let mut verdicts = vec![None; audit.originals.len()];
    compiled.iter().zip(first).for_each(|(index, verdict)| verdicts[*index] = verdict);
    let better = better(audit, &compiled, &mut verdicts, compilers, place)?;
    for ((project, language), standard) in better {
        audit.projects[project].standards.insert(language, standard.to_owned());
    }
    Ok(verdicts)
}

/// An original, and the standard to use in place of its project's.
type Job = (usize, Option<&'static str>);

/// Standards other than the first that are better for a project's files in a language, with their verdicts taken over.
fn better(
    audit: &Audit<'_>,
    compiled: &[usize],
    verdicts: &mut [Verdict],
    compilers: &Compilers<'_>,
    place: Place<'_>,
) -> Result<BTreeMap<(usize, String), &'static str>, CorpusError> {
    // A header that is missing under one standard is missing under all.
    let hopeless =
        |verdict: &Verdict| matches!(verdict, Some((Failure::MissingHeader | Failure::Timeout, _)));
    let later = |index: usize| standards(&audit.originals[index].language).iter().skip(1).copied();
    let failed = |index: &&usize| verdicts[**index].is_some() && !hopeless(&verdicts[**index]);
    let jobs: Vec<Job> = compiled
        .iter()
        .filter(failed)
        .flat_map(|index| later(*index).map(move |standard| (*index, Some(standard))))
        .collect();
    let retried = compile(audit, "corpus audit: later standards", &jobs, compilers, place)?;
    let mut gains: BTreeMap<(usize, &str), BTreeMap<&'static str, u64>> = BTreeMap::new();
    for ((index, standard), verdict) in jobs.iter().zip(&retried) {
        let Original { project, language, .. } = &audit.originals[*index];
        if let (Some(standard), None) = (standard, verdict) {
            *gains.entry((*project, language)).or_default().entry(standard).or_default() += 1;
        }
    }
    let mut chosen = BTreeMap::new();
    for ((project, language), gains) in gains {
        // Of equal gains the earlier standard: names sort by year.
        let Some((&standard, _)) =
            gains.iter().max_by_key(|(name, gain)| (**gain, std::cmp::Reverse(**name)))
        else {
            continue;
        };
        let own = |index: &&usize| {
            audit.originals[**index].project == project && audit.originals[**index].language == language
        };
        let jobs: Vec<Job> = compiled.iter().filter(own).map(|index| (*index, Some(standard))).collect();
        let anew = compile(audit, "corpus audit: originals under a later standard", &jobs, compilers, place)?;
        let before = jobs.iter().filter(|(index, _)| verdicts[*index].is_none()).count();
        if anew.iter().filter(|verdict| verdict.is_none()).count() > before {
            jobs.iter().zip(anew).for_each(|((index, _), verdict)| verdicts[*index] = verdict);
            chosen.insert((project, language.to_owned()), standard);
        }
    }
    Ok(chosen)
}

fn compile(
    audit: &Audit<'_>,
    task: &str,
    jobs: &[Job],
    compilers: &Compilers<'_>,
    place: Place<'_>,
) -> Result<Vec<Verdict>, CorpusError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let verdicts = audit.on_all(task, jobs, |(index, standard)| {
        let Original { project, path, language, text, .. } = &audit.originals[*index];
        let project: &Project = &audit.projects[*project];
        let mut flags = project.flags_of(path, language);
        if let Some(standard) = standard {
            // A file whose own flags name a standard is not tried under others.
            let projects_own = project.standards.get(language);
            if flags.standard.as_ref() == projects_own {
                flags.standard = Some((*standard).to_owned());
            }
        }
        if place.cancel.load(Ordering::Relaxed) { None } else { compilers.compile(language, &flags, text) }
    });
    not_cancelled(place.cancel)?;
    Ok(verdicts)
}
