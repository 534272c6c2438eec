//! Puts the pages of an index into a folder: all at once, and none that is there already.
//!
//! A new folder is made beside the old one, of new pages and of links to what stays, and takes its place in one moment. What this program
//! did not write stays; its own pages of projects that are gone go. Two that publish at once wait for one another.
//!
//! Limits: where the file system cannot exchange two folders there is a moment without one.

use crate::pages::{GENERATOR, PAGES, Pages};
use crate::variants::ENDING;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, syncfs};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use wootz_stdx::file::temporary_sibling;

/// What became of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// New or with other bytes.
    pub written: usize,
    /// There already.
    pub kept: usize,
    /// Pages of ours that are no more.
    pub removed: usize,
}

/// Makes a folder hold these pages.
pub fn publish(folder: &Path, pages: &Pages<'_>) -> io::Result<Published> {
    let folder = fs::canonicalize(folder).or_else(|_| std::path::absolute(folder))?;
    let parent = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let lock = File::open(parent)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let mut old = Old::default();
    if folder.is_dir() {
        look(&folder, Path::new(""), pages, &mut old)?;
    }
    let published = Published {
        written: pages.names().count() - old.same.len(),
        kept: old.same.len(),
        removed: old.removed,
    };
    if folder.is_dir() && published.written == 0 && published.removed == 0 {
        return Ok(published);
    }
    let new = temporary_sibling(&folder);
    let made = make(&folder, &new, pages, &old).and_then(|()| exchange(&new, &folder));
    // What is there now is the old folder, or what was made in vain.
    let removed = fs::remove_dir_all(&new);
    made?;
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    lock.sync_all()?;
    Ok(published)
}

/// Takes away our pages of an index that is not wanted any more.
pub fn withdraw(folder: &Path) -> io::Result<usize> {
    let removed = publish(folder, &Pages::none())?.removed;
    // What is not ours stays, and the folder with it.
    let _ = fs::remove_dir(folder);
    Ok(removed)
}

/// Whether a page says that it is ours.
pub fn is_ours(page: &[u8]) -> bool {
    let head = &page[..page.len().min(1024)];
    let html = format!("<meta name=\"generator\" content=\"{GENERATOR}\">");
    let json = format!("\"_generator\":\"{GENERATOR}\"");
    [html, json].iter().any(|mark| memchr::memmem::find(head, mark.as_bytes()).is_some())
}

/// What a folder has.
#[derive(Default)]
struct Old {
    /// Pages that are as they are to be.
    same: BTreeSet<String>,
    /// What is not ours.
    foreign: Vec<PathBuf>,
    foreign_folders: Vec<PathBuf>,
    removed: usize,
}

fn look(root: &Path, within: &Path, pages: &Pages<'_>, old: &mut Old) -> io::Result<()> {
    let mut is_empty = true;
    for entry in fs::read_dir(root.join(within))? {
        let entry = entry?;
        is_empty = false;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            look(root, &path, pages, old)?;
            continue;
        }
        let name = path.to_str().unwrap_or_default();
        match pages.page(name) {
            Some(page) if fs::read(entry.path())? == page => drop(old.same.insert(name.to_owned())),
            Some(_) => {}
            None if was_ours(&entry.path())? => old.removed += 1,
            None => old.foreign.push(path),
        }
    }
    if is_empty {
        old.foreign_folders.push(within.to_owned());
    }
    Ok(())
}

/// Whether a file is a page of ours, or belongs to one.
fn was_ours(file: &Path) -> io::Result<bool> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if PAGES.contains(&name) {
        return Ok(is_ours(&fs::read(file)?));
    }
    // What variants there are cannot say whose it is; the page that leads to it can.
    let leads_to_it = |page: &str| {
        let page = fs::read(file.with_file_name(page)).unwrap_or_default();
        let links = [format!("\"filename\":\"{name}\""), format!(">{name}</a>")];
        is_ours(&page) && links.iter().any(|link| memchr::memmem::find(&page, link.as_bytes()).is_some())
    };
    Ok(name.ends_with(ENDING) && PAGES.into_iter().any(leads_to_it))
}

fn make(folder: &Path, new: &Path, pages: &Pages<'_>, old: &Old) -> io::Result<()> {
    match fs::remove_dir_all(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(new)?,
    }
    let parent = |path: &Path| path.parent().map_or(Ok(()), |parent| fs::create_dir_all(new.join(parent)));
    for path in &old.foreign_folders {
        fs::create_dir_all(new.join(path))?;
    }
    for path in &old.foreign {
        parent(path)?;
        fs::hard_link(folder.join(path), new.join(path))?;
    }
    let mut last = String::new();
    for name in pages.names() {
        // Pages of one project stand one behind the other.
        let within = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        if within != last {
            fs::create_dir_all(new.join(within))?;
            within.clone_into(&mut last);
        }
        match old.same.contains(&name) {
            true => fs::hard_link(folder.join(&name), new.join(&name))?,
            false => fs::write(new.join(&name), pages.page(&name).unwrap_or_default())?,
        }
    }
    // One call for all pages, instead of one for each.
    Ok(syncfs(File::open(new)?)?)
}

fn exchange(new: &Path, folder: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, folder, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => fs::rename(new, folder),
        Err(Errno::INVAL | Errno::NOSYS) => {
            let aside = new.with_extension("old");
            fs::rename(folder, &aside)?;
            fs::rename(new, folder)?;
            fs::remove_dir_all(aside)
        }
        Err(error) => Err(error.into()),
    }
}
