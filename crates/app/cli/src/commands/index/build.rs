//! Pages from a catalogue, and what changes a catalogue.

use super::Said;
use crate::outcome::Outcome;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use wootz_schema::wheel_index::{CatalogueLine, Yanked};
use wootz_stdx::file::write_atomic;
use wootz_wheels::pages::Pages;
use wootz_wheels::publish::{Published, publish, withdraw};
use wootz_wheels::{CatalogueError, Entry, Prefer, catalogue, pages, releases, scan};

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
    let mut warnings = Vec::new();
    let mut entries = Vec::new();
    if let (Some(folder), Some(base_url)) = (args.wheels_dir.clone().or_else(default), &args.base_url) {
        let found = scan::folder(&folder, base_url, args.write_metadata)?;
        warnings.extend(found.warnings);
        entries.extend(found.entries);
    }
    if let Some(file) = &args.catalogue {
        entries.extend(catalogue::read(file)?);
    }
    let prefer = args.prefer.as_deref().map(|which| match which {
        "newest" => Prefer::Newest,
        _ => Prefer::Oldest,
    });
    let entries = catalogue::unite(entries, prefer)?;
    let mut all = Published::default();
    let mut put = |folder: &Path, entries: &[&Entry]| -> Result<(), CatalogueError> {
        let published = publish(folder, &Pages::new(entries)).map_err(failed("write the index", folder))?;
        all.written += published.written;
        all.kept += published.kept;
        all.removed += published.removed;
        Ok(())
    };
    if args.sub_indexes {
        let indexes = pages::sub_indexes(&entries);
        for (name, entries) in &indexes {
            put(&beside(&args.output_dir, name), entries)?;
        }
        for name in stale(&args.output_dir, &indexes.keys().cloned().collect()) {
            let folder = beside(&args.output_dir, &name);
            withdraw(&folder).map_err(failed("remove the index", &folder))?;
            let _ = fs::remove_dir(folder.parent().unwrap_or(&folder));
        }
    }
    put(&args.output_dir, &entries.iter().collect::<Vec<_>>())?;
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
    Ok((Outcome::ok(text, json), warnings))
}

/// The folder of a sub-index: beside the index, under the same name.
fn beside(index: &Path, sub: &str) -> PathBuf {
    let parent = index.parent().unwrap_or(Path::new(""));
    parent.join(sub).join("simple")
}

/// Sub-indexes of ours that are no more.
fn stale(index: &Path, wanted: &BTreeSet<String>) -> Vec<String> {
    let parent = index.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_sub = |name: &String| {
        name.strip_prefix("cu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let is_ours = |name: &String| {
        fs::read(beside(index, name).join("index.html"))
            .is_ok_and(|page| wootz_wheels::publish::is_ours(&page))
    };
    names.filter(|name| is_sub(name) && !wanted.contains(name) && is_ours(name)).collect()
}

pub fn add(args: &Add) -> Said {
    let mut lines = match args.catalogue.exists() {
        true => lines_of(&args.catalogue)?,
        false => Vec::new(),
    };
    let before = lines.len();
    let (mut new, mut warnings) = (Vec::new(), Vec::new());
    if let (Some(folder), Some(base_url)) = (&args.wheels_dir, &args.base_url) {
        let found = scan::folder(folder, base_url, args.write_metadata)?;
        warnings.extend(found.warnings);
        let named = |entry: Entry| CatalogueLine { release: args.release.clone(), ..entry.line };
        new.extend(found.entries.into_iter().map(named));
    }
    if let Some(file) = &args.releases {
        let text = fs::read_to_string(file).map_err(failed("read", file))?;
        let found = releases::read(file, &text)?;
        warnings.extend(found.warnings);
        new.extend(found.lines);
    }
    for line in new {
        let same = |known: &&CatalogueLine| known.filename == line.filename;
        match lines.iter().find(same) {
            None => lines.push(line),
            Some(known) if known.sha256 == line.sha256 => {}
            Some(known) => {
                return Err(CatalogueError::Twice {
                    filename: line.filename.clone(),
                    urls: [known.url.clone(), line.url.clone()],
                }
                .into());
            }
        }
    }
    let added = lines.len() - before;
    if added > 0 || !args.catalogue.exists() {
        write(&args.catalogue, &lines)?;
    }
    let json = json!({ "added": added, "files": lines.len(), "warnings": warnings });
    Ok((Outcome::ok(format!("{added} added, {} files\n", lines.len()), json), warnings))
}

pub fn yank(args: &Yank) -> Said {
    let yanked = if args.reason.is_empty() { Yanked::Yes } else { Yanked::Because(args.reason.clone()) };
    change(&args.catalogue, &args.pattern, &yanked, "taken back")
}

pub fn unyank(args: &Unyank) -> Said {
    change(&args.catalogue, &args.pattern, &Yanked::No, "offered again")
}

fn change(file: &Path, pattern: &str, yanked: &Yanked, word: &str) -> Said {
    let mut lines = lines_of(file)?;
    let changed = catalogue::yank(&mut lines, pattern, yanked)?;
    if !changed.is_empty() {
        write(file, &lines)?;
    }
    let mut text: String = changed.iter().map(|name| format!("{name}\n")).collect();
    text.push_str(&format!("{} {word}\n", changed.len()));
    Ok((Outcome::ok(text, json!({ "changed": changed })), Vec::new()))
}

fn lines_of(file: &Path) -> Result<Vec<CatalogueLine>, CatalogueError> {
    Ok(catalogue::read(file)?.into_iter().map(|entry| entry.line).collect())
}

fn write(file: &Path, lines: &[CatalogueLine]) -> Result<(), CatalogueError> {
    write_atomic(file, catalogue::text(lines).as_bytes()).map_err(failed("write", file))
}

fn failed(action: &'static str, file: &Path) -> impl FnOnce(std::io::Error) -> CatalogueError {
    move |source| CatalogueError::Io { action, file: file.to_owned(), source }
}
