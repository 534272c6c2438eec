//! Finding and opening NVIDIA's libraries at run time: nothing of CUDA is needed to build or to start.
//!
//! Each library is looked for in this order, and the first that opens is taken:
//! 1. the folders named by the caller (an environment override);
//! 2. `nvidia/*/lib` in the packages beside every `python3` on PATH, where pip puts them;
//! 3. whatever the system's loader finds by name;
//! 4. the toolkit's folders.
//!
//! A library that needs another of the same family (NVRTC its builtins, cuDNN its engines) finds it because it is opened
//! first, with global symbols.

use libloading::os::unix::{Library as Unix, RTLD_GLOBAL, RTLD_LAZY};
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Folders that come first.
    pub folders: Vec<PathBuf>,
    /// Folders of executables, of which those with a `python3` lead to its packages: PATH.
    pub executables: Vec<PathBuf>,
    /// Roots of CUDA toolkits.
    pub toolkits: Vec<PathBuf>,
}

impl Search {
    /// The override's folders, then the folders of PATH and the usual toolkit.
    pub fn new(folders: Vec<PathBuf>, executables: Vec<PathBuf>) -> Search {
        Search { folders, executables, toolkits: vec![PathBuf::from("/usr/local/cuda")] }
    }

    /// Folders of libraries, in the order of preference before the system's loader.
    fn preferred(&self) -> Vec<PathBuf> {
        let mut found = self.folders.clone();
        for folder in self.executables.iter().filter(|folder| folder.join("python3").exists()) {
            found.extend(packages(folder));
        }
        found.dedup();
        found
    }
    fn last(&self) -> Vec<PathBuf> {
        self.toolkits.iter().flat_map(|root| [root.join("lib64"), root.join("lib")]).collect()
    }
}

/// `../lib/python3*/{site,dist}-packages/nvidia/*/lib` of a folder of executables.
fn packages(executables: &Path) -> Vec<PathBuf> {
    let Some(prefix) = executables.parent() else { return Vec::new() };
    let mut found = Vec::new();
    for version in children(&prefix.join("lib")) {
        let is_python = version.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3"));
        for packages in ["site-packages", "dist-packages"] {
            if is_python {
                let libraries = children(&version.join(packages).join("nvidia"));
                found.extend(libraries.into_iter().map(|p| p.join("lib")).filter(|p| p.is_dir()));
            }
        }
    }
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// One of NVIDIA's libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The driver.
    Cuda,
    /// The run-time compiler.
    Nvrtc,
    /// Matrix products.
    CublasLt,
    /// Fused attention.
    Cudnn,
    /// Collectives.
    Nccl,
    /// What the driver tells of power.
    Nvml,
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 6] = [Name::Cuda, Name::Nvrtc, Name::CublasLt, Name::Cudnn, Name::Nccl, Name::Nvml];

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Name::Cuda => "CUDA driver",
            Name::Nvrtc => "NVRTC",
            Name::CublasLt => "cuBLASLt",
            Name::Cudnn => "cuDNN",
            Name::Nccl => "NCCL",
            Name::Nvml => "NVML",
        }
    }
    /// How to get it.
    pub fn fix(self) -> &'static str {
        match self {
            Name::Cuda | Name::Nvml => "install NVIDIA's driver, 580 or newer",
            Name::Nvrtc => "pip install nvidia-cuda-nvrtc, or set WOOTZ_CUDA_LIBRARIES to its folder",
            Name::CublasLt => "pip install nvidia-cublas, or set WOOTZ_CUDA_LIBRARIES to its folder",
            Name::Cudnn => "pip install nvidia-cudnn-cu13, or set WOOTZ_CUDA_LIBRARIES to its folder",
            Name::Nccl => "pip install nvidia-nccl-cu13, or set WOOTZ_CUDA_LIBRARIES to its folder",
        }
    }
    /// File names, best first.
    fn files(self) -> &'static [&'static str] {
        match self {
            Name::Cuda => &["libcuda.so.1"],
            Name::Nvrtc => &["libnvrtc.so.13", "libnvrtc.so.12"],
            Name::CublasLt => &["libcublasLt.so.13", "libcublasLt.so.12"],
            Name::Cudnn => &["libcudnn.so.9"],
            Name::Nccl => &["libnccl.so.2"],
            Name::Nvml => &["libnvidia-ml.so.1"],
        }
    }
    /// Beginnings of the names of libraries that must be opened before it, from the same folder.
    fn first(self) -> &'static [&'static str] {
        match self {
            Name::Nvrtc => &["libnvrtc-builtins.so"],
            _ => &[],
        }
    }
}

/// An open library. It stays open for the life of the process: its functions may be called from anywhere.
#[derive(Debug)]
pub struct Library {
    /// Which one.
    pub name: Name,
    /// The file, or the bare name that the system's loader resolved.
    pub path: PathBuf,
    handle: Unix,
}

/// A library or a function of it is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// No file of its name opens.
    #[error("open {}: {reason}", .name.title())]
    Missing {
        /// The library.
        name: Name,
        /// What the loader said last.
        reason: String,
    },
    /// The library is there, and too old or too new.
    #[error("find {function} in {}", .path.display())]
    Function {
        /// The library.
        name: Name,
        /// Its file.
        path: PathBuf,
        /// The function.
        function: &'static str,
    },
}

impl LibraryError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            LibraryError::Missing { name, .. } => name.fix().to_owned(),
            LibraryError::Function { name, .. } => format!("this version does not fit: {}", name.fix()),
        }
    }
}

impl Library {
    /// Opens a library.
    pub fn open(name: Name, search: &Search) -> Result<Library, LibraryError> {
        let mut reason = "no such library".to_owned();
        let by_loader = [PathBuf::new()];
        for folder in search.preferred().iter().chain(&by_loader).chain(&search.last()) {
            for file in name.files() {
                let path =
                    if folder.as_os_str().is_empty() { PathBuf::from(file) } else { folder.join(file) };
                if !folder.as_os_str().is_empty() && !path.exists() {
                    continue;
                }
                preload(folder, name.first());
                match open(&path) {
                    Ok(handle) => return Ok(Library { name, path, handle }),
                    Err(error) => reason = error,
                }
            }
        }
        Err(LibraryError::Missing { name, reason })
    }
    /// The address of a function.
    ///
    /// # Safety
    /// `F` must be the type of a pointer to that function.
    pub(crate) unsafe fn function<F: Copy>(&self, function: &'static str) -> Result<F, LibraryError> {
        // SAFETY: by this function's contract; the library is never closed.
        let symbol = unsafe { self.handle.get::<F>(function.as_bytes()) };
        symbol.map(|symbol| *symbol).map_err(|_| LibraryError::Function {
            name: self.name,
            path: self.path.clone(),
            function,
        })
    }
}

/// What is open stays open: the libraries start threads of their own, e.g. NCCL's for those who come to meet.
/// The number of glibc and of musl.
const RTLD_NODELETE: i32 = 0x1000;

fn open(path: &Path) -> Result<Unix, String> {
    // SAFETY: NVIDIA's libraries may be opened from any thread; their initialisers have no preconditions.
    unsafe { Unix::open(Some(path), RTLD_LAZY | RTLD_GLOBAL | RTLD_NODELETE) }
        .map_err(|error| error.to_string())
}

/// Opens, for good, the libraries of a folder whose names begin so.
fn preload(folder: &Path, beginnings: &[&str]) {
    for path in children(folder) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let wanted = beginnings.iter().any(|beginning| name.starts_with(beginning));
        if let Some(handle) = wanted.then(|| open(&path).ok()).flatten() {
            std::mem::forget(handle);
        }
    }
}

/// A table of foreign functions: a struct with a function pointer each, filled when the library is opened.
///
/// Status codes are plain integers: a library newer than this table may return ones that it does not know.
macro_rules! functions {
    ($(#[$doc:meta])* $table:ident { $(fn $name:ident($($argument:ident: $ty:ty),* $(,)?) $(-> $result:ty)?;)* }) => {
        $(#[$doc])*
        #[allow(non_snake_case, missing_docs, reason = "the names of the foreign functions")]
        pub(crate) struct $table {
            $(pub(crate) $name: unsafe extern "C" fn($($argument: $ty),*) $(-> $result)?,)*
            #[allow(dead_code, reason = "not every user of a table tells people where its library lies")]
            pub(crate) library: $crate::library::Library,
        }
        impl $table {
            pub(crate) fn load(library: $crate::library::Library) -> Result<$table, $crate::library::LibraryError> {
                Ok($table {
                    // SAFETY: the signatures are those of the library's public header.
                    $($name: unsafe { library.function(stringify!($name))? },)*
                    library,
                })
            }
        }
    };
}
pub(crate) use functions;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_packages_beside_a_python() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let library = root.path().join("lib/python3.12/site-packages/nvidia/cudnn/lib");
        std::fs::create_dir_all(&library).expect("folders");
        std::fs::create_dir_all(root.path().join("bin")).expect("a folder");
        let search = Search::new(vec![PathBuf::from("first")], vec![root.path().join("bin")]);
        assert_eq!(search.preferred(), [PathBuf::from("first")], "no python3 there yet");
        std::fs::write(root.path().join("bin/python3"), "").expect("a file");
        assert_eq!(search.preferred(), [PathBuf::from("first"), library]);
    }

    #[test]
    fn a_missing_library_names_itself_and_the_fix() {
        let nowhere = Search::default();
        let error = Library::open(Name::Nccl, &nowhere).err();
        if let Some(error) = error {
            assert!(error.to_string().contains("NCCL"), "{error}");
            assert!(error.hint().contains("nvidia-nccl"), "{}", error.hint());
        }
    }
}
