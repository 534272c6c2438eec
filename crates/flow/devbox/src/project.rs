//! A project, and what its containers see of the machine.
//!
//! ```text
//! outside                  inside
//! the project              the workspace, where it starts
//! ROOT/ID/monorepo_home    the user's home
//! ROOT/ID/spack_store      /opt/spack_store
//! ROOT/ID/bazel_cache      /opt/bazel_cache
//! ROOT/ID/hf_cache         /opt/hf_cache, which is HF_HOME
//! ROOT/ID/config           its entrypoints: /opt/wootz/entrypoints, read only
//! ```

use crate::entrypoint::Entrypoint;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wootz_container::{Kind, Mount, Spec};

/// Folders that a project's containers share, and where they are inside.
const SHARED: [(&str, &str); 3] =
    [("spack_store", "/opt/spack_store"), ("bazel_cache", "/opt/bazel_cache"), ("hf_cache", "/opt/hf_cache")];
const HOME: &str = "monorepo_home";

/// Who runs a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number of the user.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// Its name.
    pub name: String,
}

/// A project whose programs run in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// By what its folders are known.
    pub id: String,
    /// Where the folders of all projects are, absolute.
    pub root: PathBuf,
    /// Where the project is inside.
    pub workspace: String,
}

impl Project {
    /// Its id as names of images and containers may have it.
    pub fn plain_id(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        self.id.chars().map(|c| if is_plain(c) { c.to_ascii_lowercase() } else { '-' }).collect()
    }

    /// A folder that the project's containers share.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.root.join(&self.id).join(name)
    }

    /// Makes the folders that are shared, and puts wootz's entry points there.
    pub fn prepare(&self) -> io::Result<()> {
        for (name, _) in SHARED.iter().chain([&(HOME, "")]) {
            fs::create_dir_all(self.shared(name))?;
        }
        Entrypoint::install(Path::new(&Entrypoint::places(self).0))
    }

    /// Shows the project, its folders and the entry points to a container.
    pub fn equip(&self, spec: &mut Spec, user: &User) {
        let home = home(user);
        let mut mount = |outside: &Path, inside: &str, is_writable: bool| {
            let (outside, inside) = (outside.to_string_lossy().into_owned(), inside.to_owned());
            spec.mounts.push(Mount { outside, inside, is_writable });
        };
        mount(&self.shared(HOME), &home, true);
        for (name, inside) in SHARED {
            mount(&self.shared(name), inside, true);
        }
        let (outside, inside) = Entrypoint::places(self);
        mount(Path::new(&outside), &inside, false);
        spec.env.extend([("HOME".to_owned(), home), ("HF_HOME".to_owned(), "/opt/hf_cache".to_owned())]);
    }

    /// Shows the project alone, and lets a container start there.
    pub fn show(&self, spec: &mut Spec) {
        let (outside, inside) = (self.folder.to_string_lossy().into_owned(), self.workspace.clone());
        spec.mounts.push(Mount { outside, inside, is_writable: true });
        spec.folder.get_or_insert_with(|| self.workspace.clone());
        spec.env.insert("SYGALDRY_IN_CONTAINER".to_owned(), "1".to_owned());
    }
}

impl User {
    /// Lets a container work as this user, so that what it leaves is theirs.
    pub fn enter(&self, spec: &mut Spec, kind: Kind) {
        spec.user = Some(format!("{}:{}", self.uid, self.gid));
        // Without privileges podman counts users anew, beginning with the caller as root.
        if kind == Kind::Podman && self.uid != 0 {
            spec.user_namespace = Some("keep-id".to_owned());
        }
        for file in ["/etc/passwd", "/etc/group"] {
            spec.mounts.push(Mount { outside: file.to_owned(), inside: file.to_owned(), is_writable: false });
        }
        spec.env.insert("USER".to_owned(), self.name.clone());
    }
}

fn home(user: &User) -> String {
    let homes = Path::new("/").join("home");
    if user.uid == 0 { "/root".to_owned() } else { homes.join(&user.name).to_string_lossy().into_owned() }
}
