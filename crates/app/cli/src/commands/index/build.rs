//! Pages from a catalogue, and what changes a catalogue.

use super::Said;
use crate::outcome::Outcome;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use wootz_schema::wheel_index::Yanked;
use wootz_stdx::file::write_atomic;
use wootz_wheels::catalogue::Projects;
use wootz_wheels::pages::Pages;
use wootz_wheels::publish::{Published, publish, withdraw};
use wootz_wheels::{Catalogue, CatalogueError, Entry, Prefer, Variants, catalogue, pages, releases, scan};

/// Write the pages of an index, for the wheels of a folder, of a catalogue, or of both.
///
/// Only pages that change are written, all at once; pages of projects that are gone go, and what this program did not write stays.
#[derive(clap::Args)]
pub struct Build {
    /// Folder of wheels; default `wheels`, and none where a catalogue is given.
    #[arg(long, value_name = "DIR")]
    wheels_dir: Option<PathBuf>,
    /// Where the pages go.
    #[arg(long, value_name = "DIR", default_value = "index/simple")]
    output_dir: PathBuf,
    /// Address below which the wheels of the folder are offered.
    #[arg(long, value_name = "URL", required_unless_present = "catalogue")]
    base_url: Option<String>,
    /// A line of JSON for each published file.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Of two files of one name with other bytes, take this one.
    #[arg(long, value_name = "WHICH", value_parser = ["newest", "oldest"])]
    prefer: Option<String>,
    /// Write `<wheel>.metadata` beside each wheel of the folder, to be uploaded with it: clients then resolve without the wheel.
    #[arg(long)]
    write_metadata: bool,
    /// Also write an index for each CUDA and each CUDA with each torch, beside: `cu128/simple`, `cu128-torch2.9/simple`.
    #[arg(long)]
    sub_indexes: bool,
    /// Also write the pages in JSON alone, beside: `json`, `cu128/json`; for static hosts that can be told types (see `rules`).
    #[arg(long)]
    json_tree: bool,
    /// Take variants (PEP 825, a draft) and tell theirs in `<name>-<version>-variants.json`.
    #[arg(long)]
    variants: bool,
}

/// Add published files to a catalogue: the wheels of a folder, or those of a dump of GitHub's releases API.
#[derive(clap::Args)]
pub struct Add {
    /// The catalogue; made where there is none.
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
    /// Folder of wheels.
    #[arg(long, value_name = "DIR", requires = "base_url")]
    wheels_dir: Option<PathBuf>,
    /// Address below which they are offered.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Write `<wheel>.metadata` beside each wheel of the folder, to be uploaded with it: clients then resolve without the wheel.
    #[arg(long)]
    write_metadata: bool,
    /// Name of the release that they came with.
    #[arg(long, value_name = "NAME", requires = "wheels_dir")]
    release: Option<String>,
    /// A dump: a JSON list of releases with their assets.
    #[arg(long, value_name = "FILE", required_unless_present = "wheels_dir")]
    releases: Option<PathBuf>,
    /// Take variants (PEP 825, a draft) from the folder.
    #[arg(long, requires = "wheels_dir")]
    variants: bool,
}

/// Take files back: clients no longer choose them, unless they are pinned.
#[derive(clap::Args)]
pub struct Yank {
    /// File names; `*` stands for anything.
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// The catalogue.
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
    /// Why; clients show it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Offer files again that were taken back.
#[derive(clap::Args)]
pub struct Unyank {
    /// File names; `*` stands for anything.
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// The catalogue.
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
}

pub fn build(args: &Build) -> Said {
    let default = || args.catalogue.is_none().then(|| PathBuf::from("wheels"));
    let variants = allowed(args.variants);
    let mut warnings = Vec::new();
    let mut entries = Vec::new();
    if let (Some(folder), Some(base_url)) = (args.wheels_dir.clone().or_else(default), &args.base_url) {
        let found = scan::folder(&folder, base_url, args.write_metadata, variants)?;
        warnings.extend(found.warnings);
        entries.extend(found.entries);
    }
    let mut statuses = Projects::new();
    if let Some(file) = &args.catalogue {
        let read = catalogue::read(file, variants)?;
        entries.extend(read.files);
        statuses = read.projects;
    }
    let prefer = args.prefer.as_deref().map(|which| match which {
        "newest" => Prefer::Newest,
        _ => Prefer::Oldest,
    });
    let entries = catalogue::unite(entries, prefer)?;
    let all = write_pages(args, &entries, &statuses)?;
    let projects: BTreeSet<&str> = entries.iter().map(|entry| entry.name.project.as_str()).collect();
    let mut text = String::new();
    if entries.is_empty() {
        text.push_str("Warning: No wheels found\n");
    }
    text.push_str(&format!(
        "Generated index for {} packages\nTotal wheels: {}\n",
        projects.len(),
        entries.len()
    ));
    let json = json!({
        "projects": projects.len(), "files": entries.len(), "pages": all.written + all.kept, "written": all.written, "removed": all.removed,
        "warnings": warnings,
    });
    // The process ends: taking 100,000 files apart would take a tenth of what making their pages does.
    std::mem::forget(entries);
    Ok((Outcome::ok(text, json), warnings))
}

/// Writes the index and what is wanted beside it; what was beside it and is wanted no more goes.
fn write_pages(args: &Build, entries: &[Entry], statuses: &Projects) -> Result<Published, CatalogueError> {
    let mut all = Published::default();
    let mut count = |published: Published| {
        all.written += published.written;
        all.kept += published.kept;
        all.removed += published.removed;
    };
    let mut put = |folder: &Path, entries: &[&Entry]| -> Result<(), CatalogueError> {
        let pages = || Pages::new(entries, statuses);
        count(publish(folder, &pages()?).map_err(failed("write the index", folder))?);
        let tree = folder.with_file_name(JSON);
        if args.json_tree {
            count(publish(&tree, &pages()?.json_alone()).map_err(failed("write the index", &tree))?);
        }
        Ok(())
    };
    if args.sub_indexes {
        let indexes = pages::sub_indexes(entries);
        for (name, entries) in &indexes {
            put(&beside(&args.output_dir, name, SIMPLE), entries)?;
        }
        for name in sub_indexes(&args.output_dir).iter().filter(|name| !indexes.contains_key(*name)) {
            for tree in [SIMPLE, JSON] {
                let folder = beside(&args.output_dir, name, tree);
                if folder.is_dir() {
                    withdraw(&folder).map_err(failed("remove the index", &folder))?;
                }
                let _ = fs::remove_dir(folder.parent().unwrap_or(&folder));
            }
        }
    }
    put(&args.output_dir, &entries.iter().collect::<Vec<_>>())?;
    Ok(all)
}

fn allowed(variants: bool) -> Variants {
    if variants { Variants::Allowed } else { Variants::Refused }
}

/// How the folders of sub-indexes, and of pages in JSON alone, are called.
const SIMPLE: &str = "simple";
pub const JSON: &str = "json";

/// The folder of a sub-index: beside the index.
fn beside(index: &Path, sub: &str, tree: &str) -> PathBuf {
    index.parent().unwrap_or(Path::new("")).join(sub).join(tree)
}

/// The sub-indexes of ours that there are.
pub fn sub_indexes(index: &Path) -> Vec<String> {
    let parent = index.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_sub = |name: &String| {
        name.strip_prefix("cu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let is_ours = |name: &String| {
        fs::read(beside(index, name, SIMPLE).join("index.html"))
            .is_ok_and(|page| wootz_wheels::publish::is_ours(&page))
    };
    let mut names: Vec<String> = names.filter(|name| is_sub(name) && is_ours(name)).collect();
    names.sort();
    names
}

pub fn add(args: &Add) -> Said {
    let mut known = match args.catalogue.exists() {
        true => read(&args.catalogue)?,
        false => Catalogue::default(),
    };
    let (mut new, mut warnings) = (Vec::new(), Vec::new());
    if let (Some(folder), Some(base_url)) = (&args.wheels_dir, &args.base_url) {
        let found = scan::folder(folder, base_url, args.write_metadata, allowed(args.variants))?;
        warnings.extend(found.warnings);
        let named = |mut entry: Entry| {
            entry.line.release.clone_from(&args.release);
            entry
        };
        new.extend(found.entries.into_iter().map(named));
    }
    if let Some(file) = &args.releases {
        let text = fs::read_to_string(file).map_err(failed("read", file))?;
        let found = releases::read(file, &text)?;
        warnings.extend(found.warnings);
        new.extend(found.entries);
    }
    let added = known.add(new)?;
    if added > 0 || !args.catalogue.exists() {
        write(&args.catalogue, &known)?;
    }
    let json = json!({ "added": added, "files": known.files.len(), "warnings": warnings });
    Ok((Outcome::ok(format!("{added} added, {} files\n", known.files.len()), json), warnings))
}

pub fn yank(args: &Yank) -> Said {
    let yanked = if args.reason.is_empty() { Yanked::Yes } else { Yanked::Because(args.reason.clone()) };
    change(&args.catalogue, &args.pattern, &yanked, "taken back")
}

pub fn unyank(args: &Unyank) -> Said {
    change(&args.catalogue, &args.pattern, &Yanked::No, "offered again")
}

fn change(file: &Path, pattern: &str, yanked: &Yanked, word: &str) -> Said {
    let mut catalogue = read(file)?;
    let changed = catalogue.yank(pattern, yanked)?;
    if !changed.is_empty() {
        write(file, &catalogue)?;
    }
    let mut text: String = changed.iter().map(|name| format!("{name}\n")).collect();
    text.push_str(&format!("{} {word}\n", changed.len()));
    Ok((Outcome::ok(text, json!({ "changed": changed })), Vec::new()))
}

/// A catalogue, to be changed: what it says of variants stays.
pub fn read(file: &Path) -> Result<Catalogue, CatalogueError> {
    catalogue::read(file, Variants::Allowed)
}

pub fn write(file: &Path, catalogue: &Catalogue) -> Result<(), CatalogueError> {
    write_atomic(file, catalogue.text().as_bytes()).map_err(failed("write", file))
}

fn failed(action: &'static str, file: &Path) -> impl FnOnce(std::io::Error) -> CatalogueError {
    move |source| CatalogueError::Io { action, file: file.to_owned(), source }
}
