//! Entry points: scripts by name, of the project (`container/entrypoints/NAME.sh`) or of wootz.

use crate::project::Project;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::file::write_atomic;

/// Where wootz's own are inside.
const INSIDE: &str = "/opt/wootz/entrypoints";
/// What they share.
const SHARED: (&str, &str) = ("environment", include_str!("../entrypoints/environment.sh"));
/// An environment of Spack from its template or its lock; also of use without a container.
pub const SPACK_BUILD: &str = include_str!("../entrypoints/spack-build.sh");
const OWN: [(&str, &str); 7] = [
    ("default", include_str!("../entrypoints/default.sh")),
    ("hf-download", include_str!("../entrypoints/hf-download.sh")),
    ("run-job", include_str!("../entrypoints/run-job.sh")),
    ("spack-build", SPACK_BUILD),
    ("spack-install", include_str!("../entrypoints/spack-install.sh")),
    ("uv-install", include_str!("../entrypoints/uv-install.sh")),
    ("verify-gpu", include_str!("../entrypoints/verify-gpu.sh")),
];

/// A script by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrypoint {
    /// Its path inside.
    pub inside: String,
    /// Whether it is one of wootz's own, which have to be put in place.
    pub is_own: bool,
}

/// Why there is no such entry point.
#[derive(Debug, thiserror::Error)]
pub enum EntrypointError {
    /// No script of the name.
    #[error(
        "find the entry point {name}: there is no container/entrypoints/{name}.sh, and none of wootz's own has that name"
    )]
    Unknown {
        /// The name without its ending.
        name: String,
    },
    /// A script that cannot be run.
    #[error("run the entry point container/entrypoints/{name}.sh: it is not executable")]
    NotExecutable {
        /// The name without its ending.
        name: String,
    },
}

impl Diagnose for EntrypointError {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            EntrypointError::Unknown { .. } => {
                format!("wootz has: {}", OWN.map(|(name, _)| name).join(", "))
            }
            EntrypointError::NotExecutable { name } => format!("chmod +x container/entrypoints/{name}.sh"),
        })
    }
}

impl Entrypoint {
    /// The script that is called `name`, with or without `.sh`: the project's, or wootz's own.
    pub fn find(project: &Project, name: &str) -> Result<Entrypoint, EntrypointError> {
        let name = name.strip_suffix(".sh").unwrap_or(name).to_owned();
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let of_project = project.folder.join(format!("container/entrypoints/{name}.sh"));
        if let Some(found) = fs::metadata(of_project).ok().filter(|found| is_name && found.is_file()) {
            if found.permissions().mode() & 0o111 == 0 {
                return Err(EntrypointError::NotExecutable { name });
            }
            let inside = format!("{}/container/entrypoints/{name}.sh", project.workspace);
            return Ok(Entrypoint { inside, is_own: false });
        }
        match OWN.iter().any(|(own, _)| *own == name) {
            true => Ok(Entrypoint { inside: format!("{INSIDE}/{name}.sh"), is_own: true }),
            false => Err(EntrypointError::Unknown { name }),
        }
    }

    /// Where wootz's own are outside and inside.
    pub(crate) fn places(project: &Project) -> (String, String) {
        (project.shared("config/entrypoints").to_string_lossy().into_owned(), INSIDE.to_owned())
    }

    /// Puts wootz's own in place; what is there already is left alone, since a container may be running it.
    pub(crate) fn install(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, text) in OWN.iter().chain([&SHARED]) {
            let path = folder.join(format!("{name}.sh"));
            if fs::read_to_string(&path).is_ok_and(|found| found == *text) {
                continue;
            }
            write_atomic(&path, text.as_bytes())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}
